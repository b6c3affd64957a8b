"""Snapshots that differ in nothing but what is believed of quality, and so see requests alike.

A learner swaps a snapshot in at every tick. Eligibility, costs and times of a request are the same under all
that believe the same lengths of answers, so rounds of many snapshots can be worked out as one batch under
one of them.
"""

from collections.abc import Sequence

from p402.routing.compiled import Snapshot
from sim.world.rounds import Chosen


class Alike:
    """One snapshot of every kind that was seen."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Snapshot] = {}

    def of(self, snapshot: Snapshot) -> Snapshot:
        """The one that stands for a snapshot: the first whose components, but for quality, are the same."""
        spec = snapshot.spec
        posterior = spec.posterior
        parts = spec.arms, spec.prices, spec.policy, spec.tenants, posterior.ttft_ms
        ids = [id(part) for part in parts]  # whoever is kept keeps its parts, so an id stays theirs
        key = (*ids, posterior.output_ratio)  # made anew at every tick, and mostly equal
        return self._kept.setdefault(key, snapshot)

    def groups(self, chosen: Sequence[Chosen]) -> list[tuple[Snapshot, list[int]]]:
        """Places of choices by the snapshot that stands for theirs."""
        found: dict[int, tuple[Snapshot, list[int]]] = {}
        for place, one in enumerate(chosen):
            standing = self.of(one.snapshot)
            found.setdefault(id(standing), (standing, []))[1].append(place)
        return list(found.values())
