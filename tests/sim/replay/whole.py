"""The rounds of a window all at once, by one join in DuckDB: what the passes over pieces are held against."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.evaluation.logged import LoggedBatch
from p402.learner.evidence import Evidence
from p402.learner.reward import Objective
from p402.learner.rounds import evidence_of
from p402.store.reader import connect
from sim.replay.snapshots import Snapshots
from sim.replay.source import groups
from sim.replay.target import Logged, asked, probabilities

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


def read_window(log, store, target, behaviour="balanced"):
    """The rounds logged in one mode, replayed as they were and as `target` would have had them."""
    snapshots = Snapshots(store)
    with connect(log) as con:
        pieces = [_replayed(group, snapshots, target) for group in groups(con, ROUNDS, [behaviour])]
    return _joined(pieces, len(snapshots.used))


def _replayed(group, snapshots, target):
    snapshot = snapshots.get(group.snapshot)
    was = probabilities(Logged(), snapshot, group.batch(snapshot))
    would = probabilities(target, snapshot, group.batch(snapshot, asked(target, group.inputs)))
    arms = snapshot.spec.arms.arm
    used = np.flatnonzero((was > 0.0).any(axis=0) | (would > 0.0).any(axis=0))
    return _Piece(tuple(arms[k] for k in used), was[:, used], would[:, used], group.table.to_pylist())


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
