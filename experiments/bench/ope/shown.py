"""The bench's tables, for people; the same figures go into the JSON document."""

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
from rich.table import Table

from experiments.bench.ope.coverage import CUTS, TARGET, Share, cells, shares, wilson

LEAST: Final = 200
"""Believed intervals that a cell must have to be named among the worst."""

PAIRS: Final = (
    ("estimator", "rounds"),
    ("behaviour", "rounds"),
    ("behaviour", "target"),
    ("table", "feedback", "sessions", "rounds"),
)


def coverage_rows(frame: pl.DataFrame) -> list[Share]:
    """Everything, then by each column."""
    return list(shares(frame, CUTS))


def worst_rows(frame: pl.DataFrame) -> list[Share]:
    """The three worst cells of each pairing."""
    return [found for by in PAIRS for found in cells(frame, by, LEAST)[:3]]


def coverage_table(title: str, rows: Sequence[Share]) -> Table:
    """Shares as a table."""
    table = Table("cut", "of", title=title)
    for name in (
        "logs",
        "intervals",
        "warned",
        "believed",
        "hold rounds'",
        "hold table's",
        "95 % of that",
        "warned hold",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        known = row.believed > 0
        table.add_row(
            row.cut,
            row.name,
            f"{row.logs:,}",
            f"{row.intervals:,}",
            f"{row.warned:.1%}",
            f"{row.believed:,}",
            f"{row.on_rounds:.1%}" if known else "",
            f"{row.on_table:.1%}{' !' if row.high < TARGET else ''}" if known else "",
            f"{row.low:.1%} to {row.high:.1%}" if known else "",
            f"{row.warned_on_table:.1%}" if row.warned > 0.0 else "",
        )
    return table


def codes_of(frame: pl.DataFrame) -> list[tuple[str, int, float]]:
    """Warnings: how many intervals each code stood beside, and what share of those held the truth."""
    split = (
        frame.filter(~pl.col("believed")).with_columns(code=pl.col("warned").str.split("+")).explode("code")
    )
    rows = split.group_by("code").agg(pl.len().alias("n"), pl.col("on_table").mean().alias("held"))
    return [(str(code), int(n), float(held)) for code, n, held in rows.sort("n", descending=True).iter_rows()]


def codes_table(frame: pl.DataFrame) -> Table:
    """Warnings as a table."""
    table = Table(
        "warning", title="what was warned of, and how often such an interval held the truth all the same"
    )
    table.add_column("intervals", justify="right")
    table.add_column("held", justify="right")
    for code, n, held in codes_of(frame):
        table.add_row(code, f"{n:,}", f"{held:.1%}")
    return table


def unbiased_rows(frame: pl.DataFrame) -> Iterator[dict[str, object]]:
    """IPS of the behaviour itself: its mean error over logs, in standard errors of that mean, by setting."""
    own = frame.filter((pl.col("target") == "logged") & (pl.col("estimator") == "ips"))
    for names, part in own.group_by("table", "behaviour", "feedback", maintain_order=True):
        errors = part["error"].to_numpy()
        n = len(errors)
        if n < 2:
            continue
        spread = float(errors.std(ddof=1)) / n**0.5
        z = float(errors.mean()) / spread if spread > 0.0 else 0.0
        keys = dict(zip(("table", "behaviour", "feedback"), names, strict=True))
        yield {**keys, "logs": n, "mean_error": float(errors.mean()), "stderr": spread, "z": z}


def unbiased_table(rows: Sequence[dict[str, object]]) -> Table:
    """The on-policy check as a table."""
    table = Table(
        "table", "behaviour", "feedback", title="IPS of the behaviour over logs: mean error against the truth"
    )
    for name in ("logs", "mean error", "z"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["table"]), str(row["behaviour"]), str(row["feedback"]), str(row["logs"]),
            f"{row['mean_error']:+.5f}", f"{row['z']:+.2f}",
        )  # fmt: skip
    return table


def promotion_rows(frame: pl.DataFrame) -> list[dict[str, object]]:
    """Promotions by candidate and size of the log, with Wilson's interval of the nominal rate."""
    found = []
    for (candidate, rounds), part in frame.group_by("candidate", "rounds", maintain_order=True):
        n = len(part)
        rate = float(part["promoted"].cast(pl.Float64).sum()) / n
        low, high = wilson(rate, n)
        believed = part.filter("believed")
        found.append(
            {
                "candidate": candidate,
                "rounds": rounds,
                "looks": n,
                "bound": float(part["bound"].cast(pl.Float64).sum()) / n,
                "promoted": rate,
                "low": low,
                "high": high,
                "promoted_first": float(part["promoted_first"].cast(pl.Float64).sum()) / n,
                "believed": len(believed),
                "held": float(believed["held"].cast(pl.Float64).sum()) / max(len(believed), 1),
            }
        )
    return found


def promotion_table(rows: Sequence[dict[str, object]]) -> Table:
    """The gate's errors as a table."""
    table = Table(
        "candidate's true gain", title="the gate on candidates of known gain, one look, one-sided 5 %"
    )
    for name in (
        "rounds",
        "looks",
        "bound alone",
        "promoted",
        "95 % of that",
        "at the first look",
        "believed",
        "hold the gain",
    ):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["candidate"]), f"{row['rounds']:,}", f"{row['looks']:,}", f"{row['bound']:.1%}",
            f"{row['promoted']:.1%}", f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['promoted_first']:.1%}", f"{row['believed']:,}",
            f"{row['held']:.1%}" if row["believed"] else "",
        )  # fmt: skip
    return table
