"""A window of the log as evidence for the learner, and what other weights would have done in it.

Rounds are replayed by the very code that serves: under the snapshot each cites, with the live state
its worker had, its logged propensity must come out again, or nothing is learned. Other weights are
valued by compiling the same snapshots with balanced mode's weights replaced and nothing else.

It knows nothing of rewards, estimators or verdicts.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from experiments.learning.rounds import COUNT, ROUNDS
from p402.errors import StoreError
from p402.evaluation.logged import FloatArray, IntArray
from p402.learner.evidence import Evidence
from p402.learner.reward import Objective
from p402.learner.rounds import evidence_of
from p402.learner.weights import Weights
from p402.routing.batch import RequestBatch
from p402.routing.columns import Asked
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.decide import CHUNK_CELLS, work
from p402.routing.scale import COUNT_ONE
from p402.routing.spec import MODES
from p402.store.reader import connect, dataset_digest
from sim.replay.snapshots import Snapshots
from sim.replay.source import UNFIT, Group, Lost, groups

BALANCED: Final = MODES.index("balanced")

_TRIES: Final = 5


class NoRounds(StoreError):
    """The window holds no round that could be evidence."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Rounds of one snapshot.

    Attributes
    ----------
    table
        The rounds as read, but for their row inputs.
    batch
        What `decide` reads of them, as the promoted variant would.
    counts
        `(n, n_arms)`: what they were logged with.
    used
        Indices of the arms that are eligible in any of them: no weights can take another.
    """

    table: pa.Table
    snapshot: Snapshot
    batch: RequestBatch
    counts: FloatArray
    used: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Rounds that may be learned from.

    Attributes
    ----------
    evidence
        The rounds with rewards under the fixed objective.
    arms
        Columns of every matrix.
    snapshots
        Ids the rounds were decided under, ascending.
    digest
        Of the compacted log that all of this was read from.
    since_ms, until_ms
        Rounds were decided within them, the latter excluded.
    found
        Usable rounds in the window; more than the evidence has where whole sessions were drawn.
    simulated
        How many of the evidence's rounds had a simulated arm.
    """

    evidence: Evidence
    arms: tuple[str, ...]
    snapshots: tuple[str, ...]
    digest: str
    since_ms: int
    until_ms: int
    found: int
    simulated: int
    stretches: tuple[_Stretch, ...]

    def probabilities_of(self, weights: Weights) -> FloatArray:
        """What weights would have done in every round, `(n, K)`: counts / 2**24."""
        compiled: dict[str, Snapshot] = {}

        def counts(stretch: _Stretch) -> FloatArray:
            own = stretch.snapshot
            if own.id not in compiled:
                compiled[own.id] = with_balanced(own, weights)
            return _worked(compiled[own.id], stretch.batch)[0]

        return _spread(self.stretches, self.arms, counts) / COUNT_ONE


def with_balanced(snapshot: Snapshot, weights: Weights) -> Snapshot:
    """The same snapshot with balanced mode's weights replaced in what was promoted (variant 0)."""
    policy = snapshot.spec.policy
    promoted = list(policy.variants[0])
    promoted[BALANCED] = msgspec.structs.replace(
        promoted[BALANCED], quality=weights.quality, cost=weights.cost, speed=weights.speed
    )
    policy = msgspec.structs.replace(policy, variants=(tuple(promoted), *policy.variants[1:]))
    return compile_snapshot(msgspec.structs.replace(snapshot.spec, policy=policy))


