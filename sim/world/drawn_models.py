"""Models that were never trained: prices, true quality by task and published scores, drawn once by a key.

Dear models are better on the whole, so that quality against cost is a question; how much better differs by
model and task. A published score is the truth and an error, and now and then it is plainly wrong. All
numbers are invented; the shape is that of the project's study of learning, section 3.
"""

from collections.abc import Sequence
from math import exp, log
from typing import Final

from sim.world.chance import Chance, Stream, normal
from sim.world.rewards import clip
from sim.world.spec import Gaussian, ModelSpec, Reward

CHEAPEST: Final = 0.3
DEAREST: Final = 4.0
"""Blended USD per million tokens of the first and the last model."""

OUTPUT_OVER_INPUT: Final = 4.0
LOW: Final = 0.42
HIGH: Final = 0.88
"""Mean quality of the cheapest and the dearest, before what is its own."""

MODEL_SD: Final = 0.04
TASK_SD: Final = 0.12
SLOPE: Final = 0.03
"""Most that a doubling of the transcript adds to quality or takes from it."""

PUBLISHED_SD: Final = 0.08
WRONG: Final = 0.15
WRONG_BY: Final = 0.25
"""Share of published scores that are off by so much more, up or down."""


def drawn_models(
    n: int, tasks: Sequence[str], key: int, reward: Reward | None = None
) -> tuple[ModelSpec, ...]:
    """`model-00` and on, from the cheapest to the dearest."""
    chance = Chance(key)
    made = []
    for i in range(n):
        place = i / max(1, n - 1)
        price = exp(log(CHEAPEST) + place * (log(DEAREST) - log(CHEAPEST)))
        own = chance.draws(Stream.SESSION, i)
        base = LOW + place * (HIGH - LOW) + MODEL_SD * normal(own[0])
        quality, published = {}, {}
        for j, task in enumerate(tasks):
            u = chance.draws(Stream.TURN, i, j)
            true = base + TASK_SD * normal(u[0])
            error = PUBLISHED_SD * normal(u[1])
            if u[2] < WRONG:
                error += WRONG_BY if u[3] < 0.5 else -WRONG_BY
            quality[task] = round(true, 3)
            published[task] = round(clip(true + error), 3)
        made.append(
            ModelSpec(
                id=f"model-{i:02}",
                family=f"lab-{i % 4}",
                input_usd_per_mtok=round(price * 2 / (1 + OUTPUT_OVER_INPUT), 4),
                output_usd_per_mtok=round(price * 2 * OUTPUT_OVER_INPUT / (1 + OUTPUT_OVER_INPUT), 4),
                quality=quality,
                benchmark=published,
                benchmark_n=500,
                length_slope=round(SLOPE * (2 * own[1] - 1), 4),
                verbosity=round(exp(0.2 * normal(own[2])), 2),
                reward=reward or Gaussian(sd=0.2),
            )
        )
    return tuple(made)
