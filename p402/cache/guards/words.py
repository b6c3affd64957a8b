"""What a prompt says once its manners are set aside: one form, equal for prompts that differ harmlessly only.

A text is *exact*, *technical* or *prose*. Of an exact one nothing is set aside: more than one line, a
colon, code, a prompt about a text, an opening that is not English. Of a technical one (machines, sums,
music, titles, any sign that prose has not) the head and the end are read, and the rest counts to the last
character. Prose is one line of plain English words: there a contraction beside the first word and a
curled apostrophe have one form too. It knows nothing of other texts.

Every step is linear in the text, since the text is a stranger's: each pattern has one way to match, or
repeats a bounded number of times, or reads the head or the end of the text only.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

from p402.cache.guards import frames
from p402.cache.guards.lexicon import (
    ALWAYS,
    APART,
    ASKLESS,
    ASKS,
    CLOSING,
    CODE,
    MACHINES,
    NAMELIKE,
    OBJECTS,
    OPENS,
    ORDERS,
    PATTERNS,
    TECHNICAL,
    TEXTUAL,
    bag,
)

LONGEST: Final = 8_192
"""Characters up to which a text is read; a longer one agrees only with itself."""

KEPT: Final = 128
"""Texts whose reading is remembered: the one asked and those it is compared with."""

Kind = Literal["exact", "technical", "prose"]

_LAYOUT: Final = re.compile(r"[^\S ]|[`\0]|:(?= |\Z)")
"""Line breaks and tabs, backticks, a colon before material."""

_CURLED: Final = re.compile("(?<=[a-z])\u2019(?=[a-z])")
_PLAIN: Final = re.compile(r"(?:[^\W\d_]{2,}|[aiI])(?:['-][^\W\d_]+)*[,.?!]?|[?.]|[0-9]{1,9}[?]?")
_ENDS_IN: Final = re.compile(r"([^?.!]*)([?]{1,3}|[.])")
_LONG_WORD: Final = re.compile("[A-Za-z]{3,}")
_OPENINGS: Final = ASKS | ORDERS | OPENS
_TURNS: Final = bag("can could would will")
"""Words that make a question of an order, with its mark."""

_STOPS: Final = ",;.?!()[]\"'"
_HEADS: Final = bag("why what who which how when where i if")
_SHORT: Final = 4
"""Words from which a first capital says nothing: `Who albums` is a band's, `Fix price` may be a title."""

_NAMELESS: Final = bag("is are was were does did") | frozenset(APART)
"""First words that begin no name, however short the prompt."""

_BEING: Final = bag("is are was were has")
_BEFORE_BEING: Final = bag("what how why who whose where when which there")
"""Before `is` any other first word is a name: `Draft is open`, `Can was a band`."""


@dataclass(frozen=True, slots=True)
class Words:
    """A text as the guards compare it.

    Attributes
    ----------
    form
        What it says, in order; the first piece is its kind.
    """

    form: tuple[str, ...]


@lru_cache(maxsize=KEPT)
def read(text: str) -> Words:
    """Read a text; one that is longer than `LONGEST` is its own form."""
    if len(text) > LONGEST:
        return Words(("exact", text))
    line = text.strip(" \n")  # other blanks are what somebody asks about
    if not _LAYOUT.search(line):
        tokens = _CURLED.sub("'", line).split(" ")
        low = frozenset(token.lower().strip(_STOPS) for token in tokens)
        if low.isdisjoint(TEXTUAL) and not _quotes(tokens):
            kind = _kind(tokens, low)
            prose = kind == "prose"
            if said := _said(tokens if prose else line.split(" "), low, prose=prose):
                return Words((kind, *said))
    return Words(("exact", *text.split(" ")))  # a blank more is an empty piece more


def _kind(tokens: list[str], low: frozenset[str]) -> Kind:
    if low.isdisjoint(TECHNICAL) and all(_PLAIN.fullmatch(t) for t in tokens):
        return "prose"
    return "technical"


def _quotes(tokens: list[str]) -> bool:
    """Whether a sentence stands within a sentence: a capital on a word that has it only where one begins."""
    return any(
        token[:1].isupper() and token.lower() in ASKS and before[-1:] not in {".", "?", "!", ","}
        for before, token in pairwise(tokens)
    )


def _said(tokens: list[str], low: frozenset[str], *, prose: bool) -> list[str] | None:
    """Tokens without manners, in one frame; None where the text opens with no word that is known."""
    coded = not low.isdisjoint(CODE)
    polite = frames.greeted(tokens)
    asked = frames.led(polite)
    rest = frames.unended(asked)
    moved = len(rest) < len(tokens)
    turned = not _TURNS.isdisjoint(token.lower() for token in polite[: len(polite) - len(asked)])
    first, then = rest[0], rest[1] if len(rest) > 1 else ""
    opening = first.lower()
    known = ALWAYS if coded and then not in OBJECTS else _OPENINGS
    if opening not in known or first not in {opening, opening.capitalize()}:
        return None
    if then in _BEING and opening not in _BEFORE_BEING:
        return None
    short = len(rest) < _SHORT and then not in ASKS and opening not in _NAMELESS
    said = first if short or opening in NAMELIKE else APART.get(opening, opening)
    rest = [*said.split(" "), *rest[1:]]
    asks = turned or opening in ASKS or rest[0] in ASKS
    rest = _unstopped(rest, low, prose=prose, asks=asks, moved=moved)
    return frames.framed(_plainly(rest) if prose else rest, prose=prose)


def _unstopped(tokens: list[str], low: frozenset[str], *, prose: bool, asks: bool, moved: bool) -> list[str]:
    """Without the stop of the last sentence, where it cannot be a part of the last word."""
    found = _ENDS_IN.fullmatch(tokens[-1])
    if len(tokens) == 1 or not found:
        return tokens
    word, stop = found.groups()
    questions = stop[0] == "?"
    if questions != asks and not (moved and not questions):
        return tokens  # a question ends with its mark, an order with a stop, manners with either
    if prose:
        plain = len(word) > 1 and (word[-1].isalpha() or questions)
    elif tokens[-2] in {"in", "with", "using"} and word.lower() in MACHINES:
        plain = True
    elif low.isdisjoint(PATTERNS) and _LONG_WORD.fullmatch(word):
        machines = low & MACHINES  # where none of them ends a name with the mark
        named = machines <= ASKLESS if machines else CODE.isdisjoint((word.lower(), tokens[-2].lower()))
        plain = named or (asks and word in CLOSING)
    else:
        plain = asks and word in CLOSING
    return [*tokens[:-1], word] if plain else tokens


def _plainly(tokens: list[str]) -> list[str]:
    """A contraction beside the first word of a question in prose as two words; elsewhere it may be meant."""
    if tokens[0] not in _HEADS or len(tokens) == 1:
        return tokens
    return [tokens[0], *APART.get(tokens[1], tokens[1]).split(" "), *tokens[2:]]
