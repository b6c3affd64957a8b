"""Answers that are given again, as the official client sees them: no provider is called, and nothing is paid.

The gateway is a whole worker in front of a provider on loopback that counts its calls; in one half of the
tests its cache is its own memory, in the other Redis.
"""

from contextlib import contextmanager, nullcontext

import httpx
import openai
import pytest

from serve.embedding.embedder import Embedder
from serve.embedding.make import make_embedder
from serve.metadata import metadata_fields
from tests.conformance.cache import AGAIN, ASKED, AT_80, AT_96, OTHERWISE, SAID, Table
from tests.serve.failure_modes.whole import Whole, until, whole_gateway
from tests.serve.redis.cluster_server import ask
from tests.serve.redis.server import Server
from tests.serve.test_command import answer
from tests.serve.test_kill import lines
from tests.serve.test_metadata import metadata
from tests.serve.upstream.loopback import DONE, ROLE, USAGE, Exchange, chunk_of

FEE = {"fee_bps": 500, "cache_in_cost_mode": "true", "baseline_model": '"m"'}
ON = {"p402": {"cache": True}}


@pytest.fixture(params=["memory", "redis"])
def store(request, redis: Server) -> str | None:
    if request.param == "memory":
        return None
    ask(redis, "FLUSHALL")
    return redis.url


@contextmanager
def served(folder, store, provider=answer, tenant=None, **more):
    with whole_gateway(folder, provider, redis=store, tenant={**FEE, **(tenant or {})}, **more) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/v1"
        with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=20) as client:
            until(lambda: httpx.get(f"http://127.0.0.1:{gateway.port}/readyz").status_code == 200)
            yield gateway, client.chat.completions


def say(chat, text=SAID, **fields):
    return chat.create(
        **{"model": "p402/cost", "messages": [{"role": "user", "content": text}], "temperature": 0, **fields}
    )


def kept(gateway: Whole, chat, text=SAID, **fields):
    """Ask until the answer comes from the cache; the provider was called once for it."""
    before = gateway.called()["a"]
    first = say(chat, text, **fields)
    if fields.get("stream"):
        list(first)
    until(lambda: stats(gateway)["entries"] > 0)
    assert gateway.called()["a"] == before + 1
    return first


def stats(gateway: Whole) -> dict:
    return httpx.get(f"http://127.0.0.1:{gateway.port}/v1/cache/stats").json()


def call(gateway: Whole, method: str, path: str) -> httpx.Response:
    return httpx.request(method, f"http://127.0.0.1:{gateway.port}/v1/cache/{path}")


def hits(gateway: Whole) -> list[dict]:
    return [row for row in lines(gateway.folder) if row["kind"] == "cache_hit"]


def free(found: dict) -> None:
    """Metadata of a hit: all of P9's, and P11's word that nothing was spent."""
    assert found.keys() == metadata_fields(metadata()).keys()
    assert (found["cached"], found["provider"], found["model"]) == (True, "cache", "m")
    assert (found["cost_usd"], found["platform_fee_usd"], found["provider_latency_ms"]) == (0, 0, 0)
    assert (found["input_tokens"], found["output_tokens"]) == (11, 3)
    assert found["direct_cost"] == found["savings"] == pytest.approx(14e-6)
    assert found["latency_ms"] == found["overhead_ms"] == found["ttfb_ms"] > 0
    assert found["attempts"] == []
    assert found["routing_mode"] == "cost"
    assert found["tenant_id"] == "default"


def test_p11_an_exact_repeat_is_answered_without_a_provider_at_no_cost(tmp_path, store):
    with served(tmp_path, store) as (gateway, chat):
        first = kept(gateway, chat)
        assert first.p402_metadata["platform_fee_usd"] > 0
        raw = chat.with_raw_response.create(
            model="p402/cost", messages=[{"role": "user", "content": SAID}], temperature=0
        )
        again = raw.parse()
        assert again.choices == first.choices
        assert again.usage == first.usage
        assert gateway.called() == {"a": 1}
        free(again.p402_metadata)
        assert again.p402_metadata["cache_similarity"] == 1
        assert again.p402_metadata["cache_entry_id"] == first.p402_metadata["request_id"]
        assert again.p402_metadata["request_id"] != first.p402_metadata["request_id"]
        assert raw.headers["x-p402-cached"] == "true"
        assert raw.headers["x-p402-provider"] == "cache"
        assert float(raw.headers["x-p402-cost-usd"]) == 0
        (row,) = hits(gateway)
        assert (row["id"], row["entry"], row["tier"]) == (
            again.p402_metadata["request_id"],
            first.p402_metadata["request_id"],
            "exact",
        )
        (day,) = [
            layer for layer in gateway.budget()["layers"] if layer["code"] == "DAILY_SPEND_LIMIT_EXCEEDED"
        ]
        assert day["used"] == pytest.approx(14e-6 * 1.05, abs=1e-9), "the first answer alone was paid"