def read_window(
    log: Path,
    store: Path,
    *,
    since_ms: int,
    until_ms: int,
    max_rounds: int = 100_000,
    objective: Objective | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Window:
    """Read the compacted log's usable rounds of a window.

    Parameters
    ----------
    max_rounds
        About how many rounds to take at most: beyond it whole sessions are drawn by their hash, so
        that memory is bounded by a few (max_rounds, arms) matrices.
    progress
        Told rounds done and rounds to do.

    Raises
    ------
    NoRounds
        There are none.
    StoreError
        A snapshot or delta they need is missing or corrupt, a Parquet file is damaged, or a propensity
        does not replay.
    """
    snapshots = Snapshots(store)
    stretches: list[_Stretch] = []
    with _at_one_digest(log) as (digest, con):
        found = int(con.execute(COUNT, [since_ms, until_ms]).fetchall()[0][0])
        share = min(1.0, max_rounds / found) if found else 1.0
        bar = "g" if share == 1.0 else f"{int(share * (1 << 64)):016x}"
        done = 0
        for group in groups(con, ROUNDS, [since_ms, until_ms, bar]):
            if isinstance(group, Lost):
                raise StoreError(f"{len(group)} rounds cannot be learned from: {group.why}")
            stretches.append(_replayed(group, snapshots))
            done += len(group)
            progress(done, round(found * share))
    if not stretches:
        raise NoRounds(
            f"{log} has no balanced round with exploration between {since_ms} and {until_ms} ms since 1970; "
            f"expected some: serve traffic in balanced mode, or pass a longer --window-hours"
        )
    arms = tuple(sorted({s.snapshot.spec.arms.arm[k] for s in stretches for k in s.used.tolist()}))
    behaviour = _spread(stretches, arms, lambda stretch: stretch.counts)
    rows = [row for stretch in stretches for row in stretch.table.to_pylist()]
    return Window(
        evidence=evidence_of(rows, arms, behaviour, objective or Objective()),
        arms=arms,
        snapshots=tuple(sorted(snapshots.used)),
        digest=digest,
        since_ms=since_ms,
        until_ms=until_ms,
        found=found,
        simulated=sum(bool(row["simulated"]) for row in rows),
        stretches=tuple(stretches),
    )


@contextmanager
def _at_one_digest(log: Path) -> Iterator[tuple[str, Any]]:
    """A connection to exactly what one digest names, though a compactor may be at work."""
    for _ in range(_TRIES):
        digest = dataset_digest(log)
        with connect(log, include_live=False) as con:
            if dataset_digest(log) == digest:
                yield digest, con
                return
    raise StoreError(f"{log} was compacted {_TRIES} times while it was opened; expected a pause; try again")


def _replayed(group: Group, snapshots: Snapshots) -> _Stretch:
    """A group decided again; `StoreError` unless every logged propensity comes out."""
    snapshot = snapshots.get(group.snapshot)
    try:
        as_logged = group.batch(snapshot)
        counts, eligible = _worked(snapshot, as_logged)
        promoted = as_logged
        if group.columns.variant.any():
            promoted = group.batch(snapshot, asked=Asked(variant=0))
    except UNFIT as error:
        raise StoreError(
            f"rounds under snapshot {group.snapshot} cannot be decided again: {error}; expected them as "
            f"the gateway logged them; run p402 replay --verify"
        ) from error
    taken = np.array([snapshot.index.get(arm, -1) for arm in group.column("arm")])
    logged = np.array(group.column("count"))
    off = (taken < 0) | (counts[np.arange(len(group)), taken] != logged)
    if off.any():
        first = group.column("id")[int(np.flatnonzero(off)[0])]
        raise StoreError(
            f"{np.count_nonzero(off)} of {len(group)} rounds have another propensity than was logged, first "
            f"{first}; expected the same bits; run p402 replay --verify"
        )
    return _Stretch(group.table, snapshot, promoted, counts, np.flatnonzero(eligible.any(axis=0)))


def _worked(snapshot: Snapshot, batch: RequestBatch) -> tuple[FloatArray, Any]:
    """Counts and eligibility, `(n, n_arms)`, by chunks that stay in cache."""
    n = len(batch)
    counts, eligible = np.empty((n, snapshot.n_arms)), np.empty((n, snapshot.n_arms), np.bool_)
    step = max(1, CHUNK_CELLS // snapshot.n_arms)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        worked = work(snapshot, batch.rows(rows))
        counts[rows], eligible[rows] = worked.counts, worked.eligible
    return counts, eligible


def _spread(
    stretches: Sequence[_Stretch], arms: tuple[str, ...], counts: Callable[[_Stretch], FloatArray]
) -> FloatArray:
    """Counts of every stretch over the common arms, `(n, K)`."""
    column = {arm: k for k, arm in enumerate(arms)}
    out = np.zeros((sum(len(stretch.batch) for stretch in stretches), len(arms)))
    start = 0
    for stretch in stretches:
        names = stretch.snapshot.spec.arms.arm
        there = np.array([column[names[k]] for k in stretch.used.tolist()])
        rows = np.arange(start, start + len(stretch.batch))
        out[np.ix_(rows, there)] = counts(stretch)[:, stretch.used]
        start += len(stretch.batch)
    return out
