"""How errors and refusals look on the wire: the one place that turns them into answers.

The shape is OpenAI's, so that its clients raise their own classes; the code says which rule.
Errors are built anew: no text of an upstream, no URL, no key, no traceback ever leaves here.
An error nobody foresaw answers 500 and goes, with its traceback, to stderr only.
"""

import sys
import traceback
from collections.abc import Mapping
from typing import Any, Final

import orjson

from p402.answer import Rejected
from p402.errors import DiskFull, Refusal, RequestError, StateAway, StoreError, TooLarge
from serve.http import Header, HttpReply, json_reply
from serve.metadata import attempt_fields, id_headers

_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}
_CODE_TYPES: Final = {"insufficient_quota": "insufficient_quota"}
_MAY_WAIT: Final = frozenset((409, 429, 502, 503, 504))
"""Statuses whose `retry_after_ms` is a header too; of a 502 or 504 it is the provider's own word."""
MENDED_MS: Final = 5_000
"""When to ask again of a gateway whose disk or state an operator must mend: soon, and not at once."""
INTERNAL: Final = Refusal("INTERNAL_ERROR", 500, "the gateway failed; it has been logged; try again")
DISK_FULL: Final = Refusal(
    "INTERNAL_ERROR",
    503,
    "the gateway cannot write its log, so it takes no new requests; make room on its disk",
    MENDED_MS,
)
STORE_FAILED: Final = Refusal(
    "INTERNAL_ERROR", 503, "the gateway cannot reach its own state; it has been logged", MENDED_MS
)


def error_type(status: int, code: str) -> str:
    """OpenAI's `type` of an error with this status and code."""
    if code in _CODE_TYPES:
        return _CODE_TYPES[code]
    if status >= 500:
        return "api_error"
    return _TYPES.get(status, "invalid_request_error")


def error_object(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """What stands under `error` (WIRE.md, Errors)."""
    return {
        "message": refusal.message,
        "type": error_type(refusal.status, refusal.code),
        "code": refusal.code,
        "param": refusal.param,
        "retry_after_ms": refusal.retry_after_ms,
        "request_id": request_id,
    }


def refusal_reply(
    refusal: Refusal,
    request_id: str,
    extra: Mapping[str, Any] | None = None,
    headers: tuple[Header, ...] = (),
) -> HttpReply:
    """Answer that says no; `Retry-After` in whole seconds, rounded up, where waiting helps."""
    error = error_object(refusal, request_id)
    if extra:
        error.update(extra)
    given: list[Header] = [*id_headers(request_id), *headers]
    if refusal.retry_after_ms is not None and refusal.status in _MAY_WAIT:
        given.append((b"retry-after", b"%d" % max(1, -(-refusal.retry_after_ms // 1000))))
    return json_reply(refusal.status, orjson.dumps({"error": error}), given)


def rejected_reply(rejected: Rejected) -> HttpReply:
    """Answer for a request that no arm served, with the reason per arm and what was tried."""
    extra: dict[str, Any] = {}
    if rejected.reasons is not None:
        extra["reasons"] = rejected.reasons
    if rejected.attempts:
        extra["attempts"] = [attempt_fields(attempt) for attempt in rejected.attempts]
    return refusal_reply(rejected.refusal, rejected.request_id, extra)


def exception_reply(error: Exception, request_id: str) -> HttpReply:
    """Answer for an exception that reached the door."""
    match error:
        case TooLarge():  # the rest of the body was not read: the connection cannot be used again
            return refusal_reply(_refusal_of(error), request_id, headers=((b"connection", b"close"),))
        case RequestError():
            return refusal_reply(_refusal_of(error), request_id)
        case DiskFull():
            report(error, request_id)
            return refusal_reply(DISK_FULL, request_id)
        case StateAway():
            return refusal_reply(Refusal("INTERNAL_ERROR", 503, str(error), MENDED_MS), request_id)
        case StoreError():
            report(error, request_id)
            return refusal_reply(STORE_FAILED, request_id)
        case _:
            report(error, request_id)
            return refusal_reply(INTERNAL, request_id)


def report(error: Exception, request_id: str) -> None:
    """Tell the operator, on stderr, of what a client is not told."""
    sys.stderr.write(f"p402 serve: {request_id}: {type(error).__name__}\n")
    traceback.print_exception(error, file=sys.stderr)


def _refusal_of(error: RequestError) -> Refusal:
    return Refusal(error.code, error.status, error.message, param=error.param)
