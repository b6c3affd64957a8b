"""Which answers may be kept, and a kept answer as a stream's events.

An answer is kept if it is one whole choice of words that its model ended itself: none that was cut, refused,
filtered, or calls a tool. What was streamed is put together first. It knows no provider's language but
OpenAI's, which is what every dialect hands on.
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


def keepable(body: bytes) -> bool:
    """Whether a whole answer may be given again."""
    if len(body) > MAX_BODY:
        return False
    found = _parsed(body)
    choices = None if found is None else found.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        return False
    message = choices[0].get("message")
    return (
        choices[0].get("finish_reason") == "stop"
        and isinstance(message, dict)
        and isinstance(message.get("content"), str)
        and bool(message["content"].strip())
        and {name for name, value in message.items() if value not in (None, [], "")} <= _PLAIN
    )


def completion_of(pieces: Iterable[bytes]) -> bytes | None:
    """The whole answer that a stream's events came to; None where it may not be kept.

    Parameters
    ----------
    pieces
        SSE bytes in OpenAI's form, whole events each.
    """
    head: dict[str, Any] = {}
    words: dict[str, list[str]] = {}
    ended, usage = None, None
    for piece in pieces:
        for line in piece.split(b"\n"):
            if not line.startswith(b"data:"):
                continue
            chunk = _parsed(line[5:])
            if chunk is None:
                continue
            for name in chunk.keys() - _OURS:
                if chunk[name] is not None and (name not in _HEAD or name not in head):
                    head[name] = chunk[name]
            usage = chunk.get("usage") or usage
            choices = chunk.get("choices") or []
            if not isinstance(choices, list):
                return None
            for choice in choices:
                if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                    return None
                if not _take(choice.get("delta"), words):
                    return None
                ended = choice.get("finish_reason") or ended
    message = {"role": "assistant", **{name: "".join(parts) for name, parts in words.items()}}
    body = orjson.dumps(
        {
            **head,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": ended}],
            **({} if usage is None else {"usage": usage}),
        }
    )
    return body if keepable(body) else None


def events_of(body: bytes) -> tuple[bytes, ...]:
    """A kept answer as a stream's events: its words in one, its end in another."""
    found = orjson.loads(body)
    choice = found["choices"][0]
    delta = {name: value for name, value in choice["message"].items() if value not in (None, [], "")}
    said = {name: value for name, value in found.items() if name not in _OURS and value is not None}
    head = {name: said.pop(name) for name in _HEAD if name in said} | {"object": "chat.completion.chunk"}
    return _event(head, delta, None), _event(head | said, {}, choice["finish_reason"])


def _event(head: Mapping[str, Any], delta: Mapping[str, Any], ended: str | None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": ended}]
    return b"data: %b\n\n" % orjson.dumps({**head, "choices": choices})


def _take(delta: object, words: dict[str, list[str]]) -> bool:
    """Add the words of a piece; False where it holds more than words."""
    if not isinstance(delta, dict):
        return delta is None
    for name, value in delta.items():
        if value in (None, [], "") or name == "role":
            continue
        if name not in _PLAIN or not isinstance(value, str):
            return False
        words.setdefault(name, []).append(value)
    return True


def _parsed(data: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
