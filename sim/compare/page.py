"""The report: one page that stands alone, with no script, nothing to fetch, and the plots within it.

Who opens it should know within a minute what was compared, who won and how sure that is; that all of it is
simulated is the first thing said. Every number has its interval and its n. It computes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from math import isfinite
from typing import Final

from sim.compare.comparison import Comparison, Difference
from sim.compare.look import NAMES, looks
from sim.compare.measures import BY_GROUP, COMPARED, COST_TOTAL, P95, QUALITY, REGRET, REGRET_TOTAL, SAVING, Measure
from sim.compare.numbers import UNKNOWN, interval, p_value, typeset, written
from sim.compare.paired import ALPHA, Bounded
from sim.compare.plots import Plot
from sim.compare.ranking import Step
from sim.compare.setting import Setting
from sim.compare.style import STYLE
from sim.compare.svg import lying

MOST_GROUPS: Final = 20
"""Tasks or tenants in a table; the files have all of them."""


def page(
    result: Comparison, setting: Setting, plots: Sequence[Plot], doubts: Sequence[str], command: str
) -> str:
    """The whole page as text.

    Parameters
    ----------
    command
        The command line that makes the page again.
    """
    title = f"Routing strategies compared: {setting.name}"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} (simulated)</title>",
            f"<style>\n{STYLE}</style>",
            "</head>",
            "<body>",
            *_header(result, setting, title),
            "<main>",
            *_verdict(result, setting),
            *_doubts(doubts),
            *_plots(plots),
            "<h2>What each strategy came to</h2>",
            *_figures(result),
            *_paired(result),
            *_groups(result, "task"),
            *_groups(result, "tenant"),
            *_reading(result, setting),
            "</main>",
            *_footer(result, setting, command),
            "</body>",
            "</html>",
            "",
        ]
    )


def _header(result: Comparison, setting: Setting, title: str) -> Iterator[str]:
    yield "<header>"
    yield '<p class="badge">Simulated: no request, price or answer here is real</p>'
    yield f"<h1>{escape(title)}</h1>"
    each = result.requests // len(result.seeds)
    yield (
        f"<p>{_count(len(result.strategies), 'strategy', 'strategies')} routed the same "
        f"{each:,} requests to {_count(setting.arms, 'arm', 'arms')} of "
        f"{_count(setting.providers, 'provider', 'providers')}, "
        f"{_count(len(result.seeds), 'time', 'times')} over, each time with other chance, through the "
        f"gateway’s own code on virtual time. {escape(setting.about)}</p>"
    )
    yield "</header>"


def _verdict(result: Comparison, setting: Setting) -> Iterator[str]:
    ranking = result.ranking
    order = escape(ranking.order[0])
    for step in ranking.steps:
        sign = "&lt;" if step.shown else ","
        order = f'{order} <span><span class="than">{sign}</span> {escape(step.better)}</span>'
    yield f'<section class="verdict{"" if ranking.all_shown else " open"}" aria-label="Result">'
    yield f'<p class="order">{order}</p>'
    yield f"<p>{escape(_sentence(result))}</p>"
    yield "</section>"
    yield from _tiles(result, setting)


def _sentence(result: Comparison) -> str:
    ranking, seeds = result.ranking, len(result.seeds)
    if not ranking.steps:
        return "One strategy alone: there is nothing to compare it with."
    if ranking.all_shown:
        return (
            f"a < b: b loses less utility to the best possible choice than a. Every step holds: its paired 95 % "
            f"interval over {seeds} seeds excludes 0."
        )
    apart = [step for step in ranking.steps if not step.shown]
    named = "; ".join(f"{step.worse} and {step.better} ({_gap(step)})" for step in apart)
    return (
        f"a < b: b loses less utility to the best possible choice than a, and the paired 95 % interval over "
        f"{_count(seeds, 'seed', 'seeds')} excludes 0. A comma: these seeds do not tell the two apart: {named}."
    )


def _gap(step: Step) -> str:
    return typeset(
        f"regret {written(step.gap.value, 'count', signed=True)} {interval(step.gap, 'count', signed=True)}"
    )


def _tiles(result: Comparison, setting: Setting) -> Iterator[str]:
    ours, n = result.reference, f"n = {len(result.seeds)} seeds"
    tiles: list[tuple[str, str, str]] = []
    baseline = result.strategies[0]
    if baseline != ours:
        less = result.less[baseline]
        more = "less" if less.value >= 0.0 else "more"
        shown = less if less.value >= 0.0 else less.negated
        label = f"regret of {ours} beside that of {baseline}"
        tiles.append((label, f"{written(shown.value, 'share')} {more}", interval(shown, "share")))
    for measure, label in (
        (SAVING, f"saved by {ours}, of the cost at {setting.baseline}"),
        (QUALITY, f"mean quality under {ours}"),
        (P95, f"p95 latency under {ours}, ms"),
    ):
        at = result.figure(ours, measure).at
        tiles.append((label, written(at.value, measure.form), interval(at, measure.form)))
    yield '<dl class="tiles">'
    for label, big, by in tiles:
        yield (
            f'<div><dt>{escape(label)}</dt><dd class="big">{typeset(escape(big))}</dd>'
            f'<dd class="by">{typeset(escape(by))}, {n}</dd></div>'
        )
    yield "</dl>"


def _doubts(doubts: Sequence[str]) -> Iterator[str]:
    if doubts:
        yield '<section class="doubts" aria-label="Doubts"><strong>What speaks against believing it</strong><ul>'
        yield from (f"<li>{escape(doubt)}</li>" for doubt in doubts)
        yield "</ul></section>"


def _plots(plots: Sequence[Plot]) -> Iterator[str]:
    yield '<div class="plots">'
    for plot in plots:
        yield f"<figure><h3>{escape(plot.title)}</h3>"
        yield lying(plot.svg, plot.name, plot.title, plot.description)
        yield f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    yield "</div>"


def _figures(result: Comparison) -> Iterator[str]:
    order = tuple(reversed(result.ranking.order))
    yield from _table(
        f"Mean over {_count(len(result.seeds), 'seed', 'seeds')} of each run’s figure, with its 95 % interval "
        f"(Student’s over seeds); {result.requests:,} requests in all for each strategy. Best first by regret.",
        ("", *order),
        (
            (_measure(measure), *(_cell(result.figure(name, measure).at, measure) for name in order))
            for measure in (REGRET_TOTAL, *COMPARED, COST_TOTAL)
        ),
        _keys(result),
    )


def _paired(result: Comparison) -> Iterator[str]:
    others = [name for name in reversed(result.ranking.order) if name != result.reference]
    if not others:
        return
    ours = result.reference
    yield f"<h2>Differences to {escape(ours)}, request by request</h2>"
    yield from _forest(result, others)
    yield (
        f"<p>Below, a number is the strategy’s less that of {escape(ours)} on the same requests. The first interval "
        f"is over seeds and speaks about another run; the second is within these runs, clustered by session, and takes "
        f"as given what each strategy happened to learn. Bold: the p-value stays below {ALPHA:g} after Holm’s "
        f"adjustment over the table’s {result.difference(others[0], REGRET).tests} differences.</p>"
    )
    yield from _table(
        f"Paired differences to {ours}, over {_count(len(result.seeds), 'seed', 'seeds')} and "
        f"{result.requests:,} requests: mean, interval over seeds; interval within runs; Holm’s p.",
        ("", *others),
        (
            (_measure(measure), *(_difference(result.difference(name, measure)) for name in others))
            for measure in COMPARED
        ),
        _keys(result),
    )


def _measure(measure: Measure) -> str:
    return f'<th scope="row">{escape(measure.label)}<small>{measure.better} is better</small></th>'


def _forest(result: Comparison, others: Sequence[str]) -> Iterator[str]:
    """Regret beyond the reference's as dots and bars on one scale."""
    gaps = {name: result.difference(name, REGRET) for name in others}
    bounds = [b for d in gaps.values() for b in (d.over_seeds.lower, d.over_seeds.upper) if isfinite(b)]
    if not bounds:
        return
    low, high = min(0.0, *bounds), max(0.0, *bounds)
    colours = {name: NAMES[look.colour] for name, look in looks(result.strategies, result.reference).items()}
    yield from _table(
        f"Regret beyond that of {result.reference}, for each 1,000 requests; right of the line is worse. Paired over "
        f"{_count(len(result.seeds), 'seed', 'seeds')}.",
        ("strategy", "on one scale", "difference", "95 % interval", "p", "p, Holm"),
        (
            (
                _strategy(result, name),
                f"<td>{_whisker(gap.over_seeds, low, high, colours[name])}</td>",
                f"<td>{_signed(gap.over_seeds.value, REGRET)}</td>",
                f"<td>{typeset(interval(gap.over_seeds, 'count', signed=True))}</td>",
                f"<td>{escape(p_value(gap.over_seeds.p))}</td>",
                f"<td>{escape(p_value(gap.p_holm))}</td>",
            )
            for name, gap in gaps.items()
        ),
    )


