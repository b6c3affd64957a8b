"""A full-information table as courses to be played: its prompts in a seeded order.

What is on offer and what routing knows of each prompt are those that a log is drawn from (`sim.drawn`):
the product's own `assemble` and the flow's own reading of the text, and a prior that knows the `val`
split alone. Requests are the other prompts, each once. It knows no strategy.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from p402.ids import key_of, request_id
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.scale import PARAM_ONE, param
from p402_datasets.outcomes import OutcomeTable
from sim.drawn.contexts import contexts_of
from sim.drawn.offers import START_MS, Rules, offer
from sim.drawn.priced import Priced
from sim.strategies.contract import Float
from sim.table.play import Course

COLD_QUALITY: Final = 0.5
COLD_SD: Final = 0.25
"""What is believed of every arm where no benchmark is known."""

_HIGH_BITS: Final = 1 << 60


@dataclass(frozen=True, slots=True)
class Feedback:
    """How requests come and what is said of the answers.

    Attributes
    ----------
    every_ms
        Between one request and the next; above 0.
    delay_ms
        From a request to the word on its answer; 0 or more.
    judged
        Share of the requests on whose answer there is a word, in [0, 1].
    """

    every_ms: int = 10_000
    delay_ms: int = 0
    judged: float = 1.0

    def __post_init__(self) -> None:
        if self.every_ms < 1 or self.delay_ms < 0 or not 0.0 <= self.judged <= 1.0:
            raise ValueError(
                f"{self}: expected a request every 1 ms or more, a delay of 0 or more and a share in [0, 1]"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """A table made ready, whatever the order and the weights.

    Attributes
    ----------
    table
        The rows that requests are; its columns in the order of the arms.
    arms, models
        (K,) names, and which of the table's models each is.
    batch
        Every row once, in the table's order, asked for with weights of its own.
    half_usd
        (n, 1) cost at which a cost score is one half.
    cost_score
        (n, K) of the measured cost, half / (half + cost): what a choice turned out to be worth in money.
    """

    name: str
    table: OutcomeTable
    arms: tuple[str, ...]
    models: tuple[str, ...]
    snapshot: Snapshot
    batch: RequestBatch
    quality: Float
    cost_usd: Float
    half_usd: Float
    cost_score: Float
    dropped: int

    def utility(self, weights: tuple[float, float]) -> Float:
        """(n, K) `quality weight * quality + cost weight * cost score` of what was measured."""
        return weights[0] * self.quality + weights[1] * self.cost_score


def field_of(priced: Priced, *, cold: bool = False) -> Field:
    """A table as it is offered at list price, one provider, under the policy as the product ships it.

    Parameters
    ----------
    cold
        Whether nothing is known of the models beforehand, instead of their means on the `val` split.

    Raises
    ------
    DatasetError
        As the table's loader.
    """
    offered = offer(priced, Rules(wide=False), factors=(Decimal(1),))
    snapshot = _cold(offered.snapshot) if cold else offered.snapshot
    table = priced.traffic
    order = list(offered.column)
    cost = table.cost_usd[:, order]
    inputs = contexts_of(offered, table.prompts, "balanced").inputs
    inputs = tuple(
        msgspec.structs.replace(row, mode="custom", weights=[PARAM_ONE // 2, PARAM_ONE // 2, 0])
        for row in inputs
    )
    ids = [request_id(START_MS, i) for i in range(len(inputs))]
    lives = (LiveState.at_start(snapshot.n_arms),)
    batch = to_batch(snapshot, ids, inputs, lives, [0] * len(inputs))
    half = _half_usd(snapshot, batch)
    arms = snapshot.spec.arms
    return Field(
        name=priced.name,
        table=table,
        arms=arms.arm,
        models=arms.model,
        snapshot=snapshot,
        batch=batch,
        quality=np.ascontiguousarray(table.quality[:, order]),
        cost_usd=np.ascontiguousarray(cost),
        half_usd=half,
        cost_score=half / (half + cost),
        dropped=priced.dropped,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Seeded:
    """A course and the table's row of each of its requests."""

    course: Course
    row: np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def course_of(
    field: Field,
    seed: int,
    weights: tuple[float, float],
    feedback: Feedback,
    rounds: int | None = None,
    *,
    prompts: bool = False,
) -> Seeded:
    """A seeded order of the table's prompts; the same seed gives the same to every strategy.

    Parameters
    ----------
    weights
        Quality and cost weight that every request asks for, summing to 1.
    rounds
        How many prompts; all where None or more than there are.
    prompts
        Whether policies may see the texts.
    """
    rng = np.random.default_rng([seed, 0x7AB1E])
    row = rng.permutation(len(field.batch))[:rounds]
    n = len(row)
    ts = START_MS + feedback.every_ms * np.arange(n)
    bits = rng.integers(0, _HIGH_BITS, (n, 2)).tolist()
    keys = [
        key_of(request_id(int(t), (high << 62) | low))
        for t, (high, low) in zip(ts.tolist(), bits, strict=True)
    ]
    asked = np.array([param(weights[0]), param(weights[1]), 0], np.float64)
    batch = replace(
        field.batch.rows(row), key=np.array(keys, np.uint64).reshape(n, 2), weights=np.tile(asked, (n, 1))
    )
    texts = tuple(field.table.prompts[i].text for i in row.tolist()) if prompts else None
    course = Course(
        snapshots=((0, field.snapshot),),
        batch=batch,
        quality=field.quality[row],
        cost_usd=field.cost_usd[row],
        judged=rng.random(n) < feedback.judged,
        due_ms=ts + feedback.delay_ms,
        prompts=texts,
    )
    return Seeded(course, row)


def _half_usd(snapshot: Snapshot, batch: RequestBatch) -> Float:
    tokens = np.maximum(batch.prompt_tokens, 1.0) + batch.expected_output * batch.n_choices
    half: Float = (tokens * float(snapshot.spec.policy.cost_half_pico // 1000) / 1e12)[:, None]
    return half


def _cold(snapshot: Snapshot) -> Snapshot:
    """The same arms and prices, and nothing known of any model's quality."""
    posterior = snapshot.spec.posterior
    n, d = len(posterior.theta), len(posterior.features)
    flat = tuple((param(COLD_QUALITY), *(0,) * (d - 1)) for _ in range(n))
    sd = ((param(COLD_SD),) * len(posterior.tasks),) * n
    known = msgspec.structs.replace(posterior, theta=flat, sd=sd, quality_source=("prior",) * n)
    return compile_snapshot(msgspec.structs.replace(snapshot.spec, posterior=known))
