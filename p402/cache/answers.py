"""Which answers may be kept, and a kept answer as a stream's events.

An answer is kept if it is one whole choice of words that its model ended itself: none that was cut, refused,
filtered, calls a tool or cites what it searched. What was streamed is put together as it passes, and what of
it is not understood makes it one that is not kept. It knows no provider's language but OpenAI's, which is
what every dialect hands on.

Source: OpenAI API reference, streaming; WHATWG HTML, server-sent events.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

MAX_BODY: Final = 262_144
"""Bytes of an answer that is kept."""

_PLAIN: Final = frozenset({"role", "content", "reasoning_content", "reasoning"})
"""Parts of a message that are words, and can be put together and taken apart."""

_HEAD: Final = ("id", "created", "model", "system_fingerprint", "service_tier")
"""What every event of a stream carries; what else a provider says of an answer comes with its last."""
_OURS: Final = frozenset({"choices", "object", "p402_metadata", "usage"})
_SEARCHED: Final = ("citations", "search_results", "web_search")
"""What says that an answer was searched for: it ages with what was found."""
_NOTHING: Final[tuple[Any, ...]] = (None, [], "", {})
_DONE: Final = b"[DONE]"


def keepable(body: bytes) -> bool:
    """Whether a whole answer may be given again."""
    if len(body) > MAX_BODY:
        return False
    found = _parsed(body)
    return found is not None and _is_whole(found)


def told_usage(prompt: int, output: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    """Tokens in OpenAI's form."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


class Gathering:
    """A stream's events on their way to one whole answer.

    Attributes
    ----------
    lost
        Whether it can no longer become one that may be kept.
    """

    __slots__ = ("_ended", "_head", "_room", "_usage", "_words", "lost")

    def __init__(self) -> None:
        self.lost = False
        self._head: dict[str, Any] = {}
        self._words: dict[str, list[str]] = {}
        self._ended: str | None = None
        self._usage: dict[str, Any] | None = None
        self._room = MAX_BODY

    def take(self, piece: bytes) -> None:
        """Take SSE bytes: whole events, one or several."""
        for data in () if self.lost else _events(piece):
            if data.strip() != _DONE and not self._event(data):
                self.lost = True
                return

    def whole(self, usage: Mapping[str, Any]) -> bytes | None:
        """The answer that the events came to, if it may be kept.

        Parameters
        ----------
        usage
            To be told where the events told none, since nobody asked for it.
        """
        if self.lost:
            return None
        message = {"role": "assistant", **{name: "".join(parts) for name, parts in self._words.items()}}
        found = {
            **self._head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": self._ended}],
            "usage": self._usage or dict(usage),
        }
        return orjson.dumps(found) if _is_whole(found) else None

    def _event(self, data: bytes) -> bool:
        """Take one event; False where it is not understood to the last part."""
        chunk = _parsed(data)
        choices = None if chunk is None else chunk.get("choices", [])
        if chunk is None or not isinstance(choices, list) or len(choices) > 1 or chunk.get("error"):
            return False
        for name in chunk.keys() - _OURS:
            if chunk[name] is not None and (name not in _HEAD or name not in self._head):
                self._head[name] = chunk[name]
        self._usage = chunk.get("usage") or self._usage
        return all(self._choice(choice) for choice in choices)

    def _choice(self, choice: object) -> bool:
        if not isinstance(choice, dict) or choice.get("index") not in (0, None):
            return False
        delta, ended = choice.get("delta"), choice.get("finish_reason")
        if delta is None and ended is None:
            return False
        for name, value in (delta if isinstance(delta, dict) else {}).items():
            if value in _NOTHING or name == "role":
                continue
            if name not in _PLAIN or not isinstance(value, str):
                return False
            self._room -= len(value)
            self._words.setdefault(name, []).append(value)
        self._ended = ended or self._ended
        return self._room >= 0 and (delta is None or isinstance(delta, dict))


def completion_of(pieces: Iterable[bytes], usage: Mapping[str, Any]) -> bytes | None:
    """The whole answer that a stream's pieces came to; None where it may not be kept."""
    gathering = Gathering()
    for piece in pieces:
        gathering.take(piece)
    return gathering.whole(usage)


def events_of(body: bytes) -> tuple[bytes, ...]:
    """A kept answer as a stream's events: its words in one, its end in another."""
    found = orjson.loads(body)
    choice = found["choices"][0]
    delta = {name: value for name, value in choice["message"].items() if value not in _NOTHING}
    said = {name: value for name, value in found.items() if name not in _OURS and value is not None}
    head = {name: said.pop(name) for name in _HEAD if name in said} | {"object": "chat.completion.chunk"}
    return _written(head, delta, None), _written(head | said, {}, choice["finish_reason"])


def _written(head: Mapping[str, Any], delta: Mapping[str, Any], ended: str | None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": ended}]
    return b"data: %b\n\n" % orjson.dumps({**head, "choices": choices})


def _is_whole(found: Mapping[str, Any]) -> bool:
    choices = found.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return False
    message = choices[0].get("message")
    return (
        choices[0].get("finish_reason") == "stop"
        and isinstance(message, dict)
        and isinstance(message.get("content"), str)
        and bool(message["content"].strip())
        and {name for name, value in message.items() if value not in _NOTHING} <= _PLAIN
        and all(found.get(name) in _NOTHING for name in _SEARCHED)
    )


def _events(piece: bytes) -> Iterable[bytes]:
    """The data of each event: its lines joined, as the standard says."""
    lines: list[bytes] = []
    for line in piece.splitlines():
        if line.startswith(b"data:"):
            lines.append(line[5:].removeprefix(b" "))
        elif not line and lines:
            yield b"\n".join(lines)
            lines = []
    if lines:
        yield b"\n".join(lines)


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
