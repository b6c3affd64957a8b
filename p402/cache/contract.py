"""What the flow asks of a cache, and the values that pass through it.

`Cache` has a conformance suite in `tests/conformance`, which all its hands pass. An `Embedder` turns words
into a vector; who has none compares nothing, and finds exact repeats only. Times are wall ms since 1970 UTC.
"""

from typing import Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

EXACT: Final = "exact"
SEMANTIC: Final = "semantic"

Vector = NDArray[np.float32]
"""(dims,), of length 1."""


class Query(msgspec.Struct, frozen=True):
    """A request as a cache sees it.

    Attributes
    ----------
    scope
        Digest of all that has to be equal: tenant, rules of routing, and the body without the last words.
    exact
        Digest of all of it.
    text
        The last user message, to be compared with others'; None where only an exact repeat may be answered.
    similarity
        Cosine that a kept prompt has to exceed: 0.92 or more (promise P11).
    """

    tenant: str
    scope: bytes
    exact: bytes
    text: str | None
    similarity: float


class Entry(msgspec.Struct, frozen=True):
    """An answer that was kept.

    Attributes
    ----------
    id
        Request id of the round that made it.
    arm
        Who answered.
    body
        The completion: a JSON object in OpenAI's form.
    prompt, output, cached, cache_write, cache_write_1h, reasoning
        What it used, as in `p402.ports.Usage`.
    estimated
        Whether the provider did not tell.
    expires_ms
        From when on it is no longer given.
    """

    id: str
    arm: str
    task: str
    body: bytes
    prompt: int
    output: int
    cached: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    estimated: bool
    made_ms: int
    expires_ms: int


class Hit(msgspec.Struct, frozen=True):
    """A kept answer that may be given.

    Attributes
    ----------
    tier
        `exact` or `semantic`.
    similarity
        Cosine of both prompts, in (0.92, 1]; 1 for an exact repeat.
    """

    entry: Entry
    tier: str
    similarity: float


class Miss(msgspec.Struct, frozen=True):
    """Nothing that may be given; `vector` is of the query's text, where there is one."""

    vector: Vector | None = None


MISS: Final = Miss()


class Tally(msgspec.Struct, frozen=True):
    """What a tenant's cache holds, and what this worker's look-ups came to since it began."""

    entries: int
    exact_hits: int
    semantic_hits: int
    misses: int


class Cache(Protocol):
    """Answers kept for whoever asks the same again.

    It fails open: it never raises to the flow, and what cannot be read, or not soon, is a miss.
    """

    async def find(self, query: Query) -> Hit | Miss:
        """The answer to give: an exact repeat's, else that of the nearest prompt that the guards accept."""
        ...

    def keep(self, query: Query, miss: Miss, entry: Entry) -> None:
        """Keep an answer for what was asked and not found; queued, never awaited.

        A later entry of the same prompt takes the place of an earlier one.
        """
        ...

    async def tally(self, tenant: str) -> Tally:
        """What there is of a tenant.

        Raises
        ------
        p402.errors.StoreError
            The cache cannot be read.
        """
        ...

    async def clear(self, tenant: str) -> int:
        """Forget everything of a tenant, in all workers; gives how many entries those were.

        Raises
        ------
        p402.errors.StoreError
            The cache cannot be reached: entries may live on.
        """
        ...

    async def evict(self, tenant: str, entry: str) -> bool:
        """Forget one entry of a tenant by its id, in all workers; False where there is none.

        Raises
        ------
        p402.errors.StoreError
            The cache cannot be reached: the entry may live on.
        """
        ...

    async def close(self) -> None:
        """Let go of it, once what is queued was kept, if that is soon; idempotent."""
        ...


class Embedder(Protocol):
    """Words to a vector whose cosines say how alike they are."""

    @property
    def id(self) -> str:
        """Names the model and all that its vectors depend on: those of another id are not compared."""
        ...

    async def embed(self, text: str) -> Vector | None:
        """The vector of a text; None where it has none, as when it is too long, or not in time."""
        ...
