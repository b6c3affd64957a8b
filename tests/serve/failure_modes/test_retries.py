"""Failure modes 8 and 10 to 13 of the reliability study: retries, and what a failure says of a provider.

By a real gateway, real HTTP providers on loopback and the official client, without retries of its own.
"""

import asyncio
from contextlib import AsyncExitStack
from email.utils import formatdate
from time import time

import openai
import pytest

from p402.flow.budget import FLOOR
from p402.routing.breaker import OPEN_AFTER
from tests.serve.failure_modes.house import house
from tests.serve.test_command import answer
from tests.serve.upstream.loopback import loopback

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def says(status: str, body: object = b"{}", headers: str = ""):
    """A provider that always answers this."""

    async def reply(exchange) -> None:
        await exchange.json(body, status, headers)

    return reply


def error(code: str, message: str = "no"):
    return {"error": {"code": code, "message": message, "type": "x"}}


async def hangs_up(exchange) -> None:
    """Takes a request and closes the connection without a word."""
    exchange.writer.close()


def scene(tmp_path, *replies, **server):
    """Run `story(house, *providers)` before providers that reply so."""

    def play(story):
        async def run() -> None:
            async with AsyncExitStack() as stack:
                providers = [await stack.enter_async_context(loopback(reply)) for reply in replies]
                urls = [provider.url for provider in providers]
                served = await stack.enter_async_context(house(tmp_path, *urls, **server))
                await story(served, *providers)

        asyncio.run(run())

    return play


def asked(*providers) -> list[int]:
    return [len(provider.requests) for provider in providers]


@STREAM
def test_failure_mode_08_a_request_is_three_attempts_however_many_providers_fail(tmp_path, stream):
    @scene(tmp_path, *[says("500 Broken")] * 6)
    async def story(gateway, *providers):
        with pytest.raises(openai.APIStatusError) as caught:
            await gateway.say(stream=stream)
        assert (caught.value.status_code, caught.value.code) == (502, "PROVIDER_ERROR")
        assert sum(asked(*providers)) == 3
        assert max(asked(*providers)) == 1


@STREAM
def test_failure_mode_08_no_hand_below_sends_a_request_again(tmp_path, stream):
    @scene(tmp_path, hangs_up)
    async def story(gateway, provider):
        with pytest.raises(openai.InternalServerError):
            await gateway.say(stream=stream)
        assert asked(provider) == [1]


def test_failure_mode_08_when_all_fail_they_get_a_tenth_more_than_was_asked(tmp_path):
    @scene(tmp_path, *[says("500 Broken")] * 3)
    async def story(gateway, *providers):
        sent = 200
        caught = await asyncio.gather(*(gateway.say() for _ in range(sent)), return_exceptions=True)
        assert {type(each) for each in caught} == {openai.InternalServerError}
        told = [each for each in caught if "no failover was made" in each.message]
        assert len(told) > sent / 2
        assert sum(asked(*providers)) <= sent + 3 * FLOOR + sent * 0.1 + 3


