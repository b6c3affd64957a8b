"""Chat requests that are wrong in one to four ways, each known by its number; what is sent over the socket.

A number and the seed give the same bytes on every machine, so that whatever one of them breaks can be sent
again alone: `mutation(17)`. It knows nothing of sockets or answers.
"""

import json
import random
import struct
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

SEED: Final = 402
GENERATIONS: Final = ("claude-sonnet-4-5", "claude-3-7-sonnet", "claude-opus-4-7", "claude-3-haiku")
"""Models whose requests Anthropic wants written in different ways."""
MODELS: Final = (
    "m",
    "auto",
    "p402/cost",
    "p402/quality",
    "acme/m",
    *(f"claude/{model}" for model in GENERATIONS),
)

_IMAGE: Final = "data:image/png;base64,iVBORw0KGgo="
_PDF: Final = "data:application/pdf;base64,JVBER"
_WORDS: Final = {"type": "object", "properties": {"w": {"type": "array", "items": {"type": "string"}}}}
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string"}, "deep": {"type": "object", "properties": {}}},
            "required": ["word"],
        },
    },
    "cache_control": {"type": "ephemeral"},
}
_CALLED: Final = {
    "role": "assistant",
    "content": None,
    "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "c2VhbA=="}],
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "look_up", "arguments": '{"word": "gate"}'},
            "extra_content": {"google": {"thought_signature": "c2VhbA=="}},
        }
    ],
}
SOUND: Final[tuple[dict[str, Any], ...]] = (
    {"messages": [{"role": "user", "content": "What is 2 + 2?"}]},
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Nöch ein Wort: 你好 🦊"},
            {"role": "assistant", "content": "hi", "refusal": None},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ],
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 40,
        "seed": 7,
        "stop": ["\n\n", "END"],
        "max_completion_tokens": 50,
        "reasoning_effort": "low",
        "user": "u-1",
        "metadata": {"a": "b"},
        "frequency_penalty": 0,
        "presence_penalty": 0,
        "parallel_tool_calls": False,
    },
    {
        "messages": [
            {"role": "user", "content": "look it up"},
            _CALLED,
            {"role": "tool", "tool_call_id": "call_1", "content": "a hinged frame"},
            {"role": "user", "content": "and?"},
        ],
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "look_up"}},
        "thinking": {"type": "enabled"},
        "reasoning_effort": "high",
        "max_tokens": 400,
    },
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is it?", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": _IMAGE, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://images.example/x.png"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": _PDF}},
                ],
            }
        ],
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "top_logprobs": 2,
        "n": 2,
    },
    {
        "messages": [
            {"role": "developer", "content": "JSON only."},
            {"role": "user", "content": "three words"},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "words",
                "strict": True,
                "schema": _WORDS,
            },
        },
        "p402": {
            "mode": {"cost": 1, "quality": 2.5, "speed": 0},
            "cache": False,
            "cache_ttl": 60,
            "prefer_providers": ["acme"],
            "exclude_providers": ["nobody"],
            "require_capabilities": ["chat"],
            "max_cost": 0.5,
            "session_id": "s-1",
            "failover": True,
            "task": "extraction",
            "action_type": "answer",
            "tags": {"team": "x"},
            "explain": True,
        },
    },
)  # fmt: skip
"""Requests that pass the door as they are."""

VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 2, 8, 9, 0.5, -0.0, 1e308, 5e-324, 2**31, 2**53 + 1, 2**63, 2**64, 2**70,
    -(2**63), "", " ", "x", "\x00", "\r\nx-evil: 1", "\u202eevil", "\ufeff", "\ud800", "\udfff\ud800",
    "é" * 300, "🜁🜂🜃", "a" * 5_000, "null", "1", "true", "user", "assistant", "tool", "max", "xhigh",
    "http://169.254.169.254/", "data:image/png;base64,", "data:;base64,AA", "{}", "{{7*7}}",
    "../../etc/passwd", "' OR 1=1 --", "${jndi:ldap://x}", [], [None], [[]], [1, "a", {}], ["x"] * 70, {},
    {"": ""}, {"type": None}, {"type": "text"}, {"type": "function"},
    {"type": "json_schema", "json_schema": {}}, {"role": "user", "content": "x"}, {"enabled": True},
    {"a": {"b": {"c": []}}},
)  # fmt: skip
NAMES: Final = (
    "mode", "max_cost", "max_cost_usd", "maxcost", "session_id", "task_type", "dry_run", "cache", "n",
    "stream", "tools", "functions", "function_call", "api_base", "base_url", "audio", "prediction",
    "previous_response_id", "thinking", "reasoning_effort", "response_format", "stream_options",
    "include_usage", "content", "refusal", "name", "__class__", "", "\x00", "\ud800", "p402", "messages",
    "model", "tool_calls", "arguments", "encrypted_content", "tags", "type",
)  # fmt: skip
BYTES: Final = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"NaN", b"Infinity", b"-", b"1e999", b"0x1",
    b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\xef\xbb\xbf", b"\\u0000", b"\\ud83d", b"/**/", b"'",
    b"\n", b"9" * 400, b'{"a":' * 70,
)  # fmt: skip
CONTENT_TYPES: Final = (
    b"text/plain",
    b"multipart/form-data; boundary=x",
    b"application/x-www-form-urlencoded",
    b"application/json; charset=utf-16",
    b"",
    b"\xff\xfe",
)


@dataclass(frozen=True, slots=True)
class Mutation:
    """One request as it is sent.

    Attributes
    ----------
    wire
        Head and body.
    framed
        How its end is told: `length` and `chunked` are sound; `short` says less than comes, `long` more.
    """

    number: int
    wire: bytes
    framed: str
    body: bytes


def mutation(number: int, seed: int = SEED) -> Mutation:
    """The request of a number."""
    rng = random.Random(f"{seed}/{number}")
    body = _body(rng)
    framed = rng.choices(("length", "chunked", "short", "long"), (88, 8, 2, 2))[0]
    return Mutation(number, _wire(rng, body, framed), framed, body)


def _body(rng: random.Random) -> bytes:
    value = deepcopy(rng.choice(SOUND))
    value["model"] = rng.choice(MODELS[:2] if "p402" in value else MODELS)
    if rng.random() < 0.5:
        value |= {"stream": True, "stream_options": {"include_usage": rng.random() < 0.5}}
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        value = rng.choice(_OF_VALUES)(rng, value)
    raw = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2))):
        raw = rng.choice(_OF_BYTES)(rng, raw)
    return raw


