"""A TCP proxy in front of a server, which delays, swallows, cuts and resets."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """What happens to replies, from now on; what tests change while it runs.

    Attributes
    ----------
    delay_s
        Before replies are passed on.
    swallow
        Replies, and commands of connections made from now on, come to nothing.
    cut
        After so many more bytes of replies the connection ends; None for never.
    reset
        A command resets its connection.
    """

    port: int = 0
    delay_s: float = 0.0
    swallow: bool = False
    cut: int | None = None
    reset: bool = False
    connections: int = 0
    open: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    async def up(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await client.read(1 << 16):
            if self.reset:
                raise ConnectionResetError
            if not self.swallow:
                server.write(data)

    async def down(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while data := await server.read(1 << 16):
            await asyncio.sleep(self.delay_s)
            if self.swallow:
                continue
            if self.cut is not None:
                data, self.cut = data[: self.cut], max(0, self.cut - len(data))
            client.write(data)
            if self.cut == 0:
                await client.drain()
                self.cut = None
                return

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        self.open += 1
        ways: list[asyncio.Task[None]] = []
        ends = [writer]
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target)
            ends.append(back)
            ways += [
                asyncio.create_task(self.up(reader, back)),
                asyncio.create_task(self.down(there, writer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass
        finally:
            self.open -= 1
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if self.reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            for end in ends:
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()


@asynccontextmanager
async def proxy(target: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """A proxy to a port of loopback, gone after the block with all of its connections."""
    between = Proxy()
    listening = await asyncio.start_server(
        lambda reader, writer: between.serve(reader, writer, target), "127.0.0.1", 0, ssl=tls
    )
    between.port = listening.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        listening.close()
        if (
            between.tasks
        ):  # most end by themselves; one cancelled while it connects would leave its socket open
            await asyncio.wait(between.tasks, timeout=1)
        for task in between.tasks:
            task.cancel()
        await asyncio.gather(*between.tasks, return_exceptions=True)
