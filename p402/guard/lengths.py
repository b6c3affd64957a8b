"""How long an answer will be at most, 999 times in 1,000, by the answers before it.

The law behind `hold = "p99.9"`. It knows no clock, no tenant and no price, and keeps no state: past
lengths come in, past lengths go out. It fits no distribution: of n exchangeable answers, the
(r + 1)-th longest is at least their 99.9th percentile, unless only r or fewer of them were above it.

Source: Wilks, Annals of Mathematical Statistics 12(1), 1941 (tolerance limits by order statistics).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SHARE: Final = 0.999
"""Share of answers that the bound covers."""

CONFIDENCE: Final = 0.95
"""That it does, for any distribution."""

NEEDED: Final = (2_995, 4_742, 6_294, 7_752, 9_151)
"""Answers from which the (r + 1)-th longest is such a bound: least n with P(Bin(n, 0.001) <= r) <= 0.05."""

GENERATION: Final = 5_000
"""Answers after which the older generation is forgotten: a pool remembers the last 5,000 to 10,000."""

FAMILIAR: Final = 30
"""Answers that a finer pool must have before a coarser one speaks for it."""

TELLING: Final = 4_096
"""Output cap from which an answer tells how long such answers are, though money had lowered its cap."""

UNBOUNDED: Final = 1 << 31
"""Length of an answer that its cap ended: nobody knows how long it would have been."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Some answers of a row.

    Attributes
    ----------
    count
        Whole answers.
    longest
        Their greatest lengths and those of cut ones, in tokens, falling; as many as `NEEDED` can ask for.
    """

    count: int = 0
    longest: tuple[int, ...] = ()

    def after(self, tokens: int, *, whole: bool) -> "Generation":
        """These and one more."""
        longest = self.longest
        if len(longest) < len(NEEDED) or tokens > longest[-1]:
            longest = tuple(sorted((*longest, tokens), reverse=True)[: len(NEEDED)])
        return Generation(self.count + whole, longest)


@dataclass(frozen=True, slots=True)
class Lengths:
    """What is remembered of a pool of answers: the generation that grows and the one before it."""

    now: Generation = Generation()
    before: Generation = Generation()

    @property
    def count(self) -> int:
        """Whole answers remembered."""
        return self.now.count + self.before.count

    @property
    def longest(self) -> int:
        """The longest answer remembered, cut ones included; 0 where there is none."""
        return max((*self.now.longest[:1], *self.before.longest[:1]), default=0)


NO_ANSWERS: Final = Lengths()


def observe(lengths: Lengths, tokens: int, *, whole: bool) -> Lengths:
    """Lengths after one more answer.

    Parameters
    ----------
    tokens
        Its output as billed, reasoning included; `UNBOUNDED` where its cap ended it.
    whole
        Whether it came to its end and its usage was reported. A cut or estimated one may raise the
        bound, and is no evidence for it.

    Raises
    ------
    ValueError
        The length is negative: a fault of ours.
    """
    if tokens < 0:
        raise ValueError(f"an answer has {tokens} tokens: expected 0 or more")
    now = lengths.now.after(tokens, whole=whole)
    return Lengths(Generation(), now) if now.count >= GENERATION else Lengths(now, lengths.before)


def most(lengths: Lengths) -> int | None:
    """Tokens that 999 of 1,000 answers do not exceed, at `CONFIDENCE`; None where too few are known."""
    rank = sum(lengths.count >= needed for needed in NEEDED)
    if rank == 0:
        return None
    longest = sorted((*lengths.now.longest, *lengths.before.longest), reverse=True)
    return longest[rank - 1]


def predict(finest_first: Iterable[Lengths]) -> int | None:
    """Tokens to hold for an answer that belongs to nested pools; None where a hold must be strict.

    The finest pool that knows enough speaks. A coarser one never says less than the longest answer that
    a finer one has seen, and says nothing of what a finer one hardly knows.
    """
    least = 0
    for lengths in finest_first:
        bound = most(lengths)
        if bound is not None:
            return max(bound, least)
        if lengths.count < FAMILIAR:
            return None
        least = max(least, lengths.longest)
    return None
