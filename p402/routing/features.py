"""What routing knows of a request: its task, its features, its size, its needs.

Rules over the text, no embedding, no clock. The task is the first rule that matches, and
`chat` where none does; a caller's own word overrides it. Token counts are estimates from
UTF-8 bytes: about 4 a token in English prose, at least 2 in the densest text seen in
practice, so the one is the expectation and the other the bound.
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

_SCANNED: Final = 4_000

_CODE: Final = re.compile(
    r"```|\bdef \w+\(|\bclass \w+|#include|\bimport \w+|\bSELECT\b.+\bFROM\b|console\.log|"
    r"\b(python|javascript|typescript|java|rust|golang|sql|regex|bash)\b.{0,40}\b(function|code|script|program|query)\b|"
    r"\b(write|implement|debug|refactor|fix)\b.{0,40}\b(function|code|script|program|method|class|bug)\b",
    re.IGNORECASE | re.DOTALL,
)
_MATH: Final = re.compile(
    r"\\frac|\\sum|\$[^$]{1,80}\$|\b(solve|compute|calculate|evaluate|integral|derivative|equation|probability|"
    r"how many|how much|percent|sum of|product of|remainder|triangle|polynomial)\b|\d\s*[-+*/^=]\s*\d",
    re.IGNORECASE,
)
_WORDS: Final = {
    "translation": r"\btranslat(e|ion)\b|\binto (french|german|spanish|chinese|japanese|english)\b",
    "summary": r"\b(summari[sz]e|summary|tl;?dr|key points|in one paragraph)\b",
    "extraction": r"\b(extract|classify|label|parse|named entit|sentiment|categori[sz]e|return json)\b",
    "writing": r"\b(write|draft|compose)\b.{0,30}\b(story|poem|essay|email|letter|blog|article|speech)\b",
    "code": _CODE.pattern,
    "reasoning": r"\b(step by step|logical|deduce|premise|if and only if|which of the following is true|"
    r"left to right|true or false|valid or invalid|therefore|puzzle|sequence of)\b",
    "math": _MATH.pattern,
    "knowledge": r"\n\s*\(?[A-D][.):]\s|\b(which of the following|who (was|is)|what (is|was|are)|when did|"
    r"where (is|was)|define|explain|capital of)\b",
}
_RULES: Final = tuple(
    (task, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for task, pattern in _WORDS.items()
)


@dataclass(frozen=True, slots=True)
class Signals:
    """Everything of a request that becomes row inputs.

    Attributes
    ----------
    features
        Multiples of 2**-12, in the order of `FEATURES`.
    prompt_tokens, prompt_bound, expected_output
        Tokens expected, most prompt tokens possible, output expected per choice.
    needs
        Bit mask over `CAPABILITIES`.
    """

    task: str
    features: tuple[int, ...]
    prompt_tokens: int
    prompt_bound: int
    expected_output: int
    needs: int


def infer_task(transcript: Transcript) -> str:
    """Task type of a transcript by the first rule that matches its last user message."""
    if transcript.has_tools:
        return "tools"
    text = transcript.last_user[:_SCANNED]
    for task, rule in _RULES:
        if rule.search(text):
            return task
    return "chat"


def read(transcript: Transcript, options: Options, max_output: int | None) -> Signals:
    """Turn a transcript and the caller's options into signals."""
    task = options.task if options.task in TASKS else infer_task(transcript)
    assert task is not None
    overhead = TOKENS_PER_TURN * transcript.turns + 3 + TOKENS_PER_IMAGE * transcript.images
    expected = EXPECTED_OUTPUT[task]
    return Signals(
        task=task,
        features=_features(transcript, task),
        prompt_tokens=-(-transcript.text_bytes // BYTES_PER_TOKEN) + overhead,
        prompt_bound=-(-transcript.text_bytes // LEAST_BYTES_PER_TOKEN) + overhead,
        expected_output=expected if max_output is None else max(1, min(expected, max_output)),
        needs=needs_of(transcript, options),
    )


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


def _features(transcript: Transcript, task: str) -> tuple[int, ...]:
    text = transcript.last_user[:_SCANNED]
    length = min((transcript.text_bytes + 1).bit_length() * FEATURE_ONE // 20, FEATURE_ONE)
    return (
        FEATURE_ONE,
        *(FEATURE_ONE if name == task else 0 for name in TASKS),
        length,
        FEATURE_ONE if _CODE.search(text) else 0,
        FEATURE_ONE if _MATH.search(text) else 0,
        min(transcript.turns, 16) * FEATURE_ONE // 16,
    )
