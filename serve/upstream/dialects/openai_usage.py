"""What an answer in OpenAI's form used and said: tokens as reported, text as counted.

Whole answers and chunks alike; nothing here is of a stream's order. It knows nothing of providers.
"""

from typing import Any

from p402.ports import Usage
from serve.upstream.tokens import AUDIO, counted, tier_of, utf8

_AUDIO_TOKENS = "audio_tokens"
_SPOKEN = frozenset({"content", "refusal"})
_REASONED = frozenset({"reasoning_content", "reasoning"})
_SAID = (*_SPOKEN, *_REASONED, "tool_calls", "function_call", "audio")


def usage_of(reported: Any, service_tier: Any = None) -> Usage | None:
    """A provider's `usage` in the normal form, or None where it says nothing usable.

    Some providers count reasoning outside `completion_tokens` and only inside `total_tokens`; the
    difference is output.
    """
    if not isinstance(reported, dict):
        return None
    prompt, output = counted(reported, "prompt_tokens"), counted(reported, "completion_tokens")
    if prompt is None or output is None:
        return None
    prompt_details, output_details = (
        d if isinstance(d := reported.get(name), dict) else {}
        for name in ("prompt_tokens_details", "completion_tokens_details")
    )
    reasoning = counted(output_details, "reasoning_tokens") or 0
    beyond = (counted(reported, "total_tokens") or 0) - prompt - output
    if beyond > 0:
        output += beyond
        reasoning = max(reasoning, beyond)
    cached = (
        counted(prompt_details, "cached_tokens")
        or counted(reported, "prompt_cache_hit_tokens")
        or counted(reported, "cached_tokens")
        or 0
    )
    cached = min(cached, prompt)
    written = counted(prompt_details, "cache_write_tokens") or 0
    written, tier = min(written, prompt - cached), tier_of(service_tier)
    if tier is None and (counted(prompt_details, _AUDIO_TOKENS) or counted(output_details, _AUDIO_TOKENS)):
        tier = AUDIO
    return Usage(prompt, output, cached, written, min(reasoning, output), tier=tier)


def text_bytes(message: Any) -> int:
    """UTF-8 bytes of what a message or a delta makes the model say: text, refusal, reasoning, tool calls."""
    if not isinstance(message, dict):
        return 0
    size = 0
    for name, value in message.items():
        if not value:
            continue
        if name in _SPOKEN:
            size += utf8(value)
        elif name in _REASONED:
            if name == "reasoning_content" or not utf8(message.get("reasoning_content")):
                size += utf8(value)  # some send the same text under both names
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


def _size_of_function(function: Any) -> int:
    if not isinstance(function, dict):
        return 0
    return utf8(function.get("name")) + utf8(function.get("arguments"))
