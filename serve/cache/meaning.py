"""Whether prompts are compared by meaning, and if not, why not: what a tenant is told of it."""

from dataclasses import dataclass
from typing import Final

from p402.cache.contract import Embedder


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


NO_MODEL: Final = Meaning(None, "no embedding model is loaded: only exact repeats are answered")


def meaning_of(embedder: Embedder | None) -> Meaning:
    """What is to be said of an embedder, or of none."""
    return NO_MODEL if embedder is None else Meaning(embedder.id, None)
