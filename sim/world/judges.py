"""What sources say of answers: whether at all, when, and how far from the truth.

Keyed by request, arm, attempt and source. A source that judges good answers more often than bad ones leaves
quality missing not at random; one with a bias is wrong on purpose.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sim.world.chance import Chance, Stream, normal
from sim.world.rewards import clip, quantile_of
from sim.world.spec import Judge
from sim.world.traffic import Asked


@dataclass(frozen=True, slots=True)
class Word:
    """One source's word on an answer of a request.

    Attributes
    ----------
    after_ms
        From the end of the answer.
    quality
        As the source has it, in [0, 1].
    """

    source: str
    after_ms: float
    quality: float


def words_on(
    judges: tuple[Judge, ...], chance: Chance, asked: Asked, arm: int, attempt: int, quality: float
) -> Iterator[Word]:
    """Every word on an answer of a true quality."""
    for number, judge in enumerate(judges):
        u = chance.draws(Stream.JUDGE, asked.session.number, asked.turn, arm, attempt, number)
        if u[0] < judged_share(judge, quality):
            said = clip(quality + judge.bias + judge.noise_sd * normal(u[2]))
            yield Word(judge.name, quantile_of(judge.delay_s, normal(u[1])) * 1000, said)


def judged_share(judge: Judge, quality: float) -> float:
    """Probability that a source judges an answer of a quality."""
    return clip(judge.share + judge.slope * (quality - 0.5))
