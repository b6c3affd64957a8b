"""What of a text is read for its wishes, as plain words, sentence by sentence.

The two ends of a text are read: what is asked of a long document stands before or behind it. What stands in
the middle of more than 8,000 characters is not seen: reading all of it would hold the event loop, and such a
text is given again only where every character is the same. It knows nothing of time or chance.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from p402.cache.guards.lexicon import bag

HEAD: Final = 6_000
TAIL: Final = 2_000
"""Characters read at either end."""

_STRAIGHT: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"'})
_MONEY: Final = re.compile(r"[€£¥₹]+|\$(?= ?[0-9])")
_NAMED: Final = {"€": " eur ", "£": " gbp ", "¥": " jpy ", "₹": " inr ", "$": " usd "}
_FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TICKS: Final = re.compile(r"`[^`\n]*`|\b\w+\(\)|\b\w+(?:\.\w+)+\(?")
_LIKE_CODE: Final = re.compile(r"`|\(\)|\.\w")
_QUOTED: Final = re.compile(r'"([^"]*)"')
_SENTENCE: Final = re.compile(r"(?<![.!?])[.!?]+(?=\s|\Z)|[;\n]+|[\u3002\uff01\uff1f]+")
_WORD: Final = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_ASKS: Final = re.compile(
    " (?:and |but |so |also |then )?(?:what|whats|what's|when|whens|when's|where|which|who|whos|who's|"
    "whose|why|how|"
    "hows|how's|is|are|was|were|does|do|did|has|have|will|can|could|should|tell|give|show|search|check|"
    "find) "
)
_LOOKED_UP: Final = re.compile(
    r'(?:search|google|look up|browse|ask|answer|check)(?: (?:for|up|it|this|the|web|question)){0,3}:? *"'
)
_MANNERS: Final = bag(
    "hi hello hey please tell me us can could you would i want need to know answer question this the my "
    "is q a "
    "user asks"
)


class Sentence(NamedTuple):
    """Lower-case words, one space about each; `asks` where it is a question or a demand to be told."""

    line: str
    asks: bool


def any_of(words: str) -> str:
    """A pattern: any of the words of a list; `_` within one stands for a space."""
    return f"(?:{'|'.join(words.split()).replace('_', ' ')})"


def ends(text: str) -> str:
    """The text, or its two ends as two lines."""
    return text if len(text) <= HEAD + TAIL else f"{text[:HEAD]}\n{text[-TAIL:]}"


def folded(text: str) -> str:
    """The ends in lower case, with straight marks of quotation."""
    return ends(text).casefold().translate(_STRAIGHT)


@lru_cache(maxsize=16)
def sentences(low: str) -> tuple[Sentence, ...]:
    """The sentences of a folded text without its code, and without its quotations unless they are the wish.

    A quotation is the wish where nothing else is said, or where it is what to look up. The last few texts are
    remembered, since two questions are put to each.
    """
    text = _TICKS.sub(" ", _FENCE.sub("\n", low)) if _LIKE_CODE.search(low) else low
    if '"' in text:
        rest = _QUOTED.sub(" ", text)
        said = _MANNERS.issuperset(_WORD.findall(rest)) or _LOOKED_UP.search(text)
        text = _QUOTED.sub(r" \1 ", text) if said else rest
    text = _MONEY.sub(lambda found: _NAMED[found[0][0]], text)
    told = []
    begin = 0
    for stop in [*_SENTENCE.finditer(text), None]:
        words = _WORD.findall(text, begin, len(text) if stop is None else stop.start())
        if words:
            line = f" {' '.join(words)} "
            told.append(Sentence(line, bool(stop and "?" in stop[0]) or _ASKS.match(line) is not None))
        if stop:
            begin = stop.end()
    return tuple(told)
