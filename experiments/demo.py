"""`p402 demo`: the whole loop on real input, in real processes, from one command.

Simulated providers and a gateway are started; real prompts go through the official `openai`
client; the log is compacted, replayed, learned from; weights are published and rolled back while
the gateway runs; and one table tells what came of it. No step's result is written here: each is
read from what the step left. The exit status is 0 only if every check of `checks_of` holds.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from experiments.demonstration import report
from experiments.demonstration.checks import checks_of
from experiments.demonstration.client import Record
from experiments.demonstration.figures import mode_figures, reconcile
from experiments.demonstration.loop import Loop
from experiments.demonstration.plan import make_plan
from experiments.demonstration.processes import House, stop_on_sigterm
from experiments.demonstration.result import Result
from experiments.demonstration.traffic import send
from experiments.demonstration.world import BASELINE, Folder, World, open_world
from p402.errors import ConfigError, P402Error
from p402.store.atomic import write_atomic
from p402_datasets import paretobandit

LONGEST_S: Final = 900.0
"""Dead-man switch of every process: none outlives the driver by more, however the driver ends."""

KEPT_S: Final = 3600.0
"""The same with `--keep`."""

VALUED: Final = ("cost", "quality")
"""Strategies that are valued on the balanced rounds: one that the log can speak of, one that it cannot."""


def main(argv: list[str]) -> int:
    """Run `p402 demo ARGV`; 0 if every check holds, 1 if one does not, 2 on bad usage, 130 if interrupted."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    console = Console(stderr=True, highlight=False)
    stop_on_sigterm()
    try:
        return Demo(args, console).run()
    except KeyboardInterrupt:
        console.print("p402 demo: interrupted; every process it started has ended")
        return 130
    except P402Error as error:
        console.print(f"p402 demo: {error}", markup=False)
        return 1


class Demo:
    """One run: stages in order, each timed and said on stderr."""

    def __init__(self, args: argparse.Namespace, console: Console) -> None:
        self._args = args
        self._console = console
        self._seconds: dict[str, float] = {}
        self._begun = datetime.now(UTC)
        self._folder = _fresh(args.dir, self._begun)

    def run(self) -> int:
        """All of it; the exit status."""
        args, lasts = self._args, KEPT_S if self._args.keep else LONGEST_S
        with House(self._folder.output, os.environ) as house:
            with self._stage("start"):
                world = open_world(house, self._folder, args.seed, lasts)
            loop = Loop(house, world, self._folder)
            result = self._loop(house, world, loop)
            write_atomic(
                self._folder.root / "demo.json", msgspec.json.format(msgspec.json.encode(result)) + b"\n"
            )
            write_atomic(self._folder.root / "demo.md", report.markdown(result).encode())
            report.show(result, Console(highlight=False))
            if args.keep:
                self._keep(world)
        return 0 if result.passed else 1

    def _loop(self, house: House, world: World, loop: Loop) -> Result:
        args = self._args
        before = loop.weights()
        with self._stage("traffic"):
            records = self._traffic(house, world)
        with self._stage("compact"):
            loop.compact("compact")
            (self._folder.root / "log.txt").write_text(loop.log_says())
        with self._stage("replay"):
            first, valued = loop.verify("verify"), tuple(loop.value(policy) for policy in VALUED)
        with self._stage("learn"):
            learned = loop.learn()
        with self._stage("promote and roll back"):
            former = loop.settled(learned, _last_snapshot(records))
            forced = loop.force(former)
            back = loop.roll_back(forced.snapshot_after, former)
        after = loop.weights()
        with self._stage("repeat"):
            repeated = loop.repeat()
        with self._stage("replay everything"):
            loop.compact("compact-everything")
            last = loop.verify("verify-everything")
        with self._stage("books"):
            books, modes = reconcile(self._folder.log, records), mode_figures(self._folder.log, args.seed)
        if not args.keep:
            with self._stage("stop"):
                house.stop(world.gateway)
                house.stop(world.providers)
        exits, answered = house.exits(), sum(record.status == "ok" for record in records)
        planned = args.rounds + 3 * args.other_rounds
        return Result(
            at=self._begun.strftime("%Y-%m-%d %H:%M UTC"),
            version=version("p402"),
            seed=args.seed,
            rounds=args.rounds,
            other_rounds=args.other_rounds,
            baseline=BASELINE,
            modes=modes,
            books=books,
            replayed=first,
            valued=valued,
            weights_before=before,
            learned=learned,
            switches=(forced, back),
            weights_after=after,
            repeated=repeated,
            replayed_at_end=last,
            exits=exits,
            checks=checks_of(
                books, (first, last), learned, (forced, back), repeated, former, planned, answered, exits
            ),
            seconds=dict(self._seconds),
            places=self._places(),
        )

    def _traffic(self, house: House, world: World) -> list[Record]:
        args = self._args
        sessions = make_plan(paretobandit.load(), args.rounds, args.other_rounds, args.seed)
        return send(house, world, self._folder, sessions, args.workers, LONGEST_S / 2, self._console)

    def _places(self) -> dict[str, str]:
        root = self._folder.root
        return {
            "run": str(root),
            "log": str(self._folder.log),
            "store": str(self._folder.store),
            "mlflow": f"sqlite:///{self._folder.tracking / 'mlflow.db'}",
            "json": str(root / "demo.json"),
            "markdown": str(root / "demo.md"),
        }

    def _keep(self, world: World) -> None:
        """Stay up for requests of one's own, until Ctrl-C or the dead-man switch."""
        self._console.print(
            f"still serving: OPENAI_BASE_URL={world.base_url} OPENAI_API_KEY={world.key}\n"
            f"press Ctrl-C to stop; it stops by itself within {KEPT_S / 60:.0f} minutes",
            soft_wrap=True,
        )
        try:
            while world.gateway.status is None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self._console.print("stopping")

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self._console.print(f"{name} ...")
        begun = time.monotonic()
        yield
        self._seconds[name] = round(time.monotonic() - begun, 2)


def _last_snapshot(records: list[Record]) -> str:
    """Snapshot that the last answer of the traffic cited."""
    return next((r.snapshot_id for r in reversed(records) if r.snapshot_id is not None), "")


def _fresh(parent: Path, begun: datetime) -> Folder:
    """A folder of this run's own, to which `latest` then points."""
    root = parent / begun.strftime("%Y%m%dT%H%M%S.%fZ")
    try:
        root.mkdir(parents=True)
        pointer = parent / f".latest-{os.getpid()}"
        pointer.symlink_to(root.name)
        pointer.replace(parent / "latest")
    except OSError as error:
        raise ConfigError(f"--dir: cannot make {root}: {error.strerror}; choose another folder") from error
    return Folder(root)


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"found {text}, expected a whole number of {least} or more")
        return value

    return read


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="p402 demo",
        description="The whole loop on simulated providers: serve, log, replay, learn, promote, roll back.",
        allow_abbrev=False,
    )
    parser.add_argument("--rounds", type=_whole(1), default=4000, help="requests in balanced mode (4000)")
    parser.add_argument("--other-rounds", type=_whole(1), default=500, help="in each other mode (500)")
    parser.add_argument("--seed", type=_whole(0), default=7, help="keys traffic and providers (7)")
    parser.add_argument("--dir", type=Path, default=Path("var/demo"), help="where runs are kept (var/demo)")
    parser.add_argument("--workers", type=_whole(1), default=2, help="client processes (2)")
    parser.add_argument("--keep", action="store_true", help="go on serving after the table, until Ctrl-C")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
