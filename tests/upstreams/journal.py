"""What a provider of the tests was asked, and how each caller ended: kept across threads.

Times are seconds of the system's monotonic clock, which all processes of a host share.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """One request.

    Attributes
    ----------
    provider
        First part of the path: whom the caller takes the server for.
    headers
        By lower-case name.
    events, said
        How many events were written, and how many of them said something of the answer.
    left_s
        When the caller closed the connection before its answer's end; None if it stayed.
    ended_s
        When the server was done with it, well or not; None while it is at it.
    """

    at_s: float
    provider: str
    path: str
    headers: Mapping[str, str]
    body: Any
    model: str = ""
    events: int = 0
    said: int = 0
    left_s: float | None = None
    ended_s: float | None = None


@dataclass
class Journal:
    """Requests in the order in which they came."""

    _entries: list[Entry] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, entry: Entry) -> None:
        """Keep one more."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def note(self, entry: Entry, **fields: Any) -> None:
        """Change an entry, and wake whoever waits."""
        with self._changed:
            for name, value in fields.items():
                setattr(entry, name, value)
            self._changed.notify_all()

    def of(self, model: str) -> list[Entry]:
        """What this model was asked so far."""
        with self._changed:
            return [entry for entry in self._entries if entry.model == model]

    def wait(self, model: str, until: Callable[[list[Entry]], bool], seconds: float = 20) -> list[Entry]:
        """Wait until what the model was asked is as it should be; AssertionError where it never is."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                found = [entry for entry in self._entries if entry.model == model]
                if until(found):
                    return found
                left = deadline - time.monotonic()
                assert left > 0, f"after {seconds} s, {model} still has {found}"
                self._changed.wait(left)
