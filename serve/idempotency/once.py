"""One exchange under an idempotency key: done once, to its end, whoever still listens.

The exchange runs in a task of its own and its client follows it. A client that leaves does not end it, as
it would without a key: it has said that it may come back for the answer, so the call goes on, is billed
once, and its answer is kept. Nor does a client that stopped reading hold it back, so that a connection that
died unnoticed does not keep its retry waiting; only what is too much to keep is sent as fast as it is read.

A whole answer is kept before it is given, so that who has it can rely on its replay; a stream before it
ends. Failure contract: where the store of answers cannot be used, nothing is sent and the answer is 503.
Where it fails only at the end, the answer is given all the same, and its key says 409 to later requests.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Self

import msgspec

from p402.errors import Refusal, StoreError
from serve.errors import MENDED_MS
from serve.http import ByteStream, HttpReply
from serve.idempotency.answers import Answers
from serve.idempotency.kept import pack
from serve.idempotency.key import Key
from serve.idempotency.law import LEASE_MS, Claim, is_kept
from serve.idempotency.rows import Holder

TEND_S: Final = LEASE_MS / 1000 / 4
"""How often leases are renewed: three may be missed."""
PRUNE_EVERY: Final = 4
"""Renewals between two looks for what is too old."""
STOP_S: Final = 5.0
"""How long a stop waits for exchanges whose clients have left; then they are broken off, and settled."""

AWAY: Final = Refusal(
    "INTERNAL_ERROR",
    503,
    "the gateway cannot use its store of kept answers, so a request with `Idempotency-Key` is not sent; it "
    "is logged; retry later, or leave the header out and forgo its protection",
    MENDED_MS,
    param="Idempotency-Key",
)


class Ended(msgspec.Struct, frozen=True):
    """How an exchange answers, and whether money was or may have been spent on it."""

    reply: HttpReply
    spent: bool


First = Callable[[], Awaitable[Ended]]


class Once:
    """The exchanges of one worker that run under a key.

    Parameters
    ----------
    answers
        Where keys and answers are; closed by `close`.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._exchanges: set[asyncio.Task[None]] = set()
        self._holders: dict[bytes, Holder] = {}
        self._tending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after answers that an earlier process left: they are not kept longer for want of requests."""
        if self._answers.exists():
            self._tend()

    async def close(self, patience_s: float = STOP_S) -> None:
        """Wait for what is under way, break off what takes longer, and let go of the answers; idempotent."""
        if self._exchanges:
            await asyncio.wait(self._exchanges, timeout=patience_s)
        tending, self._tending = self._tending, None
        ending = [*self._exchanges, *([] if tending is None else [tending])]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        await self._answers.close()

    async def answer(self, key: Key, first: First) -> HttpReply | Refusal:
        """The answer to a request under a key: `first`'s, if it is the first, which then runs to its end.

        `first` must not raise; it is called at most once, in a task of its own.
        """
        self._tend()
        exchange = _Exchange(self._answers.limits.answer_bytes)
        task = asyncio.create_task(self._run(key, first, exchange), name="idempotent exchange")
        self._exchanges.add(task)
        task.add_done_callback(self._exchanges.discard)
        try:
            return await asyncio.shield(exchange.answer)
        except asyncio.CancelledError:
            exchange.leave()
            raise

    async def _run(self, key: Key, first: First, exchange: "_Exchange") -> None:
        holder = Holder(key.scope, secrets.token_bytes(8))
        try:
            match await self._claimed(key, holder):
                case Claim():
                    await self._first(holder, first, exchange)
                case answer:
                    exchange.answer.set_result(answer)
        except BaseException as reason:
            exchange.break_off(reason)
            raise

    async def _claimed(self, key: Key, holder: Holder) -> Claim | HttpReply | Refusal:
        try:
            return await self._answers.claim(key, holder)
        except StoreError:
            return AWAY

    async def _first(self, holder: Holder, first: First, exchange: "_Exchange") -> None:
        self._holders[holder.token] = holder
        try:
            ended = await first()
            reply = ended.reply
            if not is_kept(reply.status, spent=ended.spent):
                await _tried(self._answers.release(holder))
                exchange.answer.set_result(reply)
            elif isinstance(reply.body, bytes):
                await _tried(self._answers.keep(holder, pack(reply, reply.body)))
                exchange.answer.set_result(reply)
            else:
                exchange.answer.set_result(msgspec.structs.replace(reply, body=_Follower(exchange)))
                body = await exchange.read(reply.body)
                await _tried(self._answers.keep(holder, None if body is None else pack(reply, body)))
                exchange.end()
        except BaseException:
            await _tried(self._answers.abandon(holder))
            raise
        finally:
            del self._holders[holder.token]

    def _tend(self) -> None:
        if self._tending is None:
            self._tending = asyncio.create_task(self._look_after(), name="kept answers")

    async def _look_after(self) -> None:
        turn = 0
        while True:
            if turn % PRUNE_EVERY == 0:
                await _tried(self._answers.prune())
            turn += 1
            await asyncio.sleep(TEND_S)
            if self._holders:
                await _tried(self._answers.renew([*self._holders.values()]))


async def _tried(work: Awaitable[None]) -> None:
    """Do what the store may refuse, which it has told: the lease then ends by itself."""
    with suppress(StoreError):
        await work


class _Exchange:
    """What passes from an exchange to the client that follows it; at most `max_bytes` of it wait to be read.

    Attributes
    ----------
    answer
        What the client is given; for a stream, before it has ended.
    """

    def __init__(self, max_bytes: int) -> None:
        self.answer: asyncio.Future[HttpReply | Refusal] = asyncio.get_running_loop().create_future()
        self._max_bytes = max_bytes
        self._unread: deque[bytes] = deque()
        self._unread_bytes = 0
        self._left = self._ended = False
        self._broken: BaseException | None = None
        self._changed = asyncio.Event()

    def leave(self) -> None:
        """The client reads no more; idempotent."""
        self._left = True
        self._unread.clear()
        self._changed.set()

    def end(self) -> None:
        """The stream is whole, and kept."""
        self._ended = True
        self._changed.set()

    def break_off(self, reason: BaseException) -> None:
        """The exchange ended without an answer, or in the middle of one."""
        self._broken = reason
        self._changed.set()
        if self.answer.done():
            return
        if isinstance(reason, Exception):
            self.answer.set_exception(reason)
        else:
            self.answer.cancel()

    async def read(self, stream: ByteStream) -> bytes | None:
        """Read a stream to its end, and hand it on; gives all of it, or None where it is too much to keep."""
        kept: list[bytes] | None = []
        size = 0
        try:
            async for piece in stream:
                size += len(piece)
                if kept is not None and size <= self._max_bytes:
                    kept.append(piece)
                else:
                    kept = None
                if not self._left:
                    await self._hand_on(piece)
                elif kept is None:
                    break  # for nobody, now or later
        finally:
            await stream.aclose()
        return None if kept is None else b"".join(kept)

    async def next(self) -> bytes:
        """Next piece for the client."""
        while not self._unread:
            if self._broken is not None:
                raise ConnectionAbortedError("the exchange was broken off") from self._broken
            if self._ended or self._left:
                raise StopAsyncIteration
            await self._change()
        piece = self._unread.popleft()
        self._unread_bytes -= len(piece)
        self._changed.set()
        return piece

    async def _hand_on(self, piece: bytes) -> None:
        self._unread.append(piece)
        self._unread_bytes += len(piece)
        self._changed.set()
        while self._unread_bytes > self._max_bytes and not self._left:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class _Follower:
    """A stream as the client of its exchange reads it."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """Next piece."""
        return await self._exchange.next()

    async def aclose(self) -> None:
        """Read no more; the exchange goes on."""
        self._exchange.leave()
