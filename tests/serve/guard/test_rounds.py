"""Caps, scopes, slots and rates that processes of one or two hosts fight over, by any hand."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.chaos.hands import hand_of
from tests.chaos.place import NOON_MS
from tests.chaos.processes import ROOT
from tests.serve.guard.rounds import ACTUAL, AMOUNT, Rounds
from tests.serve.redis.server import redis_server

HANDS = ["sqlite", "redis"]
PROCESSES, CALLS, ROUNDS = 4, 50, 20


class Crowd:
    """Processes that do the same at the same time."""

    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def all(self, command: str) -> list:
        """What each of them answers."""
        for process in self._processes:
            process.stdin.write(f"{command}\n")
            process.stdin.flush()
        return [json.loads(process.stdout.readline()) for process in self._processes]


@contextmanager
def crowd(hand_name: str, folder: Path) -> Iterator[Crowd]:
    hand = hand_of(hand_name)
    folders = [folder / f"host{i}" for i in range(hand.hosts)]
    with ExitStack() as later:
        url = ""
        if hand.redis:
            (folder / "redis").mkdir()
            url = later.enter_context(redis_server(folder / "redis")).url
        began = time.monotonic_ns()
        processes = []
        for i in range(PROCESSES):
            place = Rounds(hand_name, tuple(map(str, folders)), i % hand.hosts, url, 0, 1.0, began, NOON_MS)
            words = [msgspec.json.encode(place).decode(), f"p{i}", str(CALLS)]
            process = later.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.serve.guard.rounds", *words],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
                )
            )  # fmt: skip
            later.callback(process.kill)
            processes.append(process)
        assert [process.stdout.readline() for process in processes] == ["open\n"] * PROCESSES
        yield Crowd(processes)
        for process in processes:
            process.stdin.close()
        assert [process.wait(20) for process in processes] == [0] * PROCESSES


def granted(answers: list[list[int]]) -> int:
    amounts = [amount for answer in answers for amount in answer]
    assert set(amounts) <= {AMOUNT}
    return len(amounts)


def fight(hand: str, folder: Path, rounds: int) -> None:
    """Each round has tenants of its own; what is granted is what there is, not one more and not one less."""
    rng = random.Random(402)
    with crowd(hand, folder) as everyone:
        for number in range(rounds):
            cap = rng.randint(AMOUNT, PROCESSES * CALLS * AMOUNT - 1)
            tenant = f"cap-{cap}-{number}"
            first = granted(everyone.all(f"ask {tenant}"))
            assert first == cap // AMOUNT
            assert everyone.all(f"settle {tenant}") == [[[first * ACTUAL, 0]]] * PROCESSES
            second = granted(everyone.all(f"ask {tenant}"))
            assert second == min((cap - first * ACTUAL) // AMOUNT, PROCESSES * CALLS)

            fight_for_scopes(everyone, rng, number)

            slots = rng.randint(1, PROCESSES * CALLS - 1)
            tenant = f"slots-{slots}-{number}"
            assert granted(everyone.all(f"ask {tenant}")) == slots
            everyone.all(f"settle {tenant}")
            assert granted(everyone.all(f"ask {tenant}")) == slots

            burst = rng.randint(1, PROCESSES * CALLS - 1)
            tenant = f"rate-{burst}-{number}"
            assert granted(everyone.all(f"ask {tenant}")) == burst
            everyone.all(f"settle {tenant}")
            assert granted(everyone.all(f"ask {tenant}")) == 0


def fight_for_scopes(everyone: Crowd, rng: random.Random, number: int) -> None:
    """All calls name a key, those of every other process a session as well."""
    half = PROCESSES * CALLS // 2
    key, session = rng.randint(AMOUNT, 2 * half * AMOUNT - 1), rng.randint(AMOUNT, half * AMOUNT - 1)
    tenant = f"scopes-{key}-{session}-{number}"
    spent = in_session = 0
    for _ in range(2):
        answers = everyone.all(f"ask {tenant}")
        first, named = granted(answers), granted(answers[1::2])
        room = (session - in_session) // AMOUNT
        assert named <= room
        assert first == min((key - spent) // AMOUNT, half + min(room, half))
        spent, in_session = spent + first * ACTUAL, in_session + named * ACTUAL
        books = [[spent, 0], [spent, 0], [in_session, 0]]
        assert everyone.all(f"settle {tenant}") == [books] * PROCESSES


@pytest.mark.parametrize("hand", HANDS)
def test_twenty_rounds_of_four_processes_exceed_no_cap_scope_slot_or_rate_by_one(tmp_path, hand):
    fight(hand, tmp_path, ROUNDS)


def test_a_guard_that_forgets_what_it_granted_does_not_survive_a_round(tmp_path):
    with pytest.raises(AssertionError):
        fight("frees-the-dead", tmp_path, 1)
