"""A worker's one connection to Redis, shared by all of its calls.

All calls of one turn of the event loop leave in one write. A call that gets no answer in time, a reply that
is none, or a lost connection fails every waiting call and drops the connection: half a reply must never be
taken for the next call's. The next call opens another. Nothing is sent twice, since Redis may have done it;
but for a call of a script that Redis had forgotten, which it certainly has not. It knows nothing of what
is asked, nor whether asking is wise: that is `serve.redis.door`.

Source: the project's performance study, section 4; times of its reliability study, section 4.
"""

import asyncio
import math
import re
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

from p402.errors import ConfigError
from serve.redis.address import Address
from serve.redis.calls import Call, Cause, Part, RedisAway, RedisRefused, Reply, Script
from serve.redis.connection import SHORT, Connection, Malformed

DEADLINE_MS: Final = 150
CONNECT_MS: Final = 100
LIMIT: Final = 10_000
_GRACE_S: Final = 0.001
"""Before calls are given up the socket is read once more: a loop that stood still is no fault of Redis."""
_SPARED: Final = frozenset({"CLIENT SETNAME", "INFO"})
"""What a connection can do without: its name, for readers of CLIENT LIST, and the server's run id."""
_UNNAMED: Final = frozenset({"ERR", "NOPERM"})
"""Refusals of these that are passed over."""
_RUN_ID: Final = re.compile(rb"^run_id:([0-9a-f]{40})\r?$", re.MULTILINE)