@pytest.mark.parametrize("kept_as_stream", [False, True])
def test_p9_a_streamed_hit_carries_the_metadata_and_the_usage_that_was_asked_for(
    tmp_path, store, kept_as_stream
):
    with served(tmp_path, store) as (gateway, chat):
        kept(gateway, chat, stream=kept_as_stream)
        for options in ({}, {"stream_options": {"include_usage": True}}):
            raw = chat.with_raw_response.create(
                model="p402/cost",
                messages=[{"role": "user", "content": SAID}],
                temperature=0,
                stream=True,
                **options,
            )
            assert raw.headers["x-p402-cached"] == "true"
            chunks = list(raw.parse())
            assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hi"
            assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
            assert chunks[-1].choices == []
            free(chunks[-1].p402_metadata)
            told = [chunk.usage.total_tokens for chunk in chunks if chunk.usage is not None]
            assert told == ([14] if options else [])
        assert gateway.called() == {"a": 1}


def test_p11_a_prompt_that_says_the_same_is_answered_and_one_that_does_not_is_not(tmp_path, store):
    table = Table({SAID: ASKED, AGAIN: AT_96, OTHERWISE: ASKED, f"{SAID}  ": AT_80})
    with served(tmp_path, store, embedder=table) as (gateway, chat):
        assert stats(gateway)["by_meaning"]["on"] is True
        first = kept(gateway, chat)
        near = say(chat, AGAIN)
        free(near.p402_metadata)
        assert 0.92 < near.p402_metadata["cache_similarity"] < 1
        assert near.p402_metadata["cache_entry_id"] == first.p402_metadata["request_id"]
        assert gateway.called() == {"a": 1}
        assert [row["tier"] for row in hits(gateway)] == ["semantic"]
        for other in (OTHERWISE, f"{SAID}  "):  # the guards; the cosine
            assert say(chat, other).p402_metadata["cached"] is False
        assert gateway.called() == {"a": 3}


def test_p11_the_installed_model_and_the_guards_tell_other_words_from_another_question(tmp_path):
    made = make_embedder(wait_ms=60_000)  # a busy machine must not make a miss of it
    assert isinstance(made, Embedder)
    with served(tmp_path, None, embedder=made) as (gateway, chat):
        assert stats(gateway)["by_meaning"]["model"] == made.id
        kept(gateway, chat, "How do I reset my password?")
        for same in ("How can I reset my password?", "What is the way to reset my password?"):
            told = say(chat, same).p402_metadata
            free(told)
            assert 0.92 < told["cache_similarity"] < 1
        assert gateway.called() == {"a": 1}
        for other in ("How do I delete my password?", "How do I reset my passwords on 2 phones?"):
            assert say(chat, other).p402_metadata["cached"] is False
        assert gateway.called() == {"a": 3}
    assert made.collect()["p402_cache_embeds_total"] == 5


def test_p11_whatever_differs_beside_the_last_words_is_asked_anew(tmp_path, store):
    with served(tmp_path, store, embedder=Table({SAID: ASKED, AGAIN: AT_96})) as (gateway, chat):
        kept(gateway, chat)
        for n, other in enumerate(
            (
                {"temperature": 0.5},
                {"max_tokens": 7},
                {"extra_body": {"p402": {"max_cost": 0.5}}},
                {"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": SAID}]},
                {"messages": [{"role": "user", "content": AGAIN}], "seed": 1},
            )
        ):
            assert say(chat, **other).p402_metadata["cached"] is False
            assert gateway.called() == {"a": 2 + n}


def test_p11_a_wrong_hit_is_deleted_by_the_id_that_it_carries(tmp_path, store):
    with served(tmp_path, store) as (gateway, chat):
        kept(gateway, chat)
        entry = say(chat).p402_metadata["cache_entry_id"]
        assert call(gateway, "DELETE", f"entries/{entry}").json()["deleted"] is True
        assert call(gateway, "DELETE", f"entries/{entry}").status_code == 404
        assert say(chat).p402_metadata["cached"] is False
        assert gateway.called() == {"a": 2}
        until(lambda: stats(gateway)["entries"] == 1)
        cleared = call(gateway, "POST", "clear").json()
        assert (cleared["cleared"], cleared["kept_in"]) == (1, "worker" if store is None else "redis")
        assert say(chat).p402_metadata["cached"] is False
        found = stats(gateway)
        assert (found["hits"], found["misses"]) == ({"exact": 1, "semantic": 0}, 3)


