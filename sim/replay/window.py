"""Which rounds a strategy is valued on, replayed as they were and as it would have had them.

Only rounds that chance took part in: one behaviour mode, exploration on, nothing merely observed. A
reward is the first arm's under the fixed objective. Several snapshots come together by arm id. It
knows no estimator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

from p402.errors import P402Error, StoreError
from p402.evaluation.logged import LoggedBatch
from p402.learner.evidence import Evidence
from p402.learner.reward import Objective
from p402.learner.rounds import evidence_of
from p402.routing.scale import COUNT_ONE
from p402.store.reader import connect
from sim.replay.snapshots import Snapshots
from sim.replay.source import UNFIT, Group, Lost, groups
from sim.replay.target import Logged, Target, asked, probabilities

Float = NDArray[np.float64]

ROUNDS: Final = """
WITH said AS (
    SELECT tenant, id,
           list({'source': source, 'status': status, 'quality': quality, 'ts_ms': ts_ms}
                ORDER BY ts_ms, source) AS said
    FROM rewards GROUP BY tenant, id
)
SELECT d.worker, d.live_seq, d.snapshot, d.id, d.inputs, d.tenant, d.session, d.task, d.arm, d."count",
       o.attempts[1] AS first, o.direct_nano, r.said
FROM decisions d
LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN said r ON r.id = d.id AND r.tenant = d.tenant
WHERE d.inputs.mode = $1 AND d.inputs.explore IS DISTINCT FROM FALSE AND NOT d.observe
      AND d.arm IS NOT NULL AND d."count" > 0
"""
"""Rounds that chance took part in, with the first attempt's end and every source's last word."""


class NoRounds(P402Error):
    """The log has no round that the question can be asked of."""


class Unfaithful(StoreError):
    """Rounds do not replay as they were logged, so no value of theirs can be trusted."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Rounds over one list of arms.

    Attributes
    ----------
    behaviour, target
        (n, K) probabilities over `arms`.
    evidence
        The rounds with rewards under the fixed objective.
    snapshots
        How many they were decided under.
    """

    arms: tuple[str, ...]
    behaviour: Float
    target: Float
    evidence: Evidence
    snapshots: int

    @property
    def batch(self) -> LoggedBatch:
        """What estimators take."""
        return self.evidence.batch


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One group, replayed: probabilities over the arms that either side may take, and its rows."""

    arms: tuple[str, ...]
    behaviour: Float
    target: Float
    rows: list[dict[str, Any]]


def read_window(
    log: Path,
    store: Path,
    target: Target,
    behaviour: str = "balanced",
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Window:
    """The rounds logged in one mode, replayed as they were and as `target` would have had them.

    Memory: three (rounds, arms) matrices of float64 over the arms that either side may take.

    Raises
    ------
    NoRounds, Unfaithful, StoreError
        As `value`.
    """
    snapshots = Snapshots(store)
    pieces: list[_Piece] = []
    with connect(log) as con:
        total = _total(con, behaviour)
        done = 0
        for group in groups(con, ROUNDS, [behaviour]):
            if isinstance(group, Lost):
                raise Unfaithful(f"{len(group)} rounds cannot be replayed: {group.why}")
            pieces.append(_replayed(group, snapshots, target))
            done += len(group)
            progress(done, total)
    return _joined(pieces, len(snapshots.used))


def _total(con: duckdb.DuckDBPyConnection, behaviour: str) -> int:
    """Rounds to be read.

    Raises
    ------
    NoRounds
        There are none; the message says which there are.
    """
    modes = dict(
        con.execute(
            "SELECT inputs.mode, count(*) FROM decisions WHERE inputs.explore IS DISTINCT FROM FALSE "
            'AND NOT observe AND arm IS NOT NULL AND "count" > 0 GROUP BY ALL ORDER BY ALL'
        ).fetchall()
    )
    if not modes.get(behaviour):
        seen = ", ".join(f"{mode} {n}" for mode, n in modes.items()) or "none"
        raise NoRounds(
            f"the log has no {behaviour} round with exploration on; found {seen}; "
            f"pass --behaviour with one of those modes, or serve some traffic first"
        )
    return int(modes[behaviour])


def _replayed(group: Group, snapshots: Snapshots, target: Target) -> _Piece:
    snapshot = snapshots.get(group.snapshot)
    try:
        was = probabilities(Logged(), snapshot, group.batch(snapshot))
        would = was
        if not isinstance(target, Logged):
            would = probabilities(target, snapshot, group.batch(snapshot, asked(target, group.inputs)))
    except UNFIT as error:
        raise Unfaithful(
            f"rounds under snapshot {group.snapshot} cannot be decided: {error}; run p402 replay --verify"
        ) from error
    arms = snapshot.spec.arms.arm
    rows = group.table.to_pylist()
    taken = np.array([snapshot.index.get(row["arm"], -1) for row in rows])
    counts = np.array([row["count"] for row in rows])
    off = (taken < 0) | (np.rint(was[np.arange(len(rows)), taken] * COUNT_ONE) != counts)
    if off.any():
        raise Unfaithful(
            f"{np.count_nonzero(off)} of {len(rows)} rounds have another propensity than was logged, first "
            f"{rows[int(np.flatnonzero(off)[0])]['id']}; run p402 replay --verify"
        )
    used = np.flatnonzero((was > 0.0).any(axis=0) | (would > 0.0).any(axis=0))
    return _Piece(tuple(arms[k] for k in used.tolist()), was[:, used], would[:, used], rows)


def _joined(pieces: list[_Piece], snapshots: int) -> Window:
    """All pieces over the union of their arms, in ascending order."""
    arms = tuple(sorted({arm for piece in pieces for arm in piece.arms}))
    column = {arm: k for k, arm in enumerate(arms)}
    rows = [row for piece in pieces for row in piece.rows]
    behaviour, target = np.zeros((len(rows), len(arms))), np.zeros((len(rows), len(arms)))
    start = 0
    for piece in pieces:
        stretch = np.arange(start, start + len(piece.rows))
        there = np.array([column[arm] for arm in piece.arms])
        behaviour[np.ix_(stretch, there)] = piece.behaviour
        target[np.ix_(stretch, there)] = piece.target
        start += len(piece.rows)
    return Window(arms, behaviour, target, evidence_of(rows, arms, behaviour, Objective()), snapshots)
