"""What an answer in OpenAI's form used and said: tokens as reported, text as counted.

Whole answers and chunks alike; nothing here is of a stream's order. It knows nothing of providers.
"""

from collections.abc import Mapping
from typing import Any

from p402.ports import Usage

MAX_COUNT = 1 << 23
"""Most tokens of one kind that a provider is believed: four times the longest prompt that is decided. Beyond
it usage counts as missing, and is estimated, lest one reply close a tenant's day."""
BYTES_PER_TOKEN = 4
"""Of English text; used only where a provider reports no usage, and flagged."""

_SPOKEN = frozenset({"content", "refusal"})
_REASONED = frozenset({"reasoning_content", "reasoning"})
_SAID = (*_SPOKEN, *_REASONED, "tool_calls", "function_call", "audio")


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
