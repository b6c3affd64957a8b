"""What a snapshot is made of: five components, each plain data with canonical bytes.

A snapshot is everything `decide` knows that is not of one request or of the last second.
Each component is stored once under the hash of its bytes; the snapshot's id is the hash
of its components' hashes. Whole numbers only, so that bytes are canonical.
It knows nothing of numpy, of files or of how the values were learned.
"""

from typing import Final

import msgspec

TASKS: Final = (
    "chat",
    "code",
    "math",
    "reasoning",
    "knowledge",
    "extraction",
    "summary",
    "translation",
    "writing",
    "tools",
)
"""Task types a prompt is sorted into; the index is the row of the `sd` table."""

MODES: Final = ("cost", "quality", "speed", "balanced")
"""Named modes; a request with its own weights has mode `custom` (index 4)."""

CUSTOM: Final = len(MODES)

CAPABILITIES: Final = (
    "chat",
    "code",
    "vision",
    "reasoning",
    "function_calling",
    "json_schema",
    "long_context",
)
"""Bit i of a capability mask stands for the i-th name. A bit is set only where a source says so."""

LONG_CONTEXT_TOKENS: Final = 128_000
"""A context window from which a deployment counts as `long_context`."""


def capability_mask(names: tuple[str, ...]) -> int:
    """Bit mask of capability names; an unknown name raises ValueError."""
    return sum(1 << CAPABILITIES.index(name) for name in set(names))


class Arms(msgspec.Struct, frozen=True, kw_only=True):
    """Who may be chosen: columns of shape (n_arms,), sorted by arm id."""

    arm: tuple[str, ...]
    """`provider/model`, unique, ascending: ties go to the lower id."""
    provider: tuple[str, ...]
    model: tuple[str, ...]
    """Canonical model name, the same at every provider that serves it."""
    family: tuple[str, ...]
    """Whose transcripts the arm can continue (anthropic, openai, ...)."""
    capabilities: tuple[int, ...]
    context_window: tuple[int | None, ...]
    output_limit: tuple[int | None, ...]
    simulated: tuple[bool, ...]


class Prices(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prices in force when the snapshot was compiled: pico-USD per token, (n_arms,). None is unknown.

    The columns of `GROWN` are empty where no arm has any, as they are in snapshots from before
    2026-11-26; what is empty is left out of the bytes, so that a snapshot without them has the id it had.
    """

    input: tuple[int | None, ...]
    cache_read: tuple[int | None, ...]
    output: tuple[int | None, ...]
    threshold: tuple[int | None, ...]
    """Prompt tokens above which the whole call has the `_above` prices; None without tiers."""
    input_above: tuple[int | None, ...]
    cache_read_above: tuple[int | None, ...]
    output_above: tuple[int | None, ...]
    cache_write: tuple[int | None, ...] = ()
    """Of the provider's shortest cache time."""
    cache_write_1h: tuple[int | None, ...] = ()
    cache_write_above: tuple[int | None, ...] = ()
    cache_write_1h_above: tuple[int | None, ...] = ()
    contract: tuple[bool, ...] = ()
    """Whether the prices are of the operator's own agreement, not of the catalogue's list."""


GROWN: Final = ("cache_write", "cache_write_1h", "cache_write_above", "cache_write_1h_above", "contract")
"""Columns of `Prices` that may be empty."""


class Posterior(msgspec.Struct, frozen=True, kw_only=True):
    """What is believed of each arm: quality given context, its uncertainty, verbosity, first-token prior."""

    features: tuple[str, ...]
    tasks: tuple[str, ...]
    theta: tuple[tuple[int, ...], ...]
    """(n_arms, n_features), multiples of 2**-20."""
    sd: tuple[tuple[int, ...], ...]
    """(n_arms, n_tasks), multiples of 2**-20."""
    output_ratio: tuple[int, ...]
    """Output tokens over the request's expectation, multiples of 2**-12, (n_arms,)."""
    ttft_ms: tuple[int, ...]
    """Prior expected time to first token, whole ms, (n_arms,)."""
    quality_source: tuple[str, ...]
    """`prior`, or the source of the arm's benchmark, (n_arms,)."""


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """A mode: weights of the score and an exploration rule. Multiples of 2**-20."""

    quality: int
    cost: int
    speed: int
    tolerance: int
    """Arms whose score is this far below the best leave the exploration set."""
    explore: bool
    loss_cap: int
    """Most score that inverse-gap weighting may give up on average."""
    floor: int
    """Share spread evenly over the exploration set."""
    cost_ratio: int
    """An explored arm costs at most this many times the incumbent's cost."""
    chain: tuple[str, ...] = ()
    """Arms tried first, in order, where eligible."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How scores become choices."""

    salt: int
    """Keys chance together with the request id; below 2**64."""
    beta: int
    """Optimism: multiples of 2**-20 of sd added to quality."""
    cost_half_pico: int
    """Effective cost per 1k tokens at which the cost score is one half, pico-USD."""
    ttft_half_ms: int
    """Time to first token at which the speed score is one half."""
    switch_cost: int
    """Score a session loses for leaving the arm whose prompt cache it keeps fully warm, 2**-20."""
    prefer_bonus: int
    """Score of the first preferred provider; each later one has half of it, 2**-20."""
    set_size: int
    """Most arms in the exploration set."""
    default_max_output: int
    """Output cap of a call that names none, tokens."""
    variants: tuple[tuple[Mode, ...], ...]
    """(n_variants, 4): row 0 is what was promoted, the others are on trial; columns as `MODES`."""


class TenantPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Which arms a tenant may use at all."""

    name: str
    denied: tuple[str, ...]
    """Arm ids."""


class Tenants(msgspec.Struct, frozen=True, kw_only=True):
    """Every tenant policy by name."""

    policies: tuple[TenantPolicy, ...]


class SnapshotSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The five components of a snapshot."""

    arms: Arms
    prices: Prices
    posterior: Posterior
    policy: Policy
    tenants: Tenants
