"""What routing knows of a request: its task, its features, its size, its needs.

No embedding, no clock. The task is inferred by `p402.routing.infer`; the features `task_*` are the
probabilities of each task, which a caller's own word or offered tools make a certainty.

Token counts are estimates from UTF-8 bytes: about 4 a token in English prose, so that is the
expectation; 2 is the bound that a hold is made of. Text denser than that exists (rare scripts,
random bytes in base64): a call of such text may cost more than its hold, and its settlement
books what it did cost.
"""

from typing import Final

import msgspec

from p402.request import Options, Transcript
from p402.routing.head import TaskHead
from p402.routing.infer import infer
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS, capability_mask

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

_FUNCTION_CALLING, _JSON_SCHEMA, _VISION = (
    capability_mask((name,)) for name in ("function_calling", "json_schema", "vision")
)


class Signals(msgspec.Struct, frozen=True, gc=False):
    """Everything of a request that becomes row inputs.

    Attributes
    ----------
    task
        What the request is sorted under; the likeliest task where the head was sure.
    features
        Multiples of 2**-12, in the order of `FEATURES`; those of tasks sum to 1.
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


def read(transcript: Transcript, options: Options, max_output: int | None, head: TaskHead) -> Signals:
    """Turn a transcript and the caller's options into signals."""
    task, counts, heard = infer(transcript, options.task, head)
    overhead = _overhead(transcript)
    expected = EXPECTED_OUTPUT[task]
    return Signals(
        task=task,
        features=_features(transcript, counts, heard),
        prompt_tokens=-(-transcript.text_bytes // BYTES_PER_TOKEN) + overhead,
        prompt_bound=-(-transcript.text_bytes // LEAST_BYTES_PER_TOKEN) + overhead,
        expected_output=expected if max_output is None else max(1, min(expected, max_output)),
        needs=needs_of(transcript, options),
    )


def prompt_tokens(transcript: Transcript) -> int:
    """Prompt tokens expected, as in `Signals`."""
    return -(-transcript.text_bytes // BYTES_PER_TOKEN) + _overhead(transcript)


def _overhead(transcript: Transcript) -> int:
    """Tokens of turns and images, whatever is in them."""
    return TOKENS_PER_TURN * transcript.turns + 3 + TOKENS_PER_IMAGE * transcript.images


def needs_of(transcript: Transcript, options: Options) -> int:
    """Bit mask over `CAPABILITIES` of what the call cannot do without: asked for, or plain from its body."""
    needs = capability_mask(options.require_capabilities) if options.require_capabilities else 0
    if transcript.has_tools:
        needs |= _FUNCTION_CALLING
    if transcript.has_schema:
        needs |= _JSON_SCHEMA
    if transcript.images:
        needs |= _VISION
    return needs


def _features(transcript: Transcript, counts: tuple[int, ...], heard: set[str]) -> tuple[int, ...]:
    length = min((transcript.text_bytes + 1).bit_length() * FEATURE_ONE // 20, FEATURE_ONE)
    return (
        FEATURE_ONE,
        *counts,
        length,
        FEATURE_ONE if "code" in heard else 0,
        FEATURE_ONE if "math" in heard else 0,
        min(transcript.turns, 16) * FEATURE_ONE // 16,
    )
