"""What routing may read of logged messages: as the gateway reads a request, but it never refuses one.

Chat messages, items of the responses API, or a bare text. What is of no known form counts as its bytes, so
that a request's size is not understated. It knows nothing of where they were logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from p402.request import Transcript

_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode
_SYSTEM: Final = frozenset({"system", "developer"})


@dataclass(slots=True)
class _Count:
    system: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    text_bytes: int = 0
    images: int = 0
    answers: int = 0
    turns: int = 0


def as_json(messages: Any) -> str:
    """Canonical JSON of messages: sorted keys, no white space."""
    return _encode(messages).decode()


def transcript_of(messages: Any, tools: Any, *, schema: bool) -> Transcript | None:
    """The transcript of logged messages; None where there are none."""
    if not messages or not isinstance(messages, (str, list)):
        return None
    count = _Count()
    if isinstance(messages, str):
        _said("user", _parts(messages, count), count)
    else:
        for message in messages:
            _message(message, count)
    if tools:
        count.text_bytes += _size(tools)
    return Transcript(
        system="\n".join(count.system),
        first_user=count.users[0] if count.users else "",
        last_user=count.users[-1] if count.users else "",
        text_bytes=count.text_bytes,
        turns=max(count.turns, 1),
        images=count.images,
        has_tools=bool(tools),
        has_schema=schema,
        binds_family=False,
        answers=count.answers,
    )


def _message(message: Any, count: _Count) -> None:
    if not isinstance(message, Mapping):
        count.text_bytes += _size(message)
        return
    role = message.get("role")
    if not isinstance(role, str):  # a tool call, its result, or reasoning, as the responses API lists them
        count.text_bytes += _size(message)
        count.turns += 1
        return
    text = _parts(message.get("content"), count)
    for name in ("tool_calls", "function_call", "refusal", "name"):
        if message.get(name):
            count.text_bytes += _size(message[name])
    _said(role, text, count)


def _said(role: str, text: str, count: _Count) -> None:
    count.turns += 1
    if role in _SYSTEM:
        count.system.append(text)
    elif role == "user":
        count.users.append(text)
    elif role == "assistant":
        count.answers += 1


def _parts(content: Any, count: _Count) -> str:
    """Text of the parts; images are counted, what is neither is counted as its bytes."""
    texts: list[str] = []
    for part in content if isinstance(content, list) else ([] if content is None else [content]):
        text = part.get("text") if isinstance(part, Mapping) else part
        kind = part.get("type") if isinstance(part, Mapping) else "text"
        if isinstance(text, str):
            texts.append(text)
            count.text_bytes += len(text.encode("utf-8", "replace"))
        elif kind in {"image_url", "input_image", "image"}:
            count.images += 1
        else:
            count.text_bytes += _size(part)
    return "\n".join(texts)


def _size(value: Any) -> int:
    return len(_encode(value))
