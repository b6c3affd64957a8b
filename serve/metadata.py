"""The `p402_metadata` block: what every answer says of its cost, its model and its making.

Field by field as WIRE.md. Money leaves the ledger's whole nano-USD here and nowhere else; what
is unknown is null, with the flow's warning, never 0. Times are shown as the log has them. The provider's own
bytes are not parsed: the block is spliced in before the closing brace.
"""

from typing import Any, Final

import orjson

from p402.answer import ArmView, Metadata
from p402.events import AttemptResult
from p402.routing.pricing import TokenPrices
from p402.units import PICO_PER_USD_PER_MTOK, nano_to_usd
from serve.http import Header, header_value

KEY: Final = b'"p402_metadata"'
OUTCOMES: Final = "/v1/outcomes"
_WHITE: Final = b" \t\r\n"
_CLASSES: Final = tuple(f"{name}_usd_per_mtok" for name in TokenPrices._fields)


def metadata_fields(metadata: Metadata) -> dict[str, Any]:
    """Every field of `p402_metadata`."""
    cost, direct = metadata.cost_nano, metadata.direct_nano
    fields: dict[str, Any] = {
        "request_id": metadata.request_id,
        "tenant_id": metadata.tenant_id,
        "session_id": metadata.session_id,
        "provider": metadata.provider,
        "model": metadata.model,
        "routing_mode": metadata.routing_mode,
        "task": metadata.task,
        "cost_usd": _usd(cost),
        "direct_cost": _usd(direct),
        "savings": None if cost is None or direct is None else nano_to_usd(direct - cost),
        "baseline_model": metadata.baseline_model,
        "platform_fee_usd": nano_to_usd(metadata.fee_nano),
        "input_tokens": metadata.input_tokens,
        "output_tokens": metadata.output_tokens,
        "cached_tokens": metadata.cached_tokens,
        "cache_write_tokens": metadata.cache_write_tokens,
        "reasoning_tokens": metadata.reasoning_tokens,
        "usage_estimated": metadata.usage_estimated,
        "latency_ms": metadata.latency_ms,
        "provider_latency_ms": metadata.provider_latency_ms,
        "ttfb_ms": metadata.ttfb_ms,
        "overhead_ms": metadata.overhead_ms,
        "cached": metadata.cached,
        "cache_similarity": metadata.cache_similarity,
        "cache_entry_id": metadata.cache_entry,
        "attempts": [attempt_fields(attempt) for attempt in metadata.attempts],
        "failover": len(metadata.attempts) > 1,
        "snapshot_id": metadata.snapshot_id,
        "propensity": metadata.propensity,
        "outcome_endpoint": OUTCOMES,
        "session_remaining_usd": _usd(metadata.session_remaining_nano),
        "warnings": list(metadata.warnings),
        "simulated": metadata.simulated,
    }
    if metadata.considered is not None:
        fields["decision"] = [_considered(view) for view in metadata.considered]
    return fields


def attempt_fields(attempt: AttemptResult) -> dict[str, Any]:
    """One attempt as a client sees it, priced so that its cost can be recomputed."""
    provider, _, model = attempt.arm.partition("/")
    return {
        "provider": provider,
        "model": model,
        "status": attempt.status,
        "code": attempt.code,
        "input_tokens": attempt.prompt_tokens,
        "output_tokens": attempt.output_tokens,
        "cached_tokens": attempt.cached_tokens,
        "cache_write_tokens": attempt.cache_write_tokens,
        "cache_write_1h_tokens": attempt.cache_write_1h_tokens,
        "reasoning_tokens": attempt.reasoning_tokens,
        "cost_usd": _usd(attempt.cost_nano),
        "price": _price(attempt.price_pico, attempt.price_source),
        "service_tier": attempt.service_tier,
        "latency_ms": attempt.latency_ms,
        "ttfb_ms": attempt.ttfb_ms,
    }


def splice(body: bytes, metadata: bytes) -> bytes:
    """A provider's JSON object with `p402_metadata` as its last member, all else byte for byte.

    A provider that sends a `p402_metadata` of its own, say a gateway behind this one, has it replaced.

    Raises
    ------
    ValueError
        `body` is not a JSON object.
    """
    if KEY in body:
        body = _without_key(body)
    trimmed = body.rstrip(_WHITE)
    if not trimmed.endswith(b"}") or trimmed.lstrip(_WHITE)[:1] != b"{":
        raise ValueError("the provider's answer is not a JSON object")
    head = trimmed[:-1].rstrip(_WHITE)
    comma = b"" if head.endswith(b"{") else b","
    return b"".join((head, comma, KEY, b":", metadata, b"}"))


def metadata_bytes(metadata: Metadata) -> bytes:
    """The block as JSON."""
    return orjson.dumps(metadata_fields(metadata))


def answer_headers(metadata: Metadata) -> tuple[Header, ...]:
    """`X-P402-*` of a whole answer."""
    known = committed_headers(metadata.request_id, metadata.provider, metadata.model, cached=metadata.cached)
    latency = (b"x-p402-latency-ms", b"%.3f" % metadata.latency_ms)
    if metadata.cost_nano is None:
        return (*known, latency)
    return (*known, (b"x-p402-cost-usd", _decimal(metadata.cost_nano)), latency)


def committed_headers(request_id: str, provider: str, model: str, *, cached: bool) -> tuple[Header, ...]:
    """`X-P402-*` that are known when a stream's headers leave."""
    return (
        *id_headers(request_id),
        (b"x-p402-provider", header_value(provider)),
        (b"x-p402-model", header_value(model)),
        (b"x-p402-cached", b"true" if cached else b"false"),
    )


def id_headers(request_id: str) -> tuple[Header, Header]:
    """The request's id under P402's name, and under OpenAI's, where its clients look: `error.request_id`."""
    value = header_value(request_id)
    return (b"x-p402-request-id", value), (b"x-request-id", value)


def _without_key(body: bytes) -> bytes:
    found = orjson.loads(body)
    if isinstance(found, dict) and found.pop("p402_metadata", None) is not None:
        return orjson.dumps(found)
    return body  # the name stands in a text or deeper down, not at the top


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano_to_usd(nano)


def _decimal(nano: int) -> bytes:
    return b"%d.%09d" % divmod(nano, 1_000_000_000)


def _price(price_pico: list[int] | None, source: str | None) -> dict[str, float | str | None] | None:
    """A price row: USD per million tokens of each class, whole pico-USD per token, and whose it is."""
    if price_pico is None:
        return None
    prices = zip(_CLASSES, price_pico, strict=True)
    return {**{name: pico / PICO_PER_USD_PER_MTOK for name, pico in prices}, "source": source}


def _considered(view: ArmView) -> dict[str, Any]:
    return {"arm": view.arm, "reason": view.reason, "score": view.score, "propensity": view.propensity}