def _wire(rng: random.Random, body: bytes, framed: str) -> bytes:
    path = rng.choice((b"/v1", b"/v1", b"/v1", b"/api/v2")) + b"/chat/completions"
    lines = [b"POST %b HTTP/1.1" % path, b"host: gateway"]
    kind = rng.choice(CONTENT_TYPES) if rng.random() < 0.1 else b"application/json"
    lines.append(b"content-type: " + kind)
    if rng.random() < 0.02:
        lines.append(
            rng.choice((b"content-encoding: gzip", b"x-a: " + b"v" * 4_000, b"accept: \xe9", b"cookie: a=b"))
        )
    if rng.random() < 0.01:
        lines.append(
            b"idempotency-key: " + rng.choice((b"k-%d" % rng.randrange(30), b"\xff", b"x" * 300, b""))
        )
    match framed:
        case "chunked":
            lines.append(b"transfer-encoding: chunked")
            body = b"".join(_chunks(rng, body))
        case "short":
            lines.append(b"content-length: %d" % rng.randrange(len(body) + 1))
        case "long":
            lines.append(b"content-length: %d" % (len(body) + rng.choice((1, 7, 100_000))))
        case _:
            lines.append(b"content-length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


def _chunks(rng: random.Random, body: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(body):
        size = min(rng.choice((1, 7, 300, 4_000)), len(body) - start)
        yield b"%x\r\n%b\r\n" % (size, body[start : start + size])
        start += size
    yield b"0\r\n\r\n"


# Values


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, inner in entries:
        yield (*path, name)
        yield from _places(inner, (*path, name))


def _holder(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path[:-1]:
        value = value[name]
    return value


def _put(rng: random.Random, value: Any, made: Callable[[Any], Any]) -> Any:
    """The same value with what stands at one place of it replaced."""
    places = list(_places(value))
    if not places:
        return made(value)
    shallow = [path for path in places if len(path) == 1]
    path = rng.choice(shallow if rng.random() < 0.3 else places)
    holder = _holder(value, path)
    holder[path[-1]] = made(holder[path[-1]])
    return value


def _swap_type(rng: random.Random, value: Any) -> Any:
    new = deepcopy(rng.choice(VALUES))
    return _put(rng, value, lambda _: new)


def _drop(rng: random.Random, value: Any) -> Any:
    places = list(_places(value))
    if places:
        path = rng.choice(places)
        del _holder(value, path)[path[-1]]
    return value


def _add(rng: random.Random, value: Any) -> Any:
    name, new = rng.choice(NAMES), deepcopy(rng.choice(VALUES))
    objects = [path for path in _places(value) if isinstance(_holder(value, path), dict)]
    holder = _holder(value, rng.choice(objects)) if objects and rng.random() < 0.7 else value
    if isinstance(holder, dict):
        holder[name] = new
    return value


def _wish(rng: random.Random, value: Any) -> Any:
    """One of `p402`'s fields, or nearly, with any value or with one of its own kind."""
    if not isinstance(value, dict):
        return value
    known = SOUND[4]["p402"]
    name = rng.choice((*known, *NAMES[:8]))
    new = deepcopy(known[name] if name in known and rng.random() < 0.4 else rng.choice(VALUES))
    options = value.setdefault("p402", {})
    if isinstance(options, dict):
        options[name] = new
    return value


def _graft(rng: random.Random, value: Any) -> Any:
    """A piece of another request in the place of one of this."""
    other = deepcopy(rng.choice(SOUND))
    path = rng.choice(list(_places(other)))
    return _put(rng, value, lambda _: _holder(other, path)[path[-1]])


def _deepen(rng: random.Random, value: Any) -> Any:
    levels, in_lists = rng.choice((2, 2, 20, 54, 54, 200)), rng.random() < 0.5

    def nested(inner: Any) -> Any:
        for _ in range(levels):
            inner = [inner] if in_lists else {"a": inner}
        return inner

    return _put(rng, value, nested)


def _repeat(rng: random.Random, value: Any) -> Any:
    """A list many times over."""
    lists = [path for path in _places(value) if isinstance(_holder(value, path)[path[-1]], list)]
    if lists:
        path = rng.choice(lists)
        holder = _holder(value, path)
        holder[path[-1]] = holder[path[-1]] * rng.choice((2, 3, 40))
    return value


# Bytes


def _flip(rng: random.Random, raw: bytes) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.choice((1, 1, 3, 10))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _truncate(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _splice(rng: random.Random, raw: bytes) -> bytes:
    other = json.dumps(rng.choice(SOUND)).encode()
    return raw[: rng.randrange(len(raw) + 1)] + other[rng.randrange(len(other)) :]


def _insert(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(BYTES) + raw[at + rng.choice((0, 0, 1, 5)) :]


def _twice(rng: random.Random, raw: bytes) -> bytes:
    """A name a second time: the same, or another that was there."""
    name = rng.choice(("model", "messages", "stream", "p402", "n", "max_tokens", "tools"))
    new = json.dumps(rng.choice(VALUES)).encode("utf-8", "surrogatepass")
    return raw.replace(b"{", b'{"%b": %b, ' % (name.encode(), new), 1)


def _number(rng: random.Random, raw: bytes) -> bytes:
    """A digit becomes a number that few types hold."""
    digits = [i for i, byte in enumerate(raw) if 0x30 <= byte <= 0x39]
    if not digits:
        return raw
    at = rng.choice(digits)
    huge = rng.choice(
        (b"1e400", b"-1e308", b"9" * 30, b"1" + b"0" * 320, b"0." + b"3" * 400, b"00", b"1e-999")
    )
    return raw[:at] + huge + raw[at + 1 :]


def _recode(rng: random.Random, raw: bytes) -> bytes:
    text = raw.decode("utf-8", "replace")
    return rng.choice(
        (text.encode("utf-16"), text.encode("latin-1", "replace"), struct.pack("<I", 7) + raw, raw + raw)
    )


_OF_VALUES: Final = (
    _swap_type, _swap_type, _swap_type, _drop, _add, _add, _wish, _wish, _graft, _deepen, _repeat,
)  # fmt: skip
_OF_BYTES: Final = (_flip, _flip, _truncate, _splice, _insert, _insert, _twice, _number, _recode)
