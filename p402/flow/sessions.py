"""When a worker's word on a session is worth another's time.

Where a session was served matters to the next request if only that lab can go on with the transcript, or if
enough of the prompt may be warm there. A short chat without tools is neither, so it is neither left nor asked
for. It knows nothing of where words are left.
"""

from typing import Final

from p402.ports import Warmth
from p402.request import Transcript
from p402.routing.features import prompt_tokens

CACHED_TOKENS: Final = 1_024
"""Few providers keep a shorter prompt: of Anthropic's newest models some keep 512. Source: LiteLLM, "Prompt
caching", its table of minimums of 2026-10-07, read 2026-11-26."""


def is_worth_sharing(transcript: Transcript) -> bool:
    """Whether the next request of an answered one may have to know who answered it."""
    return transcript.has_tools or transcript.binds_family or prompt_tokens(transcript) >= CACHED_TOKENS


def may_ask(transcript: Transcript) -> bool:
    """Whether a transcript may go on from an answer whose word was worth sharing."""
    return transcript.binds_family or (transcript.answers > 0 and is_worth_sharing(transcript))


def is_known(transcript: Transcript, known: Warmth | None) -> bool:
    """Whether this worker gave the last answer in the transcript itself: nobody has later word.

    It goes by the number of answers and needs no clock. Where a caller has shortened or branched the
    conversation the numbers differ, and others are asked.
    """
    return known is not None and known.answers == transcript.answers > 0
