"""Whether every outcome follows from choices that were logged before it.

An outcome tells which arm each attempt went to. A choice of that arm must be in the log: the
decision's own, or the line of that attempt (promise P20). And its money must follow from itself: every
attempt's cost from its tokens and prices, the whole from the attempts. It decides nothing again, and
rewards, refusals and deltas are no part of it: a client may post a word on any round.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from p402.store.views import literal
from sim.replay.borne import Borne

KEPT: Final = 100
"""Outcomes described in full; all are counted."""

CHUNK_ROWS: Final = 65_536

NO_DECISION: Final = (
    "an outcome has no decision of its id and tenant; expected the one that is logged before anything is "
    "sent; restore the segment or Parquet file that held it"
)
NO_CHOICE: Final = (
    "an outcome tells of an attempt that no choice was logged for; expected a line for every failover, and "
    "for the call of an observed round; restore the segment or Parquet file that held it"
)
OTHER_ARM: Final = (
    "an outcome tells of an attempt at another arm than was logged for it; expected the arm of its decision "
    "or of that attempt's line; one of the two was changed: restore their files from a copy"
)

MISBILLED: Final = (
    "an outcome's money or arm does not follow from its own attempts; expected each attempt at what its "
    "tokens cost at the prices it names, their sum, and the last attempt's arm; it was changed: restore its "
    "file from a copy"
)

_UNFOUNDED: Final = """
WITH outcomes AS (SELECT * FROM main.outcomes WHERE {which}),
decisions AS (SELECT * FROM main.decisions WHERE {which}),
attempts AS (SELECT * FROM main.attempts WHERE {which}),
split AS (
    SELECT id, tenant, unnest(range(greatest(len(attempts), 1)))::INTEGER AS attempt,
           unnest(CASE WHEN len(attempts) = 0 THEN [NULL] ELSE attempts END) AS a,
           cost_nano IS NOT DISTINCT FROM (
               CASE WHEN len([1 FOR a IN attempts IF a.cost_nano IS NULL]) = 0
               THEN coalesce(list_sum([a.cost_nano FOR a IN attempts]), 0) END
           ) AND (arm IS NULL OR arm IS NOT DISTINCT FROM attempts[-1].arm) AS summed
    FROM outcomes
), told AS (
    SELECT id, tenant, attempt, a.arm AS called, summed AND (
        a.price_pico IS NULL OR a.prompt_tokens IS NULL OR a.cost_nano IS NOT DISTINCT FROM (
            (a.prompt_tokens - coalesce(a.cached_tokens, 0) - coalesce(a.cache_write_tokens, 0))::HUGEINT
            * a.price_pico[1]
            + coalesce(a.cached_tokens, 0)::HUGEINT * a.price_pico[2]
            + a.output_tokens::HUGEINT * a.price_pico[3]
            + (coalesce(a.cache_write_tokens, 0) - coalesce(a.cache_write_1h_tokens, 0))::HUGEINT
            * coalesce(a.price_pico[4], 0)
            + coalesce(a.cache_write_1h_tokens, 0)::HUGEINT * coalesce(a.price_pico[5], 0) + 999
        ) // 1000
    ) AS billed
    FROM split
), held AS (
    SELECT t.id, t.tenant, t.attempt, t.called, t.billed, d.id IS NOT NULL AS decided,
           CASE WHEN t.attempt = 0 AND NOT d.observe THEN d.arm ELSE a.arm END AS chosen
    FROM told t
    LEFT JOIN decisions d ON d.id = t.id AND d.tenant = t.tenant
    LEFT JOIN attempts a ON a.id = t.id AND a.attempt = t.attempt
)
SELECT DISTINCT ON (id) id, tenant, attempt, called, decided, chosen
FROM held
WHERE NOT decided OR NOT billed OR (called IS NOT NULL AND called IS DISTINCT FROM chosen)
ORDER BY id, called IS NOT DISTINCT FROM chosen, attempt
"""
"""Outcomes that no logged choice bears out, each once, by its first attempt that none does. An outcome
of no attempt ended before anything was sent; an observed round's decision called nobody. Rows from before
2026-11-26 know no cache writes: their price rows have three classes, and such tokens were input."""

_COUNTED: Final = """
SELECT (SELECT count(*) FROM outcomes),
       (SELECT count(*) FROM decisions ANTI JOIN outcomes USING (id, tenant))