def _whisker(at: Bounded, low: float, high: float, colour: str) -> str:
    """A dot, its interval and the line of 0; the numbers stand beside it, so readers aloud skip it."""
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
    return f'<svg viewBox="0 0 {width:.0f} {height:.0f}" aria-hidden="true">{"".join(parts)}</svg>'


def _groups(result: Comparison, kind: str) -> Iterator[str]:
    groups = result.groups(kind)
    others = [name for name in reversed(result.ranking.order) if name != result.reference]
    if len(groups) < 2 or not others:
        return
    at = {(d.group, d.strategy, d.measure.name): d for d in result.differences if d.kind == kind}
    own = {
        (f.group, f.measure.name): f
        for f in result.figures
        if f.kind == kind and f.strategy == result.reference
    }
    yield f"<h2>By {kind}</h2>"
    for measure in BY_GROUP:
        tests = at[groups[0], others[0], measure.name].tests
        left = f" The {MOST_GROUPS} with most requests of {len(groups)}." if len(groups) > MOST_GROUPS else ""
        yield from _table(
            f"{measure.label}: {result.reference}’s own, then the others less {result.reference}; over "
            f"{_count(len(result.seeds), 'seed', 'seeds')}. Bold: Holm’s p below {ALPHA:g} over {tests} "
            f"differences.{left}",
            (kind, "requests", result.reference, *(f"{name} less {result.reference}" for name in others)),
            (
                (
                    f'<th scope="row">{escape(group)}</th>',
                    f"<td>{own[group, measure.name].rounds:,}</td>",
                    _cell(own[group, measure.name].at, measure),
                    *(_brief(at[group, name, measure.name]) for name in others),
                )
                for group in groups[:MOST_GROUPS]
            ),
        )


