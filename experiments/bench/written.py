"""A log of a million rounds and more in a minute, as the gateway and the compactor would have left it.

Real prompts' row inputs in every mode over so many of the catalogue's arms, features and lengths shaken so
that no two rows are alike; several workers whose live state moves every second; every choice taken by the
very `decide` that replay checks; an outcome for every round, a judge's word on some. Columns are made at once
and handed to the compactor's own writer: neither `LogWriter` nor segments take part.
"""

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from experiments.bench.decision import world
from experiments.notebook_log import START_MS
from p402.events import ArmLive, Decision, Live, Outcome, Reward
from p402.ids import PREFIX
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot, parts_of
from p402.routing.decide import Decisions, decide
from p402.routing.keys import keys_of
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS
from p402.store import manifest as manifests
from p402.store.components import ComponentStore
from p402.store.parts import Batch, write_parts
from p402.store.schema import HOUR_MS, SCHEMAS, table_of

WORKERS: Final = 4
GAP_MS: Final = 5
"""Between rounds: 200 a second over all workers."""

DELTA_MS: Final = 1_000
BROKEN: Final = 0.001
"""Of the arms that move, whose breaker opens until they move again."""

MOVED: Final = 3
"""Arms whose live columns move in a delta."""

PART_ROUNDS: Final = 180_000
"""Rounds in one compaction: about 256 MiB of JSONL."""

JUDGED: Final = 0.3
TENANT: Final = "default"


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """What was written.

    Attributes
    ----------
    snapshot
        Of all rows.
    size_bytes
        Of all Parquet files.
    """

    snapshot: Snapshot
    rounds: int
    deltas: int
    size_bytes: int


def write(log: Path, store: Path, rounds: int, arms: int, *, gap_ms: int = GAP_MS, seed: int = 0) -> Made:
    """A compacted log of so many rounds over at least so many arms, and the snapshot that it cites."""
    made = world(arms)
    snapshot = made.snapshot
    ComponentStore(store).put_snapshot(parts_of(snapshot.spec))
    log.mkdir(parents=True)
    rng = np.random.Generator(np.random.Philox(seed))
    base = to_batch(snapshot, made.ids[: len(made.inputs)], made.inputs, (made.live,), [0] * len(made.inputs))
    sample = table_of("decision", [_decision(snapshot, made.ids[0], row) for row in made.inputs])
    fold = _Fold(snapshot, rng)
    parts: list[manifests.Part] = []
    for start in range(0, rounds, PART_ROUNDS):
        number = np.arange(start, min(start + PART_ROUNDS, rounds))
        tables = _tables(snapshot, base, sample, fold, number, gap_ms, rng)
        by_hour = {
            (kind, hour): [part]
            for kind, table in tables.items()
            for hour, part in _hours(table)
            if part.num_rows
        }
        parts += write_parts(
            log, Batch([f"w0-1-bench-{start:09d}.jsonl"], by_hour, {}, {}, 0, 0), lambda _step: None
        )
    manifests.commit(log, manifests.Manifest(digest="", parts=parts))
    return Made(snapshot, rounds, fold.deltas, sum(part.size_bytes for part in parts))


