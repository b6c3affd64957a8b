"""A simulated provider's exchange in bytes: OpenAI's chat format, read and written.

Bytes in, a `Question` out; an `Answer` in, bytes out. Every answer says it is simulated, in
its text, in `system_fingerprint` and in the field `sim`, which carries the real quality for a
judge. It knows no socket, clock or chance.

Source: OpenAI chat completions reference, as its official client parses it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from p402.errors import InvalidInput, MissingField
from p402.units import PICO_PER_USD
from sim.providers.spec import Failure
from sim.providers.world import Answer

_FILLER = "simulated filler of no meaning, as long as the real answer was; " * 1024
_MAX_CHUNKS = 16
DONE = b"data: [DONE]\n\n"

STATUS = {
    Failure.RATE_LIMITED: (429, "rate_limit_error", "rate_limit_exceeded"),
    Failure.SERVER_ERROR: (500, "server_error", "internal_error"),
    Failure.UNAVAILABLE: (503, "server_error", "service_unavailable"),
    Failure.OVERLOADED: (529, "overloaded_error", "overloaded"),
    Failure.HANG: (504, "server_error", "timeout"),
    Failure.ERROR_EVENT: (200, "server_error", "upstream_error"),
}
"""HTTP status, error type and code of each failure that answers anything."""


@dataclass(frozen=True, slots=True)
class Question:
    """One chat call, as far as a simulated provider reads it.

    Attributes
    ----------
    prompt
        Text of the last user message.
    other_bytes
        UTF-8 bytes of all other text, tool definitions included.
    prefixes
        For each leading part of the messages that ends before the last one: a digest and its bytes.
    whole
        The same of all messages.
    cap
        `max_completion_tokens`, else `max_tokens`.
    tool
        Name of the function that the caller insists on, or None.
    wants_json
        `response_format` asks for JSON.
    """

    model: str
    prompt: str
    other_bytes: int
    prefixes: tuple[tuple[bytes, int], ...]
    whole: tuple[bytes, int]
    stream: bool
    include_usage: bool
    cap: int | None
    n: int
    tool: str | None
    wants_json: bool


def parse(body: bytes) -> Question:
    """Read a request body.

    Raises
    ------
    InvalidInput
        It is not JSON, or a field has the wrong type or range.
    MissingField
        `model` or `messages` is absent.
    """
    try:
        raw = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise InvalidInput("the body is not a JSON object")
    model = raw.get("model")
    if not isinstance(model, str):
        raise MissingField("`model` is missing; expected the id of a model", param="model")
    texts, last = _texts(raw.get("messages"))
    tools = len(orjson.dumps(raw["tools"])) if raw.get("tools") else 0
    prefixes = _prefixes(texts)
    options = raw.get("stream_options")
    form = raw.get("response_format")
    cap = raw.get("max_completion_tokens")
    return Question(
        model=model,
        prompt=texts[last],
        other_bytes=sum(len(t.encode(errors="surrogatepass")) for t in texts)
        - len(texts[last].encode(errors="surrogatepass"))
        + tools,
        prefixes=prefixes[:-1],
        whole=prefixes[-1],
        stream=raw.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        cap=_count(raw.get("max_tokens") if cap is None else cap, "max_tokens", 2**31),
        n=_count(raw.get("n"), "n", 8) or 1,
        tool=_forced_tool(raw),
        wants_json=isinstance(form, dict) and str(form.get("type", "")).startswith("json"),
    )


def _texts(messages: Any) -> tuple[list[str], int]:
    if not isinstance(messages, list) or not messages:
        raise MissingField("`messages` is missing; expected a list of at least one message", param="messages")
    texts, last = [], None
    for i, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidInput(f"`messages[{i}]` is not an object", param="messages")
        content = message.get("content")
        if isinstance(content, list):
            parts = (part.get("text") for part in content if isinstance(part, dict))
            content = "\n".join(text for text in parts if isinstance(text, str))
        elif content is None:
            content = ""
        elif not isinstance(content, str):
            raise InvalidInput(
                f"`messages[{i}].content` is neither text nor a list of parts", param="messages"
            )
        texts.append(content)
        if message.get("role") == "user":
            last = i
    return texts, len(texts) - 1 if last is None else last


def _prefixes(texts: list[str]) -> tuple[tuple[bytes, int], ...]:
    found, size, digest = [], 0, blake2b(digest_size=16)
    for text in texts:
        data = text.encode(errors="surrogatepass")
        size += len(data)
        digest.update(len(data).to_bytes(8, "little") + data)
        found.append((digest.digest(), size))
    return tuple(found)


def _count(value: Any, name: str, most: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise InvalidInput(f"`{name}` is {value!r}; expected a whole number from 1 to {most}", param=name)
    return value


def _forced_tool(raw: dict[str, Any]) -> str | None:
    choice, tools = raw.get("tool_choice"), raw.get("tools")
    if not isinstance(tools, list) or choice in (None, "auto", "none"):
        return None
    asked = choice if isinstance(choice, dict) else (tools[0] if tools else None)
    function = asked.get("function") if isinstance(asked, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def text_of(provider: str, question: Question, answer: Answer) -> str:
    """Filler of four characters a token, which says that it is simulated; JSON where asked for."""
    length = 4 * answer.visible_tokens
    opening = f"[simulated: {question.model} at {provider}] "
    start = int(answer.id[:4], 16) % 64
    body = (opening + _FILLER[start:])[:length]
    if len(body) < length:
        body += (_FILLER * (1 + (length - len(body)) // len(_FILLER)))[: length - len(body)]
    return orjson.dumps({"simulated": True, "text": body}).decode() if question.wants_json else body


def usage_of(answer: Answer) -> dict[str, Any]:
    """The `usage` object."""
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.prompt_tokens + answer.output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
    }


def sim_of(provider: str, answer: Answer) -> dict[str, Any]:
    """The `sim` field: what only a simulation can tell, for a judge."""
    return {
        "simulated": True,
        "provider": provider,
        "quality": answer.quality,
        "matched": answer.matched,
        "drifted": answer.drifted,
        "truncated": answer.truncated,
        "billed_usd": answer.cost_pico / PICO_PER_USD,
        "ttft_ms": round(answer.ttft_ms, 3),
        "generation_ms": round(answer.generation_ms, 3),
    }


def _tool_call(name: str, answer: Answer) -> dict[str, Any]:
    return {"id": f"call_{answer.id[:24]}", "type": "function", "function": {"name": name, "arguments": "{}"}}


def _finish(question: Question, answer: Answer) -> str:
    if answer.truncated:
        return "length"
    return "stop" if question.tool is None else "tool_calls"


def _head(kind: str, question: Question, answer: Answer, created_s: int) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-sim-{answer.id}",
        "object": kind,
        "created": created_s,
        "model": question.model,
        "system_fingerprint": "simulated",
    }


def completion(provider: str, question: Question, answer: Answer, created_s: int) -> bytes:
    """Body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    if question.tool is None:
        message["content"] = text_of(provider, question, answer)
    else:
        message["tool_calls"] = [_tool_call(question.tool, answer)]
    finish = _finish(question, answer)
    choices = [
        {"index": i, "message": message, "logprobs": None, "finish_reason": finish} for i in range(question.n)
    ]
    head = _head("chat.completion", question, answer, created_s)
    return orjson.dumps(
        head | {"choices": choices, "usage": usage_of(answer), "sim": sim_of(provider, answer)}
    )


