"""The log's own strategy in a fitted world: a snapshot's beliefs and policy, and the product's own choices.

Arms, prices and tenants are the world's; what was learned and configured is the log's, arm by arm. It learns
nothing on: what a learner would have made of the days to come is not known on their eve.
"""

from collections.abc import Mapping

import msgspec

from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.decide import decide_one
from p402.routing.spec import Mode, Policy, Posterior
from sim.strategies.contract import Rounds

_BY_ARM = ("theta", "sd", "output_ratio", "ttft_ms", "quality_source")


class AsLogged:
    """Decides in a world as the log's gateway did.

    Parameters
    ----------
    logged
        Snapshot to go by.
    arms
        The log's arm of each of the world's (`Fitted.arms`).
    """

    name = "as logged"
    decide = staticmethod(decide_one)

    def __init__(self, logged: Snapshot, arms: Mapping[str, str]) -> None:
        self._logged = logged
        self._arms = arms

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The world's arms and prices under the log's beliefs and policy."""
        logged, given = self._logged.spec, snapshot.spec
        if (
            logged.posterior.features != given.posterior.features
            or logged.posterior.tasks != given.posterior.tasks
        ):
            return snapshot  # of another version: its beliefs are about other columns
        back = {theirs: ours for ours, theirs in self._arms.items()}
        policy = msgspec.structs.replace(logged.policy, variants=_renamed(logged.policy, back))
        spec = msgspec.structs.replace(
            given, posterior=self._beliefs(given.arms.arm, given.posterior), policy=policy
        )
        return compile_snapshot(spec)

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:  # noqa: ARG002 - the contract's
        """Nothing."""
        return None

    def _beliefs(self, arms: tuple[str, ...], given: Posterior) -> Posterior:
        """The log's row of each arm that it has, the world's own for the others."""
        logged, index = self._logged.spec.posterior, self._logged.index
        columns = {}
        for name in _BY_ARM:
            ours, theirs = getattr(given, name), getattr(logged, name)
            places = [index.get(self._arms.get(arm, "")) for arm in arms]
            columns[name] = tuple(
                ours[k] if place is None else theirs[place] for k, place in enumerate(places)
            )
        return msgspec.structs.replace(given, **columns)


def _renamed(policy: Policy, back: Mapping[str, str]) -> tuple[tuple[Mode, ...], ...]:
    """The policy's modes with the world's names in their chains."""
    return tuple(
        tuple(
            msgspec.structs.replace(mode, chain=tuple(back[arm] for arm in mode.chain if arm in back))
            for mode in variant
        )
        for variant in policy.variants
    )
