"""One upstream call, alive in a task of its own.

The task owns the exchange and its closing; callers only await futures of ours. So a client that is
cancelled, even twice, never cuts through the closing of a connection: it asks the owner to abort,
which cancels the task exactly once. Timeouts take the same way. The answer itself comes in by plain
calls (`serve.upstream.transport.Receiver`), so that no task wakes for a piece of it.

Source: httpx leaks pool slots when a stream is cancelled twice (encode/httpx 3782, httpcore 1099).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import orjson
from msgspec.structs import replace

from p402.ports import Call, Completion, Failure
from serve.upstream import failures
from serve.upstream.channel import Channel
from serve.upstream.coding import Decode, as_it_is, decoder_of
from serve.upstream.dialect import Unsupported
from serve.upstream.link import Link
from serve.upstream.sign import Unsigned
from serve.upstream.transport import Cause, Flow, Lost
from serve.upstream.watchdog import Watch

MAX_REPLY: Final = 64 << 20
MAX_ERROR_BODY: Final = 64 << 10
DRAIN_MS: Final = 50
"""After `[DONE]`, how long the end of the body may take for the connection to be kept."""
_OK: Final = 200
_FIRST, _NEXT, _DRAIN = "first byte", "next chunk", "end of body"


class Owner:
    """One attempt under way; the `Receiver` of its answer.

    Parameters
    ----------
    gone
        Called once its task is over and its connection given back or closed.

    Attributes
    ----------
    head
        Resolves to the whole answer, to a failure before any content, or to None when a stream's first
        content has come.
    channel, reading
        A stream's events and what they said.
    warnings
        What of the request was left out.
    """

    def __init__(
        self, link: Link, call: Call, watch: Watch, now_ms: int, gone: Callable[["Owner"], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._link = link
        self._call = call
        self._request = self._prepared()  # a fault of ours is raised here: no provider is to blame for it
        self._now_ms = now_ms
        self._gone = gone
        self._interrupted = False
        self._draining = False
        self._paused = False
        self._sent = False
        self._flow: Flow | None = None
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body: list[bytes] | None = None
        self._room = 0
        self._decode: Decode = as_it_is
        self.head: asyncio.Future[Completion | Failure | None] = loop.create_future()
        self.channel = Channel(self._taken)
        self.reading = link.dialect.reading(link.provider, call, now_ms)
        self.warnings = link.warnings(call)
        self._watch = watch.begin(link.provider.timeouts.total_ms, self._interrupt)
        self.task = loop.create_task(self._run())
        self.task.add_done_callback(self._over)

    def abort(self) -> None:
        """End the call now, unless its answer is complete and only its connection is being given back."""
        if not self._draining:
            self._interrupt()

    async def gone(self) -> None:
        """Wait until the connection is given back or closed; being cancelled does not hasten it."""
        if not self.task.done():
            await asyncio.wait([self.task])

    # Of Receiver

    def on_sent(self) -> None:
        """From here on the provider may bill."""
        self._sent = True

    def on_head(self, status: int, headers: Mapping[str, str], flow: Flow) -> None:
        """See what kind of answer comes."""
        self._status, self._headers, self._flow = status, headers, flow
        coding = headers.get("content-encoding")
        if coding is not None:
            decode = decoder_of(coding)
            if decode is None:
                return self._refuse("sent a body in a coding that P402 had not asked for")
            self._decode = decode
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if status != _OK or not self._call.stream or kind == "application/json":
            self._body, self._room = [], MAX_REPLY if status == _OK else MAX_ERROR_BODY
        return None

    def on_data(self, data: bytes) -> None:
        """Take a piece of the answer."""
        if self._draining or self._interrupted:
            return
        try:
            plain = self._decode(data, MAX_REPLY)
        except ValueError:
            self._refuse("sent a body that is not coded as it says")
            return
        if self._body is None:
            self._take_events(plain)
            return
        self._watch.expect(_NEXT, self._link.provider.timeouts.idle_ms)
        self._room -= len(plain)
        if self._room >= 0:
            self._body.append(plain)
        elif self._status == _OK:
            self._refuse("sent an answer larger than P402 reads")
        else:
            self.on_end()  # what an error says is in its first bytes
            self._interrupt()

    def on_end(self) -> None:
        """Read a whole answer, or close a stream."""
        if self._body is not None:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answer(self._of_body(body))
        elif not self.reading.ended:
            last = self.reading.end_of_body()
            if last:
                self.channel.put(last)
            self._close_stream()
        self._flow = None  # the connection may be another call's from here on

    def _of_body(self, body: bytes) -> Completion | Failure:
        link, now_ms = self._link, self._now_ms
        if self._status != _OK:
            return link.dialect.refusal(link.provider, self._status, self._headers, body, now_ms)
        answer = link.dialect.answer(link.provider, self._call, body, now_ms)
        if isinstance(answer, Failure):
            return answer
        if self._call.stream:
            billed = None if answer.usage.estimated else answer.usage
            return failures.broken(link.provider, "did not stream its answer", usage=billed)
        return replace(answer, warnings=self.warnings) if self.warnings else answer

    def _take_events(self, data: bytes) -> None:
        reading = self.reading
        events = reading.feed(data)
        if events:
            self.channel.put(events)
        if reading.ended:
            self._close_stream()
        elif reading.committed:
            self._answer(None)
            if not self.channel.full or self._flow is None:
                self._watch.expect(_NEXT, self._link.provider.timeouts.idle_ms)
            elif not self._paused:
                self._paused = True
                self._flow.pause()
                self._watch.rest()

    def _taken(self) -> None:
        """The consumer has taken what was there: let the provider send on."""
        if self._paused and self._flow is not None and not self._draining:
            self._watch.expect(_NEXT, self._link.provider.timeouts.idle_ms)
            self._read_on()

    def _read_on(self) -> None:
        if self._paused and self._flow is not None:
            self._flow.resume()
        self._paused = False

    def _close_stream(self) -> None:
        """The stream has said how it ended; its body may still have an end to read."""
        reading = self.reading
        self._answer(None if reading.committed else reading.failure)
        self.channel.close()
        if reading.failure is None:
            self._draining = True
            self._watch.expect(_DRAIN, DRAIN_MS)
            self._read_on()
        else:
            self._interrupt()

    def _refuse(self, what: str) -> None:
        """Take no more of an answer that cannot be read."""
        failure = failures.broken(self._link.provider, what, usage=self.reading.reported)
        if not self.reading.ended:
            self.reading.interrupt(failure)
        self._answer(failure)
        self._interrupt()

    def _answer(self, value: Completion | Failure | None) -> None:
        if not self.head.done():
            self.head.set_result(value)

    # Its life

    async def _run(self) -> None:
        failure: Failure | None = None
        try:
            if isinstance(self._request, Failure):
                failure = self._request
            else:
                self._watch.expect(_FIRST, self._link.provider.timeouts.first_byte_ms)
                await self._link.exchange(self._request, self._call, self)
        except asyncio.CancelledError:
            if not self._interrupted:
                raise  # the event loop is being closed
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            failure = self._expired()
        except Lost as lost:
            failure = self._lost(lost.cause)
        except Unsigned as unsigned:
            failure = failures.unsigned(self._link.provider, str(unsigned))
        finally:
            self._watch.stop()
            self._finish(failure)

    def _prepared(self) -> bytes | Failure:
        try:
            return self._link.prepared(self._call)
        except Unsupported as error:
            return failures.unsupported(self._link.provider, error.what)
        except orjson.JSONEncodeError as error:  # which is TypeError itself: nothing else may stand here
            text = f"the request cannot be written as JSON: {error}; change the request"
            return Failure("INVALID_INPUT", 400, text, fail_over=False, counts=False)

    def _over(self, _: asyncio.Task[None]) -> None:
        # A task cancelled before its first step has run none of its own clean-up.
        self._watch.stop()
        self._finish(None)
        self._gone(self)

    def _interrupt(self) -> None:
        if not self._interrupted and not self.task.done():
            self._interrupted = True
            self.task.cancel()

    def _finish(self, failure: Failure | None) -> None:
        """Tell whoever waits, where the answer itself has not."""
        if not self.head.done() or (self._call.stream and not self.reading.ended):
            failure = failure or failures.broken(self._link.provider, "was left before it had answered")
            if not self.reading.ended:
                self.reading.interrupt(failure)
            self._answer(failure)
        self.channel.close()

    def _expired(self) -> Failure | None:
        if self._draining:
            return None
        provider, phase = self._link.provider, self._watch.expired
        usage = self.reading.reported
        if phase is None:
            return failures.broken(provider, "was left by the client", usage=usage)
        if usage is None and self._sent:
            usage = self.reading.usage  # it generates as long as we wait, and bills what it has
        wanted = "content" if self._call.stream and phase == _FIRST else phase
        what = "did not finish in time" if phase == "total" else f"sent no {wanted} in time"
        return failures.timed_out(provider, what, usage=usage)

    def _lost(self, cause: Cause) -> Failure:
        provider = self._link.provider
        match cause:
            case Cause.CROWDED:
                text = "had no free connection in time (max_connections)"
                return failures.timed_out(provider, text, counts=False)
            case Cause.SLOW_CONNECT:
                return failures.timed_out(provider, "could not be connected to in time", of_provider=True)
            case Cause.REFUSED:
                return failures.broken(provider, "could not be connected to", of_provider=True)
            case Cause.FORBIDDEN:
                what = "has a name that leads to a link-local or metadata address, and was not called"
                return failures.broken(provider, what, of_provider=True)
            case Cause.LOST:
                return failures.broken(provider, "lost the connection", usage=self.reading.reported)
            case Cause.MALFORMED:
                what = "sent what is not an HTTP answer"
                return failures.broken(provider, what, usage=self.reading.reported)
