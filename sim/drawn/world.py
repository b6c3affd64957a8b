"""A table's world: what is on offer, what routing knows of each prompt, what every arm earns on it.

Made once, then any number of logs can be drawn from it: this is where exact values are known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from p402_datasets.outcomes import OutcomeTable
from sim.drawn.contexts import Contexts, contexts_of
from sim.drawn.offers import Offered, Rules, offer
from sim.drawn.rewards import Outcomes, outcomes_of
from sim.drawn.tables import Priced

MODES: Final = ("balanced", "quality", "cost")
"""Modes that a drawn log asks for; speed is left out, as no source has latencies."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnWorld:
    """Everything of a table that rounds and values are made of."""

    offered: Offered
    traffic: OutcomeTable
    contexts: Mapping[str, Contexts]
    outcomes: Outcomes


def world_of(
    priced: Priced,
    rules: Rules | None = None,
    modes: Sequence[str] = MODES,
    factors: Sequence[Decimal] | None = None,
) -> DrawnWorld:
    """The world of a table under exploration rules."""
    offered = offer(priced, rules or Rules(), factors)
    rows = priced.traffic
    return DrawnWorld(
        offered=offered,
        traffic=rows,
        contexts={mode: contexts_of(offered, rows.prompts, mode) for mode in modes},
        outcomes=outcomes_of(offered, rows),
    )
