"""What plots of a comparison have in common: their size, a curve with its band, hours and what happened."""

from typing import Any, Final

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from sim.compare.comparison import Comparison
from sim.compare.curves import Band
from sim.compare.look import MUTED, Look
from sim.compare.setting import Setting

WIDTH_IN: Final = 4.9
"""Narrow enough that its text can be read on a phone, 1 to 1."""


def drawing(height_in: float) -> tuple[Drawing, Any]:
    """A figure of one plot, and the plot."""
    drawn = Drawing(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = drawn.subplots()
    axes.tick_params(length=0)
    return drawn, axes


def line(axes: Any, x: Any, band: Band, look: Look, name: str) -> None:
    """A strategy's curve with its band."""
    axes.fill_between(x, band.lower, band.upper, color=look.colour, alpha=0.16, linewidth=0)
    axes.plot(x, band.mean, color=look.colour, linestyle=look.dash, linewidth=look.width, label=name)


def hours(axes: Any, setting: Setting, result: Comparison) -> None:
    """An axis of hours since the start, with numbered marks at what happened."""
    axes.set_xlim(0.0, result.clock.hours[-1])
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 3, 4, 6, 10]))
    axes.set_xlabel("hours since the start")
    for at, numbers in _marks(setting, result.clock.hours[-1] / 60.0):
        axes.axvline(at, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            numbers, (at, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 1), color=MUTED,
            textcoords="offset points", ha="center", va="bottom", fontsize=7.5, annotation_clip=False,
        )  # fmt: skip


def _marks(setting: Setting, apart_h: float) -> list[tuple[float, str]]:
    """Hours and numbers of events; those closer together than can be read share a mark."""
    marks: list[tuple[float, str]] = []
    for number, happening in enumerate(setting.happenings, start=1):
        at = (happening.at_ms - setting.start_ms) / 3_600_000.0
        if marks and at - marks[-1][0] < apart_h:
            marks[-1] = marks[-1][0], f"{marks[-1][1]}, {number}"
        else:
            marks.append((at, str(number)))
    return marks


def legend(drawn: Drawing, entries: int) -> None:
    """All entries above the plot."""
    drawn.legend(
        loc="outside upper left", ncol=min(4, entries), handlelength=2.2, columnspacing=1.2, borderaxespad=0.2
    )


def seeds(result: Comparison) -> str:
    """`1 seed`, `10 seeds`."""
    return f"{len(result.seeds)} seeds" if len(result.seeds) > 1 else "1 seed"


def events(setting: Setting) -> str:
    """What the numbered marks stand for."""
    if not setting.happenings:
        return "Nothing changes in this world."
    return (
        "Dashed: "
        + "; ".join(
            f"({number}) {(h.at_ms - setting.start_ms) / 3_600_000.0:g} h, {h.what}"
            for number, h in enumerate(setting.happenings, start=1)
        )
        + "."
    )
