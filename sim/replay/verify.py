"""Whether every logged choice is what `decide` makes of the log, its deltas and its snapshots.

Nothing of the process that decided is used: rows, live state and snapshots come from disk, and each
choice is taken again (promise P20). A row that cannot be decided again counts as a failure,
never as passed over; so does an outcome that the logged choices do not bear out (`sim.replay.outcomes`).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import StoreError
from p402.routing.compiled import Snapshot
from p402.routing.decide import Decisions, decide
from p402.store.imported.count import imported_in
from p402.store.reader import connect
from p402.store.settled import uncompacted
from sim.replay.borne import KINDS, Borne, borne
from sim.replay.columns import names
from sim.replay.outcomes import Unfounded, held
from sim.replay.pieces import Compacted
from sim.replay.snapshots import Snapshots
from sim.replay.source import CHOICE_KINDS, UNFIT, Group, Lost, Partition, lives_of, partitions, read
from sim.used import peak_mib

KEPT: Final = 100
"""Mismatches described in full; all are counted."""

CHOICES: Final = """
SELECT worker, live_seq, snapshot, id, NULL::INTEGER AS attempt, inputs, arm,
       "count", n_eligible, n_explored
FROM decisions
UNION ALL
SELECT worker, live_seq, snapshot, id, attempt, inputs, arm, NULL, NULL, NULL FROM attempts
"""
"""Every choice that was taken before a dispatch; `attempt` is null for a round's decision."""

_COUNTED: Final = ("count", "n_eligible", "n_explored")
_WANTED: Final = {"decision": ("arm", *_COUNTED), "attempt": ("arm", "attempt")}


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of one row, as logged and as recomputed."""

    column: str
    logged: str | int | None
    recomputed: str | int | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A row that `decide` does not agree with; `attempt` is None for a round's decision."""

    id: str
    attempt: int | None
    worker: str
    live_seq: int
    snapshot: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why rows could not be decided again or are not borne out, and how many."""

    what: str
    rows: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What was decided again, what it was held to, and what came of it.

    Attributes
    ----------
    rows
        Choices in the log: `decisions` and `attempts`.
    mismatched
        Rows that differ; `mismatches` describes the first of them.
    unverified
        Rows that could not be decided again, and outcomes that no logged choice bears out; `faults`
        says why.
    outcomes
        Outcomes in the log.
    unfounded
        Those of `unverified` that are outcomes; `strays` describes the first of them.
    unended
        Decisions without an outcome, which a process that dies leaves: no fault.
    imported
        Calls of other systems' logs, which nobody decided here: in none of the other counts.
    torn, malformed
        Lines of segments not yet compacted that were no event; none of them was a whole row.
    seconds
        Wall time it took.
    peak_mib
        Most memory that this process has held at once.
    bytes_per_million
        Bytes of the log on disk, Parquet and segments without imported calls, for a million rounds; None
        where there is no round.
    """

    rows: int
    decisions: int
    attempts: int
    mismatched: int
    mismatches: tuple[Mismatch, ...]
    unverified: int
    faults: tuple[Fault, ...]
    outcomes: int
    unfounded: int
    strays: tuple[Unfounded, ...]
    unended: int
    imported: int
    snapshots: int
    torn: int
    malformed: int
    seconds: float
    peak_mib: float
    bytes_per_million: float | None

    @property
    def ok(self) -> bool:
        """Whether every choice was decided again, with the same result, and bears its outcome out."""
        return self.mismatched == 0 and self.unverified == 0


@dataclass(slots=True)
class _Tally:
    decisions: int = 0
    attempts: int = 0
    mismatched: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)

    def count(self, kind: str, rows: int) -> None:
        self.decisions += rows if kind == "decision" else 0
        self.attempts += rows if kind == "attempt" else 0

    def fault(self, what: str, rows: int) -> None:
        self.faults[what] = self.faults.get(what, 0) + rows


