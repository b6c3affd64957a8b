"""Guards that break one promise each, in ways that are easily written: the harness must find every one.

None of them may be used for anything else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from p402.errors import Refusal
from p402.guard import daily
from p402.guard.daily import Day, day_of
from p402.guard.explain import Standing
from p402.limits import Scope
from p402.ports import Guard, Hold
from serve.redis.address import read_address
from serve.redis.calls import RedisAway, RedisRefused, Script
from serve.redis.door import Door
from serve.redis.link import Link
from tests.chaos.place import Place


class Leaky:
    """A guard in front of a sound one; whatever a leak does not change is the sound one's."""

    def __init__(self, sound: Guard, place: Place) -> None:
        self.sound = sound
        self.place = place
        self.calls = 0

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        return await self.sound.top_up(hold, amount_nano)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        self.sound.settle(hold, actual_nano)

    async def spent(self, tenant: str) -> tuple[int, int]:
        return await self.sound.spent(tenant)

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        return await self.sound.standing(tenant, scopes)


class CheckThenAct(Leaky):
    """Reads what was spent, and books when the call is over: between the two, others pass too."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        spent, _ = await self.sound.spent(tenant)
        day, now = day_of(self.place.now_ms()), self.place.now_ms()
        verdict = daily.reserve(Day(day, spent), None, amount_nano, self.place.cap_nano, now)
        return (
            verdict
            if isinstance(verdict, Refusal)
            else Hold(request_id, tenant, amount_nano, day, scopes=scopes)
        )

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        return msgspec.structs.replace(hold, amount_nano=amount_nano)


class FreesTheDead(Leaky):
    """Takes every hold, and forgets it until its call is settled: what a dead worker spent is nobody's."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        hold = await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)
        if isinstance(hold, Hold):
            self.sound.settle(hold, 0)
        return hold

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        return msgspec.structs.replace(hold, amount_nano=amount_nano)

    def settle(self, hold: Hold, actual_nano: int) -> None:
        self.sound.settle(msgspec.structs.replace(hold, id=f"{hold.id}!"), actual_nano)


class Overcharges(Leaky):
    """Loses one settlement of fifty, so that its hold is charged at its maximum though nobody died."""

    def settle(self, hold: Hold, actual_nano: int) -> None:
        self.calls += 1
        self.sound.settle(hold, actual_nano if self.calls % 50 else hold.amount_nano)


class Dawdles(Leaky):
    """Makes one reservation of fifty wait."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        self.calls += 1
        if not self.calls % 50:
            await asyncio.sleep(0.4)
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)


class Miserly(Leaky):
    """Refuses the last tenth of the cap."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        spent, _ = await self.sound.spent(tenant)
        if spent > self.place.cap_nano * 0.9:
            return Refusal(daily.OVER_CAP, 402, "enough for today")
        return await self.sound.reserve(tenant, request_id, amount_nano, expected_nano, scopes)


LEAKS: dict[str, Callable[[Guard, Place], Guard]] = {
    "check-then-act": CheckThenAct,
    "frees-the-dead": FreesTheDead,
    "overcharges": Overcharges,
    "dawdles": Dawdles,
    "miserly": Miserly,
}

# KEYS: a hash of the day (spent, held), a hash of holds (amount by id), a set of holds by when they expire.
# ARGV: now, what, id, amount, cap, time to live. Expired holds are charged first. A repeat does nothing.
_BOOK = Script.of("""
local now, what, id, amount = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local function free(name)
  local held = tonumber(redis.call('HGET', KEYS[2], name) or '0')
  redis.call('HDEL', KEYS[2], name)
  redis.call('ZREM', KEYS[3], name)
  redis.call('HINCRBY', KEYS[1], 'held', -held)
  return held
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], 0, now)) do
  redis.call('HINCRBY', KEYS[1], 'spent', free(name))
end
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
local held = tonumber(redis.call('HGET', KEYS[1], 'held') or '0')
if what == 'reserve' then
  if spent + held + amount > tonumber(ARGV[5]) then return {0, spent, held} end
  redis.call('HINCRBY', KEYS[1], 'held', amount)
  redis.call('HSET', KEYS[2], id, amount)
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[6]), id)
elseif what == 'settle' then
  free(id)
  redis.call('HINCRBY', KEYS[1], 'spent', amount)
end
return {1, spent, held}
""")


class Forgetful:
    """Redis alone: exact while Redis remembers, and as rich as in the morning once it forgets.

    What it does not hear the end of it leaves to expire.
    """

    def __init__(self, door: Door, place: Place) -> None:
        self._door = door
        self._place = place
        self._settling: set[asyncio.Task[None]] = set()

    async def _book(self, day: int, tenant: str, what: str, name: str, amount_nano: int) -> list[int]:
        keys = [f"{{{tenant}}}{day}{part}" for part in ("", "held", "due")]
        arguments = (self._place.now_ms(), what, name, amount_nano, self._place.cap_nano, daily.HOLD_TTL_MS)
        reply = await self._door.call("EVALSHA", _BOOK.sha, 3, *keys, *arguments)
        assert isinstance(reply, list)
        return [int(part) for part in reply if isinstance(part, int)]

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        now = self._place.now_ms()
        day = day_of(now)
        try:
            granted, spent, held = await self._book(day, tenant, "reserve", request_id, amount_nano)
        except (RedisAway, RedisRefused) as error:
            return Refusal(daily.OVER_HELD, 503, str(error), 200)
        except asyncio.CancelledError:  # behind the reservation, on the same connection
            self.settle(Hold(request_id, tenant, amount_nano, day), 0)
            raise
        if granted:
            return Hold(request_id, tenant, amount_nano, day)
        verdict = daily.reserve(Day(day, spent, held), None, amount_nano, self._place.cap_nano, now)
        assert isinstance(verdict, Refusal)
        return verdict

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        return Refusal(daily.OVER_HELD, 402, "never")

    def settle(self, hold: Hold, actual_nano: int) -> None:
        task = asyncio.get_running_loop().create_task(self._settle(hold, actual_nano))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _settle(self, hold: Hold, actual_nano: int) -> None:
        with contextlib.suppress(RedisAway, RedisRefused):
            await self._book(hold.day, hold.tenant, "settle", hold.id, actual_nano)

    async def spent(self, tenant: str) -> tuple[int, int]:
        _, spent, held = await self._book(day_of(self._place.now_ms()), tenant, "look", "", 0)
        return spent, held

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        raise NotImplementedError(
            "this guard is there to be found out: the harness asks what was spent, no more"
        )

    async def close(self) -> None:
        if self._settling:
            await asyncio.wait(self._settling)


@asynccontextmanager
async def forgetful(place: Place) -> AsyncIterator[Guard]:
    link = Link(read_address(place.redis), scripts=[_BOOK])
    door = Door(link)
    guard = Forgetful(door, place)
    try:
        yield guard
    finally:
        await guard.close()
        await door.aclose()
        await link.aclose()
