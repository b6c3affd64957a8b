"""Which requests the demonstration sends: real prompts dealt into sessions of the four modes.

Pure and keyed by a seed: the same arguments give the same traffic. It knows nothing of
processes, clients or what the answers will be.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec
import numpy as np

from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import TEST, VAL

MODES: Final = ("balanced", "cost", "quality", "speed")
LONGEST: Final = 6
"""Prompts of the longest session; shorter ones are as frequent."""

STREAMED: Final = 1 / 3
BARE: Final = 1 / 8
"""Share of sessions that are one request naming its mode in `model`, with no extra field at all."""

LATE: Final = 0.1
"""Share of rounds whose outcome comes only after all traffic has ended."""

MISSING: Final = 0.1
"""Share of rounds whose outcome never comes."""

Judged = Literal["now", "late", "never"]


class Ask(msgspec.Struct, frozen=True):
    """One request of the plan.

    Attributes
    ----------
    number
        Its place in the plan, from 0.
    judged
        When the outcome is posted, if the request is answered at all.
    """

    number: int
    prompt: str
    stream: bool
    judged: Judged


class Session(msgspec.Struct, frozen=True):
    """Requests of one mode that follow each other; `id` is None where only `model` names the mode."""

    id: str | None
    mode: str
    asks: tuple[Ask, ...]


def make_plan(table: OutcomeTable, rounds: int, other_rounds: int, seed: int) -> tuple[Session, ...]:
    """Sessions in the order in which they begin, modes mixed.

    Prompts of the test split come first and those of the val split, whose means the router's prior
    knows, after them; then both again in another order.

    Parameters
    ----------
    rounds, other_rounds
        Requests in balanced mode, and in each of the others.
    seed
        Keys all chance, 0 or more.
    """
    chance = np.random.Generator(np.random.Philox(seed))
    splits = [[p.text for p in table.split(name).prompts] for name in (TEST, VAL)]
    sessions: list[Session] = []
    for mode in MODES:
        texts = _deal(splits, rounds if mode == MODES[0] else other_rounds, chance)
        sessions += _sessions(mode, texts, chance)
    shuffled = [sessions[i] for i in chance.permutation(len(sessions))]
    return tuple(_numbered(shuffled))


def _deal(splits: Sequence[Sequence[str]], count: int, chance: np.random.Generator) -> list[str]:
    dealt: list[str] = []
    while len(dealt) < count:
        for texts in splits:
            dealt += [texts[i] for i in chance.permutation(len(texts))]
    return dealt[:count]


def _sessions(mode: str, texts: Sequence[str], chance: np.random.Generator) -> Iterator[Session]:
    start = number = 0
    while start < len(texts):
        bare = chance.random() < BARE
        length = 1 if bare else int(chance.integers(1, LONGEST + 1))
        asks = tuple(_ask(text, chance) for text in texts[start : start + length])
        yield Session(None if bare else f"{mode}-{number:05d}", mode, asks)
        start, number = start + length, number + 1


def _ask(text: str, chance: np.random.Generator) -> Ask:
    stream = bool(chance.random() < STREAMED)
    when = chance.random()
    judged: Judged = "never" if when < MISSING else "late" if when < MISSING + LATE else "now"
    return Ask(-1, text, stream, judged)


def _numbered(sessions: Sequence[Session]) -> Iterator[Session]:
    number = 0
    for session in sessions:
        asks = []
        for ask in session.asks:
            asks.append(msgspec.structs.replace(ask, number=number))
            number += 1
        yield msgspec.structs.replace(session, asks=tuple(asks))
