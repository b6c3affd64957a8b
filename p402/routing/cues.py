"""What a text speaks of: the tasks that its words, phrases and shapes are cues of.

Every rule is linear in the text, since the text is a stranger's and the event loop waits: words are
looked up in tables, literals come before patterns, and the patterns repeat a bounded number of
times. It knows nothing of requests; `p402.routing.features` makes a task and features of it.
"""

import re
from collections.abc import Mapping
from string import ascii_lowercase, digits
from typing import Final

_HEAD: Final = 3_000
_TAIL: Final = 1_000
"""Characters read at either end of the last message: an instruction stands before or after its material."""

_WORDS: Final = {
    "translation": "translate translates translated translating translation translations",
    "summary": "summarize summarise summarizing summarising summary summaries tldr",
    "extraction": "extract classify label parse sentiment categorize categorise",
    "reasoning": "logical logically deduce premise premises therefore puzzle syllogism",
    "math": "solve compute calculate evaluate integral derivative equation probability percent remainder "
    "triangle polynomial",
    "knowledge": "define explain",
}

_PHRASES: Final = {
    "translation": (
        "into french",
        "into german",
        "into spanish",
        "into chinese",
        "into japanese",
        "into english",
    ),
    "summary": ("tl dr", "key points", "in one paragraph"),
    "extraction": ("named entity", "named entities", "return json"),
    "reasoning": (
        "step by step",
        "if and only if",
        "which of the following is true",
        "left to right",
        "true or false",
        "valid or invalid",
        "sequence of",
    ),
    "math": ("how many", "how much", "sum of", "product of"),
    "knowledge": (
        "which of the following",
        "who was",
        "who is",
        "what is",
        "what was",
        "what are",
        "when did",
        "where is",
        "where was",
        "capital of",
    ),
}


def _kind(words: str) -> frozenset[bytes]:
    return frozenset(words.encode().split())


_REACH: Final = 7
"""Words between the first and the second half of a pair, at most."""

_PAIRS: Final = (
    (
        "writing",
        _kind("write draft compose"),
        _kind("story poem essay email letter blog article speech"),
    ),
    (
        "code",
        _kind("write implement debug refactor fix"),
        _kind("function code script program method class bug"),
    ),
    (
        "code",
        _kind("python javascript typescript java rust golang sql regex bash"),
        _kind("function code script program query"),
    ),
)

_CODE: Final = (
    ("```", None),
    ("#include", None),
    ("console.log", None),
    ("select * from ", None),
    ("SELECT * FROM ", None),
    ("def ", re.compile(r"def \w{1,60}\(")),
    ("class ", re.compile(r"class \w{1,60} ?[:({]")),
    ("\nimport ", re.compile(r"\nimport \w")),
    (" import ", re.compile(r"from [\w.]{1,60} import ")),
)
"""Marks of code: a literal, and the pattern around it where it alone is everyday English."""

_COMMAND: Final = re.compile(r"\\(?:frac|sum|int|sqrt|times|cdot|leq|geq|begin)")
_OPTION: Final = re.compile(r"\n {0,8}\(?[A-D][.):][ \n]")
_SUMS: Final = (b"0+0", b"0 +0", b"0+ 0", b"0 + 0")
"""Arithmetic, where 0 is any digit and + any operator."""


def _table(kinds: Mapping[str, str], other: str) -> bytes:
    """What each byte becomes: itself or its kind's sign, or the sign of all others."""
    signs = {ord(sign): to for named, to in kinds.items() for sign in named}
    return bytes(ord(signs.get(byte, other)) for byte in range(256))


_LETTERS: Final = _table({letter: letter for letter in ascii_lowercase}, " ")
_SIGNS: Final = _table({digits: "0", "-+*/^=": "+", " ": " "}, "x")

_CUE_OF_WORD: Final = {word.encode(): task for task, words in _WORDS.items() for word in words.split()}
_STARTS: Final[dict[bytes, list[tuple[bytes, str]]]] = {}
for _task, _phrases in _PHRASES.items():
    for _phrase in _phrases:
        _STARTS.setdefault(_phrase.split()[0].encode(), []).append((f" {_phrase} ".encode(), _task))
_FIRSTS: Final = frozenset().union(*(first for _, first, _ in _PAIRS))
_TELLING: Final = _FIRSTS.union(_CUE_OF_WORD, _STARTS, *(second for _, _, second in _PAIRS))
"""Every word that a rule begins with or asks for."""


def cues(text: str) -> set[str]:
    """Tasks that the text speaks of."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    plain = text.lower().encode("ascii", "replace")
    heard = _spoken(plain.translate(_LETTERS).split())
    for literal, shape in _CODE:
        if literal in text and (shape is None or shape.search(text)):
            heard.add("code")
            break
    if _adds_up(plain.translate(_SIGNS)) or ("\\" in text and _COMMAND.search(text)):
        heard.add("math")
    if "\n" in text and _OPTION.search(text):
        heard.add("knowledge")
    return heard


def _spoken(words: list[bytes]) -> set[str]:
    """Tasks that words, phrases and pairs of words tell of."""
    heard: set[str] = set()
    telling = _TELLING.intersection(words)
    if not telling:
        return heard
    line = b""
    for word in telling:
        if word in _CUE_OF_WORD:
            heard.add(_CUE_OF_WORD[word])
        if word in _STARTS:
            line = line or b" ".join((b"", *words, b""))
            for phrase, task in _STARTS[word]:
                if phrase in line:
                    heard.add(task)
    if not _FIRSTS.isdisjoint(telling):
        heard.update(task for task, first, second in _PAIRS if _near(words, telling, first, second))
    return heard


def _near(
    words: list[bytes], telling: frozenset[bytes], first: frozenset[bytes], second: frozenset[bytes]
) -> bool:
    """Whether a word of the first kind stands shortly before one of the second."""
    if telling.isdisjoint(first) or telling.isdisjoint(second):
        return False
    seen = -_REACH
    for place, word in enumerate(words):
        if word in second and place - seen < _REACH:
            return True
        if word in first:
            seen = place
    return False


def _adds_up(signs: bytes) -> bool:
    """Whether an operator stands between two digits, at most one space from each."""
    return b"+" in signs and b"0" in signs and any(one in signs for one in _SUMS)
