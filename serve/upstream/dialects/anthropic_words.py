"""What Anthropic's words mean in OpenAI's: why an answer ended, what went wrong, which tokens were used."""

import re
from typing import Any, Final

from p402.ports import Failure, Usage
from serve.upstream import chunks, failures
from serve.upstream.provider import Provider
from serve.upstream.tokens import counted, tier_of

FINISH: Final = {
    "end_turn": chunks.STOP,
    "stop_sequence": chunks.STOP,
    "pause_turn": chunks.STOP,
    "max_tokens": chunks.LENGTH,
    "model_context_window_exceeded": chunks.LENGTH,
    "tool_use": chunks.TOOL_CALLS,
    "refusal": chunks.FILTERED,
}
STATUS: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error would have had, had it come before the answer began."""
_NO_CREDIT: Final = re.compile(r"credit balance is too low", re.IGNORECASE)


def usage_of(reported: Any) -> Usage | None:
    """Tokens in the normal form, or None where nothing usable is said.

    Anthropic counts what it read from and wrote to its cache apart from `input_tokens`; the normal form has
    them in the prompt.
    """
    if not isinstance(reported, dict):
        return None
    fresh, output = counted(reported, "input_tokens"), counted(reported, "output_tokens")
    if fresh is None or output is None:
        return None
    cached = counted(reported, "cache_read_input_tokens") or 0
    written = counted(reported, "cache_creation_input_tokens") or 0
    kept = reported.get("cache_creation")  # the same tokens, by how long they are kept
    hour = counted(kept, "ephemeral_1h_input_tokens") if isinstance(kept, dict) else None
    return Usage(
        fresh + cached + written,
        output,
        cached,
        written,
        cache_write_1h=min(hour or 0, written),
        tier=tier_of(reported.get("service_tier")),
    )


def spoken(reply: Any) -> tuple[str, str]:
    """Code and message of an error object; an empty account has OpenAI's code for it."""
    code, message = failures.error_of(reply)
    return ("insufficient_quota" if _NO_CREDIT.search(message) else code), message


def error_of(provider: Provider, reply: Any, usage: Usage | None) -> Failure:
    """An error that came inside a 200, by the status it would have had."""
    code, message = spoken(reply)
    status = STATUS.get(code, 402 if code == "insufficient_quota" else 500)
    return failures.classified(provider, status, code, message, None, usage)
