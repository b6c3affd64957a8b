"""The harness run as it is run by hand, short: it passes what is sound and finds every leak."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.hands import DEFAULT, hand_of
from tests.chaos.processes import ROOT

pytestmark = pytest.mark.slow
START_S, END_S = 30, 10


def chaos(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--seeds", "1", *words],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(folder)}, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def find(said: str, text: str) -> list[str]:
    """Breaches that say so, each for itself."""
    return [
        breach for breach in re.split("BREACH: |; (?=t\\d|the run|a res)|\n", text) if re.search(said, breach)
    ]


@pytest.mark.parametrize("hand", sorted({"sqlite", DEFAULT}))
def test_the_budget_survives_what_is_killed_or_forgets(tmp_path, hand):
    faults = ["none", "kill-workers", "kill-host", "midnight"]
    if hand_of(hand).redis:
        faults += ["flushall", "cut"]
    slack = ("--slack-ms", "5000")  # how long anything takes is `make chaos`'s matter
    done = chaos(tmp_path, "--hand", hand, "--seconds", "2", "--faults", ",".join(faults), *slack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("kept") == 2 * len(faults)  # as each ends, and in the table
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("hand", "fault", "said"),
    [
        ("check-then-act", "none", "day .* spent beyond the cap"),
        ("frees-the-dead", "kill-workers", "day .* below the truth"),
        ("overcharges", "none", "day .* above the truth; nobody died"),
        ("dawdles", "none", "a reservation waited"),
        ("miserly", "none", "day .* of the cap used"),
        ("forgetful", "flushall", "day .* spent beyond the cap"),
        ("forgetful", "delay", "day .* above the truth; nobody died"),
    ],
)
def test_a_guard_that_breaks_a_promise_is_found(tmp_path, hand, fault, said):
    done = chaos(tmp_path, "--hand", hand, "--seconds", "2", "--faults", fault)
    assert (done.returncode, bool(find(said, done.stdout))) == (1, True), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("hand", "said"),
    [
        ("forgets-scopes", "'s key:narrow.* spent beyond the cap"),
        ("forgets-scopes", "'s session:.* below the truth"),
        ("forgets-scopes", "none has refused a call"),
        ("settles-the-day-alone", "'s key:narrow.* below the truth"),
        ("raises-the-day-alone", "'s key:narrow.* below the truth"),
        ("mixes-keys-up", "'s key:narrow.* above the truth; nobody died"),
        ("stingy-with-keys", "'s key:narrow.* of the cap used"),
    ],
)
def test_a_guard_that_breaks_a_promise_about_scopes_alone_is_found(tmp_path, hand, said):
    done = chaos(tmp_path, "--hand", hand, "--seconds", "2", "--faults", "none", "--slack-ms", "5000")
    assert (done.returncode, bool(find(said, done.stdout))) == (1, True), done.stdout + done.stderr
    assert not find(r" on day \d", done.stdout), "the tenants' days are as they should be"


def test_redis_alone_is_exact_while_it_remembers(tmp_path):
    """What is found above is the guard's, not the harness's."""
    words = ("--seconds", "2", "--faults", "none,script-flush", "--slack-ms", "5000")
    done = chaos(tmp_path, "--hand", "forgetful", *words)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_unknown_fault_is_named(tmp_path):
    done = chaos(tmp_path, "--hand", "sqlite", "--faults", "nnoe")
    assert done.returncode == 2
    assert "nnoe" in done.stderr
    assert "kill-host" in done.stderr


def family(pid: int) -> set[int]:
    """Ids of a process's children and theirs."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child} | family(child)
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in Linux's /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_whatever_it_started_ends_with_it(tmp_path, how):
    harness = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", "--hand", "forgetful", "--faults", "none", "--seconds", "30"],
        cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + START_S
        while len(list(tmp_path.glob("*/journals/*.journal"))) < 6 and time.monotonic() < end:
            time.sleep(0.05)
        children = family(harness.pid)
        assert len(children) == 7  # six workers and a server
    finally:
        harness.send_signal(how)
        harness.wait(END_S)
    end = time.monotonic() + END_S
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < end:
        time.sleep(0.05)
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    if how == signal.SIGTERM:
        assert not list(tmp_path.iterdir())