"""

FEW: Final = 4_000
"""Suspects up to which they are looked up by their ids; of more, everyone is looked at, in parts by id."""

_AT_ONCE: Final = 1_000
_DIGITS: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Unfounded:
    """An outcome that no logged choice bears out.

    Attributes
    ----------
    attempt
        The first that is not borne out; None where the whole round has no decision.
    called
        Arm that the outcome says it went to; None where it tells of no attempt.
    chosen
        Arm of the logged choice; None where none was logged.
    """

    id: str
    tenant: str
    attempt: int | None
    called: str | None
    chosen: str | None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The log's outcomes, held to its choices.

    Attributes
    ----------
    rows
        Outcomes in the log.
    unended
        Decisions without an outcome: a process that dies while it waits leaves them, so they are no fault.
    faults
        What is wrong, and with how many outcomes; each is counted once.
    unfounded
        The first of these, by id.
    """

    rows: int
    unended: int
    faults: dict[str, int]
    unfounded: tuple[Unfounded, ...]


def outcomes_of(con: duckdb.DuckDBPyConnection) -> Outcomes:
    """Hold every outcome to the choices of its round, in one join of DuckDB's.

    Parameters
    ----------
    con
        From `p402.store.reader.connect`.
    """
    rows, unended = con.execute(_COUNTED).fetchall()[0]
    return _told(rows, unended, _unfounded(con, ["true"]))


def held(con: duckdb.DuckDBPyConnection, found: Borne) -> Outcomes:
    """The same, where `sim.replay.borne` has told which outcomes are above suspicion.

    Parameters
    ----------
    con
        From `p402.store.reader.connect`; the log may have grown since.
    """
    if len(found.suspects) <= FEW:
        parts = [found.suspects[i : i + _AT_ONCE] for i in range(0, len(found.suspects), _AT_ONCE)]
        which = [f"id IN ({', '.join(map(literal, part))})" for part in parts]
    else:
        which = [f"right(id, 1) = '{digit}'" for digit in _DIGITS]
        which.append(f"NOT contains('{_DIGITS}', right(id, 1))")
    return _told(found.rows, found.unended, _unfounded(con, which))


def _unfounded(con: duckdb.DuckDBPyConnection, which: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Outcomes that no choice bears out, of a chunk at a time."""
    for some in which:
        for batch in con.sql(_UNFOUNDED.replace("{which}", some)).to_arrow_reader(CHUNK_ROWS):
            yield from batch.to_pylist()


def _told(rows: int, unended: int, found: Iterable[dict[str, Any]]) -> Outcomes:
    faults: Counter[str] = Counter()
    kept: list[Unfounded] = []
    for row in found:
        faults[_what(row)] += 1
        kept.append(_stray(row))
        if len(kept) > 2 * KEPT:
            kept = sorted(kept, key=lambda stray: stray.id)[:KEPT]
    kept = sorted(kept, key=lambda stray: stray.id)[:KEPT]
    return Outcomes(rows, unended, dict(faults), tuple(kept))


def _what(row: dict[str, Any]) -> str:
    if not row["decided"]:
        return NO_DECISION
    if row["called"] is None or row["called"] == row["chosen"]:
        return MISBILLED
    return NO_CHOICE if row["chosen"] is None else OTHER_ARM


def _stray(row: dict[str, Any]) -> Unfounded:
    attempt = row["attempt"] if row["decided"] else None
    return Unfounded(row["id"], row["tenant"], attempt, row["called"], row["chosen"])
