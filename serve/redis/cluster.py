"""Asking that node of a cluster which has the key, and only while it is there.

Every master has a door of its own, link and breaker, opened when it is first needed. A call goes where the
map says; a node that says another has the slot did nothing, so the call goes to that other, once. The map is
taken in the background, by one task at a time, from any node that answers: no request waits for it.
It knows nothing of what is asked, only where a command has its first key.

Source: Redis cluster specification, "Clients first connection and handling of redirections".
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from serve.redis.address import Address, ClusterAddress
from serve.redis.calls import Cause, Part, RedisAway, RedisRefused, Reply
from serve.redis.door import Door
from serve.redis.link import Link
from serve.redis.slots import SLOTS, Endpoint, Owners, Redirection, key_slot, read_owners, read_redirection

AGAIN_MS: Final = 500
"""Between the beginnings of two looks at the map. A slot that moved in between is learned from its MOVED."""
_SCRIPTS: Final = frozenset({"EVALSHA", b"EVALSHA", "EVAL", b"EVAL", "FCALL", b"FCALL"})
_UNSERVED: Final = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"})
"""Errors by which a node says that it did nothing, since the slot is not its own, or not its alone."""
_KNOWS_ALL: Final = frozenset({Cause.CROWDED, Cause.CLOSED})
"""Causes after which the map is not suspected."""


class ClusterDoor:
    """Calls to a cluster, none of which waits longer than two calls of its links.

    Parameters
    ----------
    link
        Makes the link to a node.
    """

    clustered: Final = True

    def __init__(self, cluster: ClusterAddress, link: Callable[[Address], Link]) -> None:
        self._cluster = cluster
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._owners: Owners = [None] * SLOTS
        self._doors: dict[Endpoint, Door] = {}
        self._looking: asyncio.Task[RedisAway | None] | None = None
        self._look_at = 0.0  # loop time, in seconds, before which nobody looks at the map again
        self._looks = 0
        self._leaving: set[asyncio.Task[None]] = set()  # doors that close
        self._closed = False

    def retry_after_ms(self, key: Part) -> int:
        """In how many ms the node that has a key may be asked again; 0 when it may now."""
        node = self._owners[key_slot(_bytes(key))]
        if node is None:
            return max(1, round((self._look_at - self._loop.time()) * 1_000))
        door = self._doors.get(node)
        return 0 if door is None else door.retry_after_ms(key)

    async def open(self) -> None:
        """Take the map now, from the first seed that has one; nodes are connected to when they are needed.

        Raises
        ------
        RedisAway
            No seed gave it; the message says what each did.
        """
        if self._closed:
            raise self._no_more()
        away = await asyncio.shield(self._look())
        if away is not None:
            raise away

    async def each(self, *parts: Part) -> list[tuple[Address, Reply | RedisRefused]]:
        """What every master answers, an error being an answer.

        Raises
        ------
        RedisAway
            One of them does not answer.
        """
        asked = [self._door(node) for node in dict.fromkeys(self._owners) if node is not None]
        return [
            one for answers in await asyncio.gather(*(door.each(*parts) for door in asked)) for one in answers
        ]

    def call(self, *parts: Part) -> Awaitable[Reply]:
        """Ask the node that has the command's first key; what is returned must be awaited, and has the reply.

        That is the fourth word of EVALSHA, EVAL and FCALL, written in capitals, and the second of all others.
        Calls for one key go out in the order in which they are made, unless its slot moves.

        Raises
        ------
        RedisAway
            When awaited: the node does not answer or was away just now, or no node serves the key at present.
        RedisRefused
            When awaited: it answered with an error.
        ValueError
            Here: the command has no key.
        """
        slot = key_slot(_first_key(parts))
        node = self._owners[slot]
        if node is None:
            self._suspect(None)
            return _raising(self._unserved(f"slot {slot} is served by no node that is known"))
        try:
            sent = self._door(node).call(*parts)
        except RedisAway as closed:
            return _raising(closed)
        return self._follow(slot, node, parts, sent)

    async def _follow(
        self, slot: int, node: Endpoint, parts: tuple[Part, ...], sent: Awaitable[Reply]
    ) -> Reply:
        """The answer to what was sent to a node, or to whichever it names instead."""
        told = await self._answer(node, sent)
        if not isinstance(told, Redirection):
            return told
        if not told.ask:
            self._owners[told.slot] = told.node
            self._suspect(None)
        answer = await self._answer(told.node, self._door(told.node).call(*parts, asking=told.ask))
        if isinstance(answer, Redirection):
            raise self._unserved(f"slot {slot} was at none of the two nodes that were asked for it")
        return answer

    async def aclose(self) -> None:
        """Take no more calls, wait for those under way, and close; idempotent."""
        self._closed = True
        if self._looking is not None:
            await asyncio.wait([self._looking])
        await asyncio.gather(*self._leaving, *(door.aclose() for door in self._doors.values()))

    # One node

    async def _answer(self, node: Endpoint, sent: Awaitable[Reply]) -> Reply | Redirection:
        """A node's answer; what it says of slots that are not its own is no error."""
        try:
            return await sent
        except RedisAway as away:
            if away.cause not in _KNOWS_ALL:
                self._suspect(node)
            raise
        except RedisRefused as refused:
            if refused.code not in _UNSERVED:
                raise
            told = read_redirection(refused, node[0])
            if told is not None:
                return told
            if refused.code != "TRYAGAIN":  # which says that a slot's keys are half here, half there
                self._suspect(node)
            raise self._unserved(f"{self._cluster.node(*node)} said {refused}") from None

    def _door(self, node: Endpoint) -> Door:
        door = self._doors.get(node)
        if door is None:
            if self._closed:
                raise self._no_more()
            door = self._doors[node] = Door(self._link(self._cluster.node(*node)))
        return door

    # The map

    def _suspect(self, node: Endpoint | None) -> None:
        """Look at the map in the background, unless somebody did just now; better not in this node's."""
        if not self._closed and self._loop.time() >= self._look_at:
            self._look(node)

    def _look(self, suspect: Endpoint | None = None) -> "asyncio.Task[RedisAway | None]":
        if self._looking is None:
            self._look_at = self._loop.time() + AGAIN_MS / 1_000
            self._looking = self._loop.create_task(self._take_map(suspect))
        return self._looking

    async def _take_map(self, suspect: Endpoint | None) -> RedisAway | None:
        """Take the map from the first node that has one."""
        why: list[str] = []
        try:
            for node in self._whom_to_ask(suspect):
                try:
                    owners = read_owners(await self._door(node).call("CLUSTER", "SLOTS"), node[0])
                except RedisAway as away:
                    why.append(str(away))
                    if self._closed:
                        break
                except RedisRefused as refused:
                    why.append(f"{self._cluster.node(*node)} said {refused}")
                except ValueError:
                    why.append(f"{self._cluster.node(*node)} sent what is no map")
                else:
                    if any(owners):
                        self._adopt(owners)
                        return None
                    why.append(f"{self._cluster.node(*node)} knows no node that serves a slot")
        finally:
            self._looking = None
        return RedisAway(
            Cause.UNSERVED, f"no node of {self._cluster} told which nodes serve which keys: {'; '.join(why)}"
        )

    def _whom_to_ask(self, suspect: Endpoint | None) -> Iterator[Endpoint]:
        """Every node once: masters that are there, each first in its turn, seeds, those that may be away."""
        masters = [node for node in dict.fromkeys(self._owners) if node is not None]
        self._looks += 1
        turn = self._looks % len(masters) if masters else 0
        seeds = [(seed.host, seed.port) for seed in self._cluster.seeds]
        nodes = dict.fromkeys([*masters[turn:], *masters[:turn], *seeds])
        away = {node for node in nodes if node == suspect or (node in self._doors and self._doors[node].away)}
        yield from (node for node in nodes if node not in away)
        yield from (node for node in nodes if node in away)

    def _adopt(self, owners: Owners) -> None:
        """Go by a map from now on; nodes that are not in it are let go."""
        self._owners = owners
        for node in self._doors.keys() - set(owners):
            leaving = self._loop.create_task(self._doors.pop(node).aclose())
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    # Failing

    def _unserved(self, why: str) -> RedisAway:
        return RedisAway(Cause.UNSERVED, f"{self._cluster} did not take a call: {why}")

    def _no_more(self) -> RedisAway:
        return RedisAway(Cause.CLOSED, f"{self._cluster} is asked no more: the door is closed")


async def _raising(error: RedisAway) -> Reply:
    raise error


def _first_key(parts: tuple[Part, ...]) -> bytes:
    at = 1
    if parts and parts[0] in _SCRIPTS:
        at = 3 if len(parts) > 3 and int(parts[2]) > 0 else len(parts)
    if at >= len(parts):
        raise ValueError(f"a cluster is asked by key, and this call has none: {parts[:1]}")
    return _bytes(parts[at])


def _bytes(part: Part) -> bytes:
    """A part as it is sent."""
    return part if isinstance(part, bytes) else str(part).encode()
