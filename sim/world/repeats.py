"""Which turns ask what was asked before: common questions, their words, and usual follow-ups.

Who asks what is keyed by session and turn; what all who ask a question share (its difficulty, its length, its
tokens) is keyed by the question. It knows no cache.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Final

from p402.routing.spec import TASKS
from sim.world.chance import Chance, Draws, Stream
from sim.world.frames import FOLLOW_UPS
from sim.world.parts import Repeats, TenantSpec
from sim.world.questions import BASE, Said, misses, wordings

_NUMBER: Final = {task: number for number, task in enumerate(TASKS)}


class Repeated:
    """What a run's sessions ask that others ask too."""

    def __init__(self, tenants: tuple[TenantSpec, ...], chance: Chance) -> None:
        self._chance = chance
        self._ends = {t.name: _popular(t.repeats) for t in tenants if t.repeats is not None}

    def first(self, number: int, tenant: TenantSpec, task: str) -> Said | None:
        """The common question that a session begins with; None where it has one of its own."""
        law = tenant.repeats
        if law is None:
            return None
        u = self._chance.draws(Stream.REPEAT, number, 0)
        if u[0] >= law.share:
            return None
        asked = min(bisect_right(self._ends[tenant.name], u[1]), law.questions - 1)
        miss = 1 + int(u[3] * misses(task, asked)) if u[2] < law.near else BASE
        wording = 1 + int(u[5] * (wordings(task, asked) - 1)) if u[4] < law.reworded else 0
        return Said(task, asked, miss, wording)

    def follow_up(self, number: int, turn: int, tenant: TenantSpec) -> str | None:
        """The usual words of a later turn of such a session; None where it has its own."""
        law = tenant.repeats
        if law is None or law.follow_ups == 0:
            return None
        u = self._chance.draws(Stream.REPEAT, number, turn)
        return FOLLOW_UPS[int(u[1] * len(FOLLOW_UPS))] if u[0] < law.follow_ups else None

    def asks_cache(self, number: int, turn: int, tenant: TenantSpec) -> bool:
        """Whether a request says `cache: true`."""
        share = tenant.cache.asks
        return share > 0 and self._chance.draws(Stream.REPEAT, number, turn)[6] < share

    def shared(self, said: Said) -> Draws:
        """Uniforms that all who ask a question have in common, in whatever words."""
        return self._chance.draws(Stream.QUESTION, _NUMBER[said.task], said.number, said.miss)


def _popular(law: Repeats) -> list[float]:
    """Cumulated shares of the questions, the most popular first."""
    sums = list(accumulate((k + 1.0) ** -law.zipf for k in range(law.questions)))
    return [upto / sums[-1] for upto in sums]