def _hours(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    hours = table.column("ts_ms").to_numpy() // HOUR_MS
    for hour in np.unique(hours).tolist():
        yield hour, table.filter(pa.array(hours == hour))


class _Fold:
    """Live states of all workers over time, and the deltas that lead to them."""

    def __init__(self, snapshot: Snapshot, rng: np.random.Generator) -> None:
        self._snapshot, self._rng = snapshot, rng
        self._tables: list[dict[str, ArmLive]] = [{} for _ in range(WORKERS)]
        self._seq = 0
        self.deltas = 0

    def to(self, seq: int) -> tuple[list[Live], dict[tuple[int, int], LiveState]]:
        """Deltas after the last call up to `seq`, and the states from the last call's to that one's."""
        index, arms = self._snapshot.index, self._snapshot.spec.arms.arm
        found: list[Live] = []
        states = {
            (w, self._seq): LiveState.project(self._seq, table, index) for w, table in enumerate(self._tables)
        }
        for k in range(self._seq + 1, seq + 1):
            for worker, table in enumerate(self._tables):
                moved = {
                    arms[arm]: ArmLive(
                        open_circuit=bool(broken < BROKEN),
                        ttft_ms=int(ttft),
                        error_rate=int(error),
                        output_ratio=int(ratio),
                    )
                    for arm, broken, ttft, error, ratio in zip(
                        self._rng.integers(len(arms), size=MOVED).tolist(),
                        self._rng.random(MOVED),
                        self._rng.integers(80, 1_500, MOVED),
                        self._rng.integers(0, 400, MOVED),
                        self._rng.integers(8, 32, MOVED),
                        strict=True,
                    )
                }
                table.update(moved)
                states[worker, k] = LiveState.project(k, table, index)
                found.append(Live(ts_ms=START_MS + k * DELTA_MS, worker=f"w{worker}", seq=k, arms=moved))
        self._seq = seq
        self.deltas += len(found)
        return found, states


def _tables(
    snapshot: Snapshot,
    base: RequestBatch,
    sample: pa.Table,
    fold: _Fold,
    number: NDArray[np.int64],
    gap_ms: int,
    rng: np.random.Generator,
) -> dict[str, pa.Table]:
    n, ts_ms = len(number), START_MS + number * gap_ms
    ids, text = _ids(ts_ms, rng)
    worker, seq = number % WORKERS, (ts_ms - START_MS) // DELTA_MS
    deltas, states = fold.to(int(seq[-1]))
    cited, live_row = np.unique(seq * WORKERS + worker, return_inverse=True)
    lives = tuple(states[int(c % WORKERS), int(c // WORKERS)] for c in cited)
    pick = rng.integers(len(base), size=n)
    features = _shaken(base.features, pick, rng)
    prompt = np.maximum(1, (base.prompt_tokens[pick] * rng.uniform(0.5, 1.5, n)).astype(np.int64))
    batch = replace(
        base.rows(pick),
        key=keys_of(text)[0],
        features=features.astype(np.float64),
        prompt_tokens=prompt.astype(np.float64),
        prompt_bound=2.0 * prompt,
        live_row=live_row,
        lives=lives,
    )
    taken = decide(snapshot, batch)
    changed = {
        "id": ids,
        "ts_ms": pa.array(ts_ms),
        "session": _text("s", number // 4),
        "worker": _text("w", worker),
        "live_seq": pa.array(seq),
        "inputs": _with(
            sample.column("inputs").combine_chunks().take(pa.array(pick)),
            {
                "features": _lists(features),
                "prompt_tokens": pa.array(prompt),
                "prompt_bound": pa.array(2 * prompt),
            },
        ),
        "arm": _named(snapshot, taken),
        "count": pa.array(taken.count),
        "n_eligible": pa.array(taken.n_eligible),
        "n_explored": pa.array(taken.n_explored),
    }
    found = {
        "decision": _of("decision", sample.take(pa.array(pick)), changed),
        "outcome": _outcomes(ids, ts_ms + 900, taken, snapshot, prompt, rng),
        "reward": _rewards(ids, ts_ms + 5_000, rng),
    }
    if deltas:
        found["live"] = table_of("live", deltas)
    return found


def _shaken(features: NDArray[np.float64], pick: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
    """Features of rows, none like another's; the first is the bias."""
    found: NDArray[Any] = features[pick].astype(np.int32)
    moved = found[:, 1:]
    shift = rng.integers(-200, 201, moved.shape, dtype=np.int32)
    np.clip(np.where(moved > 0, moved + shift, moved), 0, FEATURE_ONE, out=moved)
    return found


def _ids(ts_ms: NDArray[np.int64], rng: np.random.Generator) -> tuple[pa.Array, NDArray[np.uint8]]:
    """Request ids as Arrow text and as bytes, (n, 36)."""
    bits = rng.integers(0, 1 << 63, size=(len(ts_ms), 2), dtype=np.uint64)
    high = ts_ms.astype(np.uint64) << np.uint64(16) | np.uint64(0x7000) | bits[:, 0] & np.uint64(0xFFF)
    low = np.uint64(1 << 63) | bits[:, 1] >> np.uint64(1)
    digits = binascii.hexlify(np.stack([high, low], axis=1).astype(">u8").tobytes())
    text = np.empty((len(ts_ms), len(PREFIX) + 32), np.uint8)
    text[:, : len(PREFIX)] = np.frombuffer(PREFIX.encode(), np.uint8)
    text[:, len(PREFIX) :] = np.frombuffer(digits, np.uint8).reshape(-1, 32)
    offsets = np.arange(0, text.size + 1, text.shape[1], dtype=np.int32)
    return pa.StringArray.from_buffers(len(text), pa.py_buffer(offsets), pa.py_buffer(text)), text


def _text(prefix: str, number: NDArray[np.int64]) -> pa.Array:
    known, code = np.unique(number, return_inverse=True)
    return pa.array([f"{prefix}{k}" for k in known.tolist()]).take(pa.array(code))


def _lists(matrix: NDArray[Any]) -> pa.Array:
    return pa.ListArray.from_arrays(
        pa.array(np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)), pa.array(matrix.ravel())
    )


def _named(snapshot: Snapshot, taken: Decisions) -> pa.Array:
    arms = pa.array([*snapshot.spec.arms.arm, None])
    return arms.take(pa.array(np.where(taken.arm < 0, snapshot.n_arms, taken.arm)))


def _with(struct: pa.StructArray, changed: Mapping[str, pa.Array]) -> pa.StructArray:
    fields = list(struct.type)
    return pa.StructArray.from_arrays(
        [changed.get(f.name, struct.field(f.name)) for f in fields], fields=fields
    )


def _of(kind: str, table: pa.Table, changed: Mapping[str, pa.Array]) -> pa.Table:
    schema = SCHEMAS[kind]
    columns = [changed.get(field.name, table.column(field.name)) for field in schema]
    return pa.table([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def _decision(snapshot: Snapshot, made: str, row: Any) -> Decision:
    return Decision(
        ts_ms=START_MS,
        id=made,
        tenant=TENANT,
        session="s",
        worker="w0",
        snapshot=snapshot.id,
        live_seq=0,
        inputs=row,
        arm=None,
        count=0,
        n_eligible=0,
        n_explored=0,
        task=TASKS[row.task],
        baseline=snapshot.spec.arms.arm[0],
        simulated=True,
    )


def _outcomes(
    ids: pa.Array,
    ts_ms: NDArray[np.int64],
    taken: Decisions,
    snapshot: Snapshot,
    prompt: NDArray[np.int64],
    rng: np.random.Generator,
) -> pa.Table:
    """One answered attempt each, at 100,000 and 400,000 pico-USD a token."""
    n, schema = len(ids), SCHEMAS["outcome"]
    output = rng.integers(1, 2_000, n)
    latency = np.round(rng.lognormal(6.0, 0.6, n), 3)
    arms = _named(snapshot, taken)
    told = {
        "arm": arms,
        "status": pa.array(["ok"]).take(pa.array(np.zeros(n, np.int64))),
        "prompt_tokens": pa.array(prompt),
        "output_tokens": pa.array(output),
        "cost_nano": pa.array(prompt * 100 + output * 400),
        "latency_ms": pa.array(latency),
        "ttfb_ms": pa.array(latency),
    }
    zeros = pa.array(np.zeros(n, np.int64))
    prices = np.tile(np.array([100_000, 100_000, 400_000]), (n, 1))
    attempt = {
        **told,
        "price_pico": _lists(prices),
        **dict.fromkeys(("cached_tokens", "reasoning_tokens", "cache_write_tokens"), zeros),
        "cache_write_1h_tokens": zeros,
    }
    kind = schema.field("attempts").type
    struct = pa.StructArray.from_arrays(
        [attempt.get(f.name, pa.nulls(n, f.type)).cast(f.type) for f in kind.value_type],
        fields=list(kind.value_type),
    )
    attempts = pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), struct).cast(kind)
    made = Outcome(
        ts_ms=0, id="", tenant=TENANT, status="ok", arm=None, attempts=[], cost_nano=0, direct_nano=0,
        latency_ms=0.0, provider_latency_ms=0.0, overhead_ms=0.7,
    )  # fmt: skip
    sample = table_of("outcome", [made]).take(zeros)
    changed = {
        **told,
        "id": ids,
        "ts_ms": pa.array(ts_ms),
        "attempts": attempts,
        "direct_nano": pa.array(output * 10_000),
        "provider_latency_ms": pa.array(latency),
    }
    return _of("outcome", sample, changed)


def _rewards(ids: pa.Array, ts_ms: NDArray[np.int64], rng: np.random.Generator) -> pa.Table:
    rows = np.flatnonzero(rng.random(len(ids)) < JUDGED)
    made = Reward(ts_ms=0, id="", tenant=TENANT, source="judge", status="accepted", quality=0.0)
    sample = table_of("reward", [made]).take(pa.array(np.zeros(len(rows), np.int64)))
    quality = np.round(rng.beta(6, 2, len(rows)), 3)
    return _of(
        "reward",
        sample,
        {"id": ids.take(pa.array(rows)), "ts_ms": pa.array(ts_ms[rows]), "quality": pa.array(quality)},
    )
