"""Which observed rounds a log has, what became of them, and how long answers were.

An observed round called the model that its caller named, and logged what would have been decided. It can
be valued if it was answered and its price and tokens are known; all others are counted by why not.
Long logs are read in parts by the last digit of the request's id, which is chance, so that what DuckDB
sorts at once stays small. It knows nothing of what the rows are worth.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import duckdb
import pyarrow as pa

from p402.errors import P402Error, nearest
from sim.observe.lengths import Seen
from sim.replay.source import Group, Lost, groups

PART_ROWS: Final = 200_000
"""Rounds that are read in one part: each costs another look at the whole log."""

VALUED: Final = "valued"
"""The fate of a round that can be valued."""

_WANTED: Final = """
d.observe AND ($1::VARCHAR IS NULL OR d.tenant = $1) AND ($2::BIGINT IS NULL OR d.ts_ms >= $2)
AND ($3::BIGINT IS NULL OR d.ts_ms < $3)
"""

_FATE: Final = f"""
CASE WHEN o.id IS NULL THEN 'unended'
     WHEN o.status <> 'ok' THEN o.status
     WHEN o.cost_nano IS NULL OR o.attempts[-1].cost_nano IS NULL THEN 'unpriced'
     WHEN o.arm IS NULL OR o.prompt_tokens IS NULL OR o.output_tokens IS NULL THEN 'unmeasured'
     ELSE '{VALUED}' END
"""

_CENSUS: Final = f"""
SELECT {_FATE} AS fate, count(*), count(*) FILTER (coalesce(o.usage_estimated, false)),
       count(*) FILTER (d.simulated), count(DISTINCT (d.tenant, d.session)), min(d.ts_ms), max(d.ts_ms),
       sum(o.prompt_tokens)::HUGEINT, sum(coalesce(o.cached_tokens, 0))::HUGEINT
FROM decisions d LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
WHERE {_WANTED} GROUP BY fate ORDER BY fate
"""  # noqa: S608 - our own words

_ROUNDS: Final = f"""
SELECT d.worker, d.live_seq, d.snapshot, d.id, d.inputs, d.tenant, d.session, d.task, d.arm, d."count",
       o.arm AS served, o.prompt_tokens, coalesce(o.cached_tokens, 0) AS cached_tokens, o.output_tokens,
       o.cost_nano, o.attempts[-1].cost_nano AS served_nano
FROM decisions d JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
WHERE {_WANTED} AND {_FATE} = '{VALUED}' AND ($4::VARCHAR IS NULL OR contains($4, right(d.id, 1)) = $5)
"""  # noqa: S608 - our own words

_LENGTHS: Final = """
WITH answers AS (
    SELECT d.tenant, d.session, m.model, d.task, count(*) AS n, sum(o.output_tokens)::HUGEINT AS output,
           sum(d.inputs.expected_output * coalesce(d.inputs.n, 1))::HUGEINT AS expected
    FROM decisions d
    JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
    JOIN models m ON m.arm = o.arm
    WHERE o.status = 'ok' AND o.output_tokens IS NOT NULL AND NOT coalesce(o.usage_estimated, false)
          AND ($1::VARCHAR IS NULL OR d.tenant = $1) AND ($2::BIGINT IS NULL OR d.ts_ms >= $2)
          AND ($3::BIGINT IS NULL OR d.ts_ms < $3)
    GROUP BY ALL
)
SELECT model, task, sum(n)::HUGEINT, count(*), sum(output), sum(expected), sum(output * output),
       sum(output * expected), sum(expected * expected)
FROM answers GROUP BY model, task ORDER BY model, task
"""

_DIGITS: Final = "0123456789abcdef"


class NothingObserved(P402Error):
    """The log has no observed round that the question can be asked of."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which rounds are asked about; None is no bound. Times are ms since 1970 UTC, `until_ms` exclusive."""

    tenant: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    @property
    def params(self) -> list[Any]:
        """Parameters of every query here."""
        return [self.tenant, self.since_ms, self.until_ms]


@dataclass(frozen=True, slots=True)
class Census:
    """What observed rounds there are.

    Attributes
    ----------
    valued
        Rounds that can be valued; of these, `estimated` have tokens that no provider told, `simulated`
        were answered by simulated providers.
    excluded
        The others, by why: failed, cancelled, refused, unended (no outcome), unpriced, unmeasured.
    sessions, first_ms, last_ms, prompt_tokens, cached_tokens
        Of the valued.
    """

    valued: int
    excluded: dict[str, int]
    estimated: int
    simulated: int
    sessions: int
    first_ms: int
    last_ms: int
    prompt_tokens: int
    cached_tokens: int


