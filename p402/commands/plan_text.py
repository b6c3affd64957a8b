"""How a plan looks: tables for people, plain values for programs. It computes nothing but what is said."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from p402.commands.traffic import Seen
from p402.evaluation.power import Canary, Comparison, Traffic
from p402.evaluation.rehearsal import Rehearsed

WIDTH: Final = 120
LONG_DAYS: Final = 90.0
"""Longer than this and models, prices and traffic are others by the end."""

MIN_JUDGED: Final = 200
"""Judged rounds below which a log's variance is itself not known."""


@dataclass(frozen=True, slots=True)
class ExplorationLine:
    """One rate of exploration; `extra_usd` is what it costs over not exploring, until DR has its answer."""

    exploration: float
    as_now: bool
    dr: Comparison
    ips: Comparison
    extra_usd: float | None


@dataclass(frozen=True, slots=True)
class CanaryLine:
    """One share of sessions; `extra_usd` is what the canary's calls cost over the incumbent's."""

    sized: Canary
    extra_usd: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is said."""

    detect: float
    alpha: float
    power: float
    moved: float
    explained: float
    traffic: Traffic
    seen: Seen | None
    arms: float
    extra_usd: float | None
    exploration: tuple[ExplorationLine, ...]
    canary: tuple[CanaryLine, ...]
    rehearsed: dict[str, Rehearsed]
    assumed: tuple[str, ...]
    warnings: tuple[str, ...]


def doubts(seen: Seen | None, traffic: Traffic, lines: Sequence[ExplorationLine]) -> tuple[str, ...]:
    """What speaks against the plan."""
    found = []
    if seen is not None:
        judged = seen.rounds * (seen.judged or 0.0)
        if judged < MIN_JUDGED:
            found.append(
                f"few_judged: {judged:,.0f} rounds; expected at least {MIN_JUDGED}: mean and sd are guesses"
            )
        if seen.days < 1.0:
            found.append(
                f"short_window: {seen.days * 24:.1f} hours; expected a day at least to know the rate by"
            )
        if seen.source != "rounds":
            found.append(
                "imported: these calls have no propensity, so no estimator can answer by them; this is what "
                "to collect"
            )
    if traffic.judged < 0.05:
        found.append(
            f"rarely_judged: {traffic.judged:.1%} of rounds; more feedback is worth more than exploration"
        )
    if min(line.dr.days for line in lines) > LONG_DAYS:
        found.append(f"too_long: over {LONG_DAYS:.0f} days at any rate shown; detect or judge more")
    if any(line.dr.held_by_support for line in lines):
        found.append(
            "support: rates marked * need their rounds for 100 judged rows on the arm, not for power"
        )
    return tuple(found)


def tables(plan: Plan) -> Iterator[RenderableType]:
    """The traffic, both ways to an answer, the rehearsal, and what was assumed."""
    yield escape(_traffic(plan))
    yield _comparisons(plan)
    yield _canaries(plan)
    for what, played in plan.rehearsed.items():
        yield escape(
            f"Rehearsed {played.replicates} times: {what} found it in {played.power:.0%} "
            f"(asked {plan.power:.0%}), and a difference that was not there in {played.alarms:.1%}."
        )
    yield "Offline, an answer can refute or support a change; a takeover is proven by a canary."
    if plan.assumed:
        yield escape(f"Assumed: {'; '.join(plan.assumed)}.")
    for warning in plan.warnings:
        yield f"[yellow]{escape(warning)}[/]"


def _traffic(plan: Plan) -> str:
    t = plan.traffic
    whose = (
        "given"
        if plan.seen is None
        else f"{plan.seen.rounds:,} {plan.seen.source} in {plan.seen.days:,.1f} days"
    )
    what = "reward" if plan.seen is None else plan.seen.reward
    return (
        f"Traffic ({whose}): {t.per_day:,.0f} rounds a day, {t.session_rounds:.1f} in a round's session, "
        f"{what} {t.mean:.3f} with sd {t.variance**0.5:.3f}, {t.icc:.2f} alike within "
        f"sessions, {t.judged:.0%} judged."
    )


def _comparisons(plan: Plan) -> Table:
    title = (
        f"Paired comparison on explored traffic: detect {plan.detect:g}, two-sided alpha {plan.alpha:g}, "
        f"power {plan.power:.0%}"
    )
    table = Table(title=escape(title), title_justify="left")
    for name in ("explored", "arm on trial", "rounds, DR", "days", "extra $", "rounds, IPS", "days, IPS"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in plan.exploration:
        table.add_row(
            f"{line.exploration:.2%}{' (now)' if line.as_now else ''}",
            f"{line.dr.trial:.2%}",
            f"{line.dr.rounds:,}{'*' if line.dr.held_by_support else ''}",
            f"{line.dr.days:,.1f}",
            _usd(line.extra_usd),
            f"{line.ips.rounds:,}",
            f"{line.ips.days:,.1f}",
        )
    table.caption = escape(
        f"the policy on trial moves {plan.moved:.0%} of rounds; exploration is over {plan.arms:.3g} arms"
    )
    return table


def _canaries(plan: Plan) -> Table:
    title = (
        f"Canary by session, betting e-process: detect {plan.detect:g}, one-sided alpha {plan.alpha:g}, "
        "may be looked at any time"
    )
    table = Table(title=escape(title), title_justify="left")
    chance = f"{plan.power:.0%}"
    for name in ("share", f"rounds, {chance}", f"days, {chance}", "extra $", "rounds, 50%", "days, 50%"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in plan.canary:
        sized = line.sized
        table.add_row(
            f"{sized.share:.1%}",
            f"{sized.rounds:,}",
            f"{sized.days:,.1f}",
            _usd(line.extra_usd),
            f"{sized.median_rounds:,}",
            f"{sized.median_days:,.1f}",
        )
    table.caption = "rounds of all traffic, the canary's and the others"
    return table


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.2f}"
