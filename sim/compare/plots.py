"""The plots of a comparison, each with the words that say what it shows. It computes nothing new."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sim.compare.axes import WIDTH_IN, drawing, events, hours, legend, line, seeds
from sim.compare.comparison import Comparison
from sim.compare.curves import BINS, LATENCIES_MS, band_of, shares_over_time
from sim.compare.look import ARMS, INK, MUTED, PAPER, REST, RULE, Look, looks
from sim.compare.measures import COST, P50, P95, QUALITY, REGRET_TOTAL, SAVING
from sim.compare.numbers import interval, typeset, written
from sim.compare.setting import Setting
from sim.compare.svg import SETTINGS, standing

TOP_ARMS: Final = len(ARMS)


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes
    ----------
    name
        Of its file.
    title
        What it shows, in a few words.
    description
        What there is to be seen, for who cannot see it.
    caption
        How to read it.
    svg
        The text of its file.
    """

    name: str
    title: str
    description: str
    caption: str
    svg: str


def plots(result: Comparison, setting: Setting) -> Iterator[Plot]:
    """Every plot, in the order of the page."""
    look = looks(result.strategies, result.reference)
    with mpl.rc_context(SETTINGS):
        yield _regret(result, setting, look)
        yield _frontier(result, look)
        if len(result.strategies) > 1:
            yield _gap(result, setting, look)
        yield _costs(result, setting, look)
        yield _latency(result, look)
        yield _arms(result, setting)


def _regret(result: Comparison, setting: Setting, look: dict[str, Look]) -> Plot:
    drawn, axes = drawing(3.3)
    for name in result.strategies:
        band = band_of([curve.regret for curve in result.curves[name]])
        line(axes, result.clock.hours, band, look[name], name)
    axes.set_ylim(bottom=0.0)
    hours(axes, setting, result)
    legend(drawn, len(result.strategies))
    ends = "; ".join(f"{name} {_said(result, name, REGRET_TOTAL)}" for name in result.ranking.order)
    return Plot(
        "regret",
        "Regret over time, less is better",
        f"Regret summed over a run, mean over seeds, at its end: {ends}.",
        "Expected utility lost to the best arm, summed over the run. Lines are means over "
        f"{seeds(result)}, bands their 95 % intervals, point by point. {events(setting)}",
        standing(drawn),
    )


def _gap(result: Comparison, setting: Setting, look: dict[str, Look]) -> Plot:
    drawn, axes = drawing(3.3)
    reference = result.curves[result.reference]
    axes.axhline(0.0, color=look[result.reference].colour, linewidth=2.0)
    others = [name for name in result.strategies if name != result.reference]
    for name in others:
        pairs = zip(result.curves[name], reference, strict=True)
        line(axes, result.clock.hours, band_of([a.regret - b.regret for a, b in pairs]), look[name], name)
    hours(axes, setting, result)
    legend(drawn, len(others))
    return Plot(
        "regret-difference",
        f"Regret beyond that of {result.reference}, same seeds",
        f"The paired difference of summed regret to {result.reference} over time, for {', '.join(others)}.",
        f"Each seed's regret less that of {result.reference} on the same requests, then the mean and its "
        f"95 % interval over {seeds(result)}: narrower than the bands of either, since luck that both "
        f"share cancels. A line that rises is still losing.",
        standing(drawn),
    )


def _frontier(result: Comparison, look: dict[str, Look]) -> Plot:
    drawn, axes = drawing(3.3)
    at = {name: (result.figure(name, COST).at, result.figure(name, QUALITY).at) for name in result.strategies}
    front = _front({name: (cost.value, quality.value) for name, (cost, quality) in at.items()})
    axes.plot(
        [at[name][0].value for name in front], [at[name][1].value for name in front],
        color=RULE, linewidth=5.0, solid_capstyle="round", zorder=1,
    )  # fmt: skip
    for name, (cost, quality) in at.items():
        own = look[name]
        for low, high, x, y in (
            (cost.lower, cost.upper, None, quality.value),
            (quality.lower, quality.upper, cost.value, None),
        ):
            if isfinite(low) and isfinite(high):
                xs, ys = ((low, high), (y, y)) if x is None else ((x, x), (low, high))
                axes.plot(xs, ys, color=own.colour, linewidth=1.4, zorder=2)
        axes.plot(
            [cost.value], [quality.value], own.mark, color=own.colour, markersize=7.0,
            markeredgecolor=PAPER, markeredgewidth=0.8, label=name, zorder=3, linestyle="none",
        )  # fmt: skip
    axes.margins(x=0.12, y=0.14)
    axes.set_xlabel("USD for 1,000 requests")
    axes.set_ylabel("mean realised quality")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    legend(drawn, len(result.strategies))
    said = "; ".join(
        f"{name}: cost {_said(result, name, COST)}, quality {_said(result, name, QUALITY)}"
        for name in result.strategies
    )
    return Plot(
        "frontier",
        "Quality and cost: up and left is better",
        f"{said}. On the frontier: {', '.join(front)}.",
        f"Crosses are 95 % intervals over {seeds(result)}. The broad line joins what no other strategy "
        f"beats on both: {', '.join(front)}.",
        standing(drawn),
    )


def _front(at: dict[str, tuple[float, float]]) -> list[str]:
    """Those that no other is as good as in both and better in one, by cost."""
    kept = [
        name
        for name, (cost, quality) in at.items()
        if not any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in at.values())
    ]
    return sorted(kept, key=lambda name: at[name])


