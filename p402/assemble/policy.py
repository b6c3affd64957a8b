"""The modes as they are promised, before anything was learned: weights, exploration, chain.

It knows nothing of arms but the ids of the default chain.
"""

from collections.abc import Iterable
from typing import Final

from p402.assemble.offers import Offer
from p402.catalog.defaults import COST_CHAIN
from p402.routing.scale import param
from p402.routing.spec import Mode, Policy

START_WEIGHTS: Final = (param(0.5), param(0.5), 0)
"""Quality, cost, speed of balanced mode before anything was learned (promise P7)."""

_TIE: Final = 1 << 10
"""Weight of cost in modes that do not ask for it: about 0.001, to order arms equal in what they do."""


_NARROW: Final = 0.25
"""Share of balanced mode's exploration loss that a mode with one objective may have: who asks for the
cheapest, the best or the fastest asks for little else."""

_DEARER: Final = 1.125
"""Where the score does not count money, exploration may pay this many times the incumbent's cost:
an arm as good as the best is worth a look, its price is not."""


def policy_of(
    salt: int, balanced: tuple[int, int, int], offers: Iterable[Offer], exploration_loss: float
) -> Policy:
    """Modes over these offers.

    Parameters
    ----------
    balanced
        Quality, cost and speed weight of balanced mode, multiples of 2**-20.
    exploration_loss
        Most score that exploration in balanced mode may cost on average, in (0, 0.5].
    """
    quality, cost, speed = balanced
    narrow = exploration_loss * _NARROW
    modes = (
        _mode(0, param(1.0), 0, tolerance=0.02, loss_cap=narrow, chain=_chain(tuple(offers))),
        _mode(param(1.0), _TIE, 0, tolerance=0.02, loss_cap=narrow, cost_ratio=_DEARER),
        _mode(0, _TIE, param(1.0), tolerance=0.02, loss_cap=narrow, cost_ratio=_DEARER),
        _mode(quality, cost, speed, tolerance=0.3, loss_cap=exploration_loss),
    )
    return Policy(
        salt=salt,
        beta=param(0.5),
        cost_half_pico=2_000_000_000,
        ttft_half_ms=300,
        switch_cost=param(0.05),
        prefer_bonus=param(0.1),
        set_size=32,
        default_max_output=16_384,
        variants=(modes,),
    )


def _chain(offers: tuple[Offer, ...]) -> tuple[str, ...]:
    """Arms of the cost chain's deployments, under whatever names their providers are configured."""
    return tuple(
        offer.arm
        for deployment in COST_CHAIN
        for offer in offers
        if offer.deployment.id == deployment and not offer.reference
    )


def _mode(
    quality: int,
    cost: int,
    speed: int,
    *,
    tolerance: float,
    loss_cap: float,
    cost_ratio: float = 3.0,
    chain: tuple[str, ...] = (),
) -> Mode:
    return Mode(
        quality=quality,
        cost=cost,
        speed=speed,
        tolerance=param(tolerance),
        explore=True,
        loss_cap=param(loss_cap),
        floor=param(0.01),
        cost_ratio=param(cost_ratio),
        chain=chain,
    )
