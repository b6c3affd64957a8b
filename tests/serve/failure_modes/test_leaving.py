"""Failure modes 1 to 4: the client goes away.

That the provider hears of it within 0.5 s is measured over 240 clients by
`tests/serve/test_hostile_cancels.py`; here each mode is seen alone, to its settlement.
"""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

from tests.serve.failure_modes.whole import HELLO, Says, until, whole_gateway
from tests.serve.test_command import answer
from tests.serve.upstream.loopback import ROLE, Exchange, chunk_of

STUCK = [{"role": "user", "content": "never answer"}]


async def mute(x: Exchange) -> None:
    """Answer a greeting; say nothing to anybody else."""
    if x.body["messages"] == HELLO:
        await answer(x)
    else:
        await x.left()


async def only_role(x: Exchange) -> None:
    await x.begin()
    await x.send(ROLE)
    await x.left()


async def endless(x: Exchange) -> None:
    await x.begin()
    with contextlib.suppress(ConnectionError):
        while True:
            await x.send(chunk_of("word "))
            await asyncio.sleep(0.01)


def test_failure_mode_01_a_client_that_leaves_before_a_whole_answer_ends_the_call_and_pays_for_it(tmp_path):
    with whole_gateway(tmp_path, mute) as gateway:
        gateway.leave(messages=STUCK)
        until(lambda: gateway.providers["a"].open == 0)
        (outcome,) = gateway.until_quiet(1)
        assert outcome["status"] == "cancelled"
        (attempt,) = outcome["attempts"]
        assert min(attempt["prompt_tokens"], attempt["output_tokens"], outcome["cost_nano"]) > 0
        assert gateway.budget()["calls"] == []


def test_failure_mode_02_a_client_that_leaves_while_the_first_token_is_awaited_ends_the_call(tmp_path):
    with whole_gateway(tmp_path, only_role) as gateway:
        assert gateway.leave(stream=True) == b"", "nothing is said before the first content"
        until(lambda: gateway.providers["a"].open == 0)
        (outcome,) = gateway.until_quiet(1)
        (attempt,) = outcome["attempts"]
        assert (outcome["status"], attempt["output_tokens"]) == ("cancelled", 0)
        assert outcome["cost_nano"] > 0, "the prompt was sent"


def test_failure_mode_03_a_client_that_leaves_in_mid_stream_ends_it_and_pays_for_what_came(tmp_path):
    with whole_gateway(tmp_path, endless) as gateway:
        heard = gateway.leave(0.5, stream=True)
        assert heard.count(b"word ") > 2
        until(lambda: gateway.providers["a"].open == 0)
        (outcome,) = gateway.until_quiet(1)
        assert outcome["status"] == "cancelled"
        assert outcome["output_tokens"] >= heard.count(b"word ")
        assert gateway.budget()["calls"] == []


def test_failure_mode_04_cancels_leave_no_slot_of_a_small_pool_taken(tmp_path):
    small = Says(mute, more="max_connections = 4\nconnect_timeout_ms = 2000\n")
    with whole_gateway(tmp_path, small) as gateway, ThreadPoolExecutor(12) as clients:
        for _ in range(4):
            left = [
                clients.submit(gateway.leave, 0.02 * i, messages=STUCK, stream=i % 2 == 0, reset=i % 3 == 0)
                for i in range(12)
            ]
            [one.result() for one in left]
        until(lambda: gateway.calls_open == 0)
        replies = [clients.submit(gateway.ask) for _ in range(12)]
        assert [one.result().status_code for one in replies] == [200] * 12
        until(lambda: gateway.calls_open == 0)
