"""Failure modes 19, 20 and 21: usage that is missing, cached tokens billed twice, costs that nobody knows.

A worker with all its real hands, before a provider on loopback that behaves as the providers at fault did.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest

from p402.store.config import configure
from serve.handlers.chat import chat
from serve.handlers.front import answer
from serve.http import HttpReply, HttpRequest
from serve.worker import Worker
from tests.serve.test_command import rows
from tests.serve.test_cost_truth import nano, read, recomputed
from tests.serve.upstream.loopback import DONE, ROLE, Exchange, chunk_of, loopback

PRICED = {
    "id": "m",
    "context_window": 8_000,
    "output_limit": 1_000,
    "input_usd_per_mtok": 10,
    "output_usd_per_mtok": 40,
    "cache_read_usd_per_mtok": 1,
    "cache_write_usd_per_mtok": Decimal("12.5"),
    "cache_write_1h_usd_per_mtok": 20,
}
STOP = chunk_of(finish="stop")
USED = {"prompt_tokens": 100, "completion_tokens": 10}


def whole(usage: object, **more: object) -> dict:
    choice = {"index": 0, "message": {"role": "assistant", "content": "x" * 40}, "finish_reason": "stop"}
    return {"id": "c", "choices": [choice], **({} if usage is None else {"usage": usage}), **more}


class Scene:
    """A worker before one provider, and what was said."""

    def __init__(self, worker: Worker, requests: list[Exchange]) -> None:
        self.worker, self.requests = worker, requests

    async def ask(self, **fields: object) -> HttpReply:
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100, **fields}
        return await answer(
            self.worker.front, chat, HttpRequest("POST", "/v1/chat/completions", {}, orjson.dumps(body))
        )

    async def told(self, **fields: object) -> dict:
        """Metadata of a whole answer, or of the last event of a stream that carries it."""
        reply = await self.ask(**fields)
        assert reply.status == 200, reply.body
        if isinstance(reply.body, bytes):
            return read(reply.body)["p402_metadata"]
        return read((await said(reply))[-1])["p402_metadata"]

    async def books(self) -> tuple[int, int]:
        """Nano-USD spent and held."""
        return await self.worker.front.flow.ports.guard.spent("default")


async def said(reply: HttpReply) -> list[bytes]:
    """Every event of a stream but `[DONE]`."""
    data = b"".join([piece async for piece in reply.body])
    await reply.body.aclose()
    found = [event.removeprefix(b"data: ") for event in data.split(b"\n\n") if event]
    return [event for event in found if event != b"[DONE]"]


@asynccontextmanager
async def scene(folder, play, *models: dict, **tenant: object) -> AsyncIterator[Scene]:
    async with loopback(play) as provider:
        server = {"state": f"sqlite:///{folder}/state.db"}
        server |= {name: f"{folder}/{name}" for name in ("log", "store", "registry")}
        offer = {"base_url": provider.url, "models": list(models) or [PRICED]}
        document = {"server": server, "providers": {"acme": offer}, "tenants": {"default": tenant}}
        worker = Worker(configure(document, {}))
        await worker.start()
        try:
            yield Scene(worker, provider.requests)
        finally:
            await worker.stop()


def answering(reply: dict):
    async def play(exchange: Exchange) -> None:
        await exchange.json(reply)

    return play


def streaming(*events: bytes):
    async def play(exchange: Exchange) -> None:
        await exchange.begin()
        for event in events:
            await exchange.send(event)
        await exchange.end()

    return play


def usage_event(**usage: object) -> bytes:
    return b"data: " + orjson.dumps({"choices": [], "usage": usage}) + b"\n\n"


class TestMode19UsageMissingInAStream:
    def test_usage_is_always_asked_for_and_kept_from_a_client_that_did_not(self, tmp_path):
        last = usage_event(prompt_tokens=100, completion_tokens=10)

        async def run():
            async with scene(tmp_path, streaming(ROLE, chunk_of("hi"), STOP, last, DONE)) as stage:
                events = await said(await stage.ask(stream=True))
                return events, stage.requests[0].body["stream_options"], await stage.books()

        events, asked, books = asyncio.run(run())
        assert asked == {"include_usage": True}
        assert not any(b'"usage"' in event for event in events)
        told = read(events[-1])["p402_metadata"]
        assert nano(told["cost_usd"]) == recomputed(told) == 100 * 10_000 + 10 * 40_000
        assert told["usage_estimated"] is False
        assert books == (1_400_000, 0)

    @pytest.mark.parametrize("stream", [True, False])
    def test_a_provider_that_tells_none_is_charged_by_what_it_said_and_the_estimate_is_marked(
        self, tmp_path, stream
    ):
        play = streaming(ROLE, chunk_of("x" * 40), STOP, DONE) if stream else answering(whole(None))

        async def run():
            async with scene(tmp_path, play) as stage:
                return await stage.told(stream=stream), await stage.books()

        told, books = asyncio.run(run())
        cost = recomputed(told)
        assert nano(told["cost_usd"]) == cost >= 10 * 40_000  # 40 bytes are 10 tokens
        assert told["usage_estimated"] is True
        assert any(w.startswith("usage_estimated") for w in told["warnings"])
        assert books == (cost, 0)
        (row,) = [r for r in rows(tmp_path) if r["kind"] == "outcome"]
        assert (row["cost_nano"], row["usage_estimated"]) == (cost, True)

    def test_a_stream_that_broke_after_content_is_charged_and_told_in_its_error_event(self, tmp_path):
        async def run():
            async with scene(tmp_path, streaming(ROLE, chunk_of("x" * 40))) as stage:
                return (await said(await stage.ask(stream=True)))[-1], await stage.books()

        event, books = asyncio.run(run())
        assert "error" in read(event)
        told = read(event)["p402_metadata"]
        (attempt,) = told["attempts"]
        assert (attempt["status"], attempt["output_tokens"]) == ("failed", 10)
        assert nano(told["cost_usd"]) == recomputed(told) == books[0] > 0


class TestMode20CachedTokens:
    @pytest.mark.parametrize(
        ("details", "cost"),
        [
            ({"prompt_tokens_details": {"cached_tokens": 60}}, 40 * 10_000 + 60 * 1_000),
            ({"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40}, 40 * 10_000 + 60 * 1_000),
            ({"cached_tokens": 60}, 40 * 10_000 + 60 * 1_000),
            ({"prompt_tokens_details": {"cache_write_tokens": 60}}, 40 * 10_000 + 60 * 12_500),
            (
                {"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 60}},
                10 * 10_000 + 30 * 1_000 + 60 * 12_500,
            ),
            (
                {"prompt_tokens_details": {"cached_tokens": 90, "cache_write_tokens": 90}},
                90 * 1_000 + 10 * 12_500,
            ),
            ({}, 100 * 10_000),
        ],
    )
    @pytest.mark.parametrize("stream", [True, False])
    def test_every_token_of_a_prompt_is_billed_once_in_its_class(self, tmp_path, stream, details, cost):
        used = {"prompt_tokens": 100, "completion_tokens": 10, **details}
        play = answering(whole(used))
        if stream:
            play = streaming(ROLE, chunk_of("hi"), STOP, usage_event(**used), DONE)

        async def run():
            async with scene(tmp_path, play) as stage:
                return await stage.told(stream=stream), await stage.books()

        told, books = asyncio.run(run())
        assert nano(told["cost_usd"]) == recomputed(told) == cost + 10 * 40_000
        assert books == (cost + 10 * 40_000, 0)
        (attempt,) = told["attempts"]
        assert attempt["input_tokens"] == told["input_tokens"] == 100
        assert attempt["cached_tokens"] + attempt["cache_write_tokens"] <= 100

    def test_reasoning_is_part_of_the_output_and_not_billed_beside_it(self, tmp_path):
        inside = {"completion_tokens_details": {"reasoning_tokens": 8}}
        used = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, **inside}

        async def run():
            async with scene(tmp_path, answering(whole(used))) as stage:
                return await stage.told()

        told = asyncio.run(run())
        assert nano(told["cost_usd"]) == 100 * 10_000 + 10 * 40_000
        assert told["reasoning_tokens"] == 8


class TestMode21ZeroCostTakenAsTruth:
    @pytest.mark.parametrize("known", ["input_usd_per_mtok", "output_usd_per_mtok", None])
    def test_a_model_without_both_prices_is_refused_before_anything_is_sent(self, tmp_path, known):
        unpriced = {"id": "m", "context_window": 8_000, **({known: 1} if known else {})}

        async def run():
            async with scene(tmp_path, answering(whole(USED)), unpriced) as stage:
                return await stage.ask(), len(stage.requests), await stage.books()

        reply, sent, books = asyncio.run(run())
        error = orjson.loads(reply.body)["error"]
        assert (reply.status, error["reasons"]) == (503, {"acme/m": "price_unknown"})
        assert (sent, books) == (0, (0, 0))

    @pytest.mark.parametrize("stream", [True, False])
    def test_an_answer_billed_at_another_service_tier_costs_null_and_takes_what_was_held(
        self, tmp_path, stream
    ):
        flex = orjson.dumps({"choices": [], "usage": USED, "service_tier": "flex"})
        play = streaming(ROLE, chunk_of("hi"), STOP, b"data: " + flex + b"\n\n", DONE)
        if not stream:
            play = answering(whole(USED, service_tier="flex"))

        async def run():
            async with scene(tmp_path, play) as stage:
                told = await stage.told(stream=stream)
                return told, await stage.books(), stage.worker.front.meter.collect()

        told, books, counted = asyncio.run(run())
        (attempt,) = told["attempts"]
        assert told["cost_usd"] is told["savings"] is attempt["cost_usd"] is attempt["price"] is None
        assert (attempt["service_tier"], attempt["input_tokens"]) == ("flex", 100)
        assert any(w.startswith("price_unknown") and "service tier 'flex'" in w for w in told["warnings"])
        (row,) = [r for r in rows(tmp_path) if r["kind"] == "outcome"]
        assert books == (row["hold_nano"], 0)
        assert row["hold_nano"] > 100 * 40_000
        assert row["cost_nano"] is None
        assert counted["p402_unpriced_total"] == 1

    def test_no_header_tells_a_cost_that_is_not_known(self, tmp_path):
        async def run():
            async with scene(tmp_path, answering(whole(USED, service_tier="flex"))) as stage:
                return await stage.ask()

        assert b"x-p402-cost-usd" not in dict(asyncio.run(run()).headers)

    def test_a_price_of_zero_is_a_price_and_costs_zero_without_a_warning(self, tmp_path):
        free = {"id": "m", "context_window": 8_000, "input_usd_per_mtok": 0, "output_usd_per_mtok": 0}

        async def run():
            async with scene(tmp_path, answering(whole(USED)), free) as stage:
                return await stage.told()

        told = asyncio.run(run())
        assert told["cost_usd"] == 0
        assert not any(w.startswith("price_unknown") for w in told["warnings"])

    def test_the_standard_tier_by_any_of_its_names_is_priced(self, tmp_path):
        names = iter(("default", "standard", "on_demand", "auto"))

        async def play(exchange: Exchange) -> None:
            await exchange.json(whole(USED, service_tier=next(names)))

        async def run():
            async with scene(tmp_path, play) as stage:
                return [await stage.told() for _ in range(4)]

        assert {nano(told["cost_usd"]) for told in asyncio.run(run())} == {100 * 10_000 + 10 * 40_000}
