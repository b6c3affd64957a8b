"""What an upstream's refusal means: whose fault, may another provider answer, when to come back.

Messages are rebuilt, never forwarded: a bounded, cleaned quotation of the provider's own words only
where the client can act on them. It knows nothing of sockets; the clock is an argument.
"""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from msgspec.structs import replace

from p402.ports import Failure, Usage
from serve.upstream.provider import Provider

MAX_QUOTE = 300
MAX_RETRY_AFTER_MS = 86_400_000
_KEPT_CLIENT = frozenset({"context_length_exceeded", "content_filter", "content_policy_violation"})
_OF_MODEL = frozenset({"unsupported_parameter", "unsupported_value"})
"""A model does not take what another does: it was P402 that chose it."""
_TIMED_OUT = frozenset({408, 504, 524})
_OURS = frozenset({404, 405, 409, 410, 425})
"""4xx about the path, the model id or a race: P402 chose those, not the client."""
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_KEY = re.compile(r"\b(?:sk|pk|gsk|xai|p402|AIza|key)[-_]?[A-Za-z0-9*_-]{8,}")
_LONG_CONTEXT = re.compile(
    r"context.?(?:length|window|size)|prompt is too long|too many input tokens",
    re.IGNORECASE,
)
_BAD_KEY = re.compile(r"api.?key.{0,20}(?:not valid|invalid)|invalid.{0,10}api.?key", re.IGNORECASE)


def from_status(
    provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
) -> Failure:
    """Classify an HTTP answer that is not a 2xx.

    Parameters
    ----------
    headers
        By lower-case name.
    body
        What was read of the answer, maybe cut.
    now_ms
        Wall time in ms, for a `Retry-After` that is a date.
    """
    code, message = error_of(parsed(body))
    return classified(provider, status, code, message, retry_after_ms(headers, now_ms))


def classified(
    provider: Provider,
    status: int,
    code: str,
    message: str,
    retry: int | None,
    usage: Usage | None = None,
) -> Failure:
    """Say what a status means, with the provider's own code and words where it gave any.

    Parameters
    ----------
    code
        In OpenAI's vocabulary, empty where there is none.
    retry
        ms the provider asks to wait, if it said.
    usage
        What was billed all the same.
    """
    failure = _meant(provider, status, code, message, retry)
    return failure if usage is None else replace(failure, usage=usage)


def _meant(provider: Provider, status: int, code: str, message: str, retry: int | None) -> Failure:
    name = provider.name
    if code == "insufficient_quota" or status == 402:
        text = f"the operator's account at provider {name} has no quota; allow another provider"
        return Failure(
            "insufficient_quota",
            429,
            text,
            fail_over=True,
            counts=True,
            retry_after_ms=retry,
            of_provider=True,
        )
    if status == 429:
        text = f"provider {name} limits the rate of calls; wait, or allow another provider"
        return Failure("RATE_LIMIT_EXCEEDED", 429, text, fail_over=True, counts=True, retry_after_ms=retry)
    if status in (401, 403) or (status == 400 and (code == "invalid_api_key" or _BAD_KEY.search(message))):
        text = f"provider {name} did not accept the operator's key (status {status}); check its api_key"
        refused = status != 403  # which may be of one model alone
        return Failure("PROVIDER_AUTH", 502, text, fail_over=True, counts=True, of_provider=refused)
    if status in _TIMED_OUT:
        text = f"provider {name} gave up on the call (status {status}); retry, or allow another provider"
        return Failure("PROVIDER_TIMEOUT", 504, text, fail_over=True, counts=True, retry_after_ms=retry)
    if status >= 500 or status < 400 or status in _OURS:
        text = f"provider {name} answered with status {status}; retry, or allow another provider"
        return Failure("PROVIDER_ERROR", 502, text, fail_over=True, counts=True, retry_after_ms=retry)
    quoted = quote(provider, message)
    said = f': "{quoted}"' if quoted else f" with status {status}"
    if code == "context_length_exceeded" or (status in (400, 413, 422) and _LONG_CONTEXT.search(message)):
        text = f"provider {name} has no room for this prompt{said}; shorten it or allow a larger model"
        return Failure("context_length_exceeded", 400, text, fail_over=False, counts=False)
    if code in _OF_MODEL:
        text = (
            f"model at provider {name} does not take the request{said}; leave it out, or allow another model"
        )
        return Failure("INVALID_INPUT", 400, text, fail_over=True, counts=False)
    kept = code if code in _KEPT_CLIENT else "INVALID_INPUT"
    text = f"provider {name} refused the request{said}; change the request"
    return Failure(kept, status, text, fail_over=False, counts=False)


