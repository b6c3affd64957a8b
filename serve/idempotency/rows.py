"""What is done to the file of answers inside a transaction: keys claimed, answers kept, old ones dropped.

Every function runs inside a transaction its caller has begun. The verdicts are the law's. It knows nothing of
threads or event loops.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from p402.errors import Refusal
from serve.idempotency.law import KEPT_MS, LEASE_MS, Claim, Entry, Replay, State, judge

PRUNED_AT_ONCE: Final = 1_000
"""Keys dropped in one transaction, so that nobody waits long for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes
    ----------
    answer_bytes
        Largest answer that is kept.
    total_bytes
        All answers together; of more, the oldest are let go and their keys remember that.
    entries
        Keys; of more, the oldest are forgotten, finished ones only.
    """

    answer_bytes: int = 16 << 20
    total_bytes: int = 256 << 20
    entries: int = 1_000_000


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Holder:
    """A key that one exchange has claimed; `token` is that exchange's alone."""

    scope: bytes
    token: bytes


def claim(db: sqlite3.Connection, holder: Holder, fingerprint: bytes, now_ms: int) -> Claim | bytes | Refusal:
    """Claim a key, or give what was kept under it, or say why neither."""
    row = db.execute(
        "SELECT fingerprint, created_ms, lease_ms, state FROM entry WHERE scope = ?", (holder.scope,)
    ).fetchone()
    entry = None if row is None else Entry(row[0], row[1], row[2], State(row[3]))
    verdict = judge(entry, fingerprint, now_ms)
    match verdict:
        case Claim():
            _forget(db, holder.scope)
            db.execute(
                "INSERT INTO entry (scope, token, fingerprint, created_ms, lease_ms, state) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (holder.scope, holder.token, fingerprint, now_ms, now_ms + LEASE_MS, State.IN_FLIGHT),
            )
            return verdict
        case Replay():
            (content,) = db.execute("SELECT content FROM answer WHERE scope = ?", (holder.scope,)).fetchone()
            return bytes(content)
        case Refusal():
            return verdict


def keep(db: sqlite3.Connection, holder: Holder, content: bytes | None, limits: Limits) -> None:
    """End a claim with its answer; None, or too much of it, leaves the key without one."""
    if content is not None and len(content) > limits.answer_bytes:
        content = None
    state = State.GONE if content is None else State.ANSWERED
    ended = db.execute(
        "UPDATE entry SET state = ? WHERE scope = ? AND token = ? AND state = ?",
        (state, holder.scope, holder.token, State.IN_FLIGHT),
    )
    if not ended.rowcount or content is None:  # a claim that outlived its time is another's by now
        return
    db.execute(
        "INSERT INTO answer (scope, bytes, content) VALUES (?, ?, ?)", (holder.scope, len(content), content)
    )
    _make_room(db, limits)


def release(db: sqlite3.Connection, holder: Holder) -> None:
    """End a claim under which nothing was spent: the key is free."""
    db.execute("DELETE FROM entry WHERE scope = ? AND token = ?", (holder.scope, holder.token))


def renew(db: sqlite3.Connection, holders: Iterable[Holder], lease_ms: int) -> None:
    """Say until when claims live: their worker is alive; or that it is no more, by a time that is past."""
    db.executemany(
        "UPDATE entry SET lease_ms = ? WHERE scope = ? AND token = ?",
        [(lease_ms, holder.scope, holder.token) for holder in holders],
    )


def prune(db: sqlite3.Connection, limits: Limits, now_ms: int) -> bool:
    """Forget what is too old or too much; True where there may be more of it."""
    (entries,) = db.execute("SELECT entries FROM tally").fetchone()
    too_many = max(0, entries - limits.entries)
    old = db.execute(
        "SELECT scope FROM entry WHERE created_ms <= ? AND (state <> ? OR lease_ms <= ?) "
        "ORDER BY created_ms LIMIT ?",
        (now_ms - KEPT_MS, State.IN_FLIGHT, now_ms, PRUNED_AT_ONCE),
    ).fetchall()
    if not old and too_many:
        old = db.execute(
            "SELECT scope FROM entry WHERE state <> ? ORDER BY created_ms LIMIT ?",
            (State.IN_FLIGHT, min(too_many, PRUNED_AT_ONCE)),
        ).fetchall()
    for (scope,) in old:
        _forget(db, scope)
    return len(old) == PRUNED_AT_ONCE or (bool(old) and too_many > len(old))


def _forget(db: sqlite3.Connection, scope: bytes) -> None:
    db.execute("DELETE FROM answer WHERE scope = ?", (scope,))
    db.execute("DELETE FROM entry WHERE scope = ?", (scope,))


def _make_room(db: sqlite3.Connection, limits: Limits) -> None:
    """Let go of the oldest answers until the rest is within bounds."""
    (size,) = db.execute("SELECT bytes FROM tally").fetchone()
    while size > limits.total_bytes:
        number, scope, freed = db.execute(
            "SELECT id, scope, bytes FROM answer ORDER BY id LIMIT 1"
        ).fetchone()
        db.execute("DELETE FROM answer WHERE id = ?", (number,))
        db.execute("UPDATE entry SET state = ? WHERE scope = ?", (State.GONE, scope))
        size -= freed