@STREAM
@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("retry-after: 7\r\n", {7}),
        ("retry-after-ms: 6500\r\n", {7}),
        (lambda: f"retry-after: {formatdate(time() + 30, usegmt=True)}\r\n", set(range(25, 31))),
    ],
    ids=["seconds", "ms", "date"],
)
def test_failure_mode_10_retry_after_reaches_the_client_in_header_and_body(tmp_path, header, waits, stream):
    given = header if isinstance(header, str) else header()

    @scene(tmp_path, says("429 Slow", error("rate_limit_exceeded"), given))
    async def story(gateway, _provider):
        with pytest.raises(openai.RateLimitError) as caught:
            await gateway.say(stream=stream)
        assert int(caught.value.response.headers["retry-after"]) in waits
        assert -(-caught.value.body["retry_after_ms"] // 1_000) in waits


@STREAM
@pytest.mark.parametrize("status", [503, 504, 529])
def test_failure_mode_10_an_overloaded_providers_wait_reaches_the_client_too(tmp_path, status, stream):
    @scene(tmp_path, says(f"{status} Busy", headers="retry-after: 9\r\n"))
    async def story(gateway, _provider):
        with pytest.raises(openai.InternalServerError) as caught:
            await gateway.say(stream=stream)
        assert caught.value.response.headers["retry-after"] == "9"
        assert caught.value.body["retry_after_ms"] == 9_000


@STREAM
def test_failure_mode_11_a_429_fails_over_and_its_provider_is_left_alone_as_it_asked(tmp_path, stream):
    @scene(tmp_path, says("429 Slow", error("rate_limit_exceeded"), "retry-after: 30\r\n"), answer)
    async def story(gateway, limited, calm):
        assert await gateway.say(stream=stream) == "hi"
        assert asked(limited, calm) == [1, 1]
        await gateway.look()
        for _ in range(5):
            assert await gateway.say(stream=stream) == "hi"
        assert asked(limited, calm) == [1, 6]
        assert gateway.live["p0/m"].open_circuit


@STREAM
@pytest.mark.parametrize("status", [529, 520, 521, 522, 523, 524])
def test_failure_mode_12_an_unusual_5xx_fails_over(tmp_path, status, stream):
    @scene(tmp_path, says(f"{status} Odd", b"<html>overloaded</html>"), answer)
    async def story(gateway, odd, calm):
        assert await gateway.say(stream=stream) == "hi"
        assert asked(odd, calm) == [1, 1]


@pytest.mark.parametrize("status", [529, 520, 521, 522, 523, 524])
def test_failure_mode_12_where_it_is_the_last_word_it_is_a_5xx_that_clients_know(tmp_path, status):
    """By the wire's table 502 or 504, where the study has 503."""

    @scene(tmp_path, says(f"{status} Odd", b"<html>overloaded</html>"))
    async def story(gateway, _odd):
        with pytest.raises(openai.InternalServerError) as caught:
            await gateway.say()
        found = (caught.value.status_code, caught.value.code)
        assert found == ((504, "PROVIDER_TIMEOUT") if status == 524 else (502, "PROVIDER_ERROR"))


def test_failure_mode_13_one_401_ejects_no_last_candidate(tmp_path):
    refusing = [True]

    async def reply(exchange) -> None:
        await (says("401 Who", error("invalid_api_key")) if refusing[0] else answer)(exchange)

    @scene(tmp_path, reply)
    async def story(gateway, only):
        with pytest.raises(openai.InternalServerError) as caught:
            await gateway.say()
        assert (caught.value.status_code, caught.value.code) == (502, "PROVIDER_AUTH")  # not the client's 401
        assert "sk-of-the-operator" not in caught.value.message
        refusing[0] = False
        assert await gateway.say() == "hi"
        assert asked(only) == [2]


def test_failure_mode_13_an_open_breaker_ejects_no_last_candidate_and_a_success_closes_it(tmp_path):
    failing = [True]

    async def reply(exchange) -> None:
        await (says("500 Broken") if failing[0] else answer)(exchange)

    @scene(tmp_path, reply)
    async def story(gateway, only):
        for _ in range(2 * OPEN_AFTER):
            with pytest.raises(openai.InternalServerError):
                await gateway.say()
        await gateway.look()
        with pytest.raises(openai.InternalServerError):
            await gateway.say()
        assert gateway.live["p0/m"].open_circuit
        assert asked(only) == [2 * OPEN_AFTER + 1]  # each was sent
        failing[0] = False
        assert await gateway.say() == "hi"
        await gateway.look()
        assert await gateway.say() == "hi"
        assert not gateway.live["p0/m"].open_circuit


CLIENT_FAULTS = {
    "bad request": (says("400 Bad", error("invalid_value", "temperature is too high")), 400, "INVALID_INPUT"),
    "unprocessable": (says("422 Bad", error("x", "no such field")), 422, "INVALID_INPUT"),
    "too long": (
        says("400 Bad", error("context_length_exceeded", "maximum context length is 8")),
        400,
        "context_length_exceeded",
    ),
    "too long, in words": (
        says("400 Bad", error("invalid_request_error", "prompt is too long: 9 tokens > 8")),
        400,
        "context_length_exceeded",
    ),
}


@STREAM
@pytest.mark.parametrize("fault", CLIENT_FAULTS.values(), ids=CLIENT_FAULTS)
def test_failure_mode_13_a_clients_fault_never_counts_against_a_provider_nor_fails_over(
    tmp_path, fault, stream
):
    reply, status, code = fault

    @scene(tmp_path, reply, answer)
    async def story(gateway, first, second):
        for _ in range(2 * OPEN_AFTER):
            with pytest.raises(openai.APIStatusError) as caught:
                await gateway.say(stream=stream)
            assert (caught.value.status_code, caught.value.code) == (status, code)
        await gateway.look()
        with pytest.raises(openai.APIStatusError):
            await gateway.say(stream=stream)
        assert asked(first, second) == [2 * OPEN_AFTER + 1, 0]
        assert gateway.live == {}


@STREAM
@pytest.mark.parametrize("status", ["429 Quota", "402 Pay"])
def test_failure_mode_13_an_account_without_quota_keeps_its_code_and_fails_over(tmp_path, status, stream):
    empty = says(status, error("insufficient_quota", "You exceeded your current quota"))

    @scene(tmp_path, empty)
    async def alone(gateway, _only):
        with pytest.raises(openai.RateLimitError) as caught:
            await gateway.say(stream=stream)
        assert caught.value.code == "insufficient_quota"

    (tmp_path / "two").mkdir()

    @scene(tmp_path / "two", empty, answer)
    async def beside_another(gateway, first, second):
        assert await gateway.say(stream=stream) == "hi"
        assert asked(first, second) == [1, 1]
