"""Which prompt each round asks, when, in whose session, and whether it is judged: chance keyed by a seed.

Sessions are of one mode and one benchmark, so that rounds of a session are alike; each round's prompt
is drawn with replacement, and every prompt is as likely as any other. The arm is not drawn here: that is
`decide`, whose chance is keyed by the request's id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.ids import request_id
from p402_datasets.outcomes import Prompt
from sim.drawn.offers import START_MS

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LONGEST: Final = 8
"""Rounds of the longest session; lengths from 1 are equally likely."""

PAUSE_MS: Final = 1_000
"""Between two rounds."""


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """n rounds.

    Attributes
    ----------
    prompt
        (n,) row of the traffic's table.
    session
        (n,) number of the session.
    mode
        (n,) index into the modes asked for.
    judging
        (n,) uniform in [0, 1): judged where it is below the chance of the prompt and arm.
    id
        Request ids, in order of time.
    ts_ms
        (n,) wall time.
    """

    prompt: Int
    session: Int
    mode: Int
    judging: Float
    id: tuple[str, ...]
    ts_ms: Int


def draw(prompts: Sequence[Prompt], rounds: int, seed: int, modes: int, longest: int = LONGEST) -> Rounds:
    """Rounds over a table's prompts.

    Parameters
    ----------
    rounds
        How many, 1 or more.
    seed
        Keys all chance.
    modes
        How many modes sessions ask for, in turn.
    longest
        Rounds of the longest session, 1 or more; 1 makes all rounds independent.
    """
    chance = np.random.Generator(np.random.Philox(seed))
    prompt, session = traffic(groups_of(prompts), rounds, longest, chance)
    ts_ms = START_MS + PAUSE_MS * np.arange(rounds, dtype=np.int64)
    bits = chance.integers(0, 1 << 37, (rounds, 2))
    ids = tuple(
        request_id(ms, high << 37 | low)
        for ms, (high, low) in zip(ts_ms.tolist(), bits.tolist(), strict=True)
    )
    return Rounds(
        prompt=prompt,
        session=session,
        mode=session % modes,
        judging=chance.random(rounds),
        id=ids,
        ts_ms=ts_ms,
    )


def groups_of(prompts: Sequence[Prompt]) -> tuple[Int, ...]:
    """Rows of each benchmark, by its name."""
    names = np.array([prompt.benchmark for prompt in prompts])
    return tuple(np.flatnonzero(names == name) for name in sorted(set(names.tolist())))


def traffic(groups: Sequence[Int], rounds: int, longest: int, chance: np.random.Generator) -> tuple[Int, Int]:
    """Prompt and session of each round: a session's benchmark is as likely as it is large."""
    sizes = np.array([len(group) for group in groups])
    lengths = chance.integers(1, longest + 1, rounds)
    session = np.repeat(np.arange(rounds), lengths)[:rounds]
    group = chance.choice(len(groups), size=rounds, p=sizes / sizes.sum())[session]
    place = chance.integers(0, 1 << 53, rounds)
    rows = np.concatenate(groups)
    first = np.cumsum(sizes) - sizes
    return rows[first[group] + place % sizes[group]], session
