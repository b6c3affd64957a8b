"""Reasoning blocks of one stream, kept until each is whole and can be sent back.

What a client needs to send a thought back is known only at its end, so it is kept till then, and no more of
it than an answer may have. It knows nothing of wires.
"""

from typing import Any, Final

MAX_KEPT: Final = 8 << 20
"""Characters of thoughts that are kept at once: far beyond what any model thinks in one answer."""


class Thoughts:
    """Blocks that are open, each by its number."""

    __slots__ = ("_open", "_size")

    def __init__(self) -> None:
        self._open: dict[int, tuple[dict[str, Any], list[str]]] = {}
        self._size = 0

    def begin(self, index: int) -> None:
        """Open a block, if it is not open."""
        self._open.setdefault(index, ({"type": "thinking", "thinking": "", "signature": None}, []))

    def seal(self, index: int, data: str) -> None:
        """Keep a block that only its own lab can read."""
        self._keep(len(data))
        self._open[index] = {"type": "redacted_thinking", "data": data}, []

    def sign(self, index: int, signature: str) -> None:
        """Keep a block's signature; raises `KeyError` where none is open."""
        self._keep(len(signature))
        self._open[index][0]["signature"] = signature

    def add(self, index: int, text: str) -> None:
        """Keep more of a block; raises `KeyError` where none is open, `ValueError` where it is too much."""
        self._keep(len(text))
        self._open[index][1].append(text)

    def end(self, index: int) -> dict[str, Any] | None:
        """The whole block in Anthropic's form, or None where none is open."""
        found = self._open.pop(index, None)
        if found is None:
            return None
        block, texts = found
        return {**block, "thinking": "".join(texts)} if block["type"] == "thinking" else block

    def _keep(self, size: int) -> None:
        self._size += size
        if self._size > MAX_KEPT:
            raise ValueError("more thought than is kept")
