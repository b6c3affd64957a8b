"""The simulated providers as one ASGI app, a path for each.

    POST /{provider}/v1/chat/completions    streamed or not, any `Authorization: Bearer sim-...`
    GET  /{provider}/v1/models              ids with the prices of the moment
    GET  /healthz, GET /stats               alive; what each provider was asked and how it ended
    POST /control                           {"provider", "fail": kind or null, "times": n or null}

It keeps what a provider would know of its past (requests taken, repeats, warm prompts) in
bounded memory; everything else is `World`. A forced failure overrides the law of the world.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson

from p402.errors import InvalidApiKey, InvalidInput, NotFound, RequestError, nearest
from p402.units import PICO_PER_USD_PER_MTOK
from sim.providers import wire
from sim.providers.exchange import JSON, SHORTEST_PAUSE_S, ClientLeft, Exchange, Headers, Receive, Scope, Send
from sim.providers.memory import Memory
from sim.providers.spec import Failure
from sim.providers.world import Answer, Ask, World

_SSE = (b"content-type", b"text/event-stream; charset=utf-8")


class ContextExceeded(InvalidInput):
    """The prompt is longer than the model reads."""

    code = "context_length_exceeded"


@dataclass(slots=True)
class _Forced:
    failure: Failure
    times: int | None


@dataclass(slots=True)
class Counts:
    """What a provider was asked and how it ended."""

    served: int = 0
    cancelled: int = 0
    failures: dict[str, int] = field(default_factory=dict)


class SimApp:
    """The ASGI app.

    Parameters
    ----------
    latency_scale
        Real seconds per simulated second: 1 is true to life, 0 answers at once. Hangs scale too,
        but a forced hang lasts `hang_s` real seconds.
    now_s
        Monotonic seconds.
    """

    def __init__(
        self,
        world: World,
        *,
        latency_scale: float = 1.0,
        hang_s: float = 60.0,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.world = world
        self.counts = {name: Counts() for name in world.providers}
        self._scale = latency_scale
        self._hang_s = hang_s
        self._now_s = now_s
        self._opened_s = now_s()
        self._forced: dict[str, _Forced] = {}
        self._asked = Memory()
        self._warm = Memory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        exchange = Exchange(receive, send)
        try:
            await self._route(scope["method"], scope["path"], scope["headers"], exchange)
        except RequestError as error:
            kind = "invalid_request_error"
            body = wire.error_body(error.message, kind, error.code, error.param)
            await exchange.reply(error.status, body)
        except ClientLeft:
            pass
        finally:
            exchange.close()

    async def _route(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], ex: Exchange
    ) -> None:
        match method, path.strip("/").split("/"):
            case "POST", [provider, "v1", "chat", "completions"]:
                _check_key(headers)
                await self._chat(self.world.provider(provider).name, ex)
            case "GET", [provider, "v1", "models"]:
                await ex.reply(200, self._models(self.world.provider(provider).name))
            case "GET", ["healthz"]:
                await ex.reply(200, orjson.dumps({"status": "ok", "simulated": True}))
            case "GET", ["stats"]:
                await ex.reply(200, orjson.dumps({"simulated": True, "providers": self.counts}))
            case "POST", ["control"]:
                self._control(await ex.body())
                await ex.reply(200, orjson.dumps({"ok": True, "simulated": True}))
            case _:
                raise NotFound(f"nothing at {method} {path}; see POST /sim-.../v1/chat/completions")

    def force(self, provider: str, failure: Failure | None, times: int | None = None) -> None:
        """Let a provider fail from now on, or only the next `times` requests; None ends it."""
        name = self.world.provider(provider).name
        self._forced.pop(name, None)
        if failure is not None:
            self._forced[name] = _Forced(failure, times)

    def _control(self, body: bytes) -> None:
        try:
            raw = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"the body is not JSON: {error}") from error
        if not isinstance(raw, dict) or not isinstance(raw.get("provider"), str):
            raise InvalidInput("expected an object with `provider` and `fail`", param="provider")
        fail, times = raw.get("fail"), raw.get("times")
        kinds = tuple(f.value for f in Failure)
        if fail is not None and fail not in kinds:
            hint = nearest(str(fail), kinds)
            raise InvalidInput(
                f"`fail` is {fail!r}; expected one of {', '.join(kinds)} or null{hint}", param="fail"
            )
        if times is not None and (not isinstance(times, int) or times < 1):
            raise InvalidInput(
                f"`times` is {times!r}; expected a whole number above 0 or null", param="times"
            )
        self.force(raw["provider"], None if fail is None else Failure(fail), times)

    def _models(self, provider: str) -> bytes:
        served = self.counts[provider].served
        data = []
        for model in self.world.models.values():
            prices = self.world.prices(provider, model.id, served)
            pricing = {
                "input_usd_per_mtok": prices.input / PICO_PER_USD_PER_MTOK,
                "output_usd_per_mtok": prices.output / PICO_PER_USD_PER_MTOK,
            }
            entry = {"id": model.id, "object": "model", "created": 0, "owned_by": provider}
            data.append(entry | {"simulated": True, "pricing": pricing})
        return orjson.dumps({"object": "list", "data": data})

    def _answer(self, provider: str, question: wire.Question) -> tuple[Answer, Failure | None, bool]:
        counts = self.counts[provider]
        place = blake2b(f"{provider}\0{question.model}".encode(), digest_size=16).digest()
        key = blake2b(question.prompt.encode(errors="surrogatepass"), key=place, digest_size=16).digest()
        attempt = self._asked.get(key)
        warm = max((size for digest, size in question.prefixes if self._warm.get(place + digest)), default=0)
        answer = self.world.answer(
            Ask(
                provider,
                question.model,
                question.prompt,
                other_bytes=question.other_bytes,
                warm_bytes=warm,
                attempt=attempt,
                served=counts.served,
                elapsed_s=self._now_s() - self._opened_s,
                cap=min(question.cap or 2**31, self.world.model(question.model).output_limit),
                n=question.n,
            )
        )
        window = self.world.model(question.model).context_window
        if answer.prompt_tokens > window:
            raise ContextExceeded(
                f"the prompt has {answer.prompt_tokens} tokens; {question.model} reads {window}"
            )
        self._asked.put(key, attempt + 1)
        self._warm.put(place + question.whole[0], 1)
        counts.served += 1
        forced = self._forced.get(provider)
        if forced is None:
            return answer, answer.failure, False
        if forced.times is not None:
            forced.times -= 1
            if forced.times == 0:
                del self._forced[provider]
        return answer, forced.failure, True

    async def _chat(self, provider: str, ex: Exchange) -> None:
        question = wire.parse(await ex.body())
        answer, failure, forced = self._answer(provider, question)
        try:
            if failure is not None:
                counted = self.counts[provider].failures
                counted[failure.value] = counted.get(failure.value, 0) + 1
                await self._fail(provider, question, answer, failure, ex, forced=forced)
            elif question.stream:
                await self._stream(provider, question, answer, ex)
            else:
                await ex.pause((answer.ttft_ms + answer.generation_ms) / 1000 * self._scale)
                body = wire.completion(provider, question, answer, int(time.time()))
                await ex.reply(200, body, _told(answer))
        except ClientLeft:
            self.counts[provider].cancelled += 1
            raise

    async def _stream(
        self, provider: str, question: wire.Question, answer: Answer, ex: Exchange, keep: int | None = None
    ) -> None:
        """Send the events at the model's pace; with `keep`, only so many, and no end."""
        await ex.pause(answer.ttft_ms / 1000 * self._scale)
        events = list(wire.chunks(provider, question, answer, int(time.time())))
        step_s = answer.generation_ms / 1000 * self._scale / len(events)
        await ex.start(200, [_SSE, *_told(answer)])
        due_s, ready = 0.0, b""
        for event in events[:keep]:
            ready += event
            due_s += step_s
            if due_s >= SHORTEST_PAUSE_S:
                await ex.part(ready)
                await ex.pause(due_s)
                due_s, ready = 0.0, b""
        if keep is None:
            await ex.part(ready, last=True)
        elif ready:
            await ex.part(ready)

    async def _fail(
        self,
        provider: str,
        question: wire.Question,
        answer: Answer,
        failure: Failure,
        ex: Exchange,
        *,
        forced: bool,
    ) -> None:
        match failure:
            case Failure.HANG:
                await ex.pause(self._hang_s * (1.0 if forced else self._scale))
                await ex.reply(wire.STATUS[failure][0], wire.failure_body(provider, failure))
            case Failure.CUT if question.stream:
                await self._stream(provider, question, answer, ex, keep=2)
            case Failure.CUT:
                body = wire.completion(provider, question, answer, int(time.time()))
                await ex.start(200, [JSON, (b"content-length", b"%d" % len(body))])
                await ex.part(body[: len(body) // 2])
            case Failure.ERROR_EVENT if question.stream:
                # Half of them before any content, where a client can still go elsewhere.
                await self._stream(provider, question, answer, ex, keep=1 + int(answer.id[-1], 16) % 2)
                await ex.part(b"data: " + wire.failure_body(provider, failure) + b"\n\n", last=True)
            case _:
                status = wire.STATUS[failure][0]
                await ex.reply(status, wire.failure_body(provider, failure), self._wait(status, answer))

    def _wait(self, status: int, answer: Answer) -> Headers:
        if status not in (429, 503):
            return []
        wait_s = answer.retry_after_s * self._scale
        return [
            (b"retry-after", b"%d" % max(1, -int(-wait_s // 1))),
            (b"retry-after-ms", b"%d" % max(1, round(wait_s * 1000))),
        ]


def _check_key(headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"authorization" and value.startswith(b"Bearer sim-"):
            return
    raise InvalidApiKey("no simulated key; expected the header `Authorization: Bearer sim-...`")


def _told(answer: Answer) -> Headers:
    return [(b"x-sim-quality", repr(answer.quality).encode())]
