"""How many alarms a threshold on cost would have raised on a log, and which threshold that suggests.

Plays the settled calls of each tenant (or tenant and mode) through the guard's own law
(`p402.guard.anomaly`) in the order they came, every call judged by the calls before it.
It knows nothing of how the log came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from p402.guard.anomaly import LEAST_SD, CostHistory, observe, z_score
from p402.limits import ANOMALY_CALLS, ANOMALY_Z

THRESHOLDS: Final = (2.0, 2.5, 3.0, 3.5, 4.0)
HISTORIES: Final = (5, 10, 20, 30, 50, 100)


@dataclass(frozen=True, slots=True)
class Advice:
    """What the log suggests.

    Attributes
    ----------
    threshold, shortest
        The law's two settings; its defaults where `proven` is false.
    proven
        Whether the log is long enough to say that alarms stay within the budget.
    """

    threshold: float
    shortest: int
    proven: bool


def score(rounds: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Calls that cost something, in the order they came, with `z` and the length of their `history`.

    Parameters
    ----------
    rounds
        Columns `request_id` (which sorts by time), `cost_nano` and those of `by`.
    by
        Columns whose values have a history each.

    Returns
    -------
    DataFrame
        `rounds` with `z` (null where the past says nothing) and `history`.
    """
    calls = rounds.filter(pl.col("cost_nano") > 0).sort("request_id")
    histories: dict[tuple[object, ...], CostHistory] = {}
    scores: list[float | None] = []
    lengths: list[int] = []
    for key, cost in zip(calls.select(by).iter_rows(), calls["cost_nano"].to_list(), strict=True):
        history = histories.get(key, CostHistory())
        scores.append(z_score(history, cost, shortest=2))
        lengths.append(history.count)
        histories[key] = observe(history, cost)
    return calls.with_columns(
        z=pl.Series(scores, dtype=pl.Float64), history=pl.Series(lengths, dtype=pl.Int64)
    )


def moments(rounds: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Spread of each group's ln(cost): calls, geometric mean in USD, sd, skewness of cost and of its log."""
    value = pl.col("cost_nano").log()
    return (
        rounds.filter(pl.col("cost_nano") > 0)
        .group_by(by)
        .agg(
            calls=pl.len(),
            typical_usd=value.mean().exp() / 1e9,
            sd_ln=value.std(),
            skew_cost=pl.col("cost_nano").skew(),
            skew_ln=value.skew(),
        )
        .sort(by)
    )


def alarms(
    scored: pl.DataFrame, thresholds: Sequence[float] = THRESHOLDS, histories: Sequence[int] = HISTORIES
) -> pl.DataFrame:
    """Alarms per 1,000 judged calls for every threshold and shortest history.

    Returns
    -------
    DataFrame
        `threshold`, `shortest`, `judged`, `alarms`, `per_1000`, and `upper_per_1000`: the upper end of
        a two-sided 95 % Wilson interval, calls taken as independent.
    """
    rows = []
    for shortest in histories:
        judged = scored.filter((pl.col("history") >= shortest) & pl.col("z").is_not_null())["z"]
        for threshold in thresholds:
            raised, n = int((judged >= threshold).sum()), len(judged)
            rows.append(
                {
                    "threshold": threshold,
                    "shortest": shortest,
                    "judged": n,
                    "alarms": raised,
                    "per_1000": 1000 * raised / n if n else None,
                    "upper_per_1000": 1000 * wilson_upper(raised, n),
                }
            )
    return pl.DataFrame(rows)


def alarms_after(
    rounds: pl.DataFrame,
    by: Sequence[str],
    chance: np.random.Generator,
    thresholds: Sequence[float] = THRESHOLDS,
    histories: Sequence[int] = HISTORIES,
    draws: int = 4_000,
) -> pl.DataFrame:
    """Alarms per 1,000 calls that come after exactly so many others, if nothing changes.

    A short history misjudges its own spread, which a log of few tenants shows too seldom to count. So
    pasts are drawn: for each group, `draws` times, a history of that length and one more call, all
    with replacement from its calls. Groups weigh as their number of calls.

    Returns
    -------
    DataFrame
        `threshold`, `shortest` (the length) and `per_1000`.
    """
    groups = [
        np.log(group["cost_nano"].to_numpy())
        for group in rounds.filter(pl.col("cost_nano") > 0).partition_by(by, maintain_order=True)
    ]
    rows = []
    for history in histories:
        rates = np.array([_rates(values, history, thresholds, chance, draws) for values in groups])
        mean = np.average(rates, axis=0, weights=[len(values) for values in groups])
        rows += [
            {"threshold": threshold, "shortest": history, "per_1000": 1000 * float(rate)}
            for threshold, rate in zip(thresholds, mean, strict=True)
        ]
    return pl.DataFrame(rows)


def _rates(
    values: NDArray[np.float64],
    history: int,
    thresholds: Sequence[float],
    chance: np.random.Generator,
    draws: int,
) -> list[float]:
    drawn = values[chance.integers(0, len(values), size=(draws, history + 1))]
    past, call = drawn[:, :-1], drawn[:, -1]
    sd = past.std(axis=1, ddof=1)
    judged = sd >= LEAST_SD
    z = (call[judged] - past[judged].mean(axis=1)) / sd[judged]
    return [float(np.mean(z >= threshold)) if len(z) else 0.0 for threshold in thresholds]


def advise(replayed: pl.DataFrame, after: pl.DataFrame, budget_per_1000: float) -> Advice:
    """Smallest threshold, then shortest history, that keeps alarms within a budget.

    A small threshold sees small jumps in cost, a short history sees them early; both raise more
    alarms. Two things are asked of a pair: the log as it came stays within the budget even at the upper
    bound, so that a short log proves nothing; and so do the first calls that are judged.

    Parameters
    ----------
    replayed, after
        From `alarms` and `alarms_after`, over the same thresholds and histories.
    budget_per_1000
        Alarms per 1,000 calls that someone is willing to look at.
    """
    both = replayed.join(after, on=["threshold", "shortest"], suffix="_after")
    within = (pl.col("upper_per_1000") <= budget_per_1000) & (pl.col("per_1000_after") <= budget_per_1000)
    fitting = both.filter(within).sort("threshold", "shortest")
    if fitting.is_empty():
        return Advice(ANOMALY_Z, ANOMALY_CALLS, proven=False)
    first = fitting.row(0, named=True)
    return Advice(first["threshold"], first["shortest"], proven=True)


def jump(sd_ln: float, threshold: float) -> float:
    """How many times its geometric mean a call must cost to raise an alarm."""
    return exp(threshold * sd_ln)


def wilson_upper(hits: int, n: int, alpha: float = 0.05) -> float:
    """Upper bound of a rate; 1 where nothing was seen.

    Source: Wilson, Journal of the American Statistical Association 22(158), 1927.
    """
    if n == 0:
        return 1.0
    z = NormalDist().inv_cdf(1 - alpha / 2)
    rate, square = hits / n, z * z / n
    return (rate + square / 2 + z * sqrt(rate * (1 - rate) / n + square / (4 * n))) / (1 + square)
