"""The gateway as it is configured: the product's own choices, under the operator's snapshot alone.

It learns nothing and, since it chooses by `decide_one` under logged inputs, its log replays.
"""

from p402.routing.compiled import Snapshot
from p402.routing.decide import decide_one
from sim.strategies.contract import Rounds


class Gateway:
    """P402 before it has learned anything."""

    name = "gateway"
    decide = staticmethod(decide_one)

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The operator's snapshot as it is."""
        return snapshot

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:  # noqa: ARG002 - the contract's
        """Nothing."""
        return None