def _reading(result: Comparison, setting: Setting) -> Iterator[str]:
    yield "<h2>What the columns are</h2>"
    yield f"<p>Utility here is {escape(setting.worth)}. The baseline of direct costs is {escape(setting.baseline)}.</p>"
    yield '<dl class="terms">'
    for measure in (*COMPARED, REGRET_TOTAL, COST_TOTAL):
        yield f"<dt>{escape(measure.label)}</dt><dd>{escape(measure.estimand)}.</dd>"
    yield "</dl>"
    yield (
        "<p>Every strategy meets the same requests, and what an arm would answer to a request at an attempt is the "
        "same whoever asks (common random numbers): differences are paired, and luck that strategies share cancels. "
        "The seed is the unit, as a learner’s rounds within a run depend on each other. A strategy’s rank is in this "
        "world; another world may rank otherwise.</p>"
    )
    if result.ranking.steps:
        yield from _steps(result)


def _steps(result: Comparison) -> Iterator[str]:
    ranking = result.ranking
    how = (
        "The order is the one that was named, so each step is judged by its own interval."
        if ranking.named
        else f"The order was read off the data, so a step must also survive Holm over all {ranking.pairs} pairs."
    )
    yield from _table(
        f"The steps of the order, worst first; regret for each 1,000 requests, paired over "
        f"{_count(len(result.seeds), 'seed', 'seeds')}. {how}",
        ("step", "difference", "95 % interval", "less by", "95 % interval", "p", "p, Holm", "holds"),
        (
            (
                f'<th scope="row">{escape(step.worse)} → {escape(step.better)}</th>',
                f"<td>{_signed(step.gap.value, REGRET)}</td>",
                f"<td>{typeset(interval(step.gap, 'count', signed=True))}</td>",
                f"<td>{typeset(written(step.less.value, 'share'))}</td>",
                f"<td>{typeset(interval(step.less, 'share'))}</td>",
                f"<td>{escape(p_value(step.gap.p))}</td>",
                f"<td>{escape(p_value(step.p_holm))}</td>",
                f"<td>{'yes' if step.shown else 'no'}</td>",
            )
            for step in ranking.steps
        ),
    )


