"""How long this worker's answers were, by tenant, task and arm, so that a hold can be predicted.

The law is `p402.guard.lengths`; here are the pools that a request belongs to and the bound on their
number. It is the memory of one worker, of its own settled calls, and starts empty with it: until a
pool knows enough, holds are strict.
"""

from collections import OrderedDict
from typing import Final

from p402.guard.lengths import NO_ANSWERS, Lengths, observe, predict

MAX_POOLS: Final = 4_096

Pool = tuple[str, ...]
"""Tenant; tenant and task; tenant, task and arm."""


class AnswerLengths:
    """Past lengths of every pool; those longest untouched are forgotten first."""

    def __init__(self) -> None:
        self._pools: OrderedDict[Pool, Lengths] = OrderedDict()

    def most(self, tenant: str, task: str, arm: str) -> int | None:
        """Output tokens to hold for an answer; None where nobody knows yet."""
        return predict(self._pools.get(pool, NO_ANSWERS) for pool in _pools(tenant, task, arm))

    def learn(self, tenant: str, task: str, arm: str, tokens: int, *, whole: bool) -> None:
        """Take one answer into its pools; see `p402.guard.lengths.observe`."""
        for pool in _pools(tenant, task, arm):
            self._pools[pool] = observe(self._pools.get(pool, NO_ANSWERS), tokens, whole=whole)
            self._pools.move_to_end(pool)
        while len(self._pools) > MAX_POOLS:
            self._pools.popitem(last=False)


def _pools(tenant: str, task: str, arm: str) -> tuple[Pool, Pool, Pool]:
    return (tenant, task, arm), (tenant, task), (tenant,)
