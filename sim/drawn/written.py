"""A drawn log on disk: the real log and snapshot store, every arm's outcome, the exact values, a datasheet.

The same seed writes the same bytes: segments get names that do not tell of the process before the
compactor takes them in. Nothing is replaced: the folder must be new or empty.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from p402.errors import P402Error
from p402.evaluation.estimate import ESTIMAND
from p402.events import AttemptResult, Decision, Event, Outcome, Reward
from p402.learner.reward import Objective
from p402.routing.compiled import parts_of
from p402.routing.decide import CHUNK_CELLS, Decisions, decide, work
from p402.routing.live import LiveState
from p402.routing.pricing import token_prices
from p402.routing.rows import to_batch
from p402.routing.spec import TASKS
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.segments import SEALED, names_in, segment_name
from p402.store.writer import LogWriter
from sim.drawn.contexts import WORKER
from sim.drawn.draw import Rounds
from sim.drawn.feedback import Feedback, chance_of
from sim.drawn.offers import START_MS
from sim.drawn.truth import Value, values_of
from sim.drawn.world import DrawnWorld

TENANT: Final = "default"
SOURCE: Final = "judge"
OUTCOME_MS: Final = 500
"""When a drawn outcome is logged after its decision; no latency, which no source has."""

ROW_ARMS: Final = 200_000
"""Rows of outcomes.parquet written at once."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    judged
        Rounds with a reward event.
    log_digest
        Of the log's manifest.
    sha256
        Of the other files, by name.
    """

    out: str
    table: str
    rounds: int
    seed: int
    sessions: int
    judged: int
    arms: int
    snapshot: str
    log_digest: str
    sha256: dict[str, str]
    values: tuple[Value, ...]


def write(
    world: DrawnWorld, rounds: Rounds, out: Path, *, seed: int, feedback: Feedback, command: str, progress: Progress
) -> Written:
    """Write a drawn log and everything that is known of it.

    Raises
    ------
    P402Error
        The folder is not empty.
    StoreError
        The disk did not take it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise P402Error(f"--out {out} is not an empty folder; expected a new one: nothing was changed")
    out.mkdir(parents=True, exist_ok=True)
    snapshot_id = ComponentStore(out / "store").put_snapshot(parts_of(world.offered.assembly.spec))
    made = _decided(world, rounds)
    judged = rounds.judging < _judging(world, feedback)[rounds.prompt, made.arm]
    with LogWriter(out / "log", WORKER, lambda: START_MS) as writer:
        for i, events in enumerate(_events(world, rounds, made, judged)):
            for event in events:
                writer.append(event)
            if i % 1_000 == 0:
                progress(i, len(rounds.id))
    digest = _compacted(out / "log")
    _write_outcomes(world, rounds, made, judged, out / "outcomes.parquet")
    values = values_of(world, rounds)
    truth = {
        "estimand": ESTIMAND,
        "objective": asdict(Objective()),
        "values": [asdict(value) for value in values],
    }
    (out / "truth.json").write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")
    found = Written(
        out=str(out),
        table=world.offered.priced.name,
        rounds=len(rounds.id),
        seed=seed,
        sessions=len(np.unique(rounds.session)),
        judged=int(np.count_nonzero(judged)),
        arms=world.offered.snapshot.n_arms,
        snapshot=snapshot_id,
        log_digest=digest,
        sha256={name: _hash(out / name) for name in ("outcomes.parquet", "truth.json")},
        values=values,
    )
    (out / "README.md").write_text(datasheet(world, rounds, made, found, feedback, command))
    return found


def _decided(world: DrawnWorld, rounds: Rounds) -> Decisions:
    offered = world.offered
    modes = tuple(world.contexts.values())
    inputs = [
        modes[mode].inputs[row] for mode, row in zip(rounds.mode.tolist(), rounds.prompt.tolist(), strict=True)
    ]
    lives = (LiveState.at_start(offered.snapshot.n_arms),)
    batch = to_batch(offered.snapshot, rounds.id, inputs, lives, [0] * len(inputs))
    return decide(offered.snapshot, batch)


def _judging(world: DrawnWorld, feedback: Feedback) -> np.ndarray[Any, np.dtype[np.float64]]:
    task = next(iter(world.contexts.values())).task
    return chance_of(feedback, world.outcomes.quality, task)


