"""The hand of several hosts: each host's own file, behind a Redis that all of them ask.

Nothing is sent unless both hold the claim: the file first, for it answers what this host knows without a
round trip, then Redis. Redis has every key for 24 h and small answers for a quarter of an hour, since clients
retry within minutes and the same memory keeps budgets; a host's own answers stay in its file as ever.

Failure contract. Redis away, slow or full: `StoreError`, nothing is sent, and the file's key is free again. A
claim whose reply was lost may lie in Redis: it is freed as soon as Redis answers; until then it is in flight
for others, and this worker, which knows its token, takes it again. An end that Redis does not take is told
later without its answer; the file has that. A worker killed meanwhile leaves a key that ends as unknown with
its lease. Keys yield to budgets: where Redis' memory is nearly full, no key is claimed.

A Redis that forgot gets the keys in flight again with their next renewal or their end; a retry that reaches
another host before that, or under a key that had ended, is sent again. Writes that a replica had not got when
it took over are such a loss.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from p402.errors import Refusal, StoreError
from serve.http import HttpReply
from serve.idempotency import kept, scripts
from serve.idempotency.answers import Answers
from serve.idempotency.key import Key
from serve.idempotency.law import ELSEWHERE, LEASE_MS, Claim, Replay, State, judge
from serve.idempotency.rows import Holder, Limits
from serve.idempotency.scripts import Command, Held, Known, Taken
from serve.redis.calls import RedisAway, RedisRefused, Reply
from serve.redis.connect import Way

SHARED_BYTES: Final = 256 << 10
"""Largest answer that Redis is given."""
SHARED_MS: Final = 15 * 60_000
"""How long Redis has it."""
ANSWERS_TO: Final = 0.75
"""Share of Redis' `maxmemory` from which on it is given no answers."""
KEYS_TO: Final = 0.9
"""Share of it from which on no key is claimed: what is left is for budgets."""
OWED_S: Final = 0.5
"""Between two tries to tell Redis what it did not take."""
OWED_MAX: Final = 10_000
_ASKED: Final = 3
"""How often Redis says that it does not know a claim before it is believed: one that was stuck on a
connection that we gave up may still be carried out."""
_CLAIMS: Final = 3
"""How often a key is asked for that may be replaced, since another may be quicker each time."""
_OPEN_S: Final = 0.15
_SMALL: Final = 64 << 10
"""A body whose digest takes no longer than handing it to a thread."""
_MEMORY: Final = re.compile(rb"^(used_memory|maxmemory):(\d+)\r?$", re.MULTILINE)
_log = logging.getLogger("p402.idempotency")

