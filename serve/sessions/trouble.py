"""Whether a store that failed is asked, and when that is told.

One failure alone is counted and no more: on a busy host one wait too long is no news. Three in a row are
told, once, and from then on one caller a second asks while the others do not wait. It knows no store.
"""

from typing import Final

IN_A_ROW: Final = 3
REST_S: Final = 1.0


class Trouble:
    """What one kind of call to a store has come to. Times are monotonic seconds.

    Attributes
    ----------
    failed
        Calls so far that failed.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._row = 0
        self._rest_until = 0.0

    @property
    def told(self) -> bool:
        """Whether the store is known to be in trouble."""
        return self._row >= IN_A_ROW

    def may_ask(self, now_s: float) -> bool:
        """Whether to ask now; in trouble the first who asks has the turn, and the others a second later."""
        if not self.told:
            return True
        if now_s < self._rest_until:
            return False
        self._rest_until = now_s + REST_S
        return True

    def note_failure(self, now_s: float) -> bool:
        """A call failed; True where that is to be told."""
        self.failed += 1
        self._row += 1
        self._rest_until = now_s + REST_S
        return self._row == IN_A_ROW

    def note_success(self) -> bool:
        """A call succeeded; True where it is to be told that the trouble is over."""
        was, self._row = self.told, 0
        return was
