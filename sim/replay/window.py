"""Which rounds a strategy is valued on, replayed as they were and as it would have had them.

Only rounds that chance took part in: one behaviour mode, exploration on, nothing merely observed. They
come piece by piece, each with what became of it, so nothing hangs on how many there are; any process can read
a piece alone. A reward is the first arm's under the fixed objective. It knows no estimator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.errors import P402Error, StoreError
from p402.evaluation.logged import LoggedBatch, hash_of
from p402.learner.reward import Objective, Rewards, reward_of
from p402.learner.tally import Model
from p402.routing.compiled import Snapshot
from p402.routing.decide import CHUNK_CELLS, work
from p402.routing.scale import COUNT_ONE
from sim.replay.contextual import Contextual
from sim.replay.facts import Facts, Key, Lookup, key_of
from sim.replay.lives import Lives
from sim.replay.pieces import Partition, pieces_of, rows_of
from sim.replay.snapshots import Snapshots
from sim.replay.source import UNFIT, Group, Lost, lives_of, read
from sim.replay.target import Logged, Target, asked_of, probabilities
from sim.replay.twice import without_doubles

Bool = NDArray[np.bool_]
Float = NDArray[np.float64]
Int = NDArray[np.int64]

CELLS: Final = 1 << 18
"""Rounds times arms valued at once: 2 MiB a matrix."""

CHUNK_ROWS: Final = 1 << 15

_COLUMNS: Final = ("id", "tenant", "session", "task", "arm", "count", "observe", "inputs")
_WITHIN: Final = {"inputs": ("mode", "explore")}


class NoRounds(P402Error):
    """The log has no round that the question can be asked of."""


class Unfaithful(StoreError):
    """Rounds do not replay as they were logged, so no value of theirs can be trusted."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which rounds, of which log, as of one instant.

    Attributes
    ----------
    behaviour
        Mode whose rounds are used.
    decisions, outcomes, rewards
        Pieces of the log; a row of `decisions` is in no other one.
    since_ms
        Rounds whose ids are older do not count; None for all.
    """

    log: str
    store: str
    behaviour: str
    decisions: tuple[Partition, ...]
    outcomes: tuple[Partition, ...]
    rewards: tuple[Partition, ...]
    since_ms: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Rounds of one piece that chance took part in, `(n,)` columns, with what became of them.

    Attributes
    ----------
    key
        `(n, 2)`, of their ids.
    session
        Hash of tenant and session.
    task, arm, tenant
        Indices into the names.
    count
        Propensity times 2**24.
    failed, rewards
        How the first attempt ended, and what it is worth.
    modes
        Rounds that chance took part in, by mode, of every mode that the piece has.
    """

    key: Key
    session: Int
    task: Int
    tasks: tuple[str, ...]
    arm: Int
    arms: tuple[str, ...]
    tenant: Int
    tenants: tuple[str, ...]
    count: Int
    failed: Bool
    rewards: Rewards
    modes: dict[str, int]

    def __len__(self) -> int:
        """Rounds."""
        return int(self.count.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rounds under one snapshot, over the arms that either policy may take.

    Attributes
    ----------
    snapshot
        Its id.
    arms
        Names of the K columns, ascending.
    behaviour, target
        `(n, K)` probabilities.
    batch
        What estimators take.
    expected
        `(n, K)` modelled rewards.
    row
        `(n,)`: which of the piece's rounds.
    """

    snapshot: str
    arms: tuple[str, ...]
    behaviour: Float
    target: Float
    batch: LoggedBatch
    expected: Float
    row: Int


def window_of(log: Path, store: Path, behaviour: str = "balanced", since_ms: int | None = None) -> Window:
    """The log as it now is.

    Raises
    ------
    StoreError
        There is no such log, or a file of it is damaged.
    """
    for known in (_facts, _snapshots, _lives):  # of another log, or of this one as it was
        known.cache_clear()
    decisions, outcomes, rewards = pieces_of(log, ("decision", "outcome", "reward"))
    named = tuple(without_doubles(decisions))
    return Window(str(log), str(store), behaviour, named, tuple(outcomes), tuple(rewards), since_ms)


def rounds_in(window: Window, piece: Partition, objective: Objective | None = None) -> Rounds:
    """Rounds of a piece, without deciding any again.

    Raises
    ------
    StoreError
        A file is damaged or gone.
    """
    tables, modes = [], dict[str, int]()
    for table in rows_of(piece, _COLUMNS, CHUNK_ROWS, _WITHIN):
        mode = table.column("inputs").combine_chunks().field("mode")
        chance = _chance(table)
        for name, n in zip(*_counted(mode.filter(pa.array(chance))), strict=True):
            modes[name] = modes.get(name, 0) + n
        mine = chance & _claims(pc.equal(mode, window.behaviour))
        tables.append(table.drop_columns(["inputs", "observe"]).filter(pa.array(mine)))
    if not tables:
        tables.append(_SCHEMA.empty_table())
    rows = pa.concat_tables([table.cast(_SCHEMA) for table in tables]).combine_chunks()
    if window.since_ms is not None:
        made_ms = (key_of(rows.column("id"))[:, 0] >> np.uint64(16)).astype(np.int64)
        rows = rows.filter(pa.array(made_ms >= window.since_ms)).combine_chunks()
    parts = _facts(window.outcomes, window.rewards).of(rows.column("id"), rows.column("tenant"))
    found = {name: _coded(rows.column(name)) for name in ("task", "arm", "tenant")}
    return Rounds(
        key=key_of(rows.column("id")),
        session=_sessions(rows),
        task=found["task"][0],
        tasks=found["task"][1],
        arm=found["arm"][0],
        arms=found["arm"][1],
        tenant=found["tenant"][0],
        tenants=found["tenant"][1],
        count=rows.column("count").to_numpy().astype(np.int64),
        failed=parts.failed,
        rewards=reward_of(parts, objective),
        modes=modes,
    )


def chunks(window: Window, piece: Partition, rounds: Rounds, target: Target, model: Model) -> Iterator[Chunk]:
    """Rounds of a piece, decided again as they were and as `target` would have had them.

    Memory: some matrices of `CELLS` numbers, beside the piece's columns.

    Raises
    ------
    Unfaithful
        A round cannot be decided again, or has another propensity than was logged.
    StoreError
        A snapshot or delta that the rounds need is missing or corrupt.
    """
    lookup = Lookup(rounds.key)
    snapshots, lives = _snapshots(window.store), _lives(window.log, window.decisions)
    task = _renamed(rounds.task, rounds.tasks, model.tasks)
    observed = model.observed(
        rounds.rewards, rounds.failed, task, _renamed(rounds.arm, rounds.arms, model.arms)
    )
    for group in read(piece, lives=lives):
        if isinstance(group, Lost):
            lost = np.count_nonzero(lookup.find(key_of(group.table.column("id"))) >= 0)
            if lost:
                raise Unfaithful(f"{lost} rounds cannot be replayed: {group.why}")
            continue
        row = lookup.find(group.key if group.ours.all() else key_of(group.table.column("id")))
        if not (row >= 0).any():
            continue
        if (row < 0).any():
            group, row = group.take(np.flatnonzero(row >= 0)), row[row >= 0]  # noqa: PLW2901 - of the group, what counts
        snapshot = snapshots.get(group.snapshot)
        step = max(1, CELLS // snapshot.n_arms)
        for start in range(0, len(group), step):
            part, at = group.part(start, min(start + step, len(group))), row[start : start + step]
            was, would = replayed(part, snapshot, target)
            taken = _taken(part, snapshot, rounds, at, was)
            used = np.flatnonzero((was > 0.0).any(axis=0) | (would > 0.0).any(axis=0))
            arms = tuple(snapshot.spec.arms.arm[k] for k in used.tolist())
            behaviour = np.ascontiguousarray(was[:, used])
            batch = LoggedBatch(
                action=np.searchsorted(used, taken),
                reward=rounds.rewards.value[at],
                count=rounds.count[at],
                eligible=behaviour > 0.0,
                session=rounds.session[at],
                observed=observed[at],
                task=task[at],
            )
            expected = model.expected(batch.session, batch.task, arms)
            yield Chunk(
                snapshot.id, arms, behaviour, np.ascontiguousarray(would[:, used]), batch, expected, at
            )


def replayed(group: Group, snapshot: Snapshot, target: Target) -> tuple[Float, Float]:
    """Probabilities that rounds were logged with, and those that a strategy would have had, (n, n_arms) both.

    Raises
    ------
    Unfaithful
        One of them cannot be decided.
    """
    try:
        batch, changed = group.batch(snapshot), asked_of(target)
        if changed is not None:
            was = probabilities(Logged(), snapshot, batch)
            return was, probabilities(target, snapshot, group.batch(snapshot, asked=changed))
        if isinstance(target, Contextual):
            return probabilities(Logged(), snapshot, batch), target.of(snapshot, batch)
        was, would = np.empty((2, len(batch), snapshot.n_arms))
        step = max(1, CHUNK_CELLS // snapshot.n_arms)
        for start in range(0, len(batch), step):
            rows = slice(start, min(start + step, len(batch)))
            worked = work(snapshot, batch.rows(rows))
            was[rows] = np.atleast_2d(worked.counts) / COUNT_ONE
            would[rows] = target.probabilities(worked)
    except UNFIT as error:
        raise Unfaithful(
            f"rounds under snapshot {group.snapshot} cannot be decided: {error}; run p402 replay --verify"
        ) from error
    return was, would


def _taken(group: Group, snapshot: Snapshot, rounds: Rounds, at: Int, was: Float) -> Int:
    """The arm of each round; raises `Unfaithful` where its propensity is not what was logged."""
    known = np.array([snapshot.index.get(arm, -1) for arm in rounds.arms], np.int64)
    taken = known[rounds.arm[at]]
    off = (taken < 0) | (np.rint(was[np.arange(len(at)), taken] * COUNT_ONE) != rounds.count[at])
    if off.any():
        raise Unfaithful(
            f"{np.count_nonzero(off)} of {len(at)} rounds have another propensity than was logged, first "
            f"{group.table.column('id')[int(np.flatnonzero(off)[0])].as_py()}; run p402 replay --verify"
        )
    return taken


@lru_cache(maxsize=1)
def _facts(outcomes: tuple[Partition, ...], rewards: tuple[Partition, ...]) -> Facts:
    """One for each log and process: what was read stays."""
    return Facts(outcomes, rewards)


@lru_cache(maxsize=1)
def _snapshots(store: str) -> Snapshots:
    return Snapshots(Path(store))


@lru_cache(maxsize=1)
def _lives(log: str, _as_of: tuple[Partition, ...]) -> Lives:
    return lives_of(Path(log))


def _chance(table: pa.Table) -> Bool:
    """Rounds that chance took part in."""
    inputs, arm, count = table.column("inputs").combine_chunks(), table.column("arm"), table.column("count")
    chance = _claims(pc.is_valid(arm)) & _claims(pc.greater(count, 0)) & ~_claims(table.column("observe"))
    if any(field.name == "explore" for field in inputs.type):  # one that no row uses is not read
        chance &= ~_claims(pc.equal(inputs.field("explore"), pa.scalar(value=False)))
    return chance


def _claims(column: pa.ChunkedArray | pa.Array) -> Bool:
    """Booleans, false for null."""
    found: Bool = column.fill_null(pa.scalar(value=False)).to_numpy(zero_copy_only=False)
    return np.asarray(found, np.bool_)


def _counted(names: pa.Array) -> tuple[list[str], list[int]]:
    found = pc.value_counts(names.cast(pa.string()))
    return [name or "" for name in found.field("values").to_pylist()], found.field("counts").to_pylist()


def _coded(column: pa.ChunkedArray) -> tuple[Int, tuple[str, ...]]:
    coded = pc.dictionary_encode(column.combine_chunks().cast(pa.string()).fill_null(""))
    return coded.indices.to_numpy().astype(np.int64), tuple(coded.dictionary.to_pylist())


def _sessions(rows: pa.Table) -> Int:
    """Hash of each round's tenant and session."""
    said = [rows.column(name).combine_chunks() for name in ("tenant", "session")]
    codes, names = _coded(pa.chunked_array([pc.binary_join_element_wise(*said, "\x1f")]))
    return np.array([hash_of(name) for name in names], np.int64)[codes]


def _renamed(codes: Int, names: tuple[str, ...], known: tuple[str, ...]) -> Int:
    place: dict[str, int] = {name: k for k, name in enumerate(known)}
    return np.array([place.get(name, -1) for name in names], np.int64)[codes]


_SCHEMA: Final[Any] = pa.schema(
    [(name, pa.int64() if name == "count" else pa.string()) for name in _COLUMNS[:6]]
)