class Link:
    """Calls to one Redis. It lives on the event loop on which it is made.

    Parameters
    ----------
    scripts
        Loaded whenever a connection is made, before any call goes over it.
    name
        Of the connection, as CLIENT LIST shows it; no spaces.
    deadline_ms
        For a call's reply, a connection to be made for it included.
    connect_ms
        For a connection, its greeting included.
    limit
        Calls that may wait; more are refused.
    tls
        Whom to trust, for `rediss://`; the system's authorities if None.

    Attributes
    ----------
    address
        Where it goes.
    opened
        Connections made so far.

    Raises
    ------
    ConfigError
        The extra `redis` is not installed.
    """

    def __init__(
        self,
        address: Address,
        *,
        scripts: Sequence[Script] = (),
        name: str = "p402",
        deadline_ms: int = DEADLINE_MS,
        connect_ms: int = CONNECT_MS,
        limit: int = LIMIT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        try:
            import hiredis  # noqa: PLC0415 - of the extra `redis`, which one host needs not
        except ModuleNotFoundError as error:
            raise ConfigError(
                "Redis needs hiredis, which is not installed; in a checkout of P402: "
                "pip install -e '.[redis]'; elsewhere: pip install 'p402[redis]'"
            ) from error
        self.opened = 0
        self._pack = cast("Callable[[tuple[Part, ...]], bytes]", hiredis.pack_command)
        self._reader = hiredis.Reader
        self._loop = asyncio.get_running_loop()
        self.address = address
        self._name = name
        self._deadline_s = deadline_ms / 1_000
        self._connect_s = connect_ms / 1_000
        self._limit = limit
        self._tls = (tls or ssl.create_default_context()) if address.tls else None
        self._scripts = scripts
        self._queue: list[Call] = []  # not sent yet, in their order
        self._connection: Connection | None = None
        self._opening: asyncio.Task[RedisAway | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._load: Call | None = None  # the last of the scripts, when they were last sent again
        self._late = self._closed = False
        self._asking = False  # something in the queue has something to be sent ahead of it

    @property
    def waiting(self) -> int:
        """Calls without a reply, those included whose callers have left."""
        return len(self._queue) + (len(self._connection.sent) if self._connection is not None else 0)

    def call(self, *parts: Part, asking: bool = False) -> asyncio.Future[Reply]:
        """Send a command with the others of this turn; the future, which must be awaited, has its reply.

        A caller that is cancelled leaves its place in the order: a command that was sent is carried out.

        Parameters
        ----------
        asking
            To a cluster's node that does not own the key's slot yet: ASKING goes right ahead of the command,
            or neither goes, since alone it would let somebody else's command in.

        Raises
        ------
        RedisAway
            Here, or of the future: there is no answer.
        RedisRefused
            Of the future: the answer is an error.
        TypeError
            Here: a part is neither bytes, text nor a number.
        """
        queue, connection, loop = self._queue, self._connection, self._loop
        if self._closed:
            raise self._away(Cause.CLOSED)
        if len(queue) + (len(connection.sent) if connection is not None else 0) >= self._limit:
            raise self._away(Cause.CROWDED)
        due = loop.time() + self._deadline_s
        answer: asyncio.Future[Reply] = loop.create_future()
        call = Call(self._pack(parts), answer, due)
        if asking:
            call.ahead = self._made(("ASKING",), due)
            self._asking = True
        if not queue:
            loop.call_soon(self._flush)
        queue.append(call)
        if self._timer is None:
            self._timer = loop.call_at(due, self._look)
        return answer

    async def open(self) -> None:
        """Connect now, if there is no connection.

        Raises
        ------
        RedisAway
            There is none to be had; the message says why, and never shows the password.
        """
        if self._closed:
            raise self._away(Cause.CLOSED)
        if self._connection is None:
            away = await asyncio.shield(self._begin())
            if away is not None:
                raise away

    async def aclose(self) -> None:
        """Take no more calls, wait for those under way, `deadline_ms` at most, and close; idempotent."""
        self._closed = True
        under_way: list[asyncio.Future[Reply]] = [call.answer for call in self._calls()]
        if under_way:
            await asyncio.wait(under_way)
        if self._opening is not None:
            await asyncio.wait([self._opening])
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    # Sending

    def _flush(self) -> None:
        """Send what has gathered, or open a connection for it."""
        if not self._queue:
            return
        if self._connection is None:
            self._begin()
            return
        calls = [call for call in self._queue if not call.answer.done()]  # nobody waits for the others
        self._queue.clear()
        if self._asking:
            self._asking = False
            calls = [one for call in calls for one in ((call,) if call.ahead is None else (call.ahead, call))]
        if calls:
            self._connection.send(calls)

    def _send_again(self, call: Call) -> bool:
        """Send a call again behind the scripts that Redis has forgotten, once."""
        if call.again or call.answer.done() or not self._scripts:
            return False
        call.again = True
        if not self._queue:
            self._loop.call_soon(self._flush)
        if self._load is None or self._load.answer.done():  # else they are on their way, ahead of this call
            loads = [self._made(("SCRIPT", "LOAD", script.source), call.due) for script in self._scripts]
            self._queue += loads
            self._load = loads[-1]
        self._asking = self._asking or call.ahead is not None
        self._queue.append(call)
        return True

    def _made(self, parts: tuple[Part, ...], due: float) -> Call:
        """A call of our own, whose failure may be nobody's concern."""
        call = Call(self._pack(parts), self._loop.create_future(), due)
        call.answer.add_done_callback(_heed)
        return call

    # Opening

    def _begin(self) -> "asyncio.Task[RedisAway | None]":
        if self._opening is None:
            self._opening = self._loop.create_task(self._open())
        return self._opening

    async def _open(self) -> RedisAway | None:
        """Make a connection; what has gathered leaves over it, or fails."""
        connection = Connection(
            self._reader(protocolError=Malformed, replyError=RedisRefused, notEnoughData=SHORT),
            self._ended,
            self._send_again,
        )
        away: RedisAway | None = None
        try:
            async with asyncio.timeout(self._connect_s):
                await self._connect(connection)
                await self._greet(connection)
        except RedisAway as error:
            away = error
        except TimeoutError:
            away = self._away(Cause.SLOW_CONNECT)
        except (OSError, UnicodeError) as error:  # UnicodeError: what no name server would be asked for
            away = self._away(Cause.REFUSED, why=getattr(error, "strerror", None) or type(error).__name__)
        finally:
            self._opening = None
        if away is None and connection.cause is not None:  # behind its greeting
            away = self._away(connection.cause)
        if away is not None:
            connection.abort()
            self._fail_queue(away)
            return away
        self._connection = connection
        self.opened += 1
        self._flush()
        return None

    async def _connect(self, connection: Connection) -> None:
        address = self.address
        if address.path:
            await self._loop.create_unix_connection(lambda: connection, address.path)
        else:
            await self._loop.create_connection(lambda: connection, address.host, address.port, ssl=self._tls)

    async def _greet(self, connection: Connection) -> None:
        """Say who we are, choose the database, ask who answers, load the scripts: one round trip."""
        address = self.address
        greeting: list[tuple[str, tuple[Part, ...]]] = []
        if address.password:
            who = (address.user, address.password) if address.user else (address.password,)
            greeting.append(("AUTH", ("AUTH", *who)))
        if address.db:
            greeting.append((f"SELECT {address.db}", ("SELECT", address.db)))
        greeting.append(("CLIENT SETNAME", ("CLIENT", "SETNAME", self._name)))
        greeting.append(("INFO", ("INFO", "server")))
        greeting += [("SCRIPT LOAD", ("SCRIPT", "LOAD", script.source)) for script in self._scripts]
        calls = [self._made(parts, math.inf) for _, parts in greeting]
        connection.send(calls)
        replies = await asyncio.gather(*(call.answer for call in calls), return_exceptions=True)
        for (step, _), reply in zip(greeting, replies, strict=True):
            if isinstance(reply, RedisRefused):
                if step in _SPARED and reply.code in _UNNAMED:
                    continue
                # One that does not know AUTH repeats what it was told: its words are not shown.
                said = reply.code if step == "AUTH" else str(reply)
                raise self._away(Cause.DENIED, why=f"{step}: {said}")
            if step == "INFO" and isinstance(reply, bytes) and (found := _RUN_ID.search(reply)) is not None:
                connection.run = found[1]

    # Failing

    def _look(self) -> None:
        """Give all calls up if one waits for too long; else come again when one may."""
        calls = self._calls()
        late, self._late, self._timer = self._late, False, None
        if not calls:
            return
        due, now = min(call.due for call in calls), self._loop.time()
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
        elif not late:
            self._late = True
            self._timer = self._loop.call_later(_GRACE_S, self._look)
        else:
            self._drop(Cause.SLOW)

    def _ended(self, connection: Connection, cause: Cause) -> None:
        """A connection has ended by itself: the one in use, or one that is being greeted."""
        if connection is self._connection:
            self._drop(cause)
        else:
            _fail_all(connection.sent, self._away(cause), may_be_done=True)

    def _drop(self, cause: Cause) -> None:
        """Let the connection go, and every call with it."""
        connection, self._connection = self._connection, None
        away = self._away(cause)
        if connection is not None:
            connection.abort()
            _fail_all(connection.sent, away, may_be_done=True)
        self._fail_queue(away)

    def _fail_queue(self, away: RedisAway) -> None:
        queue, self._queue = self._queue, []
        _fail_all(queue, away, may_be_done=False)

    def _calls(self) -> list[Call]:
        return [*(self._connection.sent if self._connection is not None else ()), *self._queue]

    def _away(self, cause: Cause, why: str = "") -> RedisAway:
        said = {
            Cause.SLOW: f"did not answer within {self._deadline_s * 1_000:.0f} ms",
            Cause.SLOW_CONNECT: f"was not to be connected to within {self._connect_s * 1_000:.0f} ms",
            Cause.REFUSED: f"is not to be connected to ({why})",
            Cause.DENIED: f"refused {why}; check user, password and database, and what it lets the user do",
            Cause.LOST: "closed the connection",
            Cause.MALFORMED: "sent what is no reply, or one that nobody asked for",
            Cause.CROWDED: f"has {self._limit} calls to answer already",
            Cause.CLOSED: "is asked no more: the link is closed",
        }[cause]
        return RedisAway(cause, f"{self.address} {said}")


def _fail_all(calls: Iterable[Call], away: RedisAway, *, may_be_done: bool) -> None:
    """Fail calls, each with an error of its own: a traceback is one caller's."""
    for call in calls:
        call.fail(RedisAway(away.cause, str(away), may_be_done=may_be_done))


def _heed(answer: asyncio.Future[Reply]) -> None:
    """Take note of a failure, so that the event loop does not report it as overlooked."""
    if not answer.cancelled():
        answer.exception()
