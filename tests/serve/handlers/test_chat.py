"""A stream's body: closed on every way out, and never ended by a made-up mark."""

import asyncio

import orjson

from p402.answer import StreamEnd, Streaming
from serve.handlers.chat import ChatStream
from tests.serve.gateway import CHUNKS
from tests.serve.test_metadata import metadata


class Events:
    """A flow's events that note whether they were let go."""

    def __init__(self, *items, error: Exception | None = None) -> None:
        self.freed = False
        self._items = list(items)
        self._error = error

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._items and not self.freed:
            return self._items.pop(0)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.freed = True


def stream_of(events: Events) -> ChatStream:
    return ChatStream(Streaming("req_9", "acme", "small", events), 7, include_usage=False)


async def read(stream: ChatStream) -> list[bytes]:
    return [piece async for piece in stream]


def test_a_stream_that_is_closed_before_it_is_read_lets_go_of_its_call():
    events = Events(*CHUNKS, StreamEnd(metadata(), None))
    asyncio.run(stream_of(events).aclose())
    assert events.freed


def test_a_stream_that_is_closed_midway_lets_go_and_gives_nothing_more():
    events = Events(*CHUNKS, StreamEnd(metadata(), None))

    async def run():
        stream = stream_of(events)
        first = await stream.__anext__()
        await stream.aclose()
        await stream.aclose()
        return first, await read(stream)

    assert asyncio.run(run()) == (CHUNKS[0], [])
    assert events.freed


def test_a_stream_read_to_its_end_is_chunks_metadata_and_done():
    events = Events(*CHUNKS, StreamEnd(metadata(), None))
    pieces = asyncio.run(read(stream_of(events)))
    assert pieces[:-1] == list(CHUNKS)
    assert pieces[-1].endswith(b"\n\ndata: [DONE]\n\n")


def test_a_flow_that_breaks_inside_ends_in_an_error_event(capsys):
    for events in (Events(CHUNKS[0], error=RuntimeError("inside")), Events(CHUNKS[0])):
        pieces = asyncio.run(read(stream_of(events)))
        found = orjson.loads(pieces[-1].removeprefix(b"data: "))
        assert found["error"]["code"] == "INTERNAL_ERROR"
        assert found["error"]["request_id"] == "req_9"
        assert b"inside" not in pieces[-1]
        assert b"[DONE]" not in b"".join(pieces)
    assert "inside" in capsys.readouterr().err
