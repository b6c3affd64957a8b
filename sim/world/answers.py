"""What a simulated answer says: who made it, to what question, and what it is truly worth.

The truth travels in the answer itself, so that whoever is given it again, out of a cache or a stream, can be
judged, and nothing has to be remembered of answers beside what the cache keeps. Every answer has words of its
own, as models' answers do.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import orjson

OWN: Final = "-"
"""Stands for what nobody else asks."""

_DATA: Final = b"data: "
_PARTS: Final = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said.

    Attributes
    ----------
    made
        Id of the request that it was made for.
    arm
        Who made it.
    question
        Name of what was asked; None for what nobody else asks.
    quality
        Its true one.
    """

    made: str
    arm: str
    question: str | None
    quality: float

    @property
    def words(self) -> str:
        """As its content has it."""
        parts = (
            "Simulated",
            self.made,
            "by",
            self.arm,
            "to",
            self.question or OWN,
            "worth",
            repr(self.quality),
        )
        return "\t".join(parts)


def body_of(answer: Answer, *, whole: bool) -> bytes:
    """A completion in OpenAI's form; one that is not whole was cut short by its output cap."""
    return b'{"choices":[{"index":0,"message":{"role":"assistant","content":%b},"finish_reason":"%b"}]}' % (
        orjson.dumps(answer.words),
        _ending(whole=whole),
    )


def first_event(answer: Answer) -> bytes:
    """The event of a stream that has its words."""
    return b'data: {"choices":[{"index":0,"delta":{"content":%b},"finish_reason":null}]}\n\n' % orjson.dumps(
        answer.words
    )


def last_event(*, whole: bool) -> bytes:
    """The event that ends a stream's choice."""
    return b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"%b"}]}\n\n' % _ending(whole=whole)


def words_of(body: bytes | None, events: Iterable[bytes] = ()) -> str:
    """Content of a completion, or of a stream's events; empty where there is none."""
    if body is not None:
        return str(orjson.loads(body)["choices"][0]["message"]["content"])
    deltas = (orjson.loads(event.removeprefix(_DATA))["choices"][0]["delta"] for event in events)
    return "".join(delta.get("content") or "" for delta in deltas)


def answer_of(words: str) -> Answer:
    """What words say.

    Raises
    ------
    ValueError
        They are of no simulated answer.
    """
    parts = words.split("\t")
    if len(parts) != _PARTS or parts[0] != "Simulated":
        raise ValueError(f"found an answer {words[:40]!r}; expected one that `Answer.words` made")
    return Answer(parts[1], parts[3], None if parts[5] == OWN else parts[5], float(parts[7]))


def _ending(*, whole: bool) -> bytes:
    return b"stop" if whole else b"length"
