"""What every arm earns on every prompt under the fixed objective: the declared truth.

Quality is the table's, cost the table's times the provider's price factor, and the direct cost is the
product's own law: the same tokens at the baseline. Latency is not in the sources and no part of it.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.flow.plan import baseline_arm
from p402.learner.reward import Objective, Parts, reward_of
from p402.units import PICO_PER_NANO
from p402_datasets.errors import CorruptData
from p402_datasets.outcomes import OutcomeTable
from sim.drawn.offers import Offered

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_OFF_NANO: Final = 1.5
"""A bill is rounded up to whole nano-USD; the rest is float64's."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Every arm's outcome on every prompt of the traffic, `(n_prompts, n_arms)` each.

    Attributes
    ----------
    quality
        In [0, 1].
    cost_nano, direct_nano
        Nano-USD: the call's, and the same tokens at the baseline.
    prompt_tokens, output_tokens
        Of the call.
    reward
        In [0, 1], under the fixed objective.
    """

    quality: Float
    cost_nano: Int
    direct_nano: Int
    prompt_tokens: Int
    output_tokens: Int
    reward: Float


def outcomes_of(offered: Offered, traffic: OutcomeTable, objective: Objective | None = None) -> Outcomes:
    """Outcomes of a table's prompts at every arm.

    Raises
    ------
    CorruptData
        A bill is not what its tokens cost at the list prices that the table is said to have.
    """
    columns = np.array(offered.column)
    quality = np.ascontiguousarray(traffic.quality[:, columns])
    prompt = np.ascontiguousarray(traffic.prompt_tokens[:, columns])
    output = np.ascontiguousarray(traffic.output_tokens[:, columns])
    arms, base = np.arange(len(columns)), baseline_of(offered)
    asked_usd = traffic.cost_usd[:, columns] * np.array([float(f) for f in offered.factor])
    cost = billed(offered, arms, prompt, output)
    if not offered.priced.billed:
        cost = np.ceil(asked_usd * 1e9).astype(np.int64)
    elif (off := np.abs(cost - asked_usd * 1e9) > MAX_OFF_NANO).any():
        i, k = np.argwhere(off)[0].tolist()
        raise CorruptData(
            f"{traffic.source}: {prompt[i, k]}+{output[i, k]} tokens cost {cost[i, k]} nano-USD at list "
            f"price; expected the bill of {asked_usd[i, k] * 1e9:.1f}; check the list prices"
        )
    direct = billed(offered, np.full(len(columns), base), prompt, output)
    shape = quality.shape
    flat = Parts(
        failed=np.zeros(quality.size, np.bool_),
        quality=quality.ravel(),
        cost_nano=cost.astype(np.float64).ravel(),
        direct_nano=direct.astype(np.float64).ravel(),
        latency_ms=np.zeros(quality.size),
    )
    reward = reward_of(flat, objective or Objective()).value.reshape(shape)
    return Outcomes(quality, cost, direct, prompt, output, np.ascontiguousarray(reward))


def baseline_of(offered: Offered) -> int:
    """The arm that direct costs are priced at: the product's choice for the tenant's baseline model."""
    tenant = offered.assembly.tenants["default"]
    found = baseline_arm(offered.snapshot, tenant.baseline_model, tenant.policy)
    assert found is not None, "every arm has a price"
    return found[0]


def billed(offered: Offered, arms: Int, prompt: Int, output: Int) -> Int:
    """`p402.routing.pricing.bill` of columns of tokens, `(n, K)` at K arms without tiers or caches."""
    prices = offered.snapshot.spec.prices
    into = np.array([prices.input[k] for k in arms.tolist()], np.int64)
    out = np.array([prices.output[k] for k in arms.tolist()], np.int64)
    return np.asarray(-(-(prompt * into + output * out) // PICO_PER_NANO), np.int64)