def _footer(result: Comparison, setting: Setting, command: str) -> Iterator[str]:
    yield "<footer>"
    yield "<p>To make this page again:</p>"
    yield f"<pre><code>{escape(command)}</code></pre>"
    seeds = ", ".join(map(str, result.seeds))
    yield f'<p class="hash">Seeds {seeds}. World {escape(setting.name)}, spec sha256 {setting.sha256}.</p>'
    yield (
        "<p>Beside this page: rounds/ (every request of every run), summary.parquet, paired.parquet, summary.json "
        "and the plots as SVG.</p>"
    )
    yield "</footer>"


def _table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], keys: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A table that scrolls by itself where the screen is narrow; cells are HTML, headings are text.

    `keys` has the HTML that goes before a heading.
    """
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption[:80])}">'
    yield f"<table><caption><span>{typeset(escape(caption))}</span></caption><thead><tr>"
    for name in head:
        if name:
            yield f'<th scope="col">{(keys or {}).get(name, "")}{escape(name)}</th>'
        else:
            yield "<td></td>"
    yield "</tr></thead><tbody>"
    yield from (f"<tr>{''.join(cells)}</tr>" for cells in rows)
    yield "</tbody></table></div>"


def _keys(result: Comparison) -> dict[str, str]:
    """The colour of each strategy as a dot, for the eye alone."""
    return {
        name: f'<span class="key" style="background: var(--{NAMES[look.colour]})" aria-hidden="true"></span>'
        for name, look in looks(result.strategies, result.reference).items()
    }


def _strategy(result: Comparison, name: str) -> str:
    return f'<th scope="row">{_keys(result)[name]}{escape(name)}</th>'


def _cell(at: Bounded, measure: Measure) -> str:
    number, bounds = written(at.value, measure.form), interval(at, measure.form)
    return f"<td>{typeset(number)}<small>{typeset(bounds)}</small></td>"


def _difference(gap: Difference) -> str:
    form = gap.measure.form
    second = [] if gap.within is None else [f"within {typeset(interval(gap.within, form, signed=True))}"]
    second.append(f"p {escape(p_value(gap.p_holm))}")
    sure = ' class="sure"' if gap.p_holm < ALPHA else ""
    return (
        f"<td{sure}>{_signed(gap.over_seeds.value, gap.measure)} "
        f"<span>{typeset(interval(gap.over_seeds, form, signed=True))}</span><small>{'; '.join(second)}</small></td>"
    )


def _brief(gap: Difference) -> str:
    sure = ' class="sure"' if gap.p_holm < ALPHA else ""
    bounds = typeset(interval(gap.over_seeds, gap.measure.form, signed=True))
    return f"<td{sure}>{_signed(gap.over_seeds.value, gap.measure)}<small>{bounds}</small></td>"


def _signed(value: float, measure: Measure) -> str:
    return typeset(written(value, measure.form, signed=True)) if isfinite(value) else UNKNOWN


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
