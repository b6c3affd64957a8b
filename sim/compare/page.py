"""The report: one page that stands alone, with no script, nothing to fetch, and the plots within it.

Who opens it should know within a minute what was compared, who won and how sure that is; that all of it is
simulated is the first thing said. Every number has its interval and its n. It computes nothing.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from sim.compare.cells import count
from sim.compare.comparison import Comparison
from sim.compare.measures import COST_TOTAL, P95, QUALITY, REGRET_TOTAL, SAVING
from sim.compare.numbers import interval, typeset, written
from sim.compare.plots import Plot
from sim.compare.ranking import Step
from sim.compare.sections import by_group, differences, figures, steps
from sim.compare.setting import Setting
from sim.compare.style import style
from sim.compare.svg import lying

NO_BREAK: Final = "\N{NO-BREAK SPACE}"


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
    text = "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(title)} (simulated)</title>",
            f"<style>\n{style()}</style>",
            "</head>",
            "<body>",
            *_header(result, setting, title),
            "<main>",
            *_verdict(result),
            *_tiles(result, setting),
            *_doubts(doubts),
            *_plots(plots),
            *figures(result),
            *differences(result),
            *by_group(result, "task"),
            *by_group(result, "tenant"),
            *_reading(result, setting),
            "</main>",
            *_footer(result, setting, command),
            "</body>",
            "</html>",
            "",
        ]
    )
    return text.replace(" %", f"{NO_BREAK}%")


def _header(result: Comparison, setting: Setting, title: str) -> Iterator[str]:
    each = result.requests // len(result.seeds)
    yield "<header>"
    yield f'<p class="badge">{escape(setting.invented)}</p>'
    yield f"<h1>{escape(title)}</h1>"
    yield (
        f"<p>{count(len(result.strategies), 'strategy', 'strategies')} routed the same {each:,} requests to "
        f"{count(setting.arms, 'arm', 'arms')} of {count(setting.providers, 'provider', 'providers')}, "
        f"{count(len(result.seeds), 'time', 'times')} over, each time with other chance, through the "
        f"gateway's own code on virtual time. {escape(setting.about)}</p>"
    )
    yield "</header>"


def _verdict(result: Comparison) -> Iterator[str]:
    ranking = result.ranking
    order = escape(ranking.order[0])
    for step in ranking.steps:
        sign = '<span class="than">&lt;</span> ' if step.shown else ""
        order += f"{' ' if step.shown else ', '}<span>{sign}{escape(step.better)}</span>"
    yield f'<section class="verdict{"" if ranking.all_shown else " open"}" aria-label="Result">'
    yield f'<p class="order">{order}</p>'
    yield f"<p>{escape(_sentence(result))}</p>"
    yield "</section>"


def _sentence(result: Comparison) -> str:
    ranking, seeds = result.ranking, count(len(result.seeds), "seed", "seeds")
    if not ranking.steps:
        return "One strategy alone: there is nothing to compare it with."
    less = "a < b: b loses less utility to the best possible choice than a"
    if ranking.all_shown:
        return f"{less}. Every step holds: its paired 95 % interval over {seeds} excludes 0."
    apart = [step for step in ranking.steps if not step.shown]
    named = "; ".join(f"{step.worse} and {step.better} ({_gap(step)})" for step in apart)
    return (
        f"{less}, and the paired 95 % interval over {seeds} excludes 0. A comma: these seeds do not tell the "
        f"two apart: {named}."
    )


def _gap(step: Step) -> str:
    bounds = interval(step.gap, "count", signed=True)
    return typeset(f"regret {written(step.gap.value, 'count', signed=True)} {bounds} for each 1,000 requests")


def _tiles(result: Comparison, setting: Setting) -> Iterator[str]:
    """A few figures of the reference, in large."""
    ours, first = result.reference, result.strategies[0]
    tiles: list[tuple[str, str, str]] = []
    if first != ours:
        less = result.less[first]
        shown, word = (less, "less") if less.value >= 0.0 else (less.negated, "more")
        big = f"{written(shown.value, 'share')} {word}"
        tiles.append((f"regret of {ours} beside that of {first}", big, interval(shown, "share")))
    for measure, label in (
        (SAVING, f"saved by {ours}, of the cost at {setting.baseline}"),
        (QUALITY, f"mean quality under {ours}"),
        (P95, f"p95 latency under {ours}, ms"),
    ):
        at = result.figure(ours, measure).at
        tiles.append((label, written(at.value, measure.form), interval(at, measure.form)))
    yield '<dl class="tiles">'
    for label, big, bounds in tiles:
        yield (
            f'<div><dt>{escape(label)}</dt><dd class="big">{typeset(big)}</dd>'
            f'<dd class="by">{typeset(bounds)}, n = {count(len(result.seeds), "seed", "seeds")}</dd></div>'
        )
    yield "</dl>"


def _doubts(doubts: Sequence[str]) -> Iterator[str]:
    if doubts:
        yield '<section class="doubts" aria-label="Doubts"><strong>What speaks against believing it</strong>'
        yield f"<ul>{''.join(f'<li>{escape(doubt)}</li>' for doubt in doubts)}</ul></section>"


def _plots(plots: Sequence[Plot]) -> Iterator[str]:
    yield '<div class="plots">'
    for plot in plots:
        yield f"<figure><h3>{escape(plot.title)}</h3>"
        yield lying(plot.svg, plot.name, plot.title, plot.description)
        yield f"<figcaption>{escape(plot.caption)}</figcaption></figure>"
    yield "</div>"


def _reading(result: Comparison, setting: Setting) -> Iterator[str]:
    yield "<h2>How sure the order is, and what the columns are</h2>"
    yield from steps(result)
    yield (
        "<p>Every strategy meets the same requests, and what an arm would answer to a request at an "
        "attempt is the same whoever asks (common random numbers): differences are paired, and luck that "
        "strategies share cancels. The seed is the unit, as a learner's rounds within a run depend on each "
        "other. The order is of this world; another may rank otherwise.</p>"
    )
    yield f"<p>Utility is {escape(setting.worth)}. Direct costs are at {escape(setting.baseline)}.</p>"
    yield '<dl class="terms">'
    for measure in (*result.compared, REGRET_TOTAL, COST_TOTAL):
        yield f"<dt>{escape(measure.label)}</dt><dd>{escape(measure.estimand)}.</dd>"
    yield "</dl>"


def _footer(result: Comparison, setting: Setting, command: str) -> Iterator[str]:
    seeds = ", ".join(map(str, result.seeds))
    yield "<footer>"
    yield "<p>To make this page again:</p>"
    yield f"<pre><code>{escape(command)}</code></pre>"
    yield f'<p class="hash">Seeds {seeds}. World {escape(setting.name)}, spec sha256 {setting.sha256}.</p>'
    yield (
        "<p>Beside this page: rounds/ (every request of every run), summary.parquet, paired.parquet, "
        "summary.json and the plots as SVG.</p>"
    )
    yield "</footer>"
