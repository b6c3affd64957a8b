"""The least that a request can cost behind the same server: an ASGI app that answers at once.

A yardstick of the machine for the gateway's CPU, run in the same minute under the same load: uvicorn with
uvloop and httptools, no framework, no parsing, a body of ordinary size.
"""

import argparse
import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop

Message = MutableMapping[str, Any]

_BODY: Final = b'{"choices": [{"message": {"content": "' + b"x" * 640 + b'"}}]}'
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer every request with the same bytes."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def _serve(ready_file: Path, max_seconds: float) -> None:
    config = uvicorn.Config(app, http="httptools", lifespan="off", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        asyncio.get_running_loop().call_later(max_seconds, setattr, server, "should_exit", True)  # noqa: FBT003
        temporary = ready_file.with_name(f"{ready_file.name}.new")
        temporary.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}\n")
        temporary.replace(ready_file)
        await serving


def main() -> None:
    """Serve until SIGTERM or the time is up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--max-seconds", type=float, default=120.0)
    args = parser.parse_args()
    uvloop.run(_serve(args.ready_file, args.max_seconds))


if __name__ == "__main__":
    main()
