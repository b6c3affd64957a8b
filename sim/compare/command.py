"""`p402 sim compare`: strategies on the same simulated traffic, with paired intervals, and a one-page report.

Exit status: 0 there is a comparison, 1 a run or a write failed, 2 the question is no good, 130 it was
interrupted; what is finished is kept in every case.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from p402.commands.run import BadQuestion, run_app
from p402.errors import P402Error, nearest
from sim.compare.job import Job, jobs_of
from sim.compare.played import canonical, play, setting_of, sized, spec_of, strategy_of
from sim.compare.pool import cores
from sim.compare.report import tables
from sim.compare.runs import play as play_missing
from sim.compare.setting import Setting
from sim.compare.whole import conclude
from sim.shown import bar, show
from sim.world.spec import WorldSpec

app = typer.Typer(name="sim", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

DEFAULT: Final = "static,epsilon-greedy,linucb,p402"
REFERENCE: Final = "p402"


def main(argv: list[str]) -> int:
    """Run `p402 sim compare ARGV`, the word `compare` first; see the module for its exit status."""
    return run_app(app, "p402 sim", argv)


@app.callback()
def _group() -> None:
    """A part of `p402 sim`, so that its word comes first."""


@app.command("compare")
def compare(
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for rounds, tables, plots and report.html; finished runs in it are reused."
        ),
    ],
    preset: Annotated[str | None, typer.Option(help="A world that comes with P402 (default: day).")] = None,
    spec: Annotated[Path | None, typer.Option(help="A world's spec instead, TOML or JSON.")] = None,
    strategies: Annotated[
        str, typer.Option(help="Names with commas between, the one you expect to be worst first.")
    ] = DEFAULT,
    strategy: Annotated[
        list[str] | None, typer.Option(help="One more, such as mymodule:MyPolicy; may be given again.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many (seeds 0, 1, ...), or which: 3,5,8.")] = "10",
    reference: Annotated[
        str | None, typer.Option(help="Whom differences are to (default: p402, else the last strategy).")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(help="About so many requests a run, in the same hours.", min=1)
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="At most so many (default: one a core).", min=1)
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Play finished runs again as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print summary.json instead of tables.")] = False,
) -> None:
    """Compare routing strategies on the same simulated traffic.

    Every strategy meets the same requests on each seed, and what an arm would answer is the same whoever
    asks, so differences are paired. Regret, quality, cost, savings, latency and failures come with 95 %
    intervals over seeds, by task and tenant too. All of it is simulated.
    """
    asked = _asked(preset, spec, strategies, strategy or [], seeds, reference, rounds)
    jobs = asked.jobs
    try:
        played = play_missing(out, jobs, play, processes or cores(), bar, force=force)
    except KeyboardInterrupt:
        print(
            f"p402 sim compare: interrupted; finished runs are kept in {out}, the same command goes on from "
            f"there",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    made = conclude(out, jobs, asked.reference, asked.setting, asked.again(out), bar)
    show(tables(made.result, asked.setting, made.doubts), made.document if as_json else None)
    if not as_json:
        reused = len(jobs) - played
        print(f"{len(jobs)} runs, {reused} of them reused; {out / 'report.html'} has it all on one page")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, found good."""

    world: tuple[str, str]
    spec: WorldSpec
    strategies: tuple[str, ...]
    seeds: tuple[int, ...]
    named_seeds: str
    reference: str
    rounds: int | None

    @property
    def jobs(self) -> list[Job]:
        return jobs_of(canonical(self.spec), self.strategies, self.seeds)

    def again(self, out: Path) -> str:
        """The command that asks it again."""
        words = ["p402", "sim", "compare", *self.world, "--strategies", ",".join(self.strategies)]
        words += ["--reference", self.reference, "--seeds", self.named_seeds]
        words += [] if self.rounds is None else ["--rounds", str(self.rounds)]
        return shlex.join([*words, "--out", out.name or "compared"])

    @property
    def setting(self) -> Setting:
        return setting_of(self.spec)


def _asked(
    preset: str | None,
    path: Path | None,
    strategies: str,
    more: list[str],
    seeds: str,
    reference: str | None,
    rounds: int | None,
) -> _Asked:
    if preset is not None and path is not None:
        raise BadQuestion("found --preset and --spec; expected one of them: two worlds are two comparisons")
    named = tuple(dict.fromkeys(name.strip() for name in [*strategies.split(","), *more] if name.strip()))
    if not named:
        raise BadQuestion(f"--strategies: found none; expected some, such as {DEFAULT}")
    chosen = reference or (REFERENCE if REFERENCE in named else named[-1])
    if chosen not in named:
        raise BadQuestion(
            f"--reference {chosen}: expected one of the strategies {', '.join(named)}{nearest(chosen, named)}"
        )
    which = _seeds(seeds)
    try:
        for name in named:
            strategy_of(name)
        world = sized(spec_of(preset, path), rounds)
    except P402Error as error:
        raise BadQuestion(str(error)) from error
    return _Asked(
        world=("--preset", preset or "day") if path is None else ("--spec", path.name),
        spec=world,
        strategies=named,
        seeds=which,
        named_seeds=seeds,
        reference=chosen,
        rounds=rounds,
    )


def _seeds(text: str) -> tuple[int, ...]:
    """`10` is 0 to 9; `3,5,8` are these."""
    expected = "expected how many, such as 10, or which, such as 3,5,8, each once, of 0 or more"
    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise BadQuestion(f"--seeds: found {text!r}; {expected}") from error
    made = tuple(range(numbers[0])) if len(numbers) == 1 and "," not in text else tuple(numbers)
    if not made or min(made) < 0 or len(set(made)) < len(made):
        raise BadQuestion(f"--seeds: found {text!r}; {expected}")
    return made
