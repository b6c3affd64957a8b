"""What routing knows of a request: its task, its features, its size, its needs.

Cues in the text, no embedding, no clock. The task is the first of `_ORDER` that was heard, and
`chat` where none was; a caller's own word overrides it. Every rule is linear in the text, since
the text is a stranger's and the event loop waits: words are looked up in tables, and the few
patterns begin with a literal and repeat a bounded number of times.

Token counts are estimates from UTF-8 bytes: about 4 a token in English prose, so that is the
expectation; 2 is the bound that a hold is made of. Text denser than that exists (rare scripts,
random bytes in base64): a call of such text may cost more than its hold, and its settlement
books what it did cost.
"""

import re
from dataclasses import dataclass
from typing import Final

from p402.request import Options, Transcript
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import CAPABILITIES, TASKS

FEATURES: Final = ("bias", *(f"task_{task}" for task in TASKS), "length", "code", "math", "turns")
"""Names of the features, in order; each is within 0 and 1."""

BYTES_PER_TOKEN: Final = 4
LEAST_BYTES_PER_TOKEN: Final = 2
TOKENS_PER_TURN: Final = 4
TOKENS_PER_IMAGE: Final = 1_600
"""Upper end of what the large providers count for one image of ordinary size."""

EXPECTED_OUTPUT: Final = {
    "chat": 200,
    "code": 500,
    "math": 400,
    "reasoning": 500,
    "knowledge": 150,
    "extraction": 150,
    "summary": 200,
    "translation": 250,
    "writing": 600,
    "tools": 120,
}
"""Output tokens expected before anything is measured: a prior by task, corrected by each arm's ratio."""

_HEAD: Final = 3_000
_TAIL: Final = 1_000
"""Characters read at either end of the last message: an instruction stands before or after its material."""

_ORDER: Final = (
    "translation",
    "summary",
    "extraction",
    "writing",
    "code",
    "reasoning",
    "math",
    "knowledge",
)

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


def _kind(words: str) -> frozenset[str]:
    return frozenset(words.split())


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

_CODE_MARKS: Final = ("```", "#include", "console.log", "select * from ", "SELECT * FROM ")
_CODE_SHAPES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"def \w{1,60}\(",
        r"class \w{1,60} ?[:({]",
        r"\nimport \w",
        r"from [\w.]{1,60} import ",
    )
)
_MATH_SHAPES: Final = (
    re.compile(r"\\(?:frac|sum|int|sqrt|times|cdot|leq|geq|begin)"),
    re.compile(r"[0-9] ?[-+*/^=] ?[0-9]"),
)
_OPTION: Final = re.compile(r"\n {0,8}\(?[A-D][.):][ \n]")
_WORD: Final = re.compile(r"[a-z]+")

_CUE_OF_WORD: Final = {word: task for task, words in _WORDS.items() for word in words.split()}
_STARTS: Final[dict[str, list[tuple[str, str]]]] = {}
for _task, _phrases in _PHRASES.items():
    for _phrase in _phrases:
        _STARTS.setdefault(_phrase.split()[0], []).append((f" {_phrase} ", _task))


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything of a request that becomes row inputs.

    Attributes
    ----------
    features
        Multiples of 2**-12, in the order of `FEATURES`.
    prompt_tokens, prompt_bound, expected_output
        Tokens expected, most prompt tokens planned for, output expected per choice.
    needs
        Bit mask over `CAPABILITIES`.
    """

    task: str
    features: tuple[int, ...]
    prompt_tokens: int
    prompt_bound: int
    expected_output: int
    needs: int


def cues(text: str) -> set[str]:
    """Tasks that the text speaks of."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n{text[-_TAIL:]}"
    words = _WORD.findall(text.lower())
    known = set(words)
    heard = {_CUE_OF_WORD[word] for word in known & _CUE_OF_WORD.keys()}
    if starts := known & _STARTS.keys():
        line = f" {' '.join(words)} "
        heard.update(task for word in starts for phrase, task in _STARTS[word] if phrase in line)
    heard.update(task for task, first, second in _PAIRS if _near(words, known, first, second))
    if any(mark in text for mark in _CODE_MARKS) or any(shape.search(text) for shape in _CODE_SHAPES):
        heard.add("code")
    if any(shape.search(text) for shape in _MATH_SHAPES):
        heard.add("math")
    if _OPTION.search(text):
        heard.add("knowledge")
    return heard


def _near(words: list[str], known: set[str], first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether a word of the first kind stands shortly before one of the second."""
    if known.isdisjoint(first) or known.isdisjoint(second):
        return False
    seen = -_REACH
    for place, word in enumerate(words):
        if word in second and place - seen < _REACH:
            return True
        if word in first:
            seen = place
    return False


def read(transcript: Transcript, options: Options, max_output: int | None) -> Signals:
    """Turn a transcript and the caller's options into signals."""
    heard = cues(transcript.last_user)
    task = options.task if options.task in TASKS else _first_heard(transcript, heard)
    assert task is not None
    overhead = TOKENS_PER_TURN * transcript.turns + 3 + TOKENS_PER_IMAGE * transcript.images
    expected = EXPECTED_OUTPUT[task]
    return Signals(
        task=task,
        features=_features(transcript, task, heard),
        prompt_tokens=-(-transcript.text_bytes // BYTES_PER_TOKEN) + overhead,
        prompt_bound=-(-transcript.text_bytes // LEAST_BYTES_PER_TOKEN) + overhead,
        expected_output=expected if max_output is None else max(1, min(expected, max_output)),
        needs=needs_of(transcript, options),
    )


def _first_heard(transcript: Transcript, heard: set[str]) -> str:
    if transcript.has_tools:
        return "tools"
    return next((task for task in _ORDER if task in heard), "chat")


def needs_of(transcript: Transcript, options: Options) -> int:
    """Bit mask of what the call cannot do without: asked for, or plain from its body."""
    names = set(options.require_capabilities)
    if transcript.has_tools:
        names.add("function_calling")
    if transcript.has_schema:
        names.add("json_schema")
    if transcript.images:
        names.add("vision")
    return sum(1 << CAPABILITIES.index(name) for name in names)


def _features(transcript: Transcript, task: str, heard: set[str]) -> tuple[int, ...]:
    length = min((transcript.text_bytes + 1).bit_length() * FEATURE_ONE // 20, FEATURE_ONE)
    return (
        FEATURE_ONE,
        *(FEATURE_ONE if name == task else 0 for name in TASKS),
        length,
        FEATURE_ONE if "code" in heard else 0,
        FEATURE_ONE if "math" in heard else 0,
        min(transcript.turns, 16) * FEATURE_ONE // 16,
    )
