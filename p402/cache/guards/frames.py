"""Which ways of asking are one: greetings, thanks, and a few frames of how, what and which-differs.

Each rule reads the head or the end of one tokenised line. What is set aside asks for nothing and can only be
meant for the assistant; a frame that it does not know stays as it is, so that the two prompts differ and are
refused. It knows nothing of numbers or spelling.
"""

import re
from typing import Final

from p402.cache.guards.lexicon import (
    ASKS,
    DIGITS,
    DOABLE,
    LEANING,
    MACHINES,
    NO_OBJECT,
    NUMBERS,
    OPEN_ENDED,
    OPENS,
    ORDERS,
    SIGNED,
    WHY,
    bag,
)

_HELLO: Final = bag("hi hello hey")
_DAYS: Final = bag("morning afternoon evening")
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
_NO_PLEASE: Final = bag(
    "to with not i you we they he she it and or the a an of in on for do does can please pretty is me us"
)
"""Words after which `please` is no manners: how do I please, with please."""

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
_EXPLAINED: Final = re.compile(r"(?:can|could) you (?=explain (?:how|why|the difference) )")
_PLEASE: Final = re.compile(r"(?:please|kindly),? ([a-z']+) ")

_HOW: Final = re.compile(
    r"(?:how (?:do|can) [iI]|how [iI] can|(?:(?:show me|explain|explain to me) )?how to|what is the way to) "
    r"([a-z]+) ([^ ,]+)"
)
"""Questions of a way. `you` is none of them: it may be the one who is asked."""

_HOW_WORKS: Final = re.compile(
    r"explain how ([a-z][a-z ]{0,60}[a-z]) works|how (?:do|does) ([a-z][a-z ]{0,60}[a-z]) work"
)
_WHAT_IS: Final = re.compile(r"what (?!is |are |was |were )(.{1,120}) (is|are)")
_BESIDE: Final = bag("in In using Using")
_SHIFTED: Final = bag("how what why")
_BETWEEN: Final = re.compile(
    r"(?:what is|what are|explain) the differences? between "
    r"(a |an |the )?([A-Za-z]{3,20}) and (a |an |the )?([A-Za-z]{3,20})"
)

_DIFFER: Final = re.compile(r"how do ([A-Za-z]{3,20}) and ([A-Za-z]{3,20}) differ")
_DIFFERS: Final = re.compile(r"(?:how does|explain how) ([A-Za-z]{3,20}) differs? from ([A-Za-z]{3,20})")


def unended(tokens: list[str]) -> list[str]:
    """Without thanks behind a comma or a stop, nor a `please` at the end."""
    kept = tokens
    signed = not SIGNED.isdisjoint(token.lower() for token in tokens)
    for _ in range(3):
        last = kept[-1].lower().rstrip("?.!")
        before = kept[-2] if len(kept) > 1 else ""
        if last == "please" and kept[-1][:6] == "please" and before:
            if before[-1] == ",":
                kept = [*kept[:-2], before[:-1]] if len(before) > 1 else kept
            elif before.isalpha() and len(before) > 1 and before.lower() not in _NO_PLEASE:
                kept = kept[:-1]
            continue
        for size in range(1, _LONGEST_THANKS + 1):
            if signed or len(kept) <= size + 1:
                break
            words = " ".join(kept[-size:]).lower().rstrip(".!")
            before = kept[-size - 1]
            if words in _THANKS and before[-1:] in {",", ".", "?"} and before[:-1].rstrip("?."):
                kept = [*kept[: -size - 1], before[:-1] if before[-1] == "," else before]
                break
        else:
            break
    return kept