_Failed = (RedisAway, RedisRefused)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What Redis is given of an answer."""

    bytes: int = SHARED_BYTES
    ms: int = SHARED_MS


@dataclass(frozen=True, slots=True)
class _Owed:
    """What Redis has yet to be told; `frees` says that nothing was sent under this claim."""

    command: Command
    frees: bool
    asked: int = 0


class SharedKeeper:
    """Keys that all hosts of one Redis share, with this host's file behind.

    Parameters
    ----------
    own
        This host's answers; closed by `close`.
    way
        Makes the way to Redis, with `scripts.ALL`; called on the running loop at the first key.
    now_ms
        Wall time in ms for Redis; 0 for its own, which all hosts have in common.
    """

    def __init__(
        self,
        own: Answers,
        way: Callable[[], Way],
        bounds: Bounds | None = None,
        now_ms: Callable[[], int] = int,
    ) -> None:
        self._own = own
        self._make = way
        self._bounds = bounds or Bounds()
        self._now_ms = now_ms
        self._way: Way | None = None
        self._opening: asyncio.Task[None] | None = None
        self._held: dict[Holder, Held] = {}
        self._owed: dict[Holder, _Owed] = {}
        self._paying: asyncio.Task[None] | None = None
        self._full = 0.0  # share of its memory that the fullest Redis had in use
        self._failing = False

    @property
    def limits(self) -> Limits:
        """Of this host's file."""
        return self._own.limits

    def exists(self) -> bool:
        """Whether this host's file was left by an earlier process; Redis looks after itself."""
        return self._own.exists()

    async def claim(self, key: Key, holder: Holder) -> Claim | HttpReply | Refusal:
        """Take the key on this host and for all hosts, or give the answer of whichever has one.

        Raises
        ------
        p402.errors.StoreError
            File or Redis cannot be used. The key is taken in neither, or freed as soon as may be.
        """
        found = await self._own.claim(key, holder)
        if not isinstance(found, Claim):
            return found
        try:
            found = await self._claim(key, holder)
        except BaseException:
            await _tried(self._own.release(holder))
            raise
        if not isinstance(found, Claim):
            await _tried(self._own.release(holder))
        return found

    async def keep(self, holder: Holder, content: bytes | None) -> None:
        """End a claim in both; raises where the file fails, for Redis is told later."""
        if content is not None and len(content) > self.limits.answer_bytes:
            content = None
        await self._both(self._own.keep(holder, content), self._keep(holder, content))

    async def release(self, holder: Holder) -> None:
        """Free the key in both."""
        self._held.pop(holder, None)  # from here on no renewal brings it back
        await self._both(self._own.release(holder), self._end(holder, scripts.ask_free(holder), frees=True))

    async def renew(self, holders: Sequence[Holder]) -> None:
        """Renew leases in both."""
        await self._both(self._own.renew(holders), self._renew(holders))

    async def abandon(self, holder: Holder) -> None:
        """Say in both that an exchange was broken off."""
        await self._both(self._own.abandon(holder), self._abandon(holder))

    async def prune(self) -> None:
        """Prune the file, and look at Redis' memory: its connection is thus never idle for long."""
        if self._way is not None:
            await self._look(self._way)
        await self._own.prune()

    async def close(self) -> None:
        """Tell Redis what it has yet to be told, if it is there, and close all; idempotent."""
        paying, self._paying = self._paying, None
        if paying is not None:
            paying.cancel()
            await asyncio.gather(paying, return_exceptions=True)
        way, opening = self._way, self._opening
        if way is not None and opening is not None:
            await opening
            if self._owed:
                await self._pay()
            self._way = self._opening = None
            await way.aclose()
        self._owed.clear()
        self._held.clear()
        await self._own.close()

    # The claim

    async def _claim(self, key: Key, holder: Holder) -> Claim | HttpReply | Refusal:
        large = len(key.body) > _SMALL
        fingerprint = await asyncio.to_thread(key.fingerprint) if large else key.fingerprint()
        way = await self._opened()
        if self._full >= KEYS_TO:
            self._refuse(f"Redis' memory is in use to {self._full:.0%}, and what is left is for budgets")
        over = holder.token
        for _ in range(_CLAIMS):
            match await self._asked(way, holder, fingerprint, over):
                case Taken(created_ms):
                    self._held[holder] = Held(holder, fingerprint, created_ms)
                    return Claim()
                case Known() as known:
                    owed = self._owed.get(Holder(holder.scope, known.token))
                    verdict = judge(known.entry, fingerprint, known.now_ms)
                    if (owed is None or not owed.frees) and not isinstance(verdict, Claim):
                        return _given(known) if isinstance(verdict, Replay) else verdict
                    over = known.token
        raise StoreError("keys of all hosts: a key changed hands again and again while it was asked for")

    async def _asked(self, way: Way, holder: Holder, fingerprint: bytes, over: bytes) -> Taken | Known:
        """What Redis says; where that is not to be known, what it may have done is undone."""
        try:
            found = scripts.read_claim(
                await way.call(*scripts.ask_claim(self._now_ms(), holder, fingerprint, over))
            )
        except RedisRefused as refused:
            self._refuse(str(refused), refused)
        except RedisAway as away:
            if away.may_be_done:
                self._owe(holder, scripts.ask_free(holder), frees=True)
            self._refuse(str(away), away)
        except BaseException as reason:
            self._owe(holder, scripts.ask_free(holder), frees=True)
            if isinstance(reason, ValueError):
                self._refuse(str(reason), reason)
            raise
        if self._failing:
            self._failing = False
            _log.warning("keys of all hosts: Redis is there again; requests with Idempotency-Key are taken")
        return found

    def _refuse(self, why: str, reason: Exception | None = None) -> NoReturn:
        self._fails(why)
        raise StoreError(f"keys of all hosts: {why}") from reason

    def _fails(self, why: object) -> None:
        if not self._failing:
            self._failing = True
            _log.error(
                "keys of all hosts: %s; requests with Idempotency-Key are refused until that is mended", why
            )

    # The end

    async def _keep(self, holder: Holder, content: bytes | None) -> None:
        held = self._held.get(holder)
        if held is None:
            return
        state = State.GONE if content is None else State.ANSWERED
        told = scripts.ask_tell(self._now_ms(), held, state, 0)
        if content is None or len(content) > self._bounds.bytes or self._full >= ANSWERS_TO:
            await self._end(holder, told)
        else:
            try:
                await self._call(scripts.ask_keep(self._now_ms(), held, content, self._bounds.ms))
            except RedisRefused:  # full: the key at least
                await self._end(holder, told)
            except RedisAway as away:
                self._fails(away)
                self._owe(holder, told)
        self._held.pop(holder, None)

    async def _abandon(self, holder: Holder) -> None:
        held = self._held.get(holder)
        if held is not None:
            await self._end(holder, scripts.ask_tell(self._now_ms(), held, State.IN_FLIGHT, 0))
            self._held.pop(holder, None)

    async def _end(self, holder: Holder, command: Command, *, frees: bool = False) -> None:
        """Tell Redis, now or later."""
        try:
            await self._call(command)
        except _Failed as failed:
            self._fails(failed)
            self._owe(holder, command, frees=frees)

    async def _renew(self, holders: Sequence[Holder]) -> None:
        held = [self._held[holder] for holder in holders if holder in self._held]
        told = await asyncio.gather(
            *(self._call(scripts.ask_tell(self._now_ms(), one, State.IN_FLIGHT, LEASE_MS)) for one in held),
            return_exceptions=True,
        )
        for each in told:
            if isinstance(each, _Failed):
                self._fails(each)
            elif isinstance(each, BaseException):
                raise each

    async def _both(self, own: Awaitable[None], redis: Coroutine[Any, Any, None]) -> None:
        """Do both, whatever becomes of either; the file's failure is raised."""
        for found in await asyncio.gather(own, redis, return_exceptions=True):
            if found is not None:
                raise found

    # What Redis has yet to be told

    def _owe(self, holder: Holder, command: Command, *, frees: bool = False) -> None:
        if len(self._owed) < OWED_MAX:
            self._owed[holder] = _Owed(command, frees)
        if self._paying is None:
            self._paying = asyncio.create_task(self._keep_paying(), name="keys that Redis is to be told of")

    async def _keep_paying(self) -> None:
        while self._owed:
            await asyncio.sleep(OWED_S)
            await self._pay()
        self._paying = None

    async def _pay(self) -> None:
        for holder, owed in list(self._owed.items()):
            try:
                done = await self._call(owed.command)
            except RedisAway:
                return
            except RedisRefused as refused:
                self._fails(refused)
                return
            if done == 1 or owed.asked + 1 >= _ASKED:
                del self._owed[holder]
            else:
                self._owed[holder] = replace(owed, asked=owed.asked + 1)

    # Redis

    async def _call(self, command: Command) -> Reply:
        way = await self._opened()
        return await way.call(*command)

    async def _opened(self) -> Way:
        """The way; whoever is first makes it, and all wait until it has connected or has failed to."""
        way = self._way
        if way is None:
            way = self._way = self._make()
            self._opening = asyncio.create_task(self._open(way), name="way to the keys of all hosts")
        if self._opening is not None and not self._opening.done():
            await asyncio.shield(self._opening)
        return way

    async def _open(self, way: Way) -> None:
        with suppress(RedisAway, TimeoutError):  # the call says it
            async with asyncio.timeout(_OPEN_S):
                await way.open()
                await self._look(way)

    async def _look(self, way: Way) -> None:
        """How full Redis is."""
        with suppress(RedisAway):
            full = 0.0
            for _, told in await way.each("INFO", "memory"):
                found = dict(_MEMORY.findall(told)) if isinstance(told, bytes) else {}
                if (limit := int(found.get(b"maxmemory", 0))) > 0:
                    full = max(full, int(found.get(b"used_memory", 0)) / limit)
            self._full = full


def _given(known: Known) -> HttpReply | Refusal:
    """The answer, if Redis still has it."""
    if known.answer is None:
        return ELSEWHERE
    try:
        return kept.unpack(known.answer)
    except ValueError as error:
        raise StoreError(f"keys of all hosts: {error}") from error


async def _tried(work: Awaitable[None]) -> None:
    """Free the file's key where it lets us; it has told why not, and the key ends with its lease."""
    with suppress(StoreError):
        await work
