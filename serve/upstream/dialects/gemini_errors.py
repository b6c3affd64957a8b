"""What an error of a Google API means: a `google.rpc.Status`, before an answer or inside one.

Sources: Google AIP-193, Errors, and Gemini API, Troubleshooting (read 2026-11-26).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

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
_NO_CREDIT: Final = re.compile(r"credits? (?:are|is|have been) depleted|\blimit: 0\b", re.IGNORECASE)
"""An empty account, or a plan without this model. Any other spent quota, a day's too, comes back."""
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
    wait_ms = _retry_ms(details) if header_ms is None else header_ms
    if status == 400 and word == "FAILED_PRECONDITION":
        text = (
            f"provider {provider.name} does not serve the operator's account or region "
            "(FAILED_PRECONDITION); check its billing and location, or allow another provider"
        )
        return Failure(
            "PROVIDER_ERROR", 502, text, fail_over=True, counts=True, usage=usage, of_provider=True
        )
    if any(str(detail.get("reason")).startswith("API_KEY_") for detail in details):
        status = 401 if status == 400 else status
    status = 500 if status == 499 else status
    return failures.classified(provider, status, _code(status, message), message, wait_ms, usage)


def _code(status: int, message: str) -> str:
    """OpenAI's word for what Google says in a sentence only; empty where there is none."""
    if status == 429 and _NO_CREDIT.search(message):
        return "insufficient_quota"
    if status != 400:
        return ""
    if _TOO_LONG.search(message):
        return "context_length_exceeded"
    return "unsupported_value" if _OF_MODEL.search(message) else ""


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
