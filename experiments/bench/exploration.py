"""What exploration costs a round: score given up and money spent beyond the incumbent's, exactly.

No sampling: propensities, scores and expected costs of every arm are those `decide` works with, for
real prompts over the catalogue's arms, so the mean over chance is a sum. It is the regret of one
round against the policy's own beliefs; how well those are is for outcomes to say.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.bench.decision import MODES, world
from experiments.bench.figure import Figure
from p402.routing.decide import work
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE
from p402.routing.spec import MODES as NAMES

ARMS: Final = (24, 300)
ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Cost:
    """Of exploration in one mode, over one batch.

    Attributes
    ----------
    loss, gate
        Mean score given up a round, and the most that the mode's rule allows: its loss cap, and the
        floor's even share at the worst gap of its set.
    spend
        Expected cost over the incumbent's, summed over the batch.
    explored
        Mean size of the exploration set.
    """

    loss: float
    gate: float
    spend: float
    explored: float


def run() -> list[Figure]:
    """Work it out in about 2 seconds."""
    figures = []
    for arms in ARMS:
        for mode in ("balanced", "quality"):
            cost = cost_of(arms, mode)
            where = f"{mode}, {arms} arms"
            figures += [
                Figure(f"score given up to exploration, {where}", cost.loss, "", most=cost.gate),
                Figure(f"expected spend over the incumbent's, {where}", cost.spend, "x"),
                Figure(f"arms explored, {where}", cost.explored, ""),
            ]
    return figures


def cost_of(arms: int, mode: str, rows: int = ROWS) -> Cost:
    """Exploration's exact cost over so many rows of a mode and arms of the catalogue."""
    made = world(arms)
    snapshot = made.snapshot
    batch = made.batch(rows, 0).rows(np.array([i for i in range(rows) if MODES[i % len(MODES)] == mode]))
    worked = work(snapshot, batch)
    here = np.arange(len(batch))
    chance = worked.counts / COUNT_ONE
    explored = chance > 0.0
    gap = np.where(explored, worked.score[here, worked.incumbent][:, None] - worked.score, 0.0) / SCORE_ONE
    rule = snapshot.spec.policy.variants[0][NAMES.index(mode)]
    spend = (chance * worked.cost_pico).sum() / worked.cost_pico[here, worked.incumbent].sum()
    return Cost(
        loss=float((chance * gap).sum(axis=1).mean()),
        gate=(rule.loss_cap + rule.floor * float(gap.max(axis=1).mean())) / PARAM_ONE,
        spend=float(spend),
        explored=float(np.mean(worked.n_explored)),
    )
