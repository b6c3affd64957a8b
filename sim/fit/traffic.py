"""Who asks what, when and how often: a log's arrivals, sessions, tenants and tasks as tables of a world.

A session has one tenant, mode and task in a world; tasks of a log's sessions are shared out by request. What
a log does not say (caps, limits) is left open. It knows nothing of answers.
"""

from typing import Final

import numpy as np

from sim.fit.history import Float, History, Int
from sim.fit.laws import spread_of
from sim.world.spec import Arrivals, Sessions, Spread, TaskSpec, TenantSpec

HOUR_MS: Final = 3_600_000
DAY_H: Final = 24

SMOOTHING: Final = 5.0
"""Sessions at the mean rate that each hour of the day is mixed with: a few sessions say little of an hour."""

WEEKS_FOR_WEEKDAYS: Final = 2
"""Whole weeks of a log from which weekdays are told apart."""

OVERHEAD_TOKENS: Final = 7
"""What routing adds to a first turn's own words (`p402.routing.features`)."""

GROWN: Final = 1.2
"""A conversation grows where its second prompt is longer than the first by this factor, in the median."""

OPEN_CAP_USD: Final = 1e6
OPEN_LIMIT: Final = 1_000_000
"""A log does not say what its tenants were allowed; nobody is turned away for it."""


def arrivals_of(history: History) -> Arrivals:
    """Rates by hour of the day, and by weekday where there are two weeks or more."""
    edges = np.arange(history.from_ms, history.until_ms, HOUR_MS)
    sizes = np.minimum(edges + HOUR_MS, history.until_ms) - edges
    exposed = np.bincount(edges // HOUR_MS % DAY_H, weights=sizes / HOUR_MS, minlength=DAY_H)
    starts = history.t_ms[_firsts(history.session)]
    seen = np.bincount(starts // HOUR_MS % DAY_H, minlength=DAY_H)
    mean = len(starts) / history.hours
    hourly = (seen + SMOOTHING) / (exposed + SMOOTHING / mean)
    weekday = _weekdays(history, starts)
    days = edges // HOUR_MS // DAY_H
    factor = hourly / hourly.mean()
    expected = factor[edges // HOUR_MS % DAY_H] * (weekday / weekday.mean())[(days + 3) % 7] * sizes / HOUR_MS
    return Arrivals(
        per_hour=len(history) / float(expected.sum()),
        hourly=tuple(factor.tolist()),
        weekday=tuple(weekday.tolist()),
    )


def _weekdays(history: History, starts: Int) -> Float:
    """Relative rates from Monday on; day 0 of the epoch was a Thursday."""
    flat = np.ones(7)
    if history.hours < WEEKS_FOR_WEEKDAYS * 7 * DAY_H:
        return flat
    first, last = (ms // (HOUR_MS * DAY_H) for ms in (history.from_ms, history.until_ms - 1))
    exposed = np.bincount((np.arange(first, last + 1) + 3) % 7, minlength=7)
    seen = np.bincount((starts // (HOUR_MS * DAY_H) + 3) % 7, minlength=7)
    return np.asarray(seen / exposed / (len(starts) / exposed.sum()), np.float64)


def sessions_of(history: History) -> Sessions:
    """Turns, pauses, and whether prompts grow."""
    order = np.lexsort((history.t_ms, history.session))
    session, t_ms, prompt = history.session[order], history.t_ms[order], history.prompt[order]
    same = session[1:] == session[:-1]
    pauses = (t_ms[1:] - t_ms[:-1])[same] / 1000.0
    turns = np.bincount(history.session)
    more = (prompt[1:] - prompt[:-1])[same]
    first = np.concatenate([[True], ~same])[:-1] & same
    ratio = prompt[1:][first] / np.maximum(prompt[:-1][first], 1.0)
    grows = bool(ratio.size) and float(np.median(ratio)) > GROWN
    own = float(np.median(prompt[np.concatenate([[True], ~same])])) - OVERHEAD_TOKENS
    answer = max(0.0, float(np.median(more)) - own) if grows else 0.0
    return Sessions(
        mean_turns=max(1.0, float(np.mean(turns))),
        most_turns=max(1, int(turns.max())),
        pause_s=spread_of(pauses) or Spread(median=40.0),
        grows=grows,
        answer_tokens=round(answer),
        named=float(np.mean(history.session_named)),
    )


def tenants_of(history: History) -> tuple[TenantSpec, ...]:
    """Each tenant's share of sessions, modes and tasks."""
    firsts = _firsts(history.session)
    made = []
    for code, name in enumerate(history.tenants):
        rows = history.tenant == code
        begun = firsts[rows[firsts]]
        made.append(
            TenantSpec(
                name=name,
                share=float(begun.size),
                modes=_shares(history.mode[begun], history.modes),
                tasks=_shares(history.task[rows], history.tasks),
                stream=float(np.mean(history.streamed[rows])),
                caps_output=0.0,
                explores=bool(np.mean(history.explores[rows]) > 0.5),
                daily_cap_usd=OPEN_CAP_USD,
                requests_per_hour=OPEN_LIMIT,
                baseline_model=_usual(history.baseline[rows], history.baselines),
                fee_bps=_fee(history.fee_nano[rows], history.cost_nano[rows]),
            )
        )
    return tuple(made)


def tasks_of(history: History, outputs: dict[str, Spread]) -> tuple[TaskSpec, ...]:
    """Each task with the law of a turn's own words and of an answer of verbosity 1.

    Parameters
    ----------
    outputs
        By task.
    """
    firsts = _firsts(history.session)
    made = []
    for code, name in enumerate(history.tasks):
        own = history.prompt[firsts[history.task[firsts] == code]]
        if own.size == 0:
            own = history.prompt[history.task == code]
        law = spread_of(np.maximum(own - OVERHEAD_TOKENS, 1.0))
        assert law is not None, "every task of a history has a request"
        share = float(np.mean(history.task == code))
        made.append(TaskSpec(name=name, share=share, prompt=law, output=outputs[name]))
    return tuple(made)


def _firsts(session: Int) -> Int:
    """Row of each session's first request; sessions are numbered by first appearance."""
    _, rows = np.unique(session, return_index=True)
    return np.asarray(rows, np.int64)


def _shares(codes: Int, names: tuple[str, ...]) -> dict[str, float]:
    seen = np.bincount(codes, minlength=len(names))
    total = float(seen.sum())
    return {name: count / total for name, count in zip(names, seen.tolist(), strict=True) if count}


def _usual(codes: Int, names: tuple[str, ...]) -> str | None:
    known = codes[codes >= 0]
    return names[int(np.bincount(known).argmax())] if known.size else None


def _fee(fee_nano: Float, cost_nano: Float) -> int:
    cost = float(np.nansum(cost_nano))
    return round(float(np.nansum(fee_nano)) / cost * 10_000) if cost > 0 else 0
