"""`POST /v1/chat/completions` and `POST /v1/route`: a parsed request through the flow to bytes."""

from typing import Any, Final, Self, assert_never

import msgspec
import orjson

from p402.answer import Answer, Completed, Metadata, Rejected, StreamEnd, Streaming
from p402.errors import Refusal, RequestError
from p402.request import ChatRequest, Tenant
from serve.errors import INTERNAL, error_object, exception_reply, refusal_reply, rejected_reply, report
from serve.handlers.front import Front
from serve.http import EVENTS, NO_STORE, HttpReply, HttpRequest, json_reply
from serve.idempotency.key import HEADER, key_of
from serve.idempotency.once import Ended
from serve.metadata import answer_headers, committed_headers, metadata_bytes, metadata_fields, splice
from serve.sse import last_events
from serve.wire import parse_chat

NO_RETRY: Final = ((b"x-should-retry", b"false"),)
"""OpenAI's clients ask again after any 409, unless they are told not to."""


async def chat(front: Front, request: HttpRequest) -> HttpReply:
    """Complete, stream or refuse one chat request."""
    arrived_ms = front.clock.monotonic_ms()
    tenant = front.tenant(request)
    if HEADER in request.headers:
        return await _once(front, request, tenant, arrived_ms)
    parsed = parse_chat(request.body)
    return _reply(front, parsed, await front.flow.chat(parsed, tenant, arrived_ms))


async def _once(front: Front, request: HttpRequest, tenant: Tenant, arrived_ms: float) -> HttpReply:
    """The same under an `Idempotency-Key`: the first answer, however often it is asked for."""

    async def first() -> Ended:
        try:
            parsed = parse_chat(request.body)
            answer = await front.flow.chat(parsed, tenant, arrived_ms)
            return Ended(_reply(front, parsed, answer), _spent(answer))
        except RequestError as error:  # decided before anything was sent
            return Ended(exception_reply(error, front.new_id()), spent=False)
        except Exception as error:  # noqa: BLE001 - as at the last door; nobody knows how far it had come
            return Ended(exception_reply(error, front.new_id()), spent=True)

    key = key_of(request.headers[HEADER], tenant.name, request.path, request.body)
    found = await front.once.answer(key, first)
    if not isinstance(found, Refusal):
        return found
    last_word = found.retry_after_ms is None
    return refusal_reply(found, front.new_id(), headers=NO_RETRY if last_word else ())


def _spent(answer: Answer) -> bool:
    """Whether an attempt was billed; one at an unknown price counts."""
    match answer:
        case Completed():
            return any(attempt.cost_nano != 0 for attempt in answer.metadata.attempts)
        case Streaming():
            return not answer.cached
        case Rejected():
            return any(attempt.cost_nano != 0 for attempt in answer.attempts)
        case _:
            assert_never(answer)


def _reply(front: Front, parsed: ChatRequest, answer: Answer) -> HttpReply:
    match answer:
        case Completed():
            return _completed(answer)
        case Streaming():
            return _streaming(front, parsed, answer)
        case Rejected():
            return _rejected(front, answer)
        case _:
            assert_never(answer)


async def route(front: Front, request: HttpRequest) -> HttpReply:
    """The decision for a request, without calling anyone."""
    tenant = front.tenant(request)
    parsed = parse_chat(request.body)
    await front.flow.recall(parsed, tenant)
    answer = front.flow.route(parsed, tenant)
    return _rejected(front, answer) if isinstance(answer, Rejected) else _completed(answer)


def _rejected(front: Front, answer: Rejected) -> HttpReply:
    """A request that was refused before it had an id gets one here."""
    if not answer.request_id:
        answer = msgspec.structs.replace(answer, request_id=front.new_id())
    return rejected_reply(answer)


def _completed(answer: Completed) -> HttpReply:
    metadata = answer.metadata
    if answer.body is None:
        body = orjson.dumps(_decision(metadata))
    else:
        body = splice(answer.body, metadata_bytes(metadata))
    return json_reply(200, body, answer_headers(metadata))


def _decision(metadata: Metadata) -> dict[str, Any]:
    """What a dry run answers: an object without choices that OpenAI clients can read too."""
    return {
        "id": metadata.request_id,
        "object": "p402.decision",
        "model": metadata.model,
        "choices": [],
        "p402_metadata": metadata_fields(metadata),
    }


def _streaming(front: Front, request: ChatRequest, answer: Streaming) -> HttpReply:
    created_s = front.clock.now_ms() // 1000
    headers = committed_headers(answer.request_id, answer.provider, answer.model, cached=answer.cached)
    stream = ChatStream(answer, created_s, include_usage=request.include_usage)
    return HttpReply(200, (EVENTS, NO_STORE, (b"x-accel-buffering", b"no"), *headers), stream)


class ChatStream:
    """A stream's events, and after them what the gateway adds.

    Every piece is whole events and is sent as it comes. A flow that breaks where it should not
    ends in an error event: a cut without a word would look like a network fault.
    """

    __slots__ = ("_created_s", "_ended", "_events", "_include_usage", "_last", "_request_id")

    def __init__(self, answer: Streaming, created_s: int, *, include_usage: bool) -> None:
        self._request_id = answer.request_id
        self._events = answer.events
        self._created_s = created_s
        self._include_usage = include_usage
        self._last = b""
        self._ended = False

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> bytes:
        """Next events."""
        if self._ended:
            raise StopAsyncIteration
        try:
            item = await self._events.__anext__()
        except StopAsyncIteration:
            return self._broken(RuntimeError("the flow's stream ended without a StreamEnd"))
        except Exception as error:  # noqa: BLE001 - the headers are out: the only answer left is an event
            return self._broken(error)
        if isinstance(item, StreamEnd):
            self._ended = True
            return last_events(item, self._created_s, self._last, include_usage=self._include_usage)
        self._last = item
        return item

    async def aclose(self) -> None:
        """Abort the upstream call if it still runs, and settle it."""
        self._ended = True
        await self._events.aclose()

    def _broken(self, error: Exception) -> bytes:
        self._ended = True
        report(error, self._request_id)
        return b"data: %b\n\n" % orjson.dumps({"error": error_object(INTERNAL, self._request_id)})
