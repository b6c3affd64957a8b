"""Which task a request is of: the caller's word, its signals, a head over its surface, rules.

In that order: a task named by the caller; `tools` where tools are offered; the head's likeliest task where
it is sure; the first rule that was heard; the head's likeliest task above its floor; `extraction` where
JSON by schema is demanded; `chat`. Where the last message alone leaves the head in doubt, the first message
of the conversation is read as well. What a system prompt is sure of counts as evidence beside the message:
programs say there what is to be done with the material that follows.

Probabilities go on where the head is in doubt: a rule that decides has a third of them, the head's view two
thirds, so that what the request is called is also what it most likely is; where nothing decides, they stay.
No embedding, no clock, bounded work.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from p402.request import Transcript
from p402.routing.cues import cues
from p402.routing.head import TaskHead
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS
from p402.routing.surface import marks

RULE_ORDER: Final = (
    "translation",
    "summary",
    "extraction",
    "writing",
    "code",
    "reasoning",
    "math",
    "knowledge",
)
"""Of several rules heard, the first of these is the task."""

CERTAIN: Final = {task: tuple(FEATURE_ONE * (name == task) for name in TASKS) for task in TASKS}
"""Probabilities of a task that was not inferred."""


REMEMBERED: Final = 4_000
"""Characters of the longest text whose evidence is kept: 256 of them are 4 MB at most."""


class Inferred(NamedTuple):
    """The task, counts of `FEATURE_ONE` by task in the order of `TASKS`, and the cues of the last message."""

    task: str
    counts: tuple[int, ...]
    heard: set[str]


def infer(transcript: Transcript, named: str | None, head: TaskHead) -> Inferred:
    """Infer the task; one that the caller named, if it is known, is certain, and so are tools."""
    text = transcript.last_user
    heard = cues(text)
    if named is not None and named in CERTAIN:
        return Inferred(named, CERTAIN[named], heard)
    if transcript.has_tools:
        return Inferred("tools", CERTAIN["tools"], heard)
    evidence = head.evidence(marks(text, heard))
    if transcript.system:
        evidence += _sure(transcript.system, head)
    judged = head.judge(evidence)
    likely = judged.counts[judged.best]
    if likely < head.sure and transcript.turns > 1 and transcript.first_user != text:
        judged = head.judge(evidence + _sure(transcript.first_user, head))
        likely = judged.counts[judged.best]
    if likely >= head.sure:
        return Inferred(TASKS[judged.best], judged.counts, heard)
    for task in RULE_ORDER:
        if task in heard:
            return Inferred(task, _leaning(judged.counts, task), heard)
    if likely >= head.floor:
        return Inferred(TASKS[judged.best], judged.counts, heard)
    if transcript.has_schema:
        return Inferred("extraction", _leaning(judged.counts, "extraction"), heard)
    return Inferred("chat", judged.counts, heard)


def _leaning(counts: tuple[int, ...], task: str) -> tuple[int, ...]:
    """Two thirds of each count, and the rest to the task."""
    moved = [count * 2 // 3 for count in counts]
    moved[TASKS.index(task)] += FEATURE_ONE - sum(moved)
    return tuple(moved)


def _sure(text: str, head: TaskHead) -> int:
    """Evidence of a text that tells a task by itself, else none."""
    return _remembered(text, head) if len(text) <= REMEMBERED else _found(text, head)


@lru_cache(maxsize=256)
def _remembered(text: str, head: TaskHead) -> int:
    """The same, of the texts that were asked for last: programs send one system prompt again and again."""
    return _found(text, head)


def _found(text: str, head: TaskHead) -> int:
    evidence = head.evidence(marks(text, cues(text)))
    judged = head.judge(evidence)
    return evidence if judged.counts[judged.best] >= head.sure else 0