def _events(
    world: DrawnWorld, rounds: Rounds, made: Decisions, judged: Any
) -> Iterator[tuple[Event, ...]]:
    offered, known = world.offered, world.outcomes
    spec, modes = offered.snapshot.spec, tuple(world.contexts.values())
    baseline = offered.assembly.tenants[TENANT].baseline_model
    for i, request in enumerate(rounds.id):
        row, arm, ts_ms = int(rounds.prompt[i]), int(made.arm[i]), int(rounds.ts_ms[i])
        context = modes[int(rounds.mode[i])]
        decision = Decision(
            ts_ms=ts_ms,
            id=request,
            tenant=TENANT,
            session=f"s{int(rounds.session[i]):07d}",
            worker=WORKER,
            snapshot=made.snapshot_id,
            live_seq=0,
            inputs=context.inputs[row],
            arm=spec.arms.arm[arm],
            count=int(made.count[i]),
            n_eligible=int(made.n_eligible[i]),
            n_explored=int(made.n_explored[i]),
            task=TASKS[int(context.task[row])],
            baseline=baseline,
            simulated=True,
        )
        prompt, output = int(known.prompt_tokens[row, arm]), int(known.output_tokens[row, arm])
        cost = int(known.cost_nano[row, arm])
        price = token_prices(spec.prices, arm, prompt) if offered.priced.billed else None
        attempt = AttemptResult(
            arm=spec.arms.arm[arm],
            status="ok",
            prompt_tokens=prompt,
            output_tokens=output,
            cost_nano=cost,
            price_pico=None if price is None else list(price),
            latency_ms=0.0,
        )
        outcome = Outcome(
            ts_ms=ts_ms + OUTCOME_MS,
            id=request,
            tenant=TENANT,
            status="ok",
            arm=attempt.arm,
            attempts=[attempt],
            cost_nano=cost,
            direct_nano=int(known.direct_nano[row, arm]),
            prompt_tokens=prompt,
            output_tokens=output,
            latency_ms=0.0,
            provider_latency_ms=0.0,
            overhead_ms=0.0,
        )
        if not judged[i]:
            yield decision, outcome
            continue
        quality = float(known.quality[row, arm])
        yield (
            decision,
            outcome,
            Reward(
                ts_ms=ts_ms + 2 * OUTCOME_MS - 1,
                id=request,
                tenant=TENANT,
                source=SOURCE,
                status="accepted" if quality >= 0.5 else "rejected",
                quality=quality,
            ),
        )


def _compacted(log: Path) -> str:
    """Give segments names of their own, in order, and take them into Parquet; the digest."""
    for seq, name in enumerate(names_in(log, SEALED)):
        (log / SEALED / name).rename(log / SEALED / segment_name(WORKER, 0, "0" * 16, seq))
    return compact(log).digest


