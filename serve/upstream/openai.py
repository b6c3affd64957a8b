"""The OpenAI chat dialect: a call to bytes, bytes to usage and text.

Pure functions. The request is built from zero: body fields by allow-list, headers by ours alone, so
that nothing a client sends can steer the call to another URL, key, model or price list. Every
OpenAI-compatible provider is an entry of the configuration, not code here.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from p402.ports import Call, Usage
from serve.upstream.provider import Provider

FIELDS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "min_p", "modalities", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "reasoning",
        "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "stop",
        "store", "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_k",
        "top_logprobs", "top_p", "user", "verbosity",
    }
)  # fmt: skip
"""`service_tier` and `web_search_options` are absent: they change the price the hold was computed at."""
MAX_COUNT = 1 << 23
"""Most tokens of one kind that a provider is believed: four times the longest prompt that is decided. Beyond
it usage counts as missing, and is estimated, lest one reply close a tenant's day."""
BYTES_PER_TOKEN = 4
"""Of English text; used only where a provider reports no usage, and flagged."""

_SPOKEN = frozenset({"content", "refusal"})
_REASONED = frozenset({"reasoning_content", "reasoning"})
_SAID = (*_SPOKEN, *_REASONED, "tool_calls", "function_call", "audio")


def url_of(provider: Provider) -> str:
    """Where chat completions live."""
    return provider.base_url.rstrip("/") + "/chat/completions"


def headers_of(provider: Provider, *, stream: bool) -> dict[str, str]:
    """Every header of a call but Host, Content-Length and the request id."""
    key = provider.api_key.reveal()
    return {
        **({"authorization": f"Bearer {key}"} if key else {}),
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        "accept-encoding": "identity",  # a compressed stream would be held back and cost CPU
        "user-agent": "p402",
        **{name.lower(): value for name, value in provider.headers.items()},
    }


def body_of(provider: Provider, call: Call) -> bytes:
    """JSON body of one attempt."""
    body: dict[str, Any] = {
        name: value for name, value in call.body.items() if name in FIELDS or name in provider.extra_fields
    }
    body["model"] = provider.models.get(call.model, call.model)
    named = [f for f in ("max_tokens", "max_completion_tokens") if body.get(f) is not None]
    if call.output_cap is not None and not named:
        body.pop("max_tokens", None)
        body.pop("max_completion_tokens", None)
        body[provider.output_field] = call.output_cap
    if call.stream:
        options = body.get("stream_options")
        body["stream"] = True
        body["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return orjson.dumps(body)


def usage_of(reported: Any) -> Usage | None:
    """A provider's `usage` in the normal form, or None where it says nothing usable.

    Some providers count reasoning outside `completion_tokens` and only inside `total_tokens`; the
    difference is output.
    """
    if not isinstance(reported, dict):
        return None
    prompt, output = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    if prompt is None or output is None:
        return None
    prompt_details, output_details = (
        d if isinstance(d := reported.get(name), dict) else {}
        for name in ("prompt_tokens_details", "completion_tokens_details")
    )
    reasoning = _count(output_details, "reasoning_tokens") or 0
    beyond = (_count(reported, "total_tokens") or 0) - prompt - output
    if beyond > 0:
        output += beyond
        reasoning = max(reasoning, beyond)
    cached = (
        _count(prompt_details, "cached_tokens")
        or _count(reported, "prompt_cache_hit_tokens")
        or _count(reported, "cached_tokens")
        or 0
    )
    cached = min(cached, prompt)
    written = _count(prompt_details, "cache_write_tokens") or 0
    return Usage(prompt, output, cached, min(written, prompt - cached), min(reasoning, output))


def estimated(prompt_tokens: int, text_bytes: int) -> Usage:
    """Usage from lengths, flagged."""
    return Usage(prompt_tokens, -(-text_bytes // BYTES_PER_TOKEN), estimated=True)


def text_bytes(message: Any) -> int:
    """UTF-8 bytes of what a message or a delta makes the model say: text, refusal, reasoning, tool calls."""
    if not isinstance(message, dict):
        return 0
    size = 0
    for name, value in message.items():
        if not value:
            continue
        if name in _SPOKEN:
            size += _size(value)
        elif name in _REASONED:
            if name == "reasoning_content" or not _size(message.get("reasoning_content")):
                size += _size(value)  # some send the same text under both names
        elif name == "tool_calls" and isinstance(value, list):
            size += sum(_size_of_function(c.get("function")) for c in value if isinstance(c, dict))
        elif name == "function_call":
            size += _size_of_function(value)
    return size


def has_content(delta: Any) -> bool:
    """Whether a delta says something, so that the stream is committed by it."""
    return isinstance(delta, dict) and any(delta.get(name) for name in _SAID)


def choices_of(reply: Any) -> list[dict[str, Any]]:
    """The choices of a reply or a chunk that have the right shape."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    return [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []


def usage_of_text(reply: Mapping[str, Any], call: Call) -> Usage:
    """Usage of a whole reply whose provider reports none, estimated from its text."""
    return estimated(call.prompt_tokens, sum(text_bytes(c.get("message")) for c in choices_of(reply)))


def _count(mapping: Mapping[str, Any], name: str) -> int | None:
    value = mapping.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def _size(value: Any) -> int:
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


def _size_of_function(function: Any) -> int:
    if not isinstance(function, dict):
        return 0
    return _size(function.get("name")) + _size(function.get("arguments"))
