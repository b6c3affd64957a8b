"""A drawn log on disk: the real log and snapshot store, every arm's outcome, the exact values, a datasheet.

The same seed writes the same bytes: segments get names that do not tell of the process before the
compactor takes them in. Nothing is replaced: the folder must be new or empty.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import P402Error
from p402.evaluation.estimate import ESTIMAND
from p402.events import AttemptResult, Decision, Event, Outcome, Reward
from p402.learner.reward import Objective
from p402.routing.compiled import parts_of
from p402.routing.decide import Decisions, decide
from p402.routing.live import LiveState
from p402.routing.pricing import token_prices
from p402.routing.rows import to_batch
from p402.routing.spec import TASKS
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.segments import SEALED, names_in, segment_name
from p402.store.writer import LogWriter
from sim.drawn.contexts import WORKER
from sim.drawn.datasheet import Written, datasheet
from sim.drawn.draw import Rounds
from sim.drawn.feedback import Feedback, chance_of
from sim.drawn.offers import START_MS
from sim.drawn.parquet import OUTCOMES_FILE, write_outcomes
from sim.drawn.truth import values_of
from sim.drawn.world import DrawnWorld

TENANT: Final = "default"
SOURCE: Final = "judge"
OUTCOME_MS: Final = 500
"""When a drawn outcome is logged after its decision; no latency, which no source has."""

TRUTH_FILE: Final = "truth.json"

Progress = Callable[[int, int], None]


def write(
    world: DrawnWorld,
    rounds: Rounds,
    out: Path,
    *,
    seed: int,
    feedback: Feedback,
    command: str,
    progress: Progress,
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
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise P402Error(
            f"--out {out}: {error.strerror}; expected a folder that can be made; name another"
        ) from error
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
    write_outcomes(world, rounds, made.arm, judged, out / OUTCOMES_FILE)
    values = values_of(world, rounds)
    truth = {
        "estimand": ESTIMAND,
        "objective": asdict(Objective()),
        "values": [asdict(value) for value in values],
    }
    (out / TRUTH_FILE).write_text(json.dumps(truth, indent=1, sort_keys=True) + "\n")
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
        sha256={name: _hash(out / name) for name in (OUTCOMES_FILE, TRUTH_FILE)},
        values=values,
    )
    (out / "README.md").write_text(datasheet(world, made.arm, found, feedback, command))
    return found


def _decided(world: DrawnWorld, rounds: Rounds) -> Decisions:
    offered = world.offered
    modes = tuple(world.contexts.values())
    inputs = [
        modes[mode].inputs[row]
        for mode, row in zip(rounds.mode.tolist(), rounds.prompt.tolist(), strict=True)
    ]
    lives = (LiveState.at_start(offered.snapshot.n_arms),)
    batch = to_batch(offered.snapshot, rounds.id, inputs, lives, [0] * len(inputs))
    return decide(offered.snapshot, batch)


def _judging(world: DrawnWorld, feedback: Feedback) -> NDArray[np.float64]:
    task = next(iter(world.contexts.values())).task
    return chance_of(feedback, world.outcomes.quality, task)


def _events(
    world: DrawnWorld, rounds: Rounds, made: Decisions, judged: NDArray[np.bool_]
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


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
