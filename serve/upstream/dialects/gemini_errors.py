"""What an error of a Google API means: a `google.rpc.Status`, before an answer or inside one.

Sources: Google AIP-193, Errors, and Gemini API, Troubleshooting (read 2026-11-26).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from p402.ports import Failure, Usage
from serve.upstream import failures
from serve.upstream.provider import Provider

_STATUS: Final = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429, "CANCELLED": 500, "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""HTTP status of each code, from google/rpc/code.proto; CANCELLED, 499 there, was not by the client."""

_RETRY: Final = re.compile(r"(\d{1,7}(?:\.\d{1,9})?)s")
_TOO_LONG: Final = re.compile(
    r"input token count|prompt is too long|exceeds the maximum number of tokens", re.IGNORECASE
)
_OF_MODEL: Final = re.compile(
    r"\b(?:not|n't) (?:enabled|supported|available)\b|is unsupported", re.IGNORECASE
)
"""A model that does not take what another takes: P402 chose it."""


def refusal_of(
    provider: Provider, status: int, reply: Any, header_ms: int | None, usage: Usage | None = None
) -> Failure:
    """Classify an error body.

    Parameters
    ----------
    status
        Of HTTP; 200 for an error inside an answer, whose own code decides then.
    reply
        The parsed body, or None.
    header_ms
        What a Retry-After said.
    """
    error = _error(reply)
    word, message = error.get("status"), error.get("message")
    word, message = (x if isinstance(x, str) else "" for x in (word, message))
    if status == 200:
        code = error.get("code")
        status = code if isinstance(code, int) and 400 <= code < 600 else _STATUS.get(word, 500)
    details = [d for d in _list(error.get("details")) if isinstance(d, dict)]
    failure = _meant(
        provider,
        500 if status == 499 else status,
        word,
        message,
        details,
        _retry_ms(details) if header_ms is None else header_ms,
    )
    return failure if usage is None else replace(failure, usage=usage)


def _meant(
    provider: Provider,
    status: int,
    word: str,
    message: str,
    details: list[dict[str, Any]],
    retry_ms: int | None,
) -> Failure:
    if any(str(detail.get("reason")).startswith("API_KEY_") for detail in details):
        return failures.classified(provider, 401 if status == 400 else status, "", message, retry_ms)
    if status == 400 and word == "FAILED_PRECONDITION":
        text = (
            f"provider {provider.name} does not serve the operator's account or region "
            "(FAILED_PRECONDITION); check its billing and location, or allow another provider"
        )
        return Failure("PROVIDER_ERROR", 502, text, fail_over=True, counts=True, of_provider=True)
    if status == 400 and _TOO_LONG.search(message):
        return failures.classified(provider, 400, "context_length_exceeded", message, retry_ms)
    if status == 400 and _OF_MODEL.search(message):
        quoted = failures.quote(provider, message)
        text = (
            f'model at provider {provider.name} does not take the request: "{quoted}"; '
            "leave it out, or allow another model"
        )
        return Failure("INVALID_INPUT", 400, text, fail_over=True, counts=False)
    return failures.classified(provider, status, "", message, retry_ms)


def _error(reply: Any) -> Mapping[str, Any]:
    if isinstance(reply, list) and reply:
        reply = reply[0]
    error = reply.get("error") if isinstance(reply, dict) else None
    return error if isinstance(error, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _retry_ms(details: list[dict[str, Any]]) -> int | None:
    """`retryDelay` of a RetryInfo, such as "34s" or "34.07s"."""
    for detail in details:
        delay = detail.get("retryDelay")
        found = _RETRY.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            return min(int(float(found[1]) * 1_000), failures.MAX_RETRY_AFTER_MS)
    return None