def test_p12_a_hit_takes_a_request_of_the_rate_and_is_refused_without_one(tmp_path, store):
    with served(tmp_path, store, tenant={"requests_per_hour": 3}) as (gateway, chat):
        kept(gateway, chat)
        for _ in range(2):
            assert say(chat).p402_metadata["cached"] is True
        with pytest.raises(openai.RateLimitError) as refused:
            say(chat)
        assert refused.value.code == "RATE_LIMIT_EXCEEDED"
        assert int(refused.value.response.headers["retry-after"]) > 0
        assert gateway.called() == {"a": 1}


def test_a_retry_under_an_idempotency_key_has_the_same_hit_byte_for_byte(tmp_path, store):
    with served(tmp_path, store) as (gateway, chat):
        kept(gateway, chat)
        told = []
        for _ in range(2):
            raw = chat.with_raw_response.create(
                model="p402/cost",
                messages=[{"role": "user", "content": SAID}],
                temperature=0,
                extra_headers={"idempotency-key": "one"},
            )
            told.append(raw.content)
        assert told[0] == told[1]
        assert len(hits(gateway)) == 1
        assert gateway.called() == {"a": 1}


def test_cost_mode_uses_the_cache_by_itself_and_the_others_where_they_are_told_to(tmp_path, store):
    with served(tmp_path, store) as (gateway, chat):
        kept(gateway, chat)
        off = say(chat, extra_body={"p402": {"cache": False}})
        assert off.p402_metadata["cached"] is False
        assert not [warning for warning in off.p402_metadata["warnings"] if "cache" in warning]
        for _ in range(2):
            assert say(chat, model="p402/quality").p402_metadata["cached"] is False
        assert say(chat, model="p402/quality", extra_body=ON).p402_metadata["cached"] is False
        until(lambda: stats(gateway)["entries"] == 2)
        assert say(chat, model="p402/quality", extra_body=ON).p402_metadata["cached"] is True


def test_a_tenant_that_said_no_is_asked_for_it(tmp_path, store):
    with served(tmp_path, store, tenant={"cache_in_cost_mode": "false"}) as (gateway, chat):
        for _ in range(2):
            assert say(chat).p402_metadata["cached"] is False
        assert stats(gateway)["entries"] == 0
        assert say(chat, extra_body=ON).p402_metadata["cached"] is False
        until(lambda: stats(gateway)["entries"] == 1)
        assert say(chat, extra_body=ON).p402_metadata["cached"] is True


def test_what_was_cut_refused_or_failed_is_not_given_again(tmp_path, store):
    ends = {
        "cut": (ROLE, chunk_of("h")),
        "long": (ROLE, chunk_of("h"), chunk_of(finish="length"), USAGE, DONE),
        "filtered": (ROLE, chunk_of("h"), chunk_of(finish="content_filter"), USAGE, DONE),
    }

    async def play(x: Exchange) -> None:
        await x.begin()
        for event in ends[x.body["messages"][-1]["content"]]:
            await x.send(event)
        await x.end()

    with served(tmp_path, store, play) as (gateway, chat):
        for text in ends:
            for _ in range(2):
                with pytest.raises(openai.APIError) if text == "cut" else nullcontext():
                    list(say(chat, text, stream=True))
        assert gateway.called() == {"a": 6}
        assert stats(gateway)["entries"] == 0


def test_p11_two_gateways_of_one_redis_give_and_take_back_what_either_keeps(tmp_path, redis: Server):
    ask(redis, "FLUSHALL")
    for name in "ab":
        (tmp_path / name).mkdir()
    with (
        served(tmp_path / "a", redis.url, embedder=Table({SAID: ASKED, AGAIN: AT_96})) as (one, chat),
        served(tmp_path / "b", redis.url, embedder=Table({SAID: ASKED, AGAIN: AT_96})) as (
            other,
            others_chat,
        ),
    ):
        first = kept(one, chat)
        for text in (SAID, AGAIN):
            found = say(others_chat, text).p402_metadata
            free(found)
            assert found["cache_entry_id"] == first.p402_metadata["request_id"]
        assert other.called() == {"a": 0}
        assert (
            call(other, "DELETE", f"entries/{first.p402_metadata['request_id']}").json()["kept_in"] == "redis"
        )
        assert say(chat, AGAIN).p402_metadata["cached"] is False
        assert one.called() == {"a": 2}
