"""What routing may read of the messages, tools and response format of a call.

Shapes are checked as far as the gateway relies on them; what OpenAI adds tomorrow passes through.
Tokens are not estimated here, only bytes of text counted: everything a provider would bill as
prompt is in the count.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from p402.errors import InvalidInput, MissingField, nearest
from p402.request import Transcript
from serve.wire import checks
from serve.wire.checks import Json
from serve.wire.reasoning import sealed_by

ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")
MAX_MESSAGES: Final = 2_048
MAX_PARTS: Final = 2_048
MAX_TOOLS: Final = 1_024

_FORM_FIELDS: Final = ("audio", "functions", "logit_bias", "logprobs", "prediction")
_NOT_COUNTED: Final = frozenset(
    {"role", "content", "tool_calls", "tool_call_id", "cache_control", "extra_content"}
)
"""Fields of a message that are counted elsewhere, or that no model reads."""
_NO_FORMS: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class _Count:
    """What has been seen so far."""

    system: list[str] = field(default_factory=list)
    first_user: str | None = None
    last_user: str = ""
    text_bytes: int = 0
    images: int = 0
    answers: int = 0
    open_tool_call: bool = False
    sealed_by: str | None = None
    forms: set[str] = field(default_factory=set)


def parse_transcript(body: Json) -> Transcript:
    """Read the transcript of a chat body; the error's `param` is the dotted path of what is wrong."""
    messages = body.get("messages")
    if messages is None:
        raise MissingField("messages: missing; expected a non-empty array of messages", param="messages")
    if not checks.array(messages, "messages", MAX_MESSAGES):
        raise InvalidInput("messages: found an empty array, expected at least one message", param="messages")
    count = _Count()
    for i, message in enumerate(messages):
        _message(message, f"messages[{i}]", count)
    tools = _tools(body, count)
    has_schema = _schema(body, count)
    count.forms.update(name for name in _FORM_FIELDS if body.get(name))
    if (body.get("n") or 1) != 1:
        count.forms.add("n")
    return Transcript(
        system="\n".join(count.system),
        first_user=count.first_user or "",
        last_user=count.last_user,
        text_bytes=count.text_bytes,
        turns=len(messages),
        images=count.images,
        has_tools=tools,
        has_schema=has_schema,
        binds_family=count.open_tool_call
        or count.sealed_by is not None
        or bool(body.get("previous_response_id")),
        sealed_by=count.sealed_by or None,
        forms=frozenset(count.forms) if count.forms else _NO_FORMS,
        answers=count.answers,
    )


def _message(message: object, path: str, count: _Count) -> None:
    if not isinstance(message, dict):
        raise checks.wrong(path, message, "an object with `role` and `content`")
    role = message.get("role")
    if role is None:
        raise MissingField(f"{path}.role: missing; expected one of {', '.join(ROLES)}", param=f"{path}.role")
    if not isinstance(role, str) or role not in ROLES:
        hint = nearest(role[:64], ROLES) if isinstance(role, str) else ""
        raise checks.wrong(f"{path}.role", role, f"one of {', '.join(ROLES)}{hint}")
    content = message.get("content")
    calls = message.get("tool_calls")
    if calls is not None:
        for i, call in enumerate(checks.array(calls, f"{path}.tool_calls", MAX_PARTS)):
            count.text_bytes += _size(checks.mapping(call, f"{path}.tool_calls[{i}]"))
    if role in {"tool", "function"}:
        count.open_tool_call = True
    elif role == "assistant":
        count.answers += 1
        count.open_tool_call = bool(calls) or message.get("function_call") is not None
        lab = sealed_by(message)
        if lab is not None:
            count.sealed_by = lab or count.sealed_by or lab
    else:
        count.open_tool_call = False
    if not message.keys() <= _NOT_COUNTED:  # a name, a refusal, reasoning that is sent back
        for name in message.keys() - _NOT_COUNTED:
            value = message[name]
            if value is not None:
                count.text_bytes += _utf8(value) if isinstance(value, str) else _size(value)
    _content(content, role, message, path, count)


def _content(content: object, role: str, message: Json, path: str, count: _Count) -> None:
    match content:
        case str():
            text = content
            count.text_bytes += _utf8(text)
        case list():
            text = _parts(content, f"{path}.content", count)
        case None:
            if role != "assistant" or not any(
                message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio")
            ):
                raise MissingField(
                    f"{path}.content: missing; expected a string or an array of parts"
                    f"{' where there are no tool_calls' if role == 'assistant' else ''}",
                    param=f"{path}.content",
                )
            return
        case _:
            raise checks.wrong(
                f"{path}.content", content, "a string, an array of parts, or null beside tool_calls"
            )
    if role in {"system", "developer"}:
        count.system.append(text)
    elif role == "user":
        count.last_user = text
        if count.first_user is None:
            count.first_user = text


def _parts(parts: list[Any], path: str, count: _Count) -> str:
    """Text of a message in parts; images are counted, what is neither is counted as its bytes."""
    texts: list[str] = []
    for i, part in enumerate(checks.array(parts, path, MAX_PARTS)):
        where = f"{path}[{i}]"
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise checks.wrong(where, part, "an object with a `type`")
        match part["type"]:
            case "text":
                text = part.get("text")
                if not isinstance(text, str):
                    raise checks.wrong(f"{where}.text", text, "a string")
                texts.append(text)
                count.text_bytes += _utf8(text)
            case "image_url":
                image = part.get("image_url")
                if not isinstance(image, dict) or not isinstance(image.get("url"), str):
                    raise checks.wrong(f"{where}.image_url", image, "an object with a `url`")
                count.images += 1
                start = image["url"][:11].lower()
                if not start.startswith("data:"):
                    count.forms.add("image_url")
                elif start != "data:image/":  # a document or a film, of which an image's tokens say nothing
                    count.text_bytes += _size(part)
            case "file" | "input_audio":
                count.forms.add("file" if part["type"] == "file" else "audio")
                count.text_bytes += _size(part)
            case _:
                count.text_bytes += _size(part)
    return "\n".join(texts)


def _tools(body: Json, count: _Count) -> bool:
    offered = False
    for name in ("tools", "functions"):
        tools = body.get(name)
        if tools is None:
            continue
        for i, tool in enumerate(checks.array(tools, name, MAX_TOOLS)):
            if not isinstance(tool, dict):
                raise checks.wrong(f"{name}[{i}]", tool, "an object")
            offered = True
        count.text_bytes += _size(tools)
    return offered


def _schema(body: Json, count: _Count) -> bool:
    wanted = body.get("response_format")
    if wanted is None:
        return False
    if not isinstance(wanted, dict) or not isinstance(wanted.get("type"), str):
        raise checks.wrong("response_format", wanted, "an object with a `type`")
    if wanted["type"] != "json_schema":
        if wanted["type"] == "json_object":
            count.forms.add("json_object")
        return False
    if not isinstance(wanted.get("json_schema"), dict):
        raise checks.wrong("response_format.json_schema", wanted.get("json_schema"), "an object")
    count.text_bytes += _size(wanted)
    return True


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _size(value: object) -> int:
    return len(orjson.dumps(value))
