"""Which ways of asking are one: greetings, thanks, and two frames of how.

Each rule reads the head or the end of one tokenised line. What is set aside asks for nothing and can only be
meant for the assistant; a frame that it does not know stays as it is, so that the two prompts differ and are
refused. It knows nothing of numbers or spelling.
"""

import re
from typing import Final

from p402.cache.guards.lexicon import ASKS, DOABLE, OPENS, ORDERS, OWNED, SIGNED, WHY, bag

HOW_TO: Final = "\0how"
WORKS: Final = "\0works"
"""Marks that frames begin with: no text that is taken apart has such a word, so no other sentence has one."""

_HELLO: Final = bag("hi hey Hi Hey")
_THERE: Final = bag("there, there!")
_THANKS: Final = (
    "thanks",
    "thank you",
    "thanks a lot",
    "thank you very much",
    "thank you so much",
    "thanks in advance",
    "many thanks",
)
_LONGEST_THANKS: Final = 4
_MANNERS: Final = bag("thanks thank please")

_OPENINGS: Final = ASKS | ORDERS | OPENS
_HEAD: Final = 10
_TELLS: Final = "(?:what|how|why|who|where|which)"
_LEADS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:i was|i am|i'm) wondering (?:if you (?:can|could) tell me )?(?={_TELLS} )",
        rf"(?:i would like|i'd like|i want|i need) to know (?={_TELLS} )",
        rf"(?:(?:can|could|would) you )?tell me (?={_TELLS} )",
    )
)
"""Openings of a question that is told, not asked."""

_WANTED: Final = re.compile(r"(?:i would like|i'd like|i want|i need) you to ([a-z]+) ")
_ASKED: Final = re.compile(r"(?:can|could|would|will) you (please|kindly) ([a-z]+) ")
_PLEASE: Final = re.compile(r"(?:please|kindly),? ([a-z']+) ")

_HOW: Final = re.compile(
    r"(?:how (?:do|can) [iI]|how [iI] can|(?:(?:show me|explain|explain to me) )?how to|what is the way to) "
    r"([a-z]+) ([^ ,]+)"
)
"""Questions of a way. `you` is none of them: it may be the one who is asked."""

_HOW_WORKS: Final = re.compile(
    r"explain how ([a-z][a-z ]{0,60}[a-z]) works|how does ([a-z][a-z ]{0,60}[a-z]) work"
)
"""Of one thing: `how do fish work` are the animals, `how does fish work` is the shell."""

_DEGREES: Final = bag(
    "many much few long old fast far often well hard big little soon easy easily quickly deep high to do does"
)
"""Words that make another question of a how."""

_JOINTS: Final = bag("that which who to if when what how why does do")

_ASKING: Final = bag("can could would tell how what why who which where when what's how's who's")
_OPENING_MANNERS: Final = bag("please kindly i i'm i'd can could would will tell")


def unended(tokens: list[str]) -> list[str]:
    """Without thanks or `please` behind one sentence that asks or orders; else as it was.

    A comma or another order in it may make them a part of what is spoken of: the mood of help me, please.
    """
    if tokens[0].lower() not in ASKS | ORDERS:
        return tokens
    if not (ORDERS | SIGNED).isdisjoint(token.lower().rstrip(",.?!") for token in tokens[1:]):
        return tokens
    kept = tokens
    for _ in range(2):
        for size in range(1, _LONGEST_THANKS + 1):
            if len(kept) <= size + 1:
                return kept
            before, last = kept[-size - 1], " ".join(kept[-size:])
            please = size == 1 and before[-1:] == "," and last.rstrip("?.!") == "please"
            thanks = before[-1:] in {",", ".", "?"} and _uncapped(last).rstrip(".!") in _THANKS
            if (please or thanks) and before[:-1].rstrip("?."):
                kept = [*kept[: -size - 1], before[:-1] if before[-1] == "," else before]
                break
        else:
            break
    if any(token[-1:] in {",", ".", "?", "!"} or token.lower() in _MANNERS for token in kept[:-1]):
        return tokens
    return kept


def _uncapped(text: str) -> str:
    """Without the capital of its first letter; THANKS stays: upper case is no manner."""
    return text[:1].lower() + text[1:]


def led(tokens: list[str]) -> list[str]:
    """Without manners before the question."""
    if tokens[0].lower() not in _OPENING_MANNERS:
        return tokens
    head, rest = tokens[:_HEAD], tokens[_HEAD:]
    first = head[0].lower()
    if head[0] not in {first, first.capitalize()}:
        return tokens
    opening = line = " ".join([first, *head[1:]]) + (" \0" if rest else "")
    for _ in range(3):
        before = line
        if (found := _PLEASE.match(line)) and (found[1] in ORDERS or found[1] in _ASKING):
            line = line[found.start(1) :]
        if (found := _WANTED.match(line)) and found[1] in ORDERS:
            line = line[found.start(1) :]
        if (found := _ASKED.match(line)) and found[2] in ORDERS:
            line = line[found.start(2) :]
        for lead in _LEADS:
            if found := lead.match(line):
                line = line[found.end() :]
        if line == before:
            break
    if line == opening:
        return tokens
    return [*line.removesuffix(" \0").split(" "), *rest]


def greeted(tokens: list[str]) -> list[str]:
    """Without a greeting that a comma or a stop ends, before a word that opens a prompt.

    HI is Hawaii: a greeting has one capital or none.
    """
    first = tokens[0]
    if first.rstrip(",.!") not in _HELLO:
        return tokens
    size = 1 if first[-1] in ",.!" else 2 if tokens[1:2] and tokens[1] in _THERE else 0
    if size and len(tokens) > size:
        opening = tokens[size].lower()
        if opening in _OPENINGS or opening in _OPENING_MANNERS:
            return tokens[size:]
    return tokens


def framed(tokens: list[str], *, prose: bool) -> list[str]:
    """Tokens of a line, with a frame that is known as its mark and what it asks of."""
    line = " ".join(tokens)
    if (found := _HOW.match(line)) and found[1] in DOABLE and found[2] in OWNED and WHY.isdisjoint(tokens):
        return [HOW_TO, *line[found.start(1) :].split(" ")]
    if prose and (found := _HOW_WORKS.fullmatch(line)):
        named = (found[1] or found[2]).split(" ")
        if named[0] not in _DEGREES and _JOINTS.isdisjoint(named):
            return [WORKS, *named]
    return tokens
