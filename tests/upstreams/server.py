"""A provider of the tests: a real HTTP/1.1 server on loopback that answers and fails as scenarios say.

It runs in a thread with a loop of its own. The scenario of a request is what was played for its
provider and model (`Upstreams.play`), else what the model's name asks for (`catalogue`). The first part of
the path is the provider's name, so that one server is as many providers as a test needs.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson

from tests.upstreams.catalogue import scenario_of
from tests.upstreams.journal import Entry, Journal
from tests.upstreams.scenario import Cut, ErrorEvent, Refuse, Scenario, Stall
from tests.upstreams.wire import Asked, Event, Wire
from tests.upstreams.wires import WIRES

MAX_BODY = 32 << 20


@dataclass
class Upstreams:
    """The server's handle.

    Attributes
    ----------
    root
        URL before the provider's name: `{root}/acme/v1`.
    """

    root: str = ""
    journal: Journal = field(default_factory=Journal)
    _played: dict[tuple[str, str], list[Scenario]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, provider: str) -> str:
        """`base_url` of a provider, whatever it speaks: a request's path tells its format."""
        return f"{self.root}/{provider}/v1"

    def play(self, provider: str, model: str, *scenarios: Scenario) -> None:
        """Answer the next requests with these, one each; the last stays. None: as the model is named."""
        with self._lock:
            self._played[provider, model] = list(scenarios)

    def next_of(self, provider: str, model: str) -> Scenario | None:
        """The scenario of a request that has just come."""
        with self._lock:
            played = self._played.get((provider, model))
            if played:
                return played.pop(0) if len(played) > 1 else played[0]
        return scenario_of(model)


@contextlib.contextmanager
def upstreams(wires: Sequence[Wire] = tuple(WIRES.values())) -> Iterator[Upstreams]:
    """Serve in a thread while the block runs."""
    found, started = Upstreams(), threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        sessions: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            sessions.add(task)
            try:
                await _connection(found, wires, reader, writer)
            finally:
                sessions.discard(task)
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        found.root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await stop.wait()
        server.close()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    def main() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=main, name="upstreams")
    thread.start()
    try:
        assert started.wait(20), "the providers of the tests did not start"
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
    assert not thread.is_alive(), "the providers of the tests did not stop"


async def _connection(
    found: Upstreams, wires: Sequence[Wire], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, path, _ = first.split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
            size = int(headers.get("content-length", "0"))
            assert size <= MAX_BODY
            body = await reader.readexactly(size)
            entry = Entry(
                time.monotonic(), path.split("/")[1], path, headers, orjson.loads(body) if body else None
            )
            if not await _exchange(found, wires, entry, method, reader, writer):
                return


async def _exchange(
    found: Upstreams,
    wires: Sequence[Wire],
    entry: Entry,
    method: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> bool:
    """Answer one request while looking for its caller's leaving; whether the connection can go on."""
    answering = asyncio.create_task(_answer(found, wires, entry, method, writer))
    leaving = asyncio.create_task(_left(reader))
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            found.journal.note(entry, left_s=time.monotonic())
            return False
        return answering.result()
    except ConnectionError:
        found.journal.note(entry, left_s=time.monotonic())
        return False
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
        found.journal.note(entry, ended_s=time.monotonic())


async def _left(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        assert not await reader.read(1), "a caller sent more before its answer had come"


async def _answer(
    found: Upstreams, wires: Sequence[Wire], entry: Entry, method: str, writer: asyncio.StreamWriter
) -> bool:
    for wire in wires:
        asked = wire.asked(entry.path, entry.body) if method == "POST" else None
        if asked is None:
            continue
        entry.model = asked.model
        found.journal.add(entry)
        scenario = found.next_of(entry.provider, asked.model)
        if scenario is None:
            await _refuse(writer, wire, Refuse(404, "model_not_found", f"no {asked.model}"))
            return True
        return await _Play(found.journal, entry, wire, asked, scenario, writer).run()
    found.journal.add(entry)
    await _whole(writer, 404, b'{"error": {"message": "no such path"}}')
    return True


async def _refuse(writer: asyncio.StreamWriter, wire: Wire, refuse: Refuse) -> None:
    said = wire.refusal(refuse) if refuse.body is None else refuse
    await _whole(writer, said.status, said.body or b"", said.headers)


async def _whole(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Sequence[tuple[str, str]] = ()
) -> None:
    given = {"content-type": "application/json", **dict(headers)}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()


@dataclass
class _Play:
    """One answer under way; `run` tells whether the connection can go on."""

    journal: Journal
    entry: Entry
    wire: Wire
    asked: Asked
    scenario: Scenario
    writer: asyncio.StreamWriter

    async def run(self) -> bool:
        fault = self.scenario.fault
        if isinstance(fault, Refuse):
            await _refuse(self.writer, self.wire, fault)
            return True
        if isinstance(fault, Stall) and fault.after is None:
            await asyncio.sleep(fault.seconds)
        return await (self._stream() if self.asked.stream else self._once())

    async def _once(self) -> bool:
        fault, body = self.scenario.fault, self.wire.whole(self.scenario.answer, self.asked)
        if isinstance(fault, ErrorEvent):
            body = self.wire.error_event(fault).data
        if not isinstance(fault, Cut):
            if isinstance(fault, Stall) and fault.after is not None:
                await asyncio.sleep(fault.seconds)
            await _whole(self.writer, 200, body)
            return True
        self.writer.write(
            b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        await self._piece(body[: len(body) // 2])
        return await self._cut(fault)

    async def _stream(self) -> bool:
        scenario, fault = self.scenario, self.scenario.fault
        self.writer.write(
            b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        said = 0
        for event in self.wire.events(scenario.answer, self.asked):
            match fault:
                case ErrorEvent(after=after) if said == after and (event.content or after):
                    await self._event(self.wire.error_event(fault))
                    break
                case Cut(after=after) if said == after and (event.content or after):
                    return await self._cut(fault)
                case Stall(after=after) if said == after:
                    await asyncio.sleep(fault.seconds)
                    fault = None
                case _:
                    pass
            await self._event(event)
            said += event.content
            self.journal.note(self.entry, said=said)
            if scenario.gap_s:
                await asyncio.sleep(scenario.gap_s)
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()
        return True

    async def _cut(self, cut: Cut) -> bool:
        if cut.clean:
            self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()
            return True
        await self.writer.drain()
        await asyncio.sleep(0.05)  # what was written has left before the connection is torn
        self.writer.transport.abort()
        return False

    async def _event(self, event: Event) -> None:
        end = b"\r\n" if self.scenario.crlf else b"\n"
        name = b"event: " + event.name.encode() + end if event.name else b""
        await self._piece(name + b"data: " + event.data + end + end)
        self.journal.note(self.entry, events=self.entry.events + 1)

    async def _piece(self, data: bytes) -> None:
        size = self.scenario.piece_bytes or len(data)
        for start in range(0, len(data), size):
            part = data[start : start + size]
            self.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await self.writer.drain()
            if self.scenario.piece_bytes:
                await asyncio.sleep(0)
