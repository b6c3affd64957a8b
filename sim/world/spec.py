"""What a world is: its traffic, its models, its providers and whoever judges; plain data that is checked.

A spec is read and written as TOML or JSON by `sim.world.files`; a field that does not exist, or a value out
of its range, is an error there with its path. It knows nothing of how a world is played.
"""

from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta

from sim.world import checks
from sim.world.parts import (
    Arrivals,
    Bernoulli,
    Beta,
    Burst,
    CacheSpec,
    Drift,
    Gaussian,
    Graded,
    Judge,
    ModelSpec,
    Name,
    Outage,
    Positive,
    PriceChange,
    ProviderSpec,
    Repeats,
    Reward,
    Rows,
    Sessions,
    Spread,
    Strict,
    TaskSpec,
    TenantCache,
    TenantSpec,
    Worth,
)

__all__ = [
    "Arrivals",
    "Bernoulli",
    "Beta",
    "Burst",
    "CacheSpec",
    "Drift",
    "Gaussian",
    "Graded",
    "Judge",
    "ModelSpec",
    "Outage",
    "PriceChange",
    "ProviderSpec",
    "Repeats",
    "Reward",
    "Rows",
    "Sessions",
    "Spread",
    "TaskSpec",
    "TenantCache",
    "TenantSpec",
    "WorldSpec",
    "Worth",
]

START: Final = datetime(2026, 11, 23, tzinfo=UTC)
"""A Monday."""


class WorldSpec(Strict, frozen=True, kw_only=True):
    """A whole world.

    Attributes
    ----------
    start
        UTC; daily caps begin anew at its midnights.
    hours
        Sessions begin for so long; their last turns may come later.
    workers
        Of the gateway, which share guard, sessions and board.
    tick_s
        How often a strategy is handed what has arrived.
    matures_s
        After how long a round that nobody judged is handed over as such.
    table
        Name of the outcome table that `Rows` read (`paretobandit`): each request is one of its prompts.
    split
        Part of the table's prompts to draw from; None for all.
    salt
        Keys the gateway's choices; the seed of a run is mixed in.
    exploration_loss
        The gateway's setting: most score that balanced mode may give up to explore.
    cache
        What it keeps of answers, and how alike its embedder finds texts.
    """

    name: Name
    about: str = ""
    start: datetime = START
    hours: Positive = 24.0
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    tick_s: Positive = 60.0
    matures_s: Positive = 7_200.0
    arrivals: Arrivals
    sessions: Sessions = Sessions()
    tenants: Annotated[tuple[TenantSpec, ...], Meta(min_length=1)]
    tasks: tuple[TaskSpec, ...] = ()
    models: Annotated[tuple[ModelSpec, ...], Meta(min_length=1)]
    providers: Annotated[tuple[ProviderSpec, ...], Meta(min_length=1, max_length=64)]
    judges: tuple[Judge, ...] = ()
    worth: Worth = Worth()
    cache: CacheSpec = CacheSpec()
    table: str | None = None
    split: str | None = None
    salt: Annotated[int, Meta(ge=0)] = 402
    exploration_loss: Annotated[float, Meta(gt=0, le=0.5)] = 0.02

    def __post_init__(self) -> None:
        """Hold the tables to each other.

        Raises
        ------
        ValueError
            A name is of nothing, or twice; what was seen, what was expected, what to do.
        """
        checks.check(self)

    @property
    def start_ms(self) -> int:
        """Its first moment, ms since 1970 UTC."""
        return int(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """When sessions cease to begin."""
        return self.start_ms + round(self.hours * 3_600_000)
