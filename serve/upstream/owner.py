"""One upstream call, alive in a task of its own.

The task owns the response and its closing; callers only await futures of ours. So a client that is
cancelled, even twice, never cuts through the closing of a connection: it asks the owner to abort,
which cancels the task exactly once. Timeouts take the same way.

Source: httpx leaks pool slots when a stream is cancelled twice (encode/httpx 3782, httpcore 1099).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import httpx
import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import failures, openai
from serve.upstream.channel import Channel
from serve.upstream.link import Link
from serve.upstream.reading import StreamReading
from serve.upstream.watchdog import Watchdog

MAX_REPLY = 64 << 20
MAX_ERROR_BODY = 64 << 10
DRAIN_MS = 50
"""After `[DONE]`, how long the end of the body may take for the connection to be kept."""
_WIRE_ERRORS = (httpx.HTTPError, aiohttp.ClientError, OSError)
_FIRST, _NEXT, _DRAIN = "first byte", "next chunk", "end of body"


class Owner:
    """One attempt under way.

    Attributes
    ----------
    head
        Resolves to the whole answer, to a failure before any content, or to None when a stream's first
        content has come.
    channel, reading
        A stream's events and what they said.
    """

    def __init__(self, link: Link, call: Call, now_ms: int) -> None:
        loop = asyncio.get_running_loop()
        self._link = link
        self._call = call
        self._now_ms = now_ms
        self._interrupted = False
        self._draining = False
        self._chunks: AsyncIterator[bytes] | None = None
        self.head: asyncio.Future[Completion | Failure | None] = loop.create_future()
        self.channel = Channel()
        self.reading = StreamReading(link.provider, call)
        self._watch = Watchdog(loop, link.provider.timeouts.total_ms, self._interrupt)
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

    def _interrupt(self) -> None:
        if not self._interrupted and not self.task.done():
            self._interrupted = True
            self.task.cancel()

    async def _run(self) -> None:
        self._link.active += 1
        response: httpx.Response | None = None
        failure: Failure | None = None
        try:
            self._watch.expect(_FIRST, self._link.provider.timeouts.first_byte_ms)
            response = await self._link.send(self._call)
            if response.status_code == httpx.codes.OK:
                await (self._stream(response) if self._call.stream else self._whole(response))
            else:
                body = await self._read(response, MAX_ERROR_BODY)
                failure = failures.from_status(
                    self._link.provider, response.status_code, response.headers, body or b"", self._now_ms
                )
        except asyncio.CancelledError:
            if not self._interrupted:
                raise  # the event loop is being closed
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            failure = self._expired()
        except orjson.JSONEncodeError as error:
            text = f"the request cannot be written as JSON: {error}; change the request"
            failure = Failure("INVALID_INPUT", 400, text, fail_over=False, counts=False)
        except _WIRE_ERRORS as error:
            failure = self._lost(error)
        finally:
            self._watch.stop()
            self._finish(failure)
            await self._close(response)

    def _over(self, _: asyncio.Task[None]) -> None:
        # A task cancelled before its first step has run none of its own clean-up.
        self._watch.stop()
        self._finish(None)

    def _finish(self, failure: Failure | None) -> None:
        """Tell whoever waits; the connection's end is nobody's wait but `gone`'s."""
        if not self.head.done() or (self._call.stream and not self.reading.ended):
            failure = failure or failures.broken(self._link.provider, "was left before it had answered")
            if not self.reading.ended:
                self.reading.interrupt(failure)
            self._answer(failure)
        self.channel.close()

    async def _close(self, response: httpx.Response | None) -> None:
        self._link.active -= 1
        close = getattr(self._chunks, "aclose", None)
        if close is not None:
            await close()
        if response is not None:
            with suppress(*_WIRE_ERRORS):  # it may be lost already
                await response.stream.aclose()  # type: ignore[union-attr]  # the transport's is asynchronous

    async def _whole(self, response: httpx.Response) -> None:
        provider = self._link.provider
        body = await self._read(response, MAX_REPLY)
        if body is None:
            return self._answer(failures.broken(provider, "sent an answer larger than P402 reads"))
        reply = failures.parsed(body)
        if not isinstance(reply, dict):
            return self._answer(failures.broken(provider, "sent an answer that is not a JSON object"))
        reported = openai.usage_of(reply.get("usage"))
        if reply.get("error") is not None:
            return self._answer(failures.from_error_event(provider, reply["error"], reported))
        if not openai.choices_of(reply):
            return self._answer(failures.broken(provider, "sent an answer without choices", usage=reported))
        return self._answer(Completion(body, reported or openai.usage_of_text(reply, self._call)))

    async def _stream(self, response: httpx.Response) -> None:
        provider, reading = self._link.provider, self.reading
        if response.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
            reply = failures.parsed(await self._read(response, MAX_REPLY) or b"")
            error = reply.get("error") if isinstance(reply, dict) else None
            usage = openai.usage_of(reply.get("usage")) if isinstance(reply, dict) else None
            self._answer(
                failures.from_error_event(provider, error, usage)
                if error is not None
                else failures.broken(provider, "did not stream its answer", usage=usage)
            )
            return
        async for chunk in self._source(response):
            events = reading.feed(chunk)
            if events:
                self.channel.put(events)
            if reading.ended:
                break
            if reading.committed:
                self._answer(None)
                if self.channel.full:
                    self._watch.rest()
                    await self.channel.room()
                self._watch.expect(_NEXT, provider.timeouts.idle_ms)
        else:
            reading.end_of_body()
        self._answer(None if reading.committed else reading.failure)
        self.channel.close()
        if reading.failure is None:
            await self._drain()

    async def _drain(self) -> None:
        """Read the end of the body, so that the connection can serve another call."""
        self._draining = True
        self._watch.expect(_DRAIN, DRAIN_MS)
        if self._chunks is not None:
            async for _ in self._chunks:
                pass

    async def _read(self, response: httpx.Response, limit: int) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        async for chunk in self._source(response):
            self._watch.expect(_NEXT, self._link.provider.timeouts.idle_ms)
            parts.append(chunk)
            size += len(chunk)
            if size > limit:
                return None
        return b"".join(parts)

    def _source(self, response: httpx.Response) -> AsyncIterator[bytes]:
        coded = response.headers.get("content-encoding", "identity") != "identity"
        self._chunks = aiter(response.aiter_bytes() if coded else response.stream)  # type: ignore[arg-type]
        return self._chunks

    def _answer(self, value: Completion | Failure | None) -> None:
        if not self.head.done():
            self.head.set_result(value)

    def _expired(self) -> Failure | None:
        if self._draining:
            return None
        provider, phase = self._link.provider, self._watch.expired
        usage = self.reading.reported
        if phase is None:
            return failures.broken(provider, "was left by the client", usage=usage)
        wanted = "content" if self._call.stream and phase == _FIRST else phase
        what = "did not finish in time" if phase == "total" else f"sent no {wanted} in time"
        return failures.timed_out(provider, what, usage=usage)

    def _lost(self, error: Exception) -> Failure:
        provider, usage = self._link.provider, self.reading.reported
        cause = error.__cause__ or error  # httpx-aiohttp calls a refused connection a timeout
        if isinstance(cause, TimeoutError):
            if self._link.crowded:
                text = "had no free connection in time (max_connections)"
                return failures.timed_out(provider, text, counts=False)
            return failures.timed_out(provider, "could not be connected to in time")
        if isinstance(cause, aiohttp.ClientConnectorError):
            return failures.broken(provider, "could not be connected to")
        return failures.broken(provider, "lost the connection", usage=usage)
