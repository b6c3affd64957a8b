"""Guards that keep a tenant's day, and break one promise each about its scopes.

None of them may be used for anything else.
"""

from collections.abc import Callable

import msgspec

from p402.errors import Refusal
from p402.guard.scopes import KEY_OVER
from p402.limits import Scope
from p402.ports import Guard, Hold
from tests.chaos.budgets import budgets
from tests.chaos.leaky import Leaky
from tests.chaos.place import Place


class ForgetsScopes(Leaky):
    """Grants calls as if they named none."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano)


class SettlesTheDayAlone(Leaky):
    """Holds a call's money in its scopes, and tells only the day what it cost."""

    def settle(self, hold: Hold, actual_nano: int) -> None:
        self.sound.settle(hold, 0)
        self.sound.settle(msgspec.structs.replace(hold, id=f"{hold.id}!", scopes=()), actual_nano)


class RaisesTheDayAlone(Leaky):
    """Holds and books what a dearer attempt needs in the day, and not in the call's scopes."""

    def __init__(self, sound: Guard, place: Place) -> None:
        super().__init__(sound, place)
        self._more: dict[str, Hold] = {}

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        more = await self.sound.reserve(hold.tenant, f"{hold.id}+", amount_nano - hold.amount_nano)
        if isinstance(more, Refusal):
            return more
        self._more[hold.id] = more
        return msgspec.structs.replace(hold, amount_nano=amount_nano)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        more = self._more.pop(hold.id, None)
        beside = 0 if more is None else min(actual_nano, more.amount_nano)
        self.sound.settle(hold, actual_nano - beside)
        if more is not None:
            self.sound.settle(more, beside)


class MixesKeysUp(Leaky):
    """Books one call of five of a key on another's account, for as long as that has room."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        narrow, wide, *_ = (budget.scope for budget in budgets(self.place.cap_nano))
        self.calls += scopes == (wide,)
        if scopes == (wide,) and not self.calls % 5:
            mistaken = await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, (narrow,))
            if isinstance(mistaken, Hold):
                return mistaken
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)


class StingyWithKeys(Leaky):
    """Refuses the last tenth of what a key may cost."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        for scope, totals in (await self.sound.standing(tenant, scopes)).scoped:
            if totals.spent_nano > scope.cap_nano * 0.9:
                return Refusal(KEY_OVER, 402, "enough for this key")
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)


LEAKS: dict[str, Callable[[Guard, Place], Guard]] = {
    "forgets-scopes": ForgetsScopes,
    "settles-the-day-alone": SettlesTheDayAlone,
    "raises-the-day-alone": RaisesTheDayAlone,
    "mixes-keys-up": MixesKeysUp,
    "stingy-with-keys": StingyWithKeys,
}