OUTCOMES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("provider", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("session", pa.string(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("chosen", pa.bool_(), nullable=False),
        pa.field("judged", pa.bool_(), nullable=False),
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("cost_nano", pa.int64(), nullable=False),
        pa.field("direct_nano", pa.int64(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("output_tokens", pa.int64(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
    ]
)
"""One row for each round and arm, rounds in order of time, arms ascending."""


def _write_outcomes(world: DrawnWorld, rounds: Rounds, made: Decisions, judged: Any, path: Path) -> None:
    offered, known = world.offered, world.outcomes
    arms, k = offered.snapshot.spec.arms, offered.snapshot.n_arms
    prompts, modes = world.traffic.prompts, tuple(world.contexts)
    contexts = tuple(world.contexts.values())
    step = max(1, ROW_ARMS // k)
    with pq.ParquetWriter(path, OUTCOMES, compression="zstd", compression_level=6) as writer:
        for start in range(0, len(rounds.id), step):
            part = range(start, min(start + step, len(rounds.id)))
            rows, chosen = rounds.prompt[start : part.stop], made.arm[start : part.stop]
            of = rounds.mode[start : part.stop].tolist()
            counts = _counts(world, rounds, part)
            per_round: dict[str, Sequence[Any]] = {
                "id": [rounds.id[i] for i in part],
                "prompt_id": [prompts[row].id for row in rows.tolist()],
                "benchmark": [prompts[row].benchmark for row in rows.tolist()],
                "session": [f"s{s:07d}" for s in rounds.session[start : part.stop].tolist()],
                "mode": [modes[m] for m in of],
                "task": [TASKS[int(contexts[m].task[r])] for m, r in zip(of, rows.tolist(), strict=True)],
                "judged": judged[start : part.stop].tolist(),
            }
            columns: dict[str, Any] = {
                name: [v for v in values for _ in range(k)] for name, values in per_round.items()
            }
            columns |= {
                "arm": list(arms.arm) * len(part),
                "model": list(arms.model) * len(part),
                "provider": list(arms.provider) * len(part),
                "count": counts.astype(np.int32).ravel(),
                "chosen": (np.arange(k) == chosen[:, None]).ravel(),
            }
            for name in ("quality", "cost_nano", "direct_nano", "prompt_tokens", "output_tokens", "reward"):
                columns[name] = getattr(known, name)[rows].ravel()
            writer.write_table(pa.table({field.name: columns[field.name] for field in OUTCOMES}, schema=OUTCOMES))


def _counts(world: DrawnWorld, rounds: Rounds, part: range) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(len(part), n_arms) propensities of every arm times 2**24."""
    snapshot, modes = world.offered.snapshot, tuple(world.contexts.values())
    lives = (LiveState.at_start(snapshot.n_arms),)
    out = np.empty((len(part), snapshot.n_arms))
    step = max(1, CHUNK_CELLS // snapshot.n_arms)
    for start in range(part.start, part.stop, step):
        some = range(start, min(start + step, part.stop))
        inputs = [modes[int(rounds.mode[i])].inputs[int(rounds.prompt[i])] for i in some]
        ids = [rounds.id[i] for i in some]
        batch = to_batch(snapshot, ids, inputs, lives, [0] * len(ids))
        out[start - part.start : some.stop - part.start] = np.atleast_2d(work(snapshot, batch).counts)
    return out


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def datasheet(
    world: DrawnWorld, rounds: Rounds, made: Decisions, found: Written, feedback: Feedback, command: str
) -> str:
    """README.md of a drawn log."""
    priced, arms = world.offered.priced, world.offered.snapshot.spec.arms
    taken = Counter(made.arm.tolist())
    spec = world.offered.snapshot.spec.policy.variants[0][0]
    lines = [
        f"# A log that P402 drew from {priced.table.source}",
        "",
        f"{found.rounds:,} rounds in {found.sessions:,} sessions over {found.arms} arms, with the exact propensity of "
        "every choice, every arm's real outcome, and the exact value of some strategies. For judging off-policy "
        "estimators of LLM routers: estimate from `log/`, look up what is true in `truth.json`.",
        "",
        "| | |",
        "|---|---|",
        f"| source | {priced.table.source}, read {priced.table.read_on} |",
        f"| licence | {priced.table.licence}, of the outcomes; no prompt text is in this folder |",
        f"| made by | `{command}` with p402 {version('p402')} |",
        f"| seed | {found.seed}; the same command and versions write the same bytes |",
        f"| traffic | {len(world.traffic.prompts):,} prompts that are not `val`, drawn with replacement, all alike; "
        "sessions of 1 to 8 rounds of one benchmark and mode |",
        f"| modes | {', '.join(world.contexts)}, by session in turn |",
        f"| exploration | on; floor {spec.floor / (1 << 20):g}, tolerance {spec.tolerance / (1 << 20):g}, "
        f"cost ratio {spec.cost_ratio / (1 << 20):g} in cost mode |",
        "| prior | mean quality by model and task on `val` alone |",
        f"| judged | {found.judged:,} rounds (`{feedback}`) |",
        f"| snapshot | `{found.snapshot}` |",
        f"| log digest | `{found.log_digest}` (`log/manifest.json`) |",
        *(f"| sha256 of {name} | `{digest}` |" for name, digest in found.sha256.items()),
        "",
        "## Files",
        "",
        "- `log/`, `store/`: as the gateway writes them. `p402 replay --verify --log log --store store` decides every round "
        "again; `p402 replay --policy quality --behaviour balanced --log log --store store` values a strategy.",
        "- `outcomes.parquet`: one row for each round and arm.",
        "- `truth.json`: `on_rounds` is the mean reward a strategy would have had on the rounds of a mode, `on_table` over all "
        "prompts alike; `unsupported` is its probability on arms that the log could not take. Sums, not estimates.",
        "",
        "| column of outcomes.parquet | unit |",
        "|---|---|",
        "| `id` | request id, as in the log; ascending in time |",
        "| `arm`, `provider`, `model` | `xNNN/model`: the model at NNN % of its list price |",
        "| `prompt_id`, `benchmark` | BLAKE2b of the text (16 hex digits), the source's name of the task |",
        "| `session`, `mode`, `task` | as logged; the task is inferred from the text |",
        "| `count` | propensity of the arm times 2^24; 0 where it could not be taken |",
        "| `chosen`, `judged` | the arm the round took; whether its quality is in the log |",
        "| `quality` | [0, 1], of the source |",
        "| `cost_nano`, `direct_nano` | 1e-9 USD: of the call; of the same tokens at the baseline model |",
        "| `prompt_tokens`, `output_tokens` | tokens |",
        "| `reward` | [0, 1]: half quality, half saving, the objective in `truth.json` |",
        "",
        "Latencies are in no source: logged as 0 and no part of any reward. Providers are invented: they ask a multiple of the "
        "list price and answer as the model does.",
        "",
        "| arm | rounds | mean quality | mean cost, nano-USD | mean reward |",
        "|---|---|---|---|---|",
    ]
    for k, arm in enumerate(arms.arm):
        quality, cost, reward = (
            float(getattr(world.outcomes, name)[:, k].mean()) for name in ("quality", "cost_nano", "reward")
        )
        lines.append(f"| {arm} | {taken[k]:,} | {quality:.4f} | {cost:,.0f} | {reward:.4f} |")
    return "\n".join(lines) + "\n"
