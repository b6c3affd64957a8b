"""Whether the words of two prompts allow one answer for both, and which guard says no.

Two prompts agree where their forms are equal: every number, negation, name and word of content in the same
order. The guards name a difference, the most telling first; that there is one they do not decide. So a word
that no list knows refuses too, and the law is symmetric. It knows nothing of how alike two prompts look.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal

from p402.cache.guards.lexicon import LEANING, NAMES, NEGATIONS, NUMBERS, POLES, PREFIXES
from p402.cache.guards.words import Words, read

Guard = Literal["numbers", "negation", "antonyms", "entities", "order", "substitution"]

_PARTS: Final = re.compile(r"[^\W\d_]+|[0-9]+|[^\s]")
_SIGNS: Final = frozenset("+-*/=<>^%\u00d7\u00f7$€£¥|&~")


def disagreement(asked: str, kept: str) -> Guard | None:
    """Name the first guard that refuses to answer one text with the other's answer; None where all agree."""
    return compare(read(asked), read(kept))


def compare(asked: Words, kept: Words) -> Guard | None:
    """The same of two texts that were read before."""
    if asked.form == kept.form:
        return None
    mine, other = Counter(_parts(asked)), Counter(_parts(kept))
    only_mine, only_other = set(mine - other), set(other - mine)
    changed = only_mine | only_other
    if any(_counts(part) for part in changed):
        return "numbers"
    if not changed.isdisjoint(NEGATIONS) or _denied(only_mine, only_other) or _denied(only_other, only_mine):
        return "negation"
    poles = changed & POLES
    if poles - LEANING or (poles & only_mine and poles & only_other):
        return "antonyms"
    if not changed.isdisjoint(NAMES) or _named(changed, asked, kept):
        return "entities"
    return "substitution" if changed else "order"


def _parts(words: Words) -> Iterable[str]:
    """Letters, digits and signs of a form, each in lower case."""
    for token in words.form[1:]:
        if token.isalpha():
            yield token.casefold()
        else:
            yield from _PARTS.findall(token.casefold())


def _counts(part: str) -> bool:
    return part.isdigit() or part in NUMBERS or part in _SIGNS


def _denied(some: set[str], others: set[str]) -> bool:
    """Whether one of some is one of others with a prefix that denies it."""
    return any(prefix + word in some for word in others for prefix in PREFIXES)


def _named(changed: set[str], *texts: Words) -> bool:
    """Whether a change lies within what is no plain word; one in capitals alone leaves no part changed."""
    return any(
        not changed.isdisjoint(_PARTS.findall(name.casefold()))
        for text in texts
        for name in text.form[2:]
        if not name.islower() or not name.isalpha()
    )
