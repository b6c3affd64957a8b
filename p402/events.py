"""What the log holds: one struct per kind of event, as written to JSONL.

Every event is one JSON object on one line, with `v` (schema version) and `kind` first.
Columns only grow; a frozen file of every version lies in `tests/golden` and must still load.
It knows nothing of files: `p402.store` writes and reads these.

A round is a `decision` (written before dispatch), its `attempt`s (failover re-decisions, also
written before dispatch), one `outcome`, and any number of `reward`s, joined by `id`. A call that another
system's log tells of is `imported`: nobody chose it by chance, so it is no round and has no propensity. Nor
is a `cache_hit`, an answer that was given again: nobody was called for it.
"""

from typing import Final

import msgspec

VERSION: Final = 4
"""2 since 2026-11-26: `RowInputs.probed` and `ArmLive.half_open`; 3 since that day: the kind `imported`;
4 since that day: the kind `cache_hit`."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=False):
    """What every line carries: schema version and wall time in ms since 1970 UTC."""

    v: int = VERSION
    ts_ms: int


class RowInputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything `decide` read for this request beside its snapshot and live state.

    Whole numbers only; units in `p402.routing.batch`. Defaults are left out of the line.
    """

    mode: str
    features: list[int]
    task: int
    prompt_tokens: int
    prompt_bound: int
    expected_output: int
    max_output: int | None = None
    n: int = 1
    needs: int = 0
    ceiling_pico: int
    weights: list[int] | None = None
    budget_price: int = 0
    previous_arm: str | None = None
    warm_tokens: int = 0
    variant: int = 0
    explore: bool = True
    policy: str = "default"
    exclude_providers: list[str] = []
    prefer_providers: list[str] = []
    model: str | None = None
    family: str | None = None
    tried: list[str] = []
    probed: list[str] = []
    """Providers that another request is trying just then: their half-open breakers are open to this row."""


class Decision(Event, frozen=True, kw_only=True, tag="decision"):
    """A round's first choice, logged before dispatch; `count / 2**24` is its propensity."""

    id: str
    tenant: str
    session: str
    worker: str
    snapshot: str
    live_seq: int
    inputs: RowInputs
    arm: str | None
    count: int
    n_eligible: int
    n_explored: int
    task: str
    baseline: str | None
    observe: bool = False
    """The named model was called; `arm` is only what P402 would have taken."""
    simulated: bool = False
    tags: dict[str, str] = {}


class Attempt(Event, frozen=True, kw_only=True, tag="attempt"):
    """A failover's choice, logged before dispatch. It trains no estimator."""

    id: str
    attempt: int
    worker: str
    snapshot: str
    live_seq: int
    inputs: RowInputs
    arm: str | None


class AttemptResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one attempt ended and what it was billed."""

    arm: str
    status: str
    code: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int | None = None
    price_pico: list[int] | None = None
    """Pico-USD per token that made the cost: input, cache read, output, cache write, cache write of an hour.
    Rows from before 2026-11-26 have the first three, and wrote caches at the price of input."""
    latency_ms: float
    ttfb_ms: float | None = None
    cache_write_tokens: int = 0
    """Part of the prompt, as `cached_tokens` is."""
    cache_write_1h_tokens: int = 0
    """Part of `cache_write_tokens`."""
    service_tier: str | None = None
    """What the provider says it billed at, where that is not its standard tier."""
    price_source: str | None = None
    """`list` (the catalogue's price) or `contract` (the operator's); None where there is no price."""


class Outcome(Event, frozen=True, kw_only=True, tag="outcome"):
    """How a round ended. `status`: ok, failed, cancelled, refused."""

    id: str
    tenant: str
    status: str
    code: str | None = None
    arm: str | None
    attempts: list[AttemptResult]
    cost_nano: int | None
    direct_nano: int | None
    fee_nano: int = 0
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    usage_estimated: bool = False
    latency_ms: float
    provider_latency_ms: float
    ttfb_ms: float | None = None
    overhead_ms: float
    stream: bool = False
    anomaly_z: float | None = None
    """How far above its tenant's past the charge was, where layer 4 flags it (promise P15)."""
    hold_nano: int | None = None
    """What was held for the round when it settled; a charge (cost and fee) above it is its overshoot."""
    bound_nano: int | None = None
    """The most that it could have cost, where the hold was predicted and covered less than that."""
    cache_write_tokens: int = 0
    """Of the answer that was served; each attempt has its own."""


