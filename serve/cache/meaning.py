"""Whether prompts are compared by meaning, and if not, why not: what a tenant is told of it."""

from dataclasses import dataclass
from typing import Final

from p402.cache.contract import Embedder
from serve.embedding.parts import Absent


@dataclass(frozen=True, slots=True)
class Meaning:
    """One of both is None.

    Attributes
    ----------
    model
        Id of the embedder.
    """

    model: str | None
    why_not: str | None


UNWANTED: Final = Absent("`cache` or `cache_by_meaning` is false in `[server]`: prompts are not compared")
NO_MODEL: Final = Meaning(None, UNWANTED.reason)


def meaning_of(embedder: Embedder | Absent) -> Meaning:
    """What is to be said of an embedder, or of none."""
    return Meaning(None, embedder.reason) if isinstance(embedder, Absent) else Meaning(embedder.id, None)
