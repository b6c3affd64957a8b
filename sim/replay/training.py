"""A learner taught by the earlier part of a log, then frozen, so that it can be valued on the later part.

It hears the rounds of one mode that chance took part in, before an instant, hour by hour, with all that was
ever said of them: of arms that it did not choose itself, so what it makes of them is its own affair. The
rounds it is valued on are others, and the value is off-policy as of any fixed strategy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from p402.routing.compiled import Snapshot
from p402.routing.scale import COUNT_ONE
from sim.replay.contextual import Contextual, learns
from sim.replay.facts import Facts
from sim.replay.group import UNFIT, Group, Lost
from sim.replay.snapshots import Snapshots
from sim.replay.source import lives_of, read
from sim.replay.window import NoRounds, Unfaithful, Window
from sim.shown import Advance
from sim.strategies.contract import Rounds
from sim.strategies.named import named
from sim.strategies.own import UnknownPolicy
from sim.strategies.seen import Start, contexts_of

HOUR_MS: Final = 3_600_000
_COLUMNS: Final = ("tenant", "arm", "count", "observe")
_TIME_BITS: Final = np.uint64(16)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Rounds under one snapshot, in order of time."""

    snapshot: Snapshot
    rounds: Rounds


def trained(
    text: str, window: Window, until_ms: int, progress: Advance = lambda _done, _total: None
) -> Contextual:
    """A learner that has heard the window's rounds before an instant.

    Raises
    ------
    UnknownPolicy
        The text names no strategy, or one that learns nothing.
    NoRounds
        There is no round before the instant.
    Unfaithful, StoreError
        As of `sim.replay.value.value`.
    """
    strategy = named(text)()
    if not learns(text, strategy):
        raise UnknownPolicy(f"policy {text!r} learns nothing: expected --train-until with a learner alone")
    parts = sorted(_parts(window, until_ms, progress), key=lambda part: part.rounds.contexts.key[0].tolist())
    if not parts:
        raise NoRounds(
            f"the log has no {window.behaviour} round with exploration on before that time; "
            f"expected rounds to learn from: pass a later --train-until"
        )
    total, now_ms = 0, 0
    begun: Snapshot | None = None
    for hour, snapshot, rounds in _hours(parts):
        if begun is not snapshot:
            strategy.begin(snapshot)
            begun = snapshot
        now_ms = (hour + 1) * HOUR_MS
        strategy.learn(rounds, now_ms)
        total += len(rounds)
    strategy.learn(parts[-1].rounds.rows(slice(0, 0)), now_ms + HOUR_MS)  # what still waits for its tick
    return Contextual(text, strategy, f"on {total} {window.behaviour} rounds before {until_ms}")


def _hours(parts: list[_Part]) -> Iterator[tuple[int, Snapshot, Rounds]]:
    """Rounds by hour; within one, those of equal arms together, under the first snapshot of these arms."""
    pieces: list[tuple[int, Snapshot, Rounds]] = []
    for part in parts:
        hour = part.rounds.contexts.ts_ms // HOUR_MS
        pieces.extend(
            (h, part.snapshot, part.rounds.rows(np.flatnonzero(hour == h))) for h in np.unique(hour).tolist()
        )
    first: dict[tuple[str, ...], Snapshot] = {}
    pieces.sort(key=lambda piece: (piece[0], piece[2].contexts.arms, piece[2].contexts.key[0].tolist()))
    for (hour, arms), group in groupby(pieces, lambda piece: (piece[0], piece[2].contexts.arms)):
        some = list(group)
        joined = Rounds.joined([rounds for _, _, rounds in some])
        snapshot = first.setdefault(arms, some[0][1])
        yield hour, snapshot, joined.rows(np.lexsort(joined.contexts.key.T[::-1]))


def _parts(window: Window, until_ms: int, progress: Advance) -> Iterator[_Part]:
    snapshots, facts = Snapshots(Path(window.store)), Facts(window.outcomes, window.rewards)
    lives, start = lives_of(Path(window.log)), Start({})
    pieces = sorted(window.decisions)
    for done, piece in enumerate(pieces):
        for group in read(piece, _COLUMNS, lives=lives):
            if isinstance(group, Lost):
                raise Unfaithful(f"{len(group)} rounds cannot be replayed: {group.why}")
            mine = _mine(group, window.behaviour, until_ms)
            if len(mine):
                yield _part(group.take(mine), snapshots.get(group.snapshot), facts, start)
        progress(done + 1, len(pieces))


def _mine(group: Group, behaviour: str, until_ms: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Rows of the mode that chance took part in, before the instant."""
    given, table = group.given, group.table
    mode = pc.equal(given.field("mode"), behaviour)
    claims = [
        _true(mode, otherwise=False),
        group.columns.explore,  # not of `given`, where a field that no row uses is absent
        ~_true(table.column("observe").combine_chunks(), otherwise=False),
        _true(pc.greater(table.column("count").combine_chunks(), 0), otherwise=False),
        _true(pc.is_valid(table.column("arm").combine_chunks()), otherwise=False),
        (group.key[:, 0] >> _TIME_BITS).astype(np.int64) < until_ms,
        group.ours,
    ]
    return np.flatnonzero(np.logical_and.reduce(claims))


def _true(column: pa.Array, *, otherwise: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    filled = column.fill_null(pa.scalar(value=otherwise))
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)


def _part(group: Group, snapshot: Snapshot, facts: Facts, start: Start) -> _Part:
    try:
        seen = contexts_of(snapshot, group.batch(snapshot), start.table(snapshot))
    except UNFIT as error:
        raise Unfaithful(
            f"rounds under snapshot {group.snapshot} cannot be decided: {error}; run p402 replay --verify"
        ) from error
    told, tokens = facts.with_tokens(group.table.column("id"), group.table.column("tenant"))
    rounds = Rounds(
        contexts=seen,
        action=np.array([snapshot.index.get(arm, -1) for arm in group.column("arm")], np.int64),
        propensity=np.array(group.column("count"), np.float64) / COUNT_ONE,
        quality=np.where(told.failed, 0.0, told.quality),
        cost_usd=told.cost_nano / 1e9,
        latency_ms=told.latency_ms,
        failed=told.failed,
        output_tokens=tokens,
    )
    known = np.flatnonzero(rounds.action >= 0)
    if len(known) < len(rounds):
        raise Unfaithful(
            f"{len(rounds) - len(known)} rounds took arms that their snapshot {group.snapshot} has not; "
            f"run p402 replay --verify"
        )
    return _Part(snapshot, rounds.rows(np.lexsort(seen.key.T[::-1])))
