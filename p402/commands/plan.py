"""`p402 plan`: what exploration, days and dollars a causal answer needs.

The laws are `p402.evaluation.power`'s, what a log says is `p402.commands.traffic`'s; here the two meet the
options, which overrule the log one by one, and the answer is laid out and rehearsed.
Exit status: 0 there is a plan, 2 the question or its data is no good.
"""

from math import inf
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
import typer
from rich.console import Console

from p402.commands import plan_text
from p402.commands.plan_text import CanaryLine, ExplorationLine, Plan
from p402.commands.run import BadQuestion, run_app
from p402.commands.traffic import Seen, traffic_of
from p402.errors import P402Error
from p402.evaluation import rehearsal
from p402.evaluation.power import Question, Traffic, canary, compare

SHARES: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
"""Exploration that is shown where none is asked for; the log's own is shown too."""

SEED: Final = 402

MOST_PLAYED: Final = 20_000_000
"""Rounds that a rehearsal plays in all; a plan of more rounds is played fewer times."""

LEAST_REPLICATES: Final = 20
"""Fewer say nothing of a power: there is no rehearsal then."""

LEAST_VARIANCE: Final = 1e-6
"""Of rewards that are nearly all 0 or all 1."""

ROUNDED: Final = 5e-3
"""An sd that was rounded to two digits, or is beside a mean that was, may be this much too large."""

app = typer.Typer(name="plan", add_completion=False, pretty_exceptions_enable=False)


class Figures:
    """A figure is its option's, else the log's, else assumed, which is then said."""

    def __init__(self, seen: Seen | None) -> None:
        self.seen = seen
        self.assumed: list[str] = []

    def logged(self, name: str) -> float | None:
        """What the log says; None where it does not."""
        found: float | None = getattr(self.seen, name) if self.seen is not None else None
        return found

    def of(self, name: str, option: float | None, default: float, said: str) -> float:
        """The figure of this name; `said` is how its default is spoken of."""
        found = self.logged(name) if option is None else option
        if found is None:
            self.assumed.append(said)
            return default
        return found


def main(argv: list[str]) -> int:
    """Run `p402 plan ARGV`; see the module for its exit status."""
    return run_app(app, "p402 plan", argv, status=lambda _error: 2, errors=(P402Error, ValueError))


@app.command()
def plan(
    *,
    detect: Annotated[float, typer.Option(help="Difference in mean reward that must not be missed.")],
    log: Annotated[
        Path | None, typer.Option(help="The log whose traffic it is (default: options only).")
    ] = None,
    mode: Annotated[str, typer.Option(help="Mode whose rounds are explored.")] = "balanced",
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm.")] = 0.05,
    power: Annotated[float, typer.Option(help="Chance of finding the difference.")] = 0.8,
    exploration: Annotated[
        list[float] | None, typer.Option(help="Share of rounds that explore; may be given again.")
    ] = None,
    arms: Annotated[float | None, typer.Option(help="Arms that exploration is spread over.")] = None,
    canary_shares: Annotated[
        list[float] | None,
        typer.Option("--canary", help="Share of sessions in a canary; again for more."),
    ] = None,
    moved: Annotated[float, typer.Option(help="Share of rounds that the policy on trial moves.")] = 1.0,
    explained: Annotated[
        float, typer.Option(help="Share of the reward's variance that a model of it explains (DR).")
    ] = 0.0,
    requests_per_day: Annotated[float | None, typer.Option(help="Traffic (default: the log's).")] = None,
    session_rounds: Annotated[float | None, typer.Option(help="Rounds in the mean round's session.")] = None,
    icc: Annotated[float | None, typer.Option(help="Correlation of rewards within a session.")] = None,
    mean: Annotated[float | None, typer.Option(help="Mean reward of a judged round, 0 to 1.")] = None,
    sd: Annotated[float | None, typer.Option(help="Its standard deviation.")] = None,
    judged: Annotated[float | None, typer.Option(help="Share of rounds that somebody judges.")] = None,
    cost_usd: Annotated[float | None, typer.Option(help="Mean cost of a round at the incumbent.")] = None,
    explored_cost_usd: Annotated[
        float | None, typer.Option(help="Mean cost of a round at an explored arm.")
    ] = None,
    check: Annotated[int, typer.Option(help="Replicates of the rehearsal; 0 for none.", min=0)] = 200,
    seed: Annotated[int, typer.Option(help="Of the rehearsal.", min=0)] = SEED,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")] = False,
) -> None:
    """Say how much traffic, exploration and money it takes to detect a difference between two policies.

    Two ways: a paired comparison on explored traffic, offline, which can refute or support a change; and a
    canary by session, which can prove it. Rewards are those of the log: the fixed objective's value, 0 to 1.
    """
    seen = None if log is None else traffic_of(log, mode)
    figures = Figures(seen)
    traffic = _traffic(figures, requests_per_day, session_rounds, icc, mean, sd, judged)
    question = Question(detect, alpha, power, explained, moved)
    spread = max(figures.of("explored_arms", arms, 1.0, "exploration of one arm"), 1.0)
    extra = _excess(figures, cost_usd, explored_cost_usd)
    now = figures.logged("exploration") or None
    shares = exploration or sorted({*SHARES, *([round(now, 4)] if now is not None and now < 1.0 else [])})
    lines = [_explored(traffic, question, share, spread, extra, now) for share in shares]
    canaries = [_canary(traffic, question, share, extra) for share in canary_shares or [0.1]]
    result = Plan(
        detect=detect,
        alpha=alpha,
        power=power,
        moved=moved,
        explained=explained,
        traffic=traffic,
        seen=seen,
        arms=spread,
        extra_usd=extra,
        exploration=tuple(lines),
        canary=tuple(canaries),
        rehearsed=_rehearsed(traffic, question, lines, canaries, check, seed),
        assumed=tuple(figures.assumed),
        warnings=plan_text.doubts(seen, traffic, lines),
    )
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=plan_text.WIDTH)
    for part in plan_text.tables(result):
        console.print(part, soft_wrap=isinstance(part, str))