def census(con: duckdb.DuckDBPyConnection, window: Window) -> Census:
    """Count the observed rounds of a window.

    Raises
    ------
    NothingObserved
        There are none that can be valued; the message says what there is and how to get some.
    """
    rows = con.execute(_CENSUS, window.params).fetchall()
    excluded = {fate: count for fate, count, *_ in rows if fate != VALUED}
    found = next((row for row in rows if row[0] == VALUED), None)
    if found is None:
        raise NothingObserved(_why_none(con, window, excluded))
    _, valued, estimated, simulated, sessions, first_ms, last_ms, prompt, cached = found
    return Census(
        valued, excluded, estimated, simulated, sessions, first_ms, last_ms, int(prompt), int(cached)
    )


def _why_none(con: duckdb.DuckDBPyConnection, window: Window, excluded: Mapping[str, int]) -> str:
    query = (
        "SELECT tenant, count(*), count(*) FILTER (observe) FROM decisions GROUP BY tenant ORDER BY tenant"
    )
    seen = con.execute(query).fetchall()
    rounds, observed = sum(row[1] for row in seen), sum(row[2] for row in seen)
    imported = con.execute("SELECT count(*) FROM imported").fetchall()[0][0]
    if imported and not observed:
        return (
            f"none of {rounds:,} rounds was observed, but {imported:,} calls were imported; pass --imported "
            "to re-price those"
        )
    if not rounds:
        return "the log holds no round yet; expected traffic: serve some, or pass --log"
    if not observed:
        return (
            f"none of {rounds:,} rounds was observed; expected calls that name a model and no `p402.mode`, "
            'under a key or tenant with `route_named_models = "observe"`, the default: point an application '
            "at the gateway as it is, and ask again after a day"
        )
    names = tuple(row[0] for row in seen)
    if window.tenant is not None and window.tenant not in names:
        hint = nearest(window.tenant, names)
        return f"found no tenant {window.tenant!r}; expected one of {', '.join(names)}{hint}"
    if excluded:
        told = ", ".join(f"{count:,} {fate}" for fate, count in excluded.items())
        return f"no observed round can be valued: found {told}; expected answered ones of known price"
    return (
        f"none of {observed:,} observed rounds is in the window; expected one: widen --since and --until, or "
        "leave --tenant out"
    )


def snapshots(con: duckdb.DuckDBPyConnection, window: Window) -> list[str]:
    """Ids of the snapshots that observed rounds were decided under, ascending."""
    query = f"SELECT DISTINCT d.snapshot FROM decisions d WHERE {_WANTED} ORDER BY 1"  # noqa: S608 - our words
    return [row[0] for row in con.execute(query, window.params).fetchall()]


def lengths_seen(
    con: duckdb.DuckDBPyConnection, window: Window, model_of: Mapping[str, str]
) -> dict[tuple[str, str], Seen]:
    """How long the answers of all rounds of the window were, observed or not, by model and task.

    Parameters
    ----------
    model_of
        The model of each arm; answers of others are left out.
    """
    arms = sorted(model_of)
    con.register("models", pa.table({"arm": arms, "model": [model_of[arm] for arm in arms]}))
    rows = con.execute(_LENGTHS, window.params).fetchall()
    con.unregister("models")
    return {(model, task): Seen(*map(int, sums)) for model, task, *sums in rows}


def read(con: duckdb.DuckDBPyConnection, window: Window, valued: int) -> Iterator[Group | Lost]:
    """Rounds that can be valued, with the live state they saw, in an order that follows from the rows."""
    for digits, within in _parts(valued):
        yield from groups(con, _ROUNDS, [*window.params, digits, within])


def _parts(valued: int) -> Iterator[tuple[str | None, bool]]:
    """Last digits of ids to read at once, and whether those or all others: every id is in one part."""
    count = min(-(-valued // PART_ROWS), len(_DIGITS))
    if count < 2:
        yield None, True
        return
    edges = [len(_DIGITS) * k // count for k in range(count)]
    for start, stop in pairwise(edges):
        yield _DIGITS[start:stop], True
    yield _DIGITS[: edges[-1]], False
