"""A chat request as the core sees it: what the caller asked of the router, and the call itself.

`serve.wire` makes these from bytes and is the only place that answers 400 for their shape.
The OpenAI body travels on as an opaque mapping that only an upstream dialect reads.
It knows nothing of catalogues, prices or HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from p402.limits import HOLD_STRICT, USUAL_CACHE, CacheRules, Limits, Scope

FORMS: Final = frozenset(
    {"audio", "file", "functions", "image_url", "json_object", "logit_bias", "logprobs", "n", "prediction"}
)
"""What some languages of providers have no word for: spoken parts, documents, the old `functions`, images by
URL, any JSON object, token biases, log probabilities, several choices, a predicted answer."""


class Weights(msgspec.Struct, frozen=True):
    """Custom weights of a request, multiples of 2**-20 that sum to 2**20."""

    quality: int
    cost: int
    speed: int


class Options(msgspec.Struct, frozen=True):
    """The `p402` object of a request; every field optional (WIRE.md).

    `mode` is one of cost, quality, speed, balanced, custom, or None where the caller named none.
    `max_cost_pico` is USD 1e-12; `cache_ttl_s` seconds.
    """

    mode: str | None = None
    weights: Weights | None = None
    cache: bool | None = None
    cache_ttl_s: int | None = None
    prefer_providers: tuple[str, ...] = ()
    exclude_providers: tuple[str, ...] = ()
    require_capabilities: tuple[str, ...] = ()
    max_cost_pico: int | None = None
    session_id: str | None = None
    failover: bool = True
    task: str | None = None
    action_type: str | None = None
    tags: Mapping[str, str] = {}
    explain: bool = False
    dry_run: bool = False


class Transcript(msgspec.Struct, frozen=True):
    """What routing may read of the messages.

    Attributes
    ----------
    system, last_user
        Text of the system prompt and of the last user message, may be empty.
    first_user
        Text of the first user message; with tenant and system prompt it names the session.
    text_bytes
        UTF-8 bytes of all text in all messages, tool definitions included.
    turns
        Messages.
    images
        Image parts.
    has_tools, has_schema
        The call offers tools; it demands JSON by schema.
    binds_family
        Only the lab that answered before can continue it: the transcript ends in open tool calls or their
        results, holds thinking signatures or encrypted reasoning, or names a `previous_response_id`.
    sealed_by
        Family of the lab whose seal is in the transcript, where the form of the seal tells; None otherwise.
    answers
        Assistant messages.
    forms
        What not every provider's language can say: a subset of `FORMS`.
    """

    system: str
    first_user: str
    last_user: str
    text_bytes: int
    turns: int
    images: int
    has_tools: bool
    has_schema: bool
    binds_family: bool
    sealed_by: str | None = None
    forms: frozenset[str] = frozenset()
    answers: int = 0


class ChatRequest(msgspec.Struct, frozen=True):
    """One parsed `POST /v1/chat/completions`.

    Attributes
    ----------
    model
        The concrete model the caller named, or None when routed over the whole catalogue.
    max_output
        `max_completion_tokens` or `max_tokens`, or None.
    n
        Completions asked for, at least 1.
    body
        The OpenAI body without `p402`, opaque here.
    """

    model: str | None
    options: Options
    transcript: Transcript
    stream: bool
    include_usage: bool
    max_output: int | None
    n: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who calls, as the key alone says, and what it may do.

    Money is nano-USD. `route_named_models` is observe, on or off. `limits` are those of the guard's layers
    that need state; `hold` is the rule by which money is set aside: `HOLD_STRICT` or `HOLD_PREDICTED`.
    `scopes` are the budgets of the key that spoke, and `session_cap_nano` is the most that one named session
    may cost in all; without it, sessions have no budget. `cache` says how the cache is used.
    """

    name: str
    max_request_nano: int
    limits: Limits
    baseline_model: str | None
    route_named_models: str
    exploration: bool
    fee_bps: int = 0
    policy: str = "default"
    default_mode: str = "balanced"
    hold: str = HOLD_STRICT
    scopes: tuple[Scope, ...] = ()
    session_cap_nano: int | None = None
    cache: CacheRules = USUAL_CACHE
