"""One request under way: what the run notes of it from its arrival until its row is written."""

from dataclasses import dataclass

from p402.events import RowInputs
from p402.routing.compiled import Snapshot
from p402.routing.decide import Decided
from p402.routing.live import LiveState
from sim.world.traffic import Asked
from sim.world.truth import Epoch


@dataclass(frozen=True, slots=True)
class Chosen:
    """A round's first decision and all that it was taken by."""

    snapshot: Snapshot
    inputs: RowInputs
    live: LiveState
    made: Decided


@dataclass(slots=True)
class Round:
    """A request and what became of it.

    Attributes
    ----------
    seq
        Its place in the order of arrival.
    chosen
        The last decision before anybody was called.
    epoch, spent, cap
        The world when its first call was sent, providers that took no more calls in that minute, and the
        output cap that went with it.
    calls
        Attempts made.
    quality
        True quality of the last answer; None after a failure, 0 for a kept answer to another question.
    entry, similarity, wrong
        Of an answer that the cache gave: the request that it was made for, its cosine, and whether that one
        asked another question; None and False where the cache gave none.
    """

    seq: int
    id: str
    asked: Asked
    t_ms: int
    chosen: Chosen | None = None
    epoch: Epoch | None = None
    spent: tuple[str, ...] = ()
    cap: int | None = None
    calls: int = 0
    quality: float | None = None
    status: str = "refused"
    code: str | None = None
    served: str | None = None
    cost_nano: int = 0
    direct_nano: int | None = None
    latency_ms: float | None = None
    ttfb_ms: float | None = None
    first_cost_nano: int | None = None
    first_output: int | None = None
    first_latency_ms: float = 0.0
    first_failed: bool = False
    entry: str | None = None
    similarity: float | None = None
    wrong: bool = False
