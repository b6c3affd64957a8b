"""What Bedrock's words mean in OpenAI's: why an answer ended, what went wrong, which tokens were used.

Sources: Amazon Bedrock API reference, Converse, TokenUsage, Common errors; Troubleshooting API error codes
(read 2026-11-26).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from p402.ports import Failure, Usage
from serve.upstream import chunks, failures
from serve.upstream.provider import Provider
from serve.upstream.tokens import counted, tier_of

FINISH: Final = {
    "end_turn": chunks.STOP,
    "stop_sequence": chunks.STOP,
    "max_tokens": chunks.LENGTH,
    "model_context_window_exceeded": chunks.LENGTH,
    "tool_use": chunks.TOOL_CALLS,
    "guardrail_intervened": chunks.FILTERED,
    "content_filtered": chunks.FILTERED,
}
MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""The model said what nobody can read: another may do better."""

_STATUS: Final = {
    "InternalServerException": 500,
    "ModelErrorException": 502,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 502,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "TooManyRequestsException": 429,
    "ValidationException": 400,
}
"""The status of a name: a frame has none of its own, and 424 and 408 of a model are not the client's."""

_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "IncompleteSignatureException",
        "InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "RequestExpired",
        "RequestTimeTooSkewed", "SignatureDoesNotMatch", "UnrecognizedClientException",
    }
)  # fmt: skip
_CLOCK: Final = re.compile(r"signature expired|not yet current|time too skewed", re.IGNORECASE)
_TOO_LONG: Final = re.compile(
    r"input is too long|too many (?:input )?tokens|exceeds? .{0,40}context", re.IGNORECASE
)
_NO_SUCH_MODEL: Final = re.compile(
    r"model identifier is invalid|on-demand throughput|access to the model|model version has reached|"
    r"legacy|inference profile",
    re.IGNORECASE,
)
_CANNOT: Final = re.compile(r"(?:doesn.t|does not|isn.t|is not|not) support|extraneous key", re.IGNORECASE)


def usage_of(reported: Any, service_tier: Any = None) -> Usage | None:
    """Tokens in the normal form, or None where nothing usable is said.

    Bedrock counts what was read from and written to the cache apart from `inputTokens`; the normal form has
    them in the prompt. `cacheDetails` are the writes again, by how long they are kept.

    Parameters
    ----------
    service_tier
        The answer's `serviceTier`.
    """
    if not isinstance(reported, dict):
        return None
    fresh, output = counted(reported, "inputTokens"), counted(reported, "outputTokens")
    if fresh is None or output is None:
        return None
    cached = counted(reported, "cacheReadInputTokens") or 0
    written = counted(reported, "cacheWriteInputTokens") or 0
    details = reported.get("cacheDetails")
    kept = [d for d in details if isinstance(d, dict)] if isinstance(details, list) else []
    hour = sum(counted(d, "inputTokens") or 0 for d in kept if d.get("ttl") == "1h")
    return Usage(
        fresh + cached + written,
        output,
        cached,
        written,
        cache_write_1h=min(hour, written),
        tier=tier_of(service_tier.get("type")) if isinstance(service_tier, dict) else None,
    )


def named(headers: Mapping[str, str], reply: Any) -> str:
    """The name of what went wrong: of the header, else of the body; empty where neither has one."""
    name = headers.get("x-amzn-errortype", "").partition(":")[0]
    if not name and isinstance(reply, dict):
        said = reply.get("__type") or reply.get("code")
        name = said.partition(":")[0] if isinstance(said, str) else ""
    return name.rpartition("#")[2].strip()


def words(reply: Any) -> str:
    """The message of an error, empty where there is none."""
    if not isinstance(reply, dict):
        return ""
    said = reply.get("message") or reply.get("Message") or reply.get("originalMessage")
    return said if isinstance(said, str) else ""


def meant(
    provider: Provider, name: str, message: str, status: int, retry: int | None, usage: Usage | None = None
) -> Failure:
    """What an exception of AWS means.

    Parameters
    ----------
    status
        Of the HTTP answer; 0 of a frame in a stream.
    """
    if name in _CREDENTIALS:
        return _refused_credentials(provider, name, message)
    if name == "AccessDeniedException":
        text = (
            f"provider {provider.name} gave no access to the model ({name}); check that the account has the "
            "model and its policy allows bedrock:InvokeModel"
        )
        return Failure("PROVIDER_AUTH", 502, text, fail_over=True, counts=True)
    if name == "ServiceQuotaExceededException":
        return failures.classified(provider, 429, "insufficient_quota", message, retry, usage)
    status = _STATUS.get(name, status or 500)
    code = ""
    if status == 400:
        if _TOO_LONG.search(message):
            code = "context_length_exceeded"
        elif _NO_SUCH_MODEL.search(message):
            status = 404  # the operator's choice of model, account and region
        elif _CANNOT.search(message):
            code = "unsupported_parameter"
    return failures.classified(provider, status, code, message, retry, usage)


def _refused_credentials(provider: Provider, name: str, message: str) -> Failure:
    if name == "RequestTimeTooSkewed" or _CLOCK.search(message):
        why = "this host's clock is off by more than 5 minutes, so its signatures do not hold; set the clock"
    elif "xpired" in name:
        why = "the operator's AWS credentials have expired; renew them"
    else:
        why = "the operator's AWS credentials or region were not accepted; check them"
    text = f"provider {provider.name} refused the signature ({name}): {why}"
    return Failure("PROVIDER_AUTH", 502, text, fail_over=True, counts=True, of_provider=True)
