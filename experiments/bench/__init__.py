"""`p402 bench`: measure, print every figure beside its gate, and fail where one is missed.

Each bench is a module with `run() -> list[Figure]`, imported only when it is asked for. Figures of a
busy machine are figures of that machine: the yardstick says how fast plain Python was meanwhile.
"""

import argparse
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Final

from rich.console import Console
from rich.table import Table

from experiments.bench.figure import Figure

BENCHES: Final = (
    "affinity",
    "cache_guards",
    "decided",
    "decision",
    "exploration",
    "gateway",
    "holds",
    "observe",
    "replay",
    "tasks",
)


def main(argv: Sequence[str]) -> int:
    """Run the benches that `argv` names, all of them by default; 1 if a figure misses its gate."""
    parser = argparse.ArgumentParser(
        prog="p402 bench",
        description=f"Measure {', '.join(BENCHES[:-1])} and {BENCHES[-1]}.",
    )
    parser.add_argument("bench", nargs="*", help=f"one or more of {', '.join(BENCHES)} (default: all)")
    try:
        args = parser.parse_args(list(argv))
        if unknown := [name for name in args.bench if name not in BENCHES]:
            parser.error(f"unknown bench {unknown[0]!r}; expected one of {', '.join(BENCHES)}")
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    figures: list[Figure] = []
    for name in args.bench or BENCHES:
        before = yardstick_us()
        found: list[Figure] = import_module(f"experiments.bench.{name}").run()
        slow = max(before, yardstick_us())
        figures += [*found, Figure(f"yardstick around {name}: 100,000 additions in Python", slow, "us")]
    Console(highlight=False).print(table(figures))
    return 0 if all(figure.ok for figure in figures) else 1


def yardstick_us() -> float:
    """CPU microseconds of a fixed piece of plain Python, best of nine: some 1,000 on a quiet core."""
    best = float("inf")
    for _ in range(9):
        began = time.process_time()
        sum(range(100_000))
        best = min(best, time.process_time() - began)
    return best * 1e6


def table(figures: Sequence[Figure]) -> Table:
    """Every figure with its gate."""
    out = Table("figure", "unit", title="p402 bench")
    for column in ("measured", "gate"):
        out.add_column(column, justify="right")
    out.add_column("held")
    for figure in figures:
        gate = f"<= {figure.most:,g}" if figure.most is not None else ""
        gate += f">= {figure.least:,g}" if figure.least is not None else ""
        held = ("yes" if figure.ok else "NO") if gate else ""
        out.add_row(figure.name, figure.unit, f"{figure.value:,.3f}", gate, held)
    return out
