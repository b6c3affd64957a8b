"""How often intervals held the truth, by any cut of the trials, with a binomial interval on the share.

Targets and estimators on one log share its chance, so a log is the unit: the interval is Wilson's for as
many independent draws as the spread over logs shows there to be.

Source: Wilson, JASA 22, 1927; Korn and Graubard, Survey Methodology 24, 1998 (effective sample size).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import PurePath
from typing import Final

import polars as pl

from experiments.bench.ope.spread import Done

Z: Final = 1.959963984540054
TARGET: Final = 0.93
"""Least share of unwarned intervals that must hold the truth."""


@dataclass(frozen=True, slots=True)
class Share:
    """Intervals of one cut.

    Attributes
    ----------
    intervals, believed
        How many in all, and printed without a warning.
    warned
        Share that was warned about or refused.
    on_rounds, on_table
        Shares of the believed that hold the value on the rounds, and over the table; nan of none.
    low, high
        95 % interval of `on_table`.
    warned_on_table
        What the warned ones would have held.
    """

    cut: str
    name: str
    logs: int
    intervals: int
    believed: int
    warned: float
    on_rounds: float
    on_table: float
    low: float
    high: float
    warned_on_table: float


def frame_of(done: Sequence[Done]) -> pl.DataFrame:
    """One row for each interval."""
    rows: dict[str, list[object]] = {name: [] for name in _COLUMNS}
    log = 0
    for batch in done:
        setting = batch.task.setting
        for found in batch.found:
            for one in found:
                values = (
                    log,
                    PurePath(setting.table).stem,
                    setting.behaviour.name,
                    setting.rounds,
                    setting.feedback,
                    "sessions" if setting.longest > 1 else "single",
                    *one,
                )
                for name, value in zip(_COLUMNS, values, strict=True):
                    rows[name].append(value)
            log += 1
    return pl.DataFrame(rows).with_columns(believed=pl.col("warned") == "")


_COLUMNS: Final = (
    "log", "table", "behaviour", "rounds", "feedback", "sessions", "target", "estimator", "warned", "error",
    "stderr", "on_rounds", "on_table", "below",
)  # fmt: skip


CUTS: Final = ("estimator", "table", "behaviour", "rounds", "feedback", "sessions", "target")


def shares(frame: pl.DataFrame, cuts: Sequence[str] = CUTS) -> Iterator[Share]:
    """Shares over everything, then by each column of `cuts`."""
    yield share(frame, "all", "all")
    for cut in cuts:
        for (name,), part in frame.group_by(cut, maintain_order=True):
            yield share(part, cut, str(name))


def share(frame: pl.DataFrame, cut: str, name: str) -> Share:
    """The share of one cut."""
    believed = frame.filter("believed")
    doubted = frame.filter(~pl.col("believed"))
    low, high = interval(believed)
    return Share(
        cut=cut,
        name=name,
        logs=frame["log"].n_unique(),
        intervals=len(frame),
        believed=len(believed),
        warned=1.0 - len(believed) / len(frame),
        on_rounds=_mean(believed, "on_rounds"),
        on_table=_mean(believed, "on_table"),
        low=low,
        high=high,
        warned_on_table=_mean(doubted, "on_table"),
    )


def cells(frame: pl.DataFrame, by: Sequence[str], least: int) -> list[Share]:
    """Every cell of several columns with at least so many believed intervals, the worst first."""
    found = []
    for names, part in frame.group_by(by, maintain_order=True):
        made = share(part, " x ".join(by), ", ".join(map(str, names)))
        if made.believed >= least:
            found.append(made)
    return sorted(found, key=lambda one: one.on_table)


def interval(believed: pl.DataFrame, column: str = "on_table") -> tuple[float, float]:
    """Wilson's 95 % interval of a share of rows, for as many draws as logs are worth."""
    if believed.is_empty():
        return 0.0, 1.0
    n, p = len(believed), _mean(believed, column)
    by_log = believed.group_by("log").agg(pl.len().alias("n"), pl.col(column).sum().alias("held"))
    logs = len(by_log)
    draws = float(logs)  # all right or all wrong: a log counts once
    if 0.0 < p < 1.0 and logs > 1:
        off = (by_log["held"] - p * by_log["n"]).to_numpy()
        variance = float((off * off).sum()) * logs / (logs - 1) / n**2
        draws = min(float(n), p * (1.0 - p) / variance) if variance > 0.0 else float(n)
    return wilson(p, draws)


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's interval of a share p of n draws."""
    centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    reach = Z / (1 + Z * Z / n) * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _mean(frame: pl.DataFrame, column: str) -> float:
    value = frame[column].cast(pl.Float64).mean() if len(frame) else None
    return float("nan") if not isinstance(value, float) else value
