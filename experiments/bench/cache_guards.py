"""What the semantic cache's lexical guards refuse and let pass, set by set, and what a pair costs.

Made pairs are always judged, real ones where `P402_TABLES` names the folder of `paraphrase_pairs.parquet`.
The real sets are development sets: the word lists were written with them in sight.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from experiments.bench.figure import Figure
from experiments.bench.fresh_pairs import FAMILIES as FRESH
from experiments.bench.fresh_pairs import THIRD
from experiments.bench.held_out import equivalents as held_equivalents
from experiments.bench.held_out import near_misses as held_near_misses
from experiments.bench.prompt_pairs import equivalents, near_misses
from experiments.bench.reviewed_pairs import FAMILIES as REVIEWED
from p402.cache.guards import disagreement, is_time_sensitive, read

TABLE: Final = "paraphrase_pairs.parquet"

SHORT: Final = 200
"""Pairs of some thirty words that are timed."""

_LONG: Final = (
    "I am building a small web shop and need to know how I can validate the email address that a customer "
    "enters in checkout form {} before it is sent"
)


def run() -> list[Figure]:
    """Measure in some ten seconds."""
    figures = [
        *_judged(
            "made", [(p.asked, p.kept) for p in near_misses()], [(p.asked, p.kept) for p in equivalents()]
        ),
        *_judged("held out", held_near_misses(), held_equivalents()),
        *(_refused(f"reviewed, {family}", pairs) for family, pairs in REVIEWED.items()),
        *(_refused(f"written after, {family}", pairs) for family, pairs in FRESH.items()),
        _refused("written after, thrice", THIRD),
    ]
    for name, near, equal in _real():
        figures += _judged(name, near, equal)
    return [*figures, *_timed()]


def _judged(name: str, near: Sequence[tuple[str, str]], equal: Sequence[tuple[str, str]]) -> list[Figure]:
    refused = sum(disagreement(*pair) is not None for pair in near)
    passed = sum(disagreement(*pair) is None for pair in equal)
    gated = name == "made"
    return [
        Figure(f"{name}: pairs", len(near) + len(equal), "pairs"),
        Figure(f"{name}: near misses refused", refused / len(near), "share", least=1.0 if gated else None),
        Figure(f"{name}: equivalents passed", passed / len(equal), "share", least=0.4 if gated else None),
    ]


def _refused(name: str, near: Sequence[tuple[str, str]]) -> Figure:
    """Of near misses without equivalents."""
    refused = sum(disagreement(*pair) is not None for pair in near)
    return Figure(f"{name}: near misses refused", refused / len(near), "share", least=1.0)


def _real() -> list[tuple[str, list[tuple[str, str]], list[tuple[str, str]]]]:
    """Every source of the table: its name, near misses, equivalents; none where there is no table."""
    folder = os.environ.get("P402_TABLES")
    path = Path(folder or ".") / TABLE
    if not folder or not path.exists():
        sys.stderr.write(
            f"cache_guards: no {TABLE} there, real pairs skipped; set P402_TABLES to its folder\n"
        )
        return []
    import polars as pl  # noqa: PLC0415 - only where there is a table

    found: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]] = {}
    for row in pl.read_parquet(path).iter_rows(named=True):
        sides = found.setdefault(row["source"], ([], []))
        sides[int(row["same_answer"])].append((row["prompt_a"], row["prompt_b"]))
    return [(name, near, equal) for name, (near, equal) in found.items() if near and equal]


def _timed() -> list[Figure]:
    pairs = [(_LONG.format(n), _LONG.format(n + 1)) for n in range(SHORT)]
    read.cache_clear()
    began = time.thread_time_ns()
    for asked, kept in pairs:
        disagreement(asked, kept)
    cold = time.thread_time_ns() - began
    began = time.thread_time_ns()
    for asked, kept in pairs:
        disagreement(asked, kept)
    warm = time.thread_time_ns() - began
    began = time.thread_time_ns()
    for asked, _ in pairs:
        is_time_sensitive(asked)
    timely = time.thread_time_ns() - began
    return [
        Figure("a pair of 30 words, one of them read before, mean", cold / SHORT / 1e3, "us", most=300.0),
        Figure("both read before, the guard named", warm / SHORT / 1e3, "us"),
        Figure("whether a prompt is time-bound", timely / SHORT / 1e3, "us"),
    ]