def led(tokens: list[str]) -> tuple[list[str], bool]:
    """Without a greeting and manners before the question; whether it is told (`what it is`), not asked."""
    tokens = _greeted(tokens)
    if tokens[0].lower() not in _OPENING_MANNERS:
        return tokens, False
    head, rest = tokens[:_HEAD], tokens[_HEAD:]
    first = head[0].lower()
    if head[0] not in {first, first.capitalize()}:
        return tokens, False
    opening = line = " ".join([first, *head[1:]]) + (" \0" if rest else "")
    told = False
    for _ in range(3):
        before = line
        if (found := _PLEASE.match(line)) and (found[1] in ORDERS or found[1] in _ASKING):
            line = line[found.start(1) :]
        if (found := _WANTED.match(line)) and found[1] in ORDERS:
            line = line[found.start(1) :]
        if (found := _ASKED.match(line)) and found[2] in ORDERS:
            line = line[found.start(2) :]
        if (found := _EXPLAINED.match(line)) and OPEN_ENDED.isdisjoint(tokens[2:]):
            line = line[found.end() :]
        for lead in _LEADS:
            if found := lead.match(line):
                line, told = line[found.end() :], True
        if line == before:
            break
    if line == opening:
        return tokens, False
    return [*line.removesuffix(" \0").split(" "), *rest], told


def shifted(tokens: list[str]) -> tuple[list[str], list[str]]:
    """Without a machine's language before a question (`In Python, how`), and that, to stand behind it."""
    if len(tokens) > 3 and tokens[0] in _BESIDE and tokens[1][-1:] == "," and tokens[2] in _SHIFTED:
        name = tokens[1][:-1]
        if name.lower() in MACHINES:
            return tokens[2:], [tokens[0].lower(), name]
    return tokens, []


_ASKING: Final = bag("can could would tell how what why who which where when what's how's who's")
_OPENING_MANNERS: Final = bag("please kindly i i'm i'd can could would will tell")


def _greeted(tokens: list[str]) -> list[str]:
    """Without a greeting that a comma or a stop ends, before a word that opens a prompt."""
    low = [token.lower() for token in tokens[:4]]
    size = 0
    if low[0].rstrip(",.!") in _HELLO:
        size = 1 if low[0][-1] in ",.!" else 2 if low[1:2] in (["there,"], ["there!"]) else 0
    elif low[0] == "good" and len(low) > 1 and low[1][:-1] in _DAYS and low[1][-1] in ",.!":
        size = 2
    if size and len(low) > size and (low[size] in _OPENINGS or low[size] in _OPENING_MANNERS):
        return tokens[size:]
    return tokens


def framed(tokens: list[str], *, led: bool, prose: bool, even: bool) -> list[str]:
    """Tokens of a line with its frame in one form; `even`, where it speaks of no sums or sets."""
    line = " ".join(tokens)
    if led and (found := _WHAT_IS.fullmatch(line)):
        line = f"what {found[2]} {found[1]}"
    if (
        (found := _HOW.match(line))
        and found[1] in DOABLE
        and found[2] not in NO_OBJECT
        and WHY.isdisjoint(tokens)
    ):
        return ["how", *line[found.start(1) :].split(" ")]
    if prose and (found := _HOW_WORKS.fullmatch(line)):
        line = "how " + (found[1] or found[2]) + " work"
    elif even and (found := _BETWEEN.fullmatch(line)):
        line = _either((found[1] or "") + found[2], (found[3] or "") + found[4], line)
    elif even and (found := (_DIFFER.fullmatch(line) or _DIFFERS.fullmatch(line))):
        line = _either(found[1], found[2], line)
    return line.split(" ")


_TURNING: Final = bag("before after start end first last one zero hundred")
"""Words of which the first named is the one to begin with."""


def _either(one: str, other: str, line: str) -> str:
    """A difference of two things, whichever is named first; from May to June is no time from June to May."""
    if any(
        word in NUMBERS or word in DIGITS or word in LEANING or word in _TURNING
        for word in (*one.lower().split(" "), *other.lower().split(" "))
    ):
        return line
    low, high = sorted((one, other))
    return f"difference between {low} and {high}"
