"""What a log says of its traffic, as far as planning an experiment needs it: rate, sessions, rewards, costs.

Rounds that chance took part in tell all of it; where a log has none of those, its imported calls tell
rate, sessions and cost, and their scores the quality. Of a long log the last `MOST_ROWS` are looked at, as
traffic to come is most like those. It plans nothing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.errors import P402Error
from p402.events import Reward
from p402.guard.daily import DAY_MS
from p402.learner.reward import Parts, judgement_of, reward_of
from p402.routing.scale import COUNT_ONE
from p402.store.reader import connect

Float = NDArray[np.float64]

HOUR_MS: Final = 3_600_000
BLOCK: Final = 65_536
MOST_ROWS: Final = 200_000
"""Rows that are held at once, and enough to know a mean reward to 0.001 by."""

_SAID: Final = """
WITH said AS (
    SELECT tenant, id,
           list({'source': source, 'status': status, 'quality': quality, 'ts_ms': ts_ms}
                ORDER BY ts_ms, source) AS said
    FROM rewards GROUP BY tenant, id
)
"""

_ROUNDS: Final = f"""
{_SAID}
SELECT d.tenant, d.session, d.ts_ms, d."count", d.n_explored, o.attempts[1].status, o.attempts[1].cost_nano,
       o.direct_nano, o.attempts[1].latency_ms, s.said
FROM decisions d
LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN said s ON s.id = d.id AND s.tenant = d.tenant
WHERE d.inputs.mode = $1 AND d.inputs.explore IS DISTINCT FROM FALSE AND NOT d.observe
      AND d.arm IS NOT NULL AND d."count" > 0
