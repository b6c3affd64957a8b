"""What the flow hands back: a completed answer, a stream, or a rejection; and its metadata.

`serve.metadata` renders these as WIRE.md says. Money is nano-USD, latencies ms; None is unknown.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import msgspec

from p402.errors import Refusal
from p402.events import AttemptResult


@dataclass(frozen=True, slots=True)
class Offer:
    """One arm as a client may see it; None where no source says."""

    arm: str
    provider: str
    model: str
    family: str
    capabilities: tuple[str, ...]
    context_window: int | None
    output_limit: int | None
    simulated: bool


class ArmView(msgspec.Struct, frozen=True):
    """One arm in an explained decision. `reason` is None where it was eligible; a score of 1 is 1.0."""

    arm: str
    reason: str | None
    score: float | None
    propensity: float


class Metadata(msgspec.Struct, frozen=True):
    """Everything `p402_metadata` says of one exchange (WIRE.md, Answer); latencies are to the microsecond."""

    request_id: str
    tenant_id: str
    session_id: str
    provider: str
    model: str
    routing_mode: str
    task: str
    cost_nano: int | None
    direct_nano: int | None
    baseline_model: str | None
    fee_nano: int
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int
    reasoning_tokens: int
    usage_estimated: bool
    latency_ms: float
    provider_latency_ms: float
    ttfb_ms: float | None
    overhead_ms: float
    attempts: tuple[AttemptResult, ...]
    snapshot_id: str
    propensity: float | None
    """None where nothing was chosen: the answer came from the cache."""
    warnings: tuple[str, ...]
    simulated: bool
    session_remaining_nano: int | None = None
    considered: tuple[ArmView, ...] | None = None
    cache_write_tokens: int = 0
    cached: bool = False
    cache_similarity: float | None = None
    cache_entry: str | None = None
    """Id of the kept answer that was given, by which it can be evicted."""


class Completed(msgspec.Struct, frozen=True):
    """A whole answer: the provider's JSON object as bytes, to be extended by the metadata.

    `body` is None for a dry run.
    """

    body: bytes | None
    metadata: Metadata


class StreamEnd(msgspec.Struct, frozen=True):
    """The last item of a stream: final metadata, and why it broke if it did."""

    metadata: Metadata
    failure: Refusal | None


class StreamEvents(Protocol):
    """SSE bytes of a stream and, as the last item, one `StreamEnd`; for one reader.

    Whoever holds it must call `aclose` on every way out, even if no event was asked for: that
    aborts the upstream call and settles what was used. It is idempotent.
    """

    def __aiter__(self) -> Self:
        """Itself."""
        ...

    async def __anext__(self) -> bytes | StreamEnd:
        """Next event."""
        ...

    async def aclose(self) -> None:
        """End the stream now, whatever became of it."""
        ...


class Streaming(msgspec.Struct, frozen=True):
    """A stream committed by its first content."""

    request_id: str
    provider: str
    model: str
    events: StreamEvents
    cached: bool = False


class Rejected(msgspec.Struct, frozen=True):
    """No answer: the rule or failure that said no. `attempts` tells of providers that were tried."""

    request_id: str
    refusal: Refusal
    attempts: tuple[AttemptResult, ...] = ()
    reasons: dict[str, str] | None = None
    """Per arm why it was turned away, where no arm was eligible."""


Answer = Completed | Streaming | Rejected
