"""One client process of the demonstration: an application that uses the official `openai` package.

Its only settings are the two that any OpenAI application has, `OPENAI_BASE_URL` and
`OPENAI_API_KEY`. It reads sessions from a file, asks, judges each answer as the simulated
provider's `sim.quality` says, posts outcomes, and writes one line per request.

Retries of the client are off, so that one request is one round: failures are counted, not hidden.

    python -m experiments.demonstration.client --plan FILE --out FILE --concurrency N --max-seconds S
"""

import argparse
import asyncio
import sys
from collections import deque
from pathlib import Path
from typing import IO, Any

import msgspec
import uvloop
from openai import APIError, APIStatusError, AsyncOpenAI

from experiments.demonstration.plan import Ask, Judged, Session

SOURCE = "judge"
"""Who the outcomes say they are from."""


class Record(msgspec.Struct, frozen=True):
    """What came of one request, as the client saw it.

    Attributes
    ----------
    status
        `ok`; `failed` where the request, or its stream after the first content, ended in an error.
    posted
        When its outcome was posted; `never` for failures, which need none: the gateway saw them.
    quality
        The judge's, in [0, 1].
    """

    number: int
    mode: str
    session: str | None
    stream: bool
    status: str
    request_id: str | None
    posted: Judged
    code: str | None = None
    snapshot_id: str | None = None
    cost_usd: float | None = None
    direct_cost: float | None = None
    overhead_ms: float | None = None
    quality: float | None = None


class Answered(msgspec.Struct, frozen=True):
    """A whole answer: its `p402_metadata` and the judge's word on it."""

    metadata: dict[str, Any]
    quality: float


def main(argv: list[str]) -> int:
    """Run a share of the traffic; 0 once every request has its line, 1 if time ran out."""
    parser = argparse.ArgumentParser(prog="experiments.demonstration.client")
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--max-seconds", type=float, required=True)
    args = parser.parse_args(argv)
    sessions = msgspec.json.decode(args.plan.read_bytes(), type=tuple[Session, ...])
    with args.out.open("wb", buffering=0) as out:
        try:
            uvloop.run(_within(args.max_seconds, sessions, out, args.concurrency))
        except TimeoutError:
            print(f"client: not done within {args.max_seconds:g} s; stopped", file=sys.stderr)
            return 1
    return 0


async def _within(seconds: float, sessions: tuple[Session, ...], out: IO[bytes], concurrency: int) -> None:
    async with asyncio.timeout(seconds), AsyncOpenAI(max_retries=0) as client:
        await Traffic(client, sessions, out).run(concurrency)


class Traffic:
    """Sessions under way; each is asked in order, several at a time."""

    def __init__(self, client: AsyncOpenAI, sessions: tuple[Session, ...], out: IO[bytes]) -> None:
        self._client = client
        self._sessions = deque(sessions)
        self._out = out
        self._late: deque[tuple[str, float]] = deque()

    async def run(self, concurrency: int) -> None:
        """Ask everything, then post what is to come late."""
        await _together(self._ask_sessions, concurrency)
        await _together(self._post_late, concurrency)

    async def _ask_sessions(self) -> None:
        while self._sessions:
            session = self._sessions.popleft()
            for ask in session.asks:
                self._out.write(msgspec.json.encode(await self._exchange(session, ask)) + b"\n")

    async def _post_late(self) -> None:
        while self._late:
            await self._post(*self._late.popleft())

    async def _exchange(self, session: Session, ask: Ask) -> Record:
        base = Record(ask.number, session.mode, session.id, ask.stream, "failed", None, "never")
        try:
            answered = await (self._streamed if ask.stream else self._whole)(request_of(session, ask))
        except APIError as error:
            return msgspec.structs.replace(base, code=error.code, request_id=_id_of(error))
        request_id: str = answered.metadata["request_id"]
        match ask.judged:
            case "now":
                await self._post(request_id, answered.quality)
            case "late":
                self._late.append((request_id, answered.quality))
            case "never":
                pass
        said = {
            name: answered.metadata[name]
            for name in ("request_id", "snapshot_id", "cost_usd", "direct_cost", "overhead_ms")
        }
        return msgspec.structs.replace(base, status="ok", posted=ask.judged, quality=answered.quality, **said)

    async def _whole(self, request: dict[str, Any]) -> Answered:
        answer = await self._client.chat.completions.create(**request)
        extra = answer.model_extra or {}
        return Answered(extra["p402_metadata"], extra["sim"]["quality"])

    async def _streamed(self, request: dict[str, Any]) -> Answered:
        metadata, quality = None, None
        async with await self._client.chat.completions.create(**request, stream=True) as stream:
            async for chunk in stream:
                extra = chunk.model_extra or {}
                if "sim" in extra:
                    quality = extra["sim"]["quality"]
                metadata = extra.get("p402_metadata", metadata)
        if metadata is None or quality is None:
            raise RuntimeError("a stream ended well without `p402_metadata` or without `sim`")
        return Answered(metadata, quality)

    async def _post(self, request_id: str, quality: float) -> None:
        status = "accepted" if quality >= 0.5 else "rejected"
        body = {"request_id": request_id, "status": status, "quality_score": quality, "source": SOURCE}
        await self._client.post("/outcomes", cast_to=object, body=body)


def request_of(session: Session, ask: Ask) -> dict[str, Any]:
    """Arguments of `chat.completions.create`: the mode in `p402`, or in the name of the model alone."""
    messages = [{"role": "user", "content": ask.prompt}]
    if session.id is None:
        return {"model": f"p402/{session.mode}", "messages": messages}
    options = {"mode": session.mode, "session_id": session.id}
    return {"model": "auto", "messages": messages, "extra_body": {"p402": options}}


async def _together(work: Any, concurrency: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())


def _id_of(error: APIError) -> str | None:
    """Request id of an error answer, or of an error event within a stream."""
    if isinstance(error, APIStatusError):
        found: str | None = error.response.headers.get("x-p402-request-id")
        return found
    body = error.body
    return body.get("request_id") if isinstance(body, dict) else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