ORDER BY d.ts_ms DESC, d.id LIMIT {MOST_ROWS}
"""  # noqa: S608 - our own words

_IMPORTED: Final = f"""
{_SAID}
SELECT i.tenant, i.session, i.ts_ms, NULL, NULL, i.status, i.cost_nano, NULL, i.latency_ms, s.said
FROM imported i LEFT JOIN said s ON s.id = i.id AND s.tenant = i.tenant
WHERE i.status IN ('ok', 'failed')
ORDER BY i.ts_ms DESC, i.id LIMIT {MOST_ROWS}
"""  # noqa: S608 - our own words


class NoTraffic(P402Error):
    """The log has nothing to plan by."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen; None where the log does not tell.

    Attributes
    ----------
    source
        What it rests on: `rounds`, or `imported calls`.
    reward
        What `mean` and `variance` are of: the fixed objective's `value`, or `quality`.
    rounds, days, per_day, sessions, session_rounds
        How many there were, over how long, and in sessions of which size (of the mean round's session).
    judged, mean, variance, icc
        Share of rounds whose reward is known, and its moments; `icc` is within sessions.
    exploration, explored_arms
        Share of rounds that went to an arm that was not the likeliest, and how many such arms there were.
    cost_usd, explored_cost_usd
        Mean cost of a round at the likeliest arm, and at another.
    """

    source: str
    reward: str
    rounds: int
    days: float
    per_day: float
    sessions: int
    session_rounds: float
    judged: float | None
    mean: float | None
    variance: float | None
    icc: float | None
    exploration: float | None
    explored_arms: float | None
    cost_usd: float | None
    explored_cost_usd: float | None


def traffic_of(log: Path, mode: str = "balanced") -> Seen:
    """Look at a log's traffic in one mode, or at its imported calls.

    Raises
    ------
    NoTraffic
        There is neither a round that chance took part in, nor an imported call.
    StoreError
        The log cannot be read.
    """
    with connect(log) as con:
        rows = _rows(con, _ROUNDS, [mode])
        if rows:
            return _seen(rows, "rounds", "value")
        rows = _rows(con, _IMPORTED, [])
    if rows:
        return _seen(rows, "imported calls", "quality")
    raise NoTraffic(
        f"the log has no {mode} round with exploration on, and no imported call; expected either: serve some "
        "traffic, `p402 log import`, or give --requests-per-day and leave --log out"
    )


def _rows(con: duckdb.DuckDBPyConnection, query: str, params: list[Any]) -> list[tuple[Any, ...]]:
    cursor = con.execute(query, params)
    rows: list[tuple[Any, ...]] = []
    while block := cursor.fetchmany(BLOCK):
        rows += block
    return rows


def _seen(rows: list[tuple[Any, ...]], source: str, reward: str) -> Seen:
    tenant, session, ts_ms, count, explored, status, cost, direct, latency, said = zip(*rows, strict=True)
    failed = np.array([s == "failed" for s in status])
    quality = np.array([_quality(words) for words in said])
    if reward == "value":
        worth = reward_of(Parts(failed, quality, _known(cost), _known(direct), _known(latency)))
        value, known = worth.value, worth.matured
    else:
        value, known = np.where(failed, 0.0, quality), failed | ~np.isnan(quality)
    sessions = np.unique([f"{t}\x1f{s}" for t, s in zip(tenant, session, strict=True)], return_inverse=True)[
        1
    ]
    sizes = np.bincount(sessions).astype(np.float64)
    span_ms = max(max(ts_ms) - min(ts_ms), HOUR_MS)
    likeliest = None if count[0] is None else np.array(count) * 2 >= COUNT_ONE
    judged, some = float(known.mean()), bool(known.any())
    return Seen(
        source=source,
        reward=reward,
        rounds=len(rows),
        days=span_ms / DAY_MS,
        per_day=len(rows) * DAY_MS / span_ms,
        sessions=len(sizes),
        session_rounds=float(np.add.reduce(sizes * sizes) / np.add.reduce(sizes)),
        judged=judged if some else None,
        mean=float(value[known].mean()) if some else None,
        variance=float(value[known].var()) if some else None,
        icc=correlation(value[known], sessions[known]),
        exploration=None if likeliest is None else float(1.0 - likeliest.mean()),
        explored_arms=None if likeliest is None else _others(explored),
        cost_usd=_mean_usd(_known(cost), likeliest),
        explored_cost_usd=None if likeliest is None else _mean_usd(_known(cost), ~likeliest),
    )


def correlation(values: Float, group: NDArray[np.int64]) -> float | None:
    """Correlation of values within their groups, by analysis of variance; in [0, 1], None where none tells.

    Source: Donner, International Statistical Review 54(1), 1986.
    """
    _, index = np.unique(group, return_inverse=True)
    sizes = np.bincount(index).astype(np.float64)
    n, groups = len(values), len(sizes)
    if groups < 2 or n <= groups:
        return None
    means = np.bincount(index, weights=values) / sizes
    off = values - means[index]
    within = float(np.add.reduce(off * off)) / (n - groups)
    apart = means - float(values.mean())
    between = float(np.add.reduce(sizes * apart * apart)) / (groups - 1)
    size = (n - float(np.add.reduce(sizes * sizes)) / n) / (groups - 1)
    total = between + (size - 1.0) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0.0 else None


def _quality(words: list[dict[str, Any]] | None) -> float:
    """What was said of a call; nan where nothing was."""
    if not words:
        return np.nan
    events = (msgspec.convert({"id": "", "tenant": ""} | word, Reward) for word in words)
    found = judgement_of(events).quality
    return np.nan if found is None else found


def _others(explored: tuple[int, ...]) -> float | None:
    """Arms beside the likeliest, where there are any."""
    several = [n - 1 for n in explored if n > 1]
    return float(np.mean(several)) if several else None


def _mean_usd(cost_nano: Float, rows: NDArray[np.bool_] | None) -> float | None:
    known = ~np.isnan(cost_nano) if rows is None else ~np.isnan(cost_nano) & rows
    return float(cost_nano[known].mean() / 1e9) if known.any() else None


def _known(values: tuple[Any, ...]) -> Float:
    return np.array([np.nan if value is None else value for value in values], np.float64)