def verify(log: Path, store: Path, progress: Callable[[int, int], None]) -> Verification:
    """Decide every logged decision and attempt again, and hold every outcome to them.

    Parameters
    ----------
    log, store
        Folders of the log and of its snapshots.
    progress
        Called with rows done and rows in all.

    Raises
    ------
    StoreError
        A folder is missing or the log's manifest cannot be used. Anything wrong with single rows,
        deltas or snapshots is a fault in the result.
    """
    started = time.monotonic()
    snapshots, tally = Snapshots(store), _Tally()
    pieces, lives = partitions(log, KINDS), lives_of(log)
    choices = sorted((p for p in pieces if p.kind in CHOICE_KINDS), key=lambda piece: bool(piece.path))
    total = sum(piece.rows for piece in choices)
    for piece in choices:  # what is not compacted yet comes first: it may be, meanwhile
        for rows in read(piece, _WANTED[piece.kind], lives=lives):
            tally.count(piece.kind, len(rows))
            if isinstance(rows, Lost):
                tally.fault(rows.why, len(rows))
            else:
                _check(rows, snapshots, tally)
            progress(tally.decisions + tally.attempts, total)
    progress(tally.decisions + tally.attempts, tally.decisions + tally.attempts)
    with connect(log) as con:
        torn, malformed = con.execute(
            "SELECT coalesce(sum(torn), 0)::BIGINT, coalesce(sum(malformed), 0)::BIGINT FROM skipped_lines"
        ).fetchall()[0]
        ended = held(con, _borne(log, pieces))
    theirs = imported_in(log)
    size = max(0, _size_bytes(log) - theirs.size_bytes)
    for what, number in ended.faults.items():
        tally.fault(what, number)
    return Verification(
        rows=tally.decisions + tally.attempts,
        decisions=tally.decisions,
        attempts=tally.attempts,
        mismatched=tally.mismatched,
        mismatches=tuple(tally.mismatches),
        unverified=sum(tally.faults.values()),
        faults=tuple(Fault(what, rows) for what, rows in tally.faults.items()),
        outcomes=ended.rows,
        unfounded=sum(ended.faults.values()),
        strays=ended.unfounded,
        unended=ended.unended,
        imported=theirs.calls,
        snapshots=len(snapshots.used),
        torn=torn,
        malformed=malformed,
        seconds=time.monotonic() - started,
        peak_mib=peak_mib(),
        bytes_per_million=size / tally.decisions * 1e6 if tally.decisions else None,
    )


def _size_bytes(log: Path) -> int:
    """Bytes of the log's events on disk."""
    manifest, segments = uncompacted(log)
    return sum(part.size_bytes for part in manifest.parts) + sum(size for _, size in segments)


def _borne(log: Path, pieces: Sequence[Partition]) -> Borne:
    """What is sure of outcomes; the log is gone through as it now is, where it was compacted meanwhile."""
    try:
        return borne(pieces)
    except Compacted:
        return borne(partitions(log, KINDS))


def _check(group: Group, snapshots: Snapshots, tally: _Tally) -> None:
    try:
        snapshot = snapshots.get(group.snapshot)
    except StoreError as error:
        tally.fault(str(error), len(group))
        return
    try:
        made = decide(snapshot, group.batch(snapshot))
    except UNFIT as error:
        _check_halves(group, snapshots, tally, error)
        return
    bad = np.flatnonzero(_differs(group, snapshot, made)).tolist()
    tally.mismatched += len(bad)
    for i in bad[: KEPT - len(tally.mismatches)]:
        row = group.table.slice(i, 1).to_pylist()[0]
        tally.mismatches.append(_mismatch(row, _differences(row, i, snapshot, made)))


def _check_halves(group: Group, snapshots: Snapshots, tally: _Tally, error: Exception) -> None:
    """Find the rows that no snapshot could have decided; the others are checked as usual."""
    n = len(group)
    if n > 1:
        _check(group.part(0, n // 2), snapshots, tally)
        _check(group.part(n // 2, n), snapshots, tally)
        return
    tally.mismatched += 1
    if len(tally.mismatches) < KEPT:
        row = group.table.to_pylist()[0]
        said = f"cannot be decided: {type(error).__name__}: {error}"
        tally.mismatches.append(_mismatch(row, (Difference("inputs", row["arm"], said),)))


def _differs(group: Group, snapshot: Snapshot, made: Decisions) -> NDArray[np.bool_]:
    table = group.table
    bad: NDArray[np.bool_] = names(table.column("arm")).onto(snapshot.index, -2) != made.arm
    for name in _COUNTED if "attempt" not in table.column_names else ():
        bad |= table.column(name).fill_null(-1).to_numpy() != getattr(made, name)
    return bad


def _differences(row: dict[str, Any], i: int, snapshot: Snapshot, made: Decisions) -> tuple[Difference, ...]:
    chosen = made.arm.item(i)
    recomputed: dict[str, str | int | None] = {"arm": None if chosen < 0 else snapshot.spec.arms.arm[chosen]}
    if row.get("attempt") is None:
        recomputed |= {name: getattr(made, name).item(i) for name in _COUNTED}
    return tuple(Difference(n, row[n], now) for n, now in recomputed.items() if row[n] != now)


def _mismatch(row: dict[str, Any], differences: tuple[Difference, ...]) -> Mismatch:
    return Mismatch(
        id=row["id"],
        attempt=row.get("attempt"),
        worker=row["worker"],
        live_seq=row["live_seq"],
        snapshot=row["snapshot"],
        differences=differences,
    )
