"""What was really spent: journals that workers write before and after every call, and the sum of them.

A line is one `write` to a file opened for appending: what `write` has returned from outlives kill -9. The
line that tells of a call is written before the call is made, with what the call will cost: its provider bills
it, whether its caller lives to hear the answer or not. Nothing here knows of the guard's books.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from p402.guard.scopes import CODES
from tests.chaos.budgets import account

SETTLED_MS = 1_000
"""A call that ended this long before its worker was killed has been settled."""
NOBODY: Mapping[str, int] = {}

DayKey = tuple[str, int]
"""Tenant and UTC day."""


def now_ms() -> int:
    """Time that all processes of a machine share."""
    return time.monotonic_ns() // 1_000_000


class Journal:
    """One worker's journal, for writing."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def opened(self) -> None:
        """The worker's guard is open."""
        self._write("opened")

    def asked(self, request: str, tenant: str, amount_nano: int, stems: Sequence[str] = ()) -> None:
        """A hold, or a larger one, is about to be asked for, under scopes that these stand for."""
        self._write("asked", request, tenant, amount_nano, now_ms(), *stems)

    def refused(self, request: str, code: str) -> None:
        """None was granted."""
        self._write("refused", request, code, now_ms())

    def left(self, request: str) -> None:
        """The caller left while it waited."""
        self._write("left", request)

    def dispatched(self, request: str, tenant: str, day: int, cost_nano: int) -> None:
        """An attempt is about to be made; it will cost so much."""
        self._write("dispatched", request, tenant, day, cost_nano, now_ms())

    def ended(self, request: str) -> None:
        """The last attempt is over, and about to be settled."""
        self._write("ended", request, now_ms())

    def waited(self, wait_ms: float, starved_ms: float) -> None:
        """No hold has taken longer so far; for a part of it the machine gave this process no time."""
        self._write("waited", round(wait_ms), round(starved_ms))

    def _write(self, *words: object) -> None:
        line = (" ".join(map(str, words)) + "\n").encode()
        assert os.write(self._file, line) == len(line), "the journal's disk is full"


@dataclass
class Request:
    """What a worker did for one request."""

    tenant: str
    stems: Sequence[str] = ()
    asked_nano: int = 0
    asked_ms: int = 0
    cost_nano: int = 0
    day: int | None = None
    """None where nothing was dispatched."""
    ended_ms: int | None = None
    refused: bool = False

    @property
    def rest_nano(self) -> int:
        """What was asked for beyond the cost."""
        return self.asked_nano - self.cost_nano


@dataclass
class Truth:
    """What all journals of a run say together.

    Attributes
    ----------
    spent_nano
        Of a tenant's day: the cost of everything dispatched.
    unsure_nano
        Of a tenant: how much more than that may be in the books, because workers were killed before they
        settled. What they had asked for is charged at its maximum.
    scoped_nano, scoped_unsure_nano
        Both of a tenant's scopes: spent by account, unsure by stem.
    scoped_late_nano
        Of a scope: what came back from workers that were frozen, and what dead ones held; others may have
        given up by then.
    dispatched_ms, refused_ms
        When attempts were made, and when scopes refused one by what they had spent.
    longest_ms
        Longest wait for a reservation, less what the machine withheld from the process meanwhile.
    """

    spent_nano: Counter[DayKey] = field(default_factory=Counter)
    unsure_nano: Counter[str] = field(default_factory=Counter)
    scoped_nano: Counter[tuple[str, str]] = field(default_factory=Counter)
    scoped_unsure_nano: Counter[tuple[str, str]] = field(default_factory=Counter)
    scoped_late_nano: Counter[tuple[str, str]] = field(default_factory=Counter)
    dispatched_ms: list[int] = field(default_factory=list)
    refused_ms: list[int] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    left: int = 0
    longest_ms: int = 0
    longest_raw_ms: int = 0


def read(
    journals: Iterable[Path], killed_ms: Mapping[str, int], frozen_ms: Mapping[str, int] = NOBODY
) -> Truth:
    """Add journals up.

    Parameters
    ----------
    killed_ms, frozen_ms
        When workers were killed, or frozen for longer than holds last, by the name of their journal.
    """
    truth = Truth()
    for path in sorted(journals):
        requests = _requests(path, truth)
        for request in requests.values():
            if request.day is not None:
                truth.spent_nano[request.tenant, request.day] += request.cost_nano
                for stem in request.stems:
                    truth.scoped_nano[request.tenant, account(stem, request.day)] += request.cost_nano
        if (killed := killed_ms.get(path.stem)) is not None:
            for request in _under_way(requests, killed):
                truth.unsure_nano[request.tenant] += request.rest_nano
                for stem in request.stems:
                    truth.scoped_unsure_nano[request.tenant, stem] += request.rest_nano
                    truth.scoped_late_nano[request.tenant, stem] += request.asked_nano
        if (frozen := frozen_ms.get(path.stem)) is not None:
            for request in _under_way(requests, frozen):
                for stem in request.stems:
                    truth.scoped_late_nano[request.tenant, stem] += request.rest_nano
    return truth


def _under_way(requests: Mapping[str, Request], at_ms: int) -> Iterator[Request]:
    """What had been asked for, was not refused, and had not ended for long enough to be settled."""
    for request in requests.values():
        refused = request.refused and request.day is None
        settled = request.ended_ms is not None and request.ended_ms < at_ms - SETTLED_MS
        if request.asked_ms <= at_ms and not (refused or settled):
            yield request


def _requests(path: Path, truth: Truth) -> dict[str, Request]:
    requests: dict[str, Request] = defaultdict(lambda: Request(""))
    *lines, torn = path.read_text().split("\n")  # a line that was cut short told of nothing that was done
    del torn
    for line in lines:
        match line.split(" "):
            case ["asked", name, tenant, amount, at_ms, *stems]:
                requests[name].tenant, requests[name].stems = tenant, stems
                requests[name].asked_ms = requests[name].asked_ms or int(at_ms)
                requests[name].asked_nano = max(requests[name].asked_nano, int(amount))
            case ["refused", name, code, at_ms]:
                requests[name].refused = True
                truth.refusals[code] += 1
                if code in CODES:
                    truth.refused_ms.append(int(at_ms))
            case ["left", name]:
                truth.left += 1
            case ["dispatched", name, tenant, day, cost, at_ms]:
                requests[name].day = int(day)
                requests[name].cost_nano += int(cost)
                truth.dispatched_ms.append(int(at_ms))
            case ["ended", name, at_ms]:
                requests[name].ended_ms = int(at_ms)
            case ["waited", wait, starved]:
                truth.longest_ms = max(truth.longest_ms, int(wait) - int(starved))
                truth.longest_raw_ms = max(truth.longest_raw_ms, int(wait))
            case ["opened"]:
                pass
            case _:
                raise ValueError(f"{path} has a line that is none: {line!r}")
    return requests