def from_error_event(provider: Provider, error: Any, usage: Usage | None = None) -> Failure:
    """Classify an `error` object inside a 200: of a stream before or after content, or of a whole body."""
    code, message = error_of({"error": error})
    if code in _KEPT_CLIENT or (
        _LONG_CONTEXT.search(message) and code in ("", "400", "invalid_request_error")
    ):
        return classified(provider, 400, code, message, None)
    if code == "insufficient_quota":
        return classified(provider, 429, code, message, None)
    if code in ("429", "rate_limit_exceeded", "rate_limit_error"):
        return classified(provider, 429, "", message, None)
    return broken(provider, "sent an error inside an answer it had begun with status 200", usage=usage)


def unsupported(provider: Provider, what: str) -> Failure:
    """INVALID_INPUT: the provider's language cannot say it; nothing was sent, and another may."""
    text = f"provider {provider.name} cannot be asked for {what}; leave it out, or allow another provider"
    return Failure("INVALID_INPUT", 400, text, fail_over=True, counts=False, unsent=True)


def unsigned(provider: Provider, why: str) -> Failure:
    """PROVIDER_AUTH: the operator's credentials give no signature or token, so nothing was sent."""
    text = (
        f"provider {provider.name} could not be signed in to: {quote(provider, why)}; check its credentials"
    )
    return Failure("PROVIDER_AUTH", 502, text, fail_over=True, counts=True, of_provider=True)


def broken(
    provider: Provider, what: str, *, usage: Usage | None = None, of_provider: bool = False
) -> Failure:
    """PROVIDER_ERROR: the provider broke the protocol or itself."""
    message = f"provider {provider.name} {what}; retry, or allow another provider"
    return Failure(
        "PROVIDER_ERROR", 502, message, fail_over=True, counts=True, usage=usage, of_provider=of_provider
    )


def given_up(provider: Provider, what: str, *, usage: Usage | None = None) -> Failure:
    """PROVIDER_ERROR: the model gave its answer up. Another may do better.

    A request can bring that about, a transcript without signatures or a tool that confuses: it is no word on
    the provider's health, and five of one client's must not take the model from all others.
    """
    return replace(broken(provider, what, usage=usage), counts=False)


def timed_out(
    provider: Provider,
    what: str,
    *,
    counts: bool = True,
    usage: Usage | None = None,
    of_provider: bool = False,
) -> Failure:
    """PROVIDER_TIMEOUT: patience ended first."""
    message = f"provider {provider.name} {what}; retry, or allow another provider"
    return Failure(
        "PROVIDER_TIMEOUT", 504, message, fail_over=True, counts=counts, usage=usage, of_provider=of_provider
    )


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int | None:
    """Milliseconds a provider asks to wait; None where it said nothing readable."""
    exact = headers.get("retry-after-ms", "")
    value = headers.get("retry-after", "").strip()
    try:
        if exact:
            wait = float(exact)
        elif value[:1].isdigit() and value.replace(".", "", 1).isdecimal():
            wait = float(value) * 1_000
        elif value:
            wait = parsedate_to_datetime(value).timestamp() * 1_000 - now_ms
        else:
            return None
    except (ValueError, OverflowError):
        return None
    if wait != wait:  # a NaN is no waiting time  # noqa: PLR0124
        return None
    return int(min(max(wait, 0.0), MAX_RETRY_AFTER_MS))


def parsed(body: bytes) -> Any:
    """JSON of a body, or None."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def error_of(reply: Any) -> tuple[str, str]:
    """Code and message of a provider's error object in any of the shapes seen; empty where absent."""
    if isinstance(reply, list) and reply:
        reply = reply[0]
    error = reply.get("error", reply) if isinstance(reply, dict) else None
    if isinstance(error, str):
        return "", error
    if not isinstance(error, dict):
        return "", ""
    code = error.get("code") or error.get("type") or ""
    message = error.get("message") or error.get("detail") or ""
    return str(code) if isinstance(code, str | int) else "", message if isinstance(message, str) else ""


def quote(provider: Provider, message: str) -> str:
    """A provider's words without keys, URLs and control characters, cut to `MAX_QUOTE` characters."""
    key = provider.api_key.reveal()
    if key:
        message = message.replace(key, "[key]")
    message = _KEY.sub("[key]", _URL.sub("[url]", message[: 4 * MAX_QUOTE]))
    message = " ".join("".join(c if c.isprintable() else " " for c in message).split())
    return message if len(message) <= MAX_QUOTE else message[: MAX_QUOTE - 1] + "…"
