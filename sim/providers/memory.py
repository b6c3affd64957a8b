"""What a simulated provider remembers of past calls, in bounded memory."""

from collections import OrderedDict


class Memory:
    """A map that forgets what was used longest ago."""

    def __init__(self, most: int = 65_536) -> None:
        self._most = most
        self._entries: OrderedDict[bytes, int] = OrderedDict()

    def get(self, key: bytes) -> int:
        """Return what was put last, or 0."""
        return self._entries.get(key, 0)

    def put(self, key: bytes, value: int) -> None:
        """Remember, and forget the oldest entry if there are too many."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