class Reward(Event, frozen=True, kw_only=True, tag="reward"):
    """A client's or judge's word on a round; the last of each (tenant, id, source) counts."""

    id: str
    tenant: str
    source: str
    status: str
    quality: float | None = None
    outcome_type: str | None = None
    occurred_at_ms: int | None = None
    metadata: dict[str, str] = {}


class Refused(Event, frozen=True, kw_only=True, tag="refusal"):
    """A request that was turned away before dispatch. It is no round."""

    id: str
    tenant: str
    code: str
    status: int
    retry_after_ms: int | None = None
    message: str


class CacheHit(Event, frozen=True, kw_only=True, tag="cache_hit"):
    """A request that was answered from the cache: nothing was chosen, called, held or paid."""

    id: str
    tenant: str
    session: str
    worker: str
    snapshot: str
    """Whose prices the direct cost has."""
    entry: str
    """Id of the kept answer: of the round that made it."""
    tier: str
    """`exact` or `semantic`."""
    similarity: float
    """Cosine of both prompts; 1 for an exact repeat."""
    arm: str
    """Who made the answer."""
    mode: str
    task: str
    baseline: str | None
    direct_nano: int | None
    prompt_tokens: int
    output_tokens: int
    usage_estimated: bool = False
    age_ms: int
    """Of the answer."""
    latency_ms: float
    stream: bool = False
    simulated: bool = False
    tags: dict[str, str] = {}


class ArmLive(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An arm's live columns after a change: see `p402.routing.live`. Defaults are left out of the line."""

    open_circuit: bool
    ttft_ms: int
    error_rate: int
    half_open: bool = False
    output_ratio: int = 16


class Live(Event, frozen=True, kw_only=True, tag="live"):
    """A worker's live state changed to `seq`: the columns of the arms that moved."""

    worker: str
    seq: int
    arms: dict[str, ArmLive]


class Imported(Event, frozen=True, kw_only=True, tag="imported"):
    """A call that another system logged; `ts_ms` is when it began. It has no propensity, and no count of one.

    `inputs` are what P402 would have read of the request, as far as the source tells it.
    """

    id: str
    """Follows from tenant, source and the source's own id, so that the same call has it every time."""
    tenant: str
    session: str
    source: str
    """`openai`, `litellm` or `langfuse`."""
    source_id: str | None
    """The source's id of the call; None where it gave none, and `id` follows from the row's content."""
    provider: str | None
    model: str
    """As the source named it."""
    status: str
    """ok, failed, or cached (the source answered from its own cache, and called nobody)."""
    code: str | None = None
    inputs: RowInputs
    task: str | None
    """None where the source kept no prompt to tell it by."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int | None = None
    price_pico: list[int] | None = None
    """As in `AttemptResult`, where the cost was worked out from the catalogue's prices."""
    price_source: str | None = None
    """`told` (the source's own figure), `list` (the catalogue's price then); None where there is none."""
    latency_ms: float | None = None
    ttfb_ms: float | None = None
    stream: bool = False
    prompt_hash: str | None = None
    """16 hex digits of the BLAKE2b digest of the messages as canonical JSON; None where there are none."""
    prompt: str | None = None
    """The messages as JSON, only where the import was asked to keep them."""
    tags: dict[str, str] = {}


AnyEvent = Decision | Attempt | Outcome | Reward | Refused | Live | Imported | CacheHit
"""Every kind, for a decoder: `msgspec.json.Decoder(AnyEvent)`."""
