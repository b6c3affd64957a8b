"""Whether a shared budget holds whatever happens to workers, hosts, Redis and the wire.

    python -m tests.chaos [--hand sqlite] [--faults kill-host,flushall] [--seeds 5] [--seconds 4]

Prints each run as it ends and a table at the end; exit code 1 if any promise was broken, 2 if a run could not
be made.
"""

import argparse
import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from tests.chaos.faults import FAULTS, Fault, faults_for
from tests.chaos.hands import BROKEN, DEFAULT, HANDS, hand_of
from tests.chaos.table import line, table
from tests.chaos.trial import Plan, run
from tests.chaos.verdict import Measured, breaches

HARNESS = (RuntimeError, OSError, AssertionError, subprocess.SubprocessError)
"""What ends a run without a verdict."""
WIDTH = 180
"""Of the table where nobody knows how wide the paper is."""


def wanted(argv: list[str]) -> argparse.Namespace:
    """What was asked for, checked."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        "python -m tests.chaos",
        description=__doc__.partition("\n")[0],
        epilog="faults:\n" + "\n".join(f"  {f.name:<20} {f.does}" for f in FAULTS.values()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--hand", default=DEFAULT, choices=[*HANDS, *BROKEN], help=f"guard under test ({DEFAULT})"
    )
    parser.add_argument("--faults", default="", help="names, with commas between; all that fit the hand")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each fault (5)")
    parser.add_argument("--first-seed", type=int, default=1, help="to do a run again (1)")
    parser.add_argument("--seconds", type=float, default=4.0, help="that spending the cap takes (4)")
    parser.add_argument(
        "--slack-ms",
        type=int,
        default=0,
        help="added to the longest wait that is promised, for a busy machine (0)",
    )
    parser.add_argument("--keep", type=Path, help="folder for what runs with a breach leave behind")
    found = parser.parse_args(argv)
    hand = hand_of(found.hand)
    possible = {fault.name: fault for fault in faults_for(redis=hand.redis, ledger=hand.ledgers)}
    names = [name.strip() for name in found.faults.split(",") if name.strip()] or list(possible)
    if unknown := [name for name in names if name not in possible]:
        parser.error(f"no fault for {found.hand}: {', '.join(unknown)}; there are {', '.join(possible)}")
    if found.seeds < 1 or found.seconds <= 0:
        parser.error("--seeds and --seconds must be above 0")
    found.faults = [possible[name] for name in names]
    return found


def one(hand: str, fault: Fault, seed: int, plan: Plan, keep: Path | None) -> Measured:
    """One run in a folder of its own, which is gone afterwards unless it is evidence."""
    with tempfile.TemporaryDirectory(prefix="p402-chaos-") as name:
        folder = Path(name)
        measured = asyncio.run(run(hand, fault, seed, plan, folder))
        if keep is not None and any(breaches(measured)):
            shutil.copytree(
                folder, keep / f"{hand}-{fault.name}-{seed}", ignore=shutil.ignore_patterns("s"),
                dirs_exist_ok=True,
            )  # fmt: skip
    return measured


def main(argv: list[str]) -> int:
    """Do all runs; gives the exit code."""
    asked = wanted(argv)
    console, plan = Console(), Plan(seconds=asked.seconds, slack_ms=asked.slack_ms)
    if not console.is_terminal:
        console = Console(width=WIDTH)
    runs: list[Measured] = []
    void = 0
    total = len(asked.faults) * asked.seeds
    for fault in asked.faults:
        for seed in range(asked.first_seed, asked.first_seed + asked.seeds):
            with console.status(f"{fault.name}: {fault.does}"):
                try:
                    runs.append(one(asked.hand, fault, seed, plan, asked.keep))
                    told = line(runs[-1])
                except HARNESS as error:
                    void += 1
                    told = f"{fault.name:<20} seed {seed}  could not be run: {error}"
            console.print(f"{len(runs) + void:3d}/{total}  {told}", soft_wrap=True, highlight=False)
    if runs:
        console.print(table(runs))
    broken = [run for run in runs if any(breaches(run))]
    console.print(f"{len(broken)} of {total} runs broke a promise, {void} could not be run.")
    return 1 if broken else 2 if void else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that folders are cleaned
    sys.exit(main(sys.argv[1:]))
