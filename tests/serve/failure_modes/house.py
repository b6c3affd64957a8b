"""A real gateway on a port of loopback, before providers of the test's own, and the official client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import openai
import uvicorn

from p402.store.config import configure
from serve.app import create_app
from serve.server import server_config
from serve.worker import Worker
from tests.serve.gateway import listening

MODEL = {"id": "m", "context_window": 8_000, "output_limit": 1_000}


@dataclass
class House:
    """One worker, and its client, which retries nothing by itself."""

    worker: Worker
    client: openai.AsyncOpenAI

    async def say(self, text: str = "Hi", *, stream: bool = False, **extra):
        """One request to its end: the text that came, or the client's own exception."""
        reply = await self.client.chat.completions.create(
            model="p402/cost",
            messages=[{"role": "user", "content": text}],
            stream=stream,
            extra_body=extra,
        )
        if stream:
            return "".join([c.choices[0].delta.content or "" async for c in reply if c.choices])
        return reply.choices[0].message.content

    @property
    def live(self):
        """Live columns that decisions see, by arm."""
        return self.worker.front.flow.state.health.table

    async def look(self) -> None:
        """Wait until what was observed may be a delta: a second after the last."""
        await asyncio.sleep(1.05)


@contextlib.asynccontextmanager
async def house(folder: Path, *urls: str, **server) -> AsyncIterator[House]:
    """Serve before providers `p0`, `p1`, ...: each dearer than the one before, all with the model `m`."""
    document = {
        "server": {
            "state": f"sqlite:///{folder}/state.db", "log": f"{folder}/log", "store": f"{folder}/store",
            "registry": f"{folder}/registry", **server,
        },
        "tenants": {
            "default": {"exploration": False, "max_in_flight": 1_000, "cache_in_cost_mode": False}
        },
        "providers": {
            f"p{k}": {
                "base_url": url,
                "api_key": "sk-of-the-operator",
                "models": [MODEL | {"input_usd_per_mtok": 1 + k, "output_usd_per_mtok": 2 + 2 * k}],
            }
            for k, url in enumerate(urls)
        },
    }  # fmt: skip
    worker = Worker(configure(document, {}))
    config = server_config(create_app(worker.front, worker.start, worker.stop))
    with listening() as listener:
        gateway = uvicorn.Server(config)
        gateway.capture_signals = contextlib.nullcontext  # the test's own loop has them
        serving = asyncio.create_task(gateway.serve([listener]))
        try:
            async with asyncio.timeout(20):
                while not gateway.started:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.01)
            port = listener.getsockname()[1]
            async with openai.AsyncOpenAI(
                base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0, timeout=20
            ) as client:
                yield House(worker, client)
        finally:
            gateway.should_exit = True
            await serving
