"""Tool calls of a stream in the form that OpenAI's clients put together again.

Clients add the pieces of a call up by its `index`, and run tools on the `finish_reason` of `tool_calls`. Some
compatible providers leave the index out, give several calls one index, or end with `stop`. A call is known
by its id; what is right already is not touched. It knows nothing of bytes or events.

Source: failures of peers that made two calls one (openai-python 2806, AstrBot 6661) or ran none
(python-genai 2868).
"""

from collections.abc import Mapping
from typing import Any, Final

STOP: Final = "stop"
TOOL_CALLS: Final = "tool_calls"


class ToolCalls:
    """The calls of one stream.

    Parameters
    ----------
    tool_choice
        The client's. Where it names a function, OpenAI itself ends with `stop`, and so it stays.
    """

    __slots__ = ("_choices", "_stays")

    def __init__(self, tool_choice: object) -> None:
        self._choices: dict[int, _Calls] = {}
        self._stays = isinstance(tool_choice, dict)

    def mend(self, index: int, choice: dict[str, Any]) -> bool:
        """Put one choice of a chunk right, in place; whether anything changed."""
        delta = choice.get("delta")
        pieces = delta.get("tool_calls") if isinstance(delta, dict) else None
        changed = False
        if pieces and isinstance(pieces, list):
            calls = self._choices.get(index)
            if calls is None:
                calls = self._choices[index] = _Calls()
            for piece in pieces:
                if isinstance(piece, dict):
                    changed |= calls.place(piece)
        if choice.get("finish_reason") == STOP and index in self._choices and not self._stays:
            choice["finish_reason"] = TOOL_CALLS
            changed = True
        return changed


class _Calls:
    """The calls of one choice."""

    __slots__ = ("_at", "_by_id", "_last", "_owner")

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._owner: dict[int, str] = {}  # of our index, the id it was given with
        self._at: dict[int, int] = {}  # the provider's index to ours, as of its last call there
        self._last = -1

    def place(self, piece: dict[str, Any]) -> bool:
        """Give a piece the index of its call; whether it had another, or none."""
        said = piece.get("index")
        said = said if isinstance(said, int) and not isinstance(said, bool) else None
        made = self._index_of(piece, said)
        if said is not None:
            self._at[said] = made
        self._last = made
        if said == made:
            return False
        piece["index"] = made
        return True

    def _index_of(self, piece: Mapping[str, Any], said: int | None) -> int:
        name = piece.get("id")
        if not isinstance(name, str) or not name:
            if said is not None:
                return self._at.get(said, said)
            return max(self._last, 0)  # more of the call before it
        known = self._by_id.get(name)
        if known is None:
            taken = self._owner
            known = said if said is not None and said not in taken else max(taken, default=-1) + 1
            self._by_id[name] = known
            taken[known] = name
        return known
