"""Pieces of the page: a table that scrolls by itself, its cells, a dot with its interval."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import isfinite

from sim.compare.comparison import Comparison, Difference
from sim.compare.look import NAMES, looks
from sim.compare.measures import Form, Measure
from sim.compare.numbers import interval, p_value, typeset, written
from sim.compare.paired import ALPHA, Bounded


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], keys: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A table; cells are HTML, the caption and headings are text, an empty heading is a corner.

    `keys` has the HTML that goes before a heading.
    """
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption[:80])}">'
    yield f"<table><caption><span>{typeset(escape(caption))}</span></caption><thead><tr>"
    for name in head:
        yield f'<th scope="col">{(keys or {}).get(name, "")}{escape(name)}</th>' if name else "<td></td>"
    yield "</tr></thead><tbody>"
    yield from (f"<tr>{''.join(cells)}</tr>" for cells in rows)
    yield "</tbody></table></div>"


def text(content: str) -> str:
    """A cell of plain text."""
    return f"<td>{typeset(escape(content))}</td>"


def heading(content: str) -> str:
    """The heading of a row."""
    return f'<th scope="row">{escape(content)}</th>'


def measure_heading(measure: Measure) -> str:
    """The heading of a measure's row."""
    return f'<th scope="row">{escape(measure.label)}<small>{measure.better} is better</small></th>'


def strategy_heading(result: Comparison, name: str) -> str:
    """The heading of a strategy's row, with its colour."""
    return f'<th scope="row">{keys_of(result)[name]}{escape(name)}</th>'


def keys_of(result: Comparison) -> dict[str, str]:
    """The colour of each strategy as a dot, for the eye alone."""
    return {
        name: f'<span class="key" style="background: var(--{NAMES[look.colour]})" aria-hidden="true"></span>'
        for name, look in looks(result.strategies, result.reference).items()
    }


def figure(at: Bounded, form: Form) -> str:
    """A number above its interval."""
    return f"<td>{typeset(written(at.value, form))}<small>{typeset(interval(at, form))}</small></td>"


def difference(gap: Difference) -> str:
    """A difference with both intervals and Holm's p; bold where that is small."""
    form = gap.measure.form
    below = [] if gap.within is None else [f"within {interval(gap.within, form, signed=True)}"]
    below.append(f"p {p_value(gap.p_holm)}")
    bounds = typeset(interval(gap.over_seeds, form, signed=True))
    return (
        f"<td{_sure(gap)}>{typeset(written(gap.over_seeds.value, form, signed=True))} <span>{bounds}</span>"
        f"<small>{typeset(escape('; '.join(below)))}</small></td>"
    )


def brief(gap: Difference) -> str:
    """A difference above its interval over seeds; bold where Holm's p is small."""
    form = gap.measure.form
    bounds = typeset(interval(gap.over_seeds, form, signed=True))
    number = typeset(written(gap.over_seeds.value, form, signed=True))
    return f"<td{_sure(gap)}>{number}<small>{bounds}</small></td>"


def whisker(at: Bounded, low: float, high: float, colour: str) -> str:
    """A dot, its interval and the line of 0 between two ends; the numbers stand beside it for who listens."""
    width, height, edge = 176.0, 22.0, 8.0
    scale = (width - 2 * edge) / ((high - low) or 1.0)
    zero, dot = (edge + scale * (x - low) for x in (0.0, at.value))
    parts = [f'<path d="M{zero:.1f} 1V{height - 1:.0f}" stroke="var(--muted)" stroke-dasharray="2 2"/>']
    if isfinite(at.lower) and isfinite(at.upper):
        left, right = (edge + scale * (x - low) for x in (at.lower, at.upper))
        parts.append(
            f'<path d="M{left:.1f} {height / 2:.0f}H{right:.1f}M{left:.1f} 7v8M{right:.1f} 7v8" fill="none" '
            f'stroke="var(--{colour})" stroke-width="2"/>'
        )
    parts.append(f'<circle cx="{dot:.1f}" cy="{height / 2:.0f}" r="4" fill="var(--{colour})"/>')
    drawn = "".join(parts)
    return f'<td><svg viewBox="0 0 {width:.0f} {height:.0f}" aria-hidden="true">{drawn}</svg></td>'


def count(number: int, one: str, many: str) -> str:
    """`1 seed`, `10 seeds`."""
    return f"{number:,} {one if number == 1 else many}"


def _sure(gap: Difference) -> str:
    return ' class="sure"' if gap.p_holm < ALPHA else ""
