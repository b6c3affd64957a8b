"""An answer that is given again: its line in the log, and what is told of it, from the same figures.

A hit costs nothing, and no provider was asked; it is no round. Its direct cost is what the same exchange
would have cost at the baseline, its tokens in the classes that they had when the answer was made.
"""

from collections.abc import Iterable
from typing import Final, Self

from p402.answer import Completed, Metadata, StreamEnd, Streaming
from p402.cache.answers import events_of
from p402.cache.contract import Entry, Hit
from p402.events import CacheHit
from p402.flow.account import NO_BASELINE, USAGE_ESTIMATED, to_the_us
from p402.flow.plan import baseline_of, resolve_model, session_of
from p402.request import ChatRequest, Tenant
from p402.routing.compiled import Snapshot
from p402.routing.pricing import bill

PROVIDER: Final = "cache"


def hit_row(
    ts_ms: int,
    made: str,
    worker: str,
    request: ChatRequest,
    tenant: Tenant,
    snapshot: Snapshot,
    hit: Hit,
    latency_ms: float,
) -> CacheHit:
    """The line of a hit; `made` is the request's own id.

    Raises
    ------
    ModelNotFound
        The named model is nowhere on offer any more.
    """
    entry, options = hit.entry, request.options
    named = None if request.model is None else resolve_model(snapshot, request.model)
    by_name = named is not None and options.mode is None and tenant.route_named_models != "on"
    baseline = baseline_of(snapshot, named, tenant)
    direct = None
    if baseline is not None:
        direct = bill(
            snapshot.spec.prices,
            baseline[0],
            entry.prompt,
            entry.cached,
            entry.output,
            entry.cache_write,
            entry.cache_write_1h,
        )
    return CacheHit(
        ts_ms=ts_ms,
        id=made,
        tenant=tenant.name,
        session=session_of(request, tenant),
        worker=worker,
        snapshot=snapshot.id,
        entry=entry.id,
        tier=hit.tier,
        similarity=hit.similarity,
        arm=entry.arm,
        mode="named" if by_name else options.mode or tenant.default_mode,
        task=entry.task,
        baseline=None if baseline is None else baseline[1],
        direct_nano=direct,
        prompt_tokens=entry.prompt,
        output_tokens=entry.output,
        usage_estimated=entry.estimated,
        age_ms=max(0, ts_ms - entry.made_ms),
        latency_ms=to_the_us(latency_ms),
        stream=request.stream,
        simulated=snapshot.spec.arms.simulated[snapshot.index[entry.arm]],
        tags=dict(options.tags),
    )


def given(row: CacheHit, entry: Entry, snapshot: Snapshot, warnings: Iterable[str]) -> Completed | Streaming:
    """The answer of a hit, whole or as a stream, told by the same figures as its line."""
    told = list(warnings)
    if row.usage_estimated:
        told.append(USAGE_ESTIMATED)
    if row.baseline is None:
        told.append(NO_BASELINE)
    metadata = Metadata(
        request_id=row.id,
        tenant_id=row.tenant,
        session_id=row.session,
        provider=PROVIDER,
        model=snapshot.spec.arms.model[snapshot.index[row.arm]],
        routing_mode=row.mode,
        task=row.task,
        cost_nano=0,
        direct_nano=row.direct_nano,
        baseline_model=row.baseline,
        fee_nano=0,
        input_tokens=row.prompt_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=0,
        reasoning_tokens=entry.reasoning,
        usage_estimated=row.usage_estimated,
        latency_ms=row.latency_ms,
        provider_latency_ms=0.0,
        ttfb_ms=row.latency_ms,
        overhead_ms=row.latency_ms,
        attempts=(),
        snapshot_id=row.snapshot,
        propensity=None,
        warnings=tuple(told),
        simulated=row.simulated,
        cached=True,
        cache_similarity=row.similarity,
        cache_entry=row.entry,
    )
    if not row.stream:
        return Completed(entry.body, metadata)
    events = Replayed((*events_of(entry.body), StreamEnd(metadata, None)))
    return Streaming(row.id, PROVIDER, metadata.model, events, cached=True)


class Replayed:
    """A kept answer's events, for one reader; nothing is open."""

    __slots__ = ("_left",)

    def __init__(self, items: tuple[bytes | StreamEnd, ...]) -> None:
        self._left = list(reversed(items))

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes | StreamEnd:
        """Next event."""
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()

    async def aclose(self) -> None:
        """Give no more."""
        self._left.clear()