def _costs(result: Comparison, setting: Setting, look: dict[str, Look]) -> Plot:
    names = result.strategies
    drawn, axes = drawing(0.75 + 0.62 * len(names))
    for row, name in enumerate(names):
        cost, saving = result.figure(name, COST).at, result.figure(name, SAVING).at
        direct = cost.value / (1.0 - saving.value) if saving.value < 1.0 else cost.value
        axes.barh(row, direct, height=0.42, color=RULE, zorder=1)
        axes.barh(row, cost.value, height=0.42, color=look[name].colour, zorder=2)
        if isfinite(cost.lower):
            axes.plot([cost.lower, cost.upper], [row, row], color=INK, linewidth=1.2, zorder=3)
        label = f"saves {written(saving.value, 'share')} {interval(saving, 'share')}"
        axes.annotate(
            typeset(label), (0.0, row - 0.21), xytext=(1, 2), textcoords="offset points", ha="left",
            va="bottom", fontsize=8.0, color=INK, zorder=4,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.set_ylim(len(names) - 0.65, -0.62)
    axes.set_xlabel("USD for 1,000 requests")
    said = "; ".join(
        f"{name}: cost {_said(result, name, COST)}, saving {_said(result, name, SAVING)}" for name in names
    )
    return Plot(
        "cost",
        "Cost, and what was saved of the direct cost",
        f"{said}. The direct cost is that of the same exchanges at {setting.baseline}.",
        f"Coloured: what was billed. Pale: what the same exchanges would have cost at {setting.baseline}, "
        f"the baseline. Dark lines and brackets: 95 % intervals over {seeds(result)}.",
        standing(drawn),
    )


def _latency(result: Comparison, look: dict[str, Look]) -> Plot:
    drawn, axes = drawing(3.0)
    reach: list[float] = []
    for name in result.strategies:
        band = band_of([curve.answered_by for curve in result.curves[name]])
        line(axes, LATENCIES_MS / 1_000.0, band, look[name], name)
        reach += LATENCIES_MS[(band.mean > 0.002) & (band.mean < 0.998)].tolist()
    axes.set_xscale("log")
    if reach:
        axes.set_xlim(min(reach) / 1_150.0, max(reach) * 1.15 / 1_000.0)
    axes.set_ylim(0.0, 1.0)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
    axes.set_xlabel("seconds to the last byte (log scale)")
    legend(drawn, len(result.strategies))
    said = "; ".join(
        f"{name}: p50 {_said(result, name, P50)} ms, p95 {_said(result, name, P95)} ms"
        for name in result.strategies
    )
    return Plot(
        "latency",
        "Share of answers that took no longer",
        f"{said}.",
        "Up and left is faster. Failed attempts before an answer are in its time. Means and 95 % "
        f"intervals over {seeds(result)}.",
        standing(drawn),
    )


def _arms(result: Comparison, setting: Setting) -> Plot:
    names = result.strategies
    columns = 2 if len(names) > 1 else 1
    rows = -(-len(names) // columns)
    drawn = Drawing(figsize=(WIDTH_IN, 0.75 + 1.45 * rows), layout="constrained")
    panels = drawn.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    shares = {name: shares_over_time(result.curves[name]) for name in names}
    top = _top_arms(result)
    edges = (np.arange(BINS) + 0.5) * (result.clock.hours[-1] / BINS)
    palette = ARMS[: len(top)]
    for panel, name in zip(panels, names, strict=False):
        shown = [np.nan_to_num(shares[name].get(arm, np.zeros(BINS))) for arm in top]
        kept = np.isfinite(next(iter(shares[name].values()), np.zeros(BINS)))
        rest = np.where(kept, 1.0 - sum(shown, np.zeros(BINS)), 0.0)
        panel.stackplot(edges, *shown, rest, colors=[*palette, REST], linewidth=0.5, edgecolor=PAPER)
        panel.set_title(name)
        panel.set_xlim(edges[0], edges[-1])
        panel.set_ylim(0.0, 1.0)
        panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.0%}"))
        panel.yaxis.set_major_locator(MaxNLocator(2))
        panel.xaxis.set_major_locator(MaxNLocator(4))
        panel.grid(visible=False)
        for happening in setting.happenings:
            at = (happening.at_ms - setting.start_ms) / 3_600_000.0
            panel.axvline(at, color=PAPER, linewidth=1.0, linestyle=(0, (2, 1.5)))
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    drawn.supxlabel("hours since the start", fontsize=8.5, color=MUTED)
    handles = [mpl.patches.Patch(color=colour, label=arm) for colour, arm in zip(palette, top, strict=True)]
    handles.append(mpl.patches.Patch(color=REST, label="all others"))
    drawn.legend(
        handles=handles, loc="outside upper left", ncol=2, handlelength=1.0, columnspacing=1.2, fontsize=7.5
    )
    said = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{f.group} {written(f.at.value, 'share')}"
            for f in [f for f in result.figures if f.kind == "arm" and f.strategy == name][:3]
        )
        for name in names
    )
    return Plot(
        "arms",
        "Where requests went",
        f"The most chosen arms of each strategy: {said}.",
        f"Share of first choices by arm and time, {seeds(result)} together. Dashed: the events "
        f"below the first plot.",
        standing(drawn),
    )


def _top_arms(result: Comparison) -> list[str]:
    """The arms that are chosen most, over all strategies alike."""
    shares: dict[str, float] = {}
    for figure in result.figures:
        if figure.kind == "arm":
            shares[figure.group] = shares.get(figure.group, 0.0) + figure.at.value
    return sorted(shares, key=lambda arm: (-shares[arm], arm))[:TOP_ARMS]


def _said(result: Comparison, name: str, measure: Any) -> str:
    at = result.figure(name, measure).at
    return typeset(f"{written(at.value, measure.form)} {interval(at, measure.form)}")
