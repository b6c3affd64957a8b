"""Which alerts wait to be posted, when each is next tried, and when it is given up.

A line for each tenant and kind: one letter a second begins in it, and what comes meanwhile is folded into
the next. A letter that fails is tried again after longer and longer waits. Pure: time and chance are
arguments. It knows nothing of HTTP.
"""

from dataclasses import dataclass, field
from typing import Final

from p402.ports import Alert
from serve.alerts.letter import kind_of

TRIES: Final = 5
FIRST_WAIT_MS: Final = 7_000
GROWTH: Final = 4
"""7 s, 28 s, 112 s and 448 s: the last try is ten minutes after the first."""
JITTER: Final = 0.2
SPACING_MS: Final = 1_000
"""Letters of one line begin at least this far apart."""
LINE_MOST: Final = 64
"""Letters of one line that wait; what comes then is folded until one has left."""
LETTERS_MOST: Final = 4_096
"""Letters of all lines that wait; what comes then is dropped."""


@dataclass(slots=True, eq=False)
class Letter:
    """One alert on its way, with how many others are folded into it."""

    alert: Alert
    folded: int
    due_ms: float
    tries: int = 0


@dataclass(slots=True, eq=False)
class _Line:
    free_ms: float
    letters: list[Letter] = field(default_factory=list)
    under_way: Letter | None = None
    held: Alert | None = None
    folded: int = 0


class Outbox:
    """The lines of one worker. Times are monotonic ms.

    Attributes
    ----------
    waiting
        Letters that are neither delivered nor given up, those under way included.
    begun, folded, overflowed
        Alerts so far that became a letter, that were folded into one, that found no room.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], _Line] = {}
        self.waiting = self.begun = self.folded = self.overflowed = 0

    def put(self, alert: Alert, now_ms: float) -> None:
        """Take an alert."""
        key = (alert.tenant, kind_of(alert))
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(free_ms=now_ms)
        if line.held is not None:
            line.folded += 1
            self.folded += 1
        elif self.waiting >= LETTERS_MOST:
            self.overflowed += 1
        else:
            line.held = alert
            self._begin(line, now_ms)

    def take(self, now_ms: float) -> Letter | None:
        """A letter that is due, to be answered by `delivered` or `failed`; one of a line at a time."""
        for line in self._lines.values():
            self._begin(line, now_ms)
            if line.under_way is None and line.letters:
                letter = min(line.letters, key=_due)
                if letter.due_ms <= now_ms:
                    line.under_way = letter
                    return letter
        return None

    def next_ms(self) -> float | None:
        """When `take` may give one, unless something happens before; None if only then."""
        times = [line.free_ms for line in self._lines.values() if line.held is not None and _has_room(line)]
        times += [
            min(letter.due_ms for letter in line.letters)
            for line in self._lines.values()
            if line.under_way is None and line.letters
        ]
        return min(times, default=None)

    def delivered(self, letter: Letter) -> None:
        """A letter has arrived."""
        self._leave(letter)

    def failed(self, letter: Letter, now_ms: float, chance: float) -> bool:
        """A try came to nothing; False where it was the last. `chance` is in [0, 1)."""
        letter.tries += 1
        if letter.tries >= TRIES:
            self._leave(letter)
            return False
        wait = FIRST_WAIT_MS * GROWTH ** (letter.tries - 1)
        letter.due_ms = now_ms + wait * (1 + JITTER * (2 * chance - 1))
        self._line(letter).under_way = None
        return True

    def hurry(self) -> None:
        """Make everything due, for one last try."""
        for line in self._lines.values():
            if line.held is not None:
                line.free_ms = 0.0
                self._begin(line, 0.0, line_most=LINE_MOST + 1)
            for letter in line.letters:
                letter.due_ms, letter.tries = 0.0, TRIES - 1

    def _begin(self, line: _Line, now_ms: float, line_most: int = LINE_MOST) -> None:
        """Make what a line holds a letter, if it is time and there is room."""
        if line.held is None or line.free_ms > now_ms or not _has_room(line, line_most):
            return
        line.letters.append(Letter(line.held, line.folded, now_ms))
        line.held, line.folded, line.free_ms = None, 0, now_ms + SPACING_MS
        self.waiting += 1
        self.begun += 1

    def _line(self, letter: Letter) -> _Line:
        return self._lines[letter.alert.tenant, kind_of(letter.alert)]

    def _leave(self, letter: Letter) -> None:
        line = self._line(letter)
        line.letters.remove(letter)
        line.under_way = None
        self.waiting -= 1


def _has_room(line: _Line, most: int = LINE_MOST) -> bool:
    return len(line.letters) < most


def _due(letter: Letter) -> float:
    return letter.due_ms