def _traffic(
    figures: Figures,
    per_day: float | None,
    session_rounds: float | None,
    icc: float | None,
    mean: float | None,
    sd: float | None,
    judged: float | None,
) -> Traffic:
    rate = figures.logged("per_day") if per_day is None else per_day
    if rate is None:
        raise BadQuestion("--requests-per-day: found none, and no --log; expected one of the two")
    average = figures.of("mean", mean, 0.7, "a mean reward of 0.7")
    rounds = figures.of("session_rounds", session_rounds, 1.0, "one round a session")
    alike = 0.0 if rounds == 1.0 else figures.of("icc", icc, 0.1, "a correlation of 0.1 within sessions")
    variance = figures.logged("variance") if sd is None else sd * sd
    most = max(average * (1.0 - average), 0.0) ** 0.5
    if sd is not None and 0.0 <= average <= 1.0 and sd > most + ROUNDED:
        raise BadQuestion(
            f"--sd: found {sd:g}; expected at most {most:.3f}, as of rewards from 0 to 1 with a mean of "
            f"{average:.3g}"
        )
    if not variance:
        variance = max(average * (1.0 - average), LEAST_VARIANCE)
        figures.assumed.append(
            f"an sd of {variance**0.5:.3f}, the most that a mean of {average:.3g} can have"
        )
    share = figures.of("judged", judged, 1.0, "every round judged")
    return Traffic(rate, rounds, alike, average, variance, share)


def _excess(figures: Figures, cost_usd: float | None, explored_usd: float | None) -> float | None:
    """USD that a round costs more at an explored arm than at the incumbent; None where nothing tells."""
    for name, given in (("--cost-usd", cost_usd), ("--explored-cost-usd", explored_usd)):
        if given is not None and not 0.0 <= given < inf:
            raise BadQuestion(f"{name}: found {given:g}; expected USD of 0 or more for one round")
    here = figures.logged("cost_usd") if cost_usd is None else cost_usd
    there = figures.logged("explored_cost_usd") if explored_usd is None else explored_usd
    if here is None or there is None:
        missing = "--cost-usd" if here is None else "--explored-cost-usd"
        figures.assumed.append(f"nothing of what explored arms cost more: give {missing}")
        return None
    return there - here


def _explored(
    traffic: Traffic, question: Question, share: float, arms: float, extra: float | None, now: float | None
) -> ExplorationLine:
    dr = compare(traffic, question, share, arms, "dr")
    return ExplorationLine(
        exploration=share,
        as_now=now is not None and abs(share - now) < 5e-5,
        dr=dr,
        ips=compare(traffic, question, share, arms, "ips"),
        extra_usd=None if extra is None else dr.rounds * share * extra,
    )


def _canary(traffic: Traffic, question: Question, share: float, extra: float | None) -> CanaryLine:
    sized = canary(traffic, question, share)
    return CanaryLine(sized, None if extra is None else sized.rounds * share * extra)


def _rehearsed(
    traffic: Traffic,
    question: Question,
    lines: list[ExplorationLine],
    canaries: list[CanaryLine],
    replicates: int,
    seed: int,
) -> dict[str, rehearsal.Rehearsed]:
    """The cheapest line of each table, played."""
    if not replicates:
        return {}
    first = min(lines, key=lambda line: line.dr.rounds)
    fast = min(canaries, key=lambda line: line.sized.rounds)
    most = max(first.dr.rounds, fast.sized.rounds)
    replicates = min(replicates, MOST_PLAYED // most)
    if replicates < LEAST_REPLICATES:
        return {}
    chance = np.random.default_rng(seed)
    return {
        f"comparison at {first.exploration:.1%} exploration": rehearsal.comparison(
            traffic, question, first.dr, chance, replicates
        ),
        f"canary at {fast.sized.share:.0%}": rehearsal.canary(
            traffic, question, fast.sized, chance, replicates
        ),
    }