def chunks(provider: str, question: Question, answer: Answer, created_s: int) -> Iterator[bytes]:
    """Events of a streamed answer: role, content pieces, finish, usage if asked for, the end mark.

    `sim` is in the finish chunk and in the usage chunk.
    """
    opening = (
        b"data: " + orjson.dumps(_head("chat.completion.chunk", question, answer, created_s))[:-1] + b","
    )

    def whole(fields: dict[str, Any]) -> bytes:
        return opening + orjson.dumps(fields)[1:] + b"\n\n"

    def event(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": i, "delta": delta, "finish_reason": finish} for i in range(question.n)]}

    yield whole(event({"role": "assistant", "content": None if question.tool else ""}))
    if question.tool is None:
        text = text_of(provider, question, answer)
        size = max(4, -(-len(text) // _MAX_CHUNKS))
        for start in range(0, len(text), size):
            yield whole(event({"content": text[start : start + size]}))
    else:
        yield whole(event({"tool_calls": [{"index": 0, **_tool_call(question.tool, answer)}]}))
    sim = {"sim": sim_of(provider, answer)}
    yield whole(event({}, _finish(question, answer)) | sim)
    if question.include_usage:
        yield whole({"choices": [], "usage": usage_of(answer)} | sim)
    yield DONE


def error_body(message: str, kind: str, code: str, param: str | None = None) -> bytes:
    """OpenAI's error object; the message says that it is simulated."""
    return orjson.dumps(
        {"error": {"message": f"simulated: {message}", "type": kind, "code": code, "param": param}}
    )


def failure_body(provider: str, failure: Failure) -> bytes:
    """Error object of an injected failure that answers."""
    _, kind, code = STATUS[failure]
    return error_body(f"{provider} fails on purpose ({failure.value})", kind, code)
