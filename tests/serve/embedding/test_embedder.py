"""Whoever asks gets a vector in time or None, whatever the model does; and it is counted and told."""

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.embedding.embedder import PROBE, QUIET_S, WAITING, Embedder
from serve.embedding.pace import REST_S, WEIGHTS
from serve.embedding.unread import Unread
from serve.sessions.trouble import IN_A_ROW

LONG_MS = 60_000.0


class Model:
    """Reads a word as a token; runs until it may end; does what a test says."""

    most_characters = 1_000

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.may_end.set()
        self.begun = threading.Event()
        self.read_texts: list[str] = []
        self.ran: list[int] = []
        self.threads: set[int] = set()
        self.error: Exception | None = None
        self.clock: Clock | None = None

    def read(self, text):
        self.read_texts.append(text)
        self.threads.add(threading.get_ident())
        if text == "?":
            return Unread.UNKNOWN
        if not text.split():
            return Unread.EMPTY
        return Unread.TOO_LONG if text == "long" else np.arange(len(text.split()))

    def vector(self, ids):
        self.begun.set()
        assert self.may_end.wait(30)
        if self.error is not None:
            raise self.error
        self.ran.append(len(ids))
        if self.clock is not None:
            self.clock.now_s += self.clock.token_s * (len(ids) + WEIGHTS)
        return np.full(4, 0.5, np.float32)


class Clock:
    """Seconds that pass as tokens are run, and as a test says."""

    def __init__(self, token_s: float) -> None:
        self.now_s, self.token_s = 0.0, token_s

    def __call__(self) -> float:
        return self.now_s


def play(story, **given):
    model = Model()
    if "now_s" in given:
        model.clock = given["cpu_s"] = given["now_s"]
    thread = ThreadPoolExecutor(1)
    given.setdefault("wait_ms", LONG_MS)

    async def run():
        embedder = Embedder("e", 4, model, model, thread, **given)
        try:
            await story(embedder, model)
        finally:
            model.may_end.set()
            await embedder.close()
        assert len(asyncio.all_tasks()) == 1
        return embedder.collect()

    told = asyncio.run(run())
    with pytest.raises(RuntimeError, match="after shutdown"):
        thread.submit(print)
    return told


def counted(told):
    return {
        name.removeprefix("p402_cache_embeds_").removesuffix("_total"): number
        for name, number in told.items()
        if number and name not in {"p402_cache_embeds_seconds_total", "p402_cache_embeds_tokens_total"}
    }


async def begun(model):
    assert await asyncio.to_thread(model.begun.wait, 30)


def test_a_text_gets_its_vector_from_the_one_thread():
    async def story(embedder, model):
        found = await asyncio.gather(*(embedder.embed("a b") for _ in range(WAITING)))
        assert all(vector is not None for vector in found)
        assert model.ran == [2] * WAITING
        assert len(model.threads) == 1
        assert threading.get_ident() not in model.threads

    assert counted(play(story)) == {"total": WAITING}


@pytest.mark.parametrize(
    ("text", "name"),
    [("", None), ("  ", None), ("long", "too_long"), ("a" * 1_001, "too_long"), ("?", "unknown")],
)
def test_a_text_that_is_not_read_in_whole_has_no_vector_and_is_counted(text, name):
    async def story(embedder, model):
        assert await embedder.embed(text) is None
        assert not model.ran

    assert counted(play(story)) == ({name: 1} if name else {})


def test_a_text_of_too_many_characters_never_reaches_the_thread():
    async def story(embedder, model):
        await embedder.embed("a " * 501)
        assert not model.read_texts

    play(story)


def test_a_vector_that_does_not_come_in_time_is_not_waited_for():
    async def story(embedder, model):
        model.may_end.clear()
        assert await embedder.embed("a", wait_ms=5) is None

    assert counted(play(story)) == {"late": 1}


def test_who_waits_longer_gets_a_vector_where_the_usual_wait_would_not_do():
    async def story(embedder, model):
        model.may_end.clear()
        patient = asyncio.create_task(embedder.embed("a", wait_ms=LONG_MS))
        await begun(model)
        assert await embedder.embed("b") is None
        model.may_end.set()
        assert await patient is not None

    assert counted(play(story, wait_ms=5)) == {"total": 1, "late": 1}


def test_beyond_so_many_waiting_there_is_none_at_once():
    async def story(embedder, model):
        model.may_end.clear()
        waiting = [asyncio.create_task(embedder.embed("a")) for _ in range(WAITING)]
        await begun(model)
        for _ in range(3):
            assert await embedder.embed("b") is None
        assert "b" not in model.read_texts
        model.may_end.set()
        assert all(vector is not None for vector in await asyncio.gather(*waiting))
        assert await embedder.embed("b") is not None

    assert counted(play(story)) == {"total": WAITING + 1, "full": 3}


def test_what_nobody_waits_for_any_more_is_not_begun():
    async def story(embedder, model):
        model.may_end.clear()
        first = asyncio.create_task(embedder.embed("a"))
        await begun(model)
        second = asyncio.create_task(embedder.embed("b"))
        await asyncio.sleep(0)
        second.cancel()
        assert await embedder.embed("c", wait_ms=5) is None
        model.may_end.set()
        assert await first is not None
        assert await embedder.embed("d") is not None
        assert model.read_texts == ["a", "d"]

    assert counted(play(story)) == {"total": 2, "late": 1}


def test_a_caller_that_is_cancelled_while_its_text_is_worked_at_breaks_nothing():
    async def story(embedder, model):
        model.may_end.clear()
        task = asyncio.create_task(embedder.embed("a"))
        await begun(model)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        model.may_end.set()
        assert await embedder.embed("b") is not None

    assert counted(play(story)) == {"total": 1}


def test_an_error_of_the_model_reaches_nobody_and_is_counted(capsys):
    async def story(embedder, model):
        model.error = ValueError("torn")
        assert await embedder.embed("a") is None
        model.error = None
        assert await embedder.embed("a") is not None

    assert counted(play(story)) == {"total": 1, "failed": 1}
    assert "torn" in capsys.readouterr().err


def test_trouble_is_told_once_and_its_end_once_and_not_anew_for_a_while(caplog, capsys):
    clock = Clock(0.0)

    async def spell(embedder, model, texts):
        model.error = ValueError("torn")
        for _ in range(texts):
            assert await embedder.embed("a") is None
        model.error = None
        for _ in range(2):
            assert await embedder.embed("a") is not None

    async def story(embedder, model):
        await spell(embedder, model, IN_A_ROW - 1)
        assert not caplog.records
        await spell(embedder, model, IN_A_ROW + 5)
        assert len(caplog.records) == 2
        await spell(embedder, model, IN_A_ROW)
        assert len(caplog.records) == 2
        clock.now_s += QUIET_S
        await spell(embedder, model, IN_A_ROW)

    with caplog.at_level(logging.INFO, "p402.embedding"):
        told = play(story, now_s=clock)
    assert counted(told) == {"total": 8, "failed": 4 * IN_A_ROW + 4}
    first, last = [record.getMessage() for record in caplog.records[:2]]
    assert first.startswith("the embedder failed; until that is over prompts are looked up in the cache word")
    assert last == "prompts are embedded again"
    assert [record.getMessage() for record in caplog.records[2:]] == [first, last]
    assert capsys.readouterr().err.count("ValueError: torn") == 4 * IN_A_ROW - 1


def test_vectors_that_do_not_come_in_time_are_trouble(caplog):
    async def story(embedder, model):
        model.may_end.clear()
        for _ in range(IN_A_ROW):
            assert await embedder.embed("a", wait_ms=1) is None
        model.may_end.set()
        assert await embedder.embed("b") is not None

    assert counted(play(story)) == {"total": 1, "late": IN_A_ROW}
    assert len(caplog.records) == 2
    assert caplog.records[0].getMessage().startswith("the embedder did not answer in time;")


def test_a_text_that_cannot_be_ready_in_time_is_not_begun_and_is_no_trouble(caplog):
    clock = Clock(0.001)

    async def story(embedder, model):
        assert await embedder.embed("a " * 8, wait_ms=16) is not None
        for _ in range(IN_A_ROW + 1):
            assert await embedder.embed("a " * 9, wait_ms=16) is None
        assert await embedder.embed("a " * 9, wait_ms=17.01) is not None
        assert model.ran == [8, 9]

    told = play(story, now_s=clock, token_s=0.001)
    assert counted(told) == {"total": 2, "late": IN_A_ROW + 1}
    assert round(told["p402_cache_embeds_seconds_total"], 6) == 0.033
    assert not caplog.records


def test_a_bad_spell_in_which_nothing_fits_ends_by_a_short_probe():
    clock = Clock(0.001)

    async def story(embedder, model):
        assert await embedder.embed("a " * 40, wait_ms=100) is None
        await asyncio.wrap_future(embedder._thread.submit(int))  # behind the probe
        assert model.ran == [PROBE]
        for _ in range(20):
            clock.now_s += REST_S
            await embedder.embed("a " * 40, wait_ms=100)
        assert await embedder.embed("a " * 40, wait_ms=100) is not None
        assert set(model.ran) == {PROBE, 40}

    play(story, now_s=clock, token_s=1.0)


def test_while_it_is_known_what_a_token_takes_there_is_no_probe():
    clock = Clock(0.001)

    async def story(embedder, model):
        await embedder.embed("a")
        for _ in range(5):
            assert await embedder.embed("a " * 40, wait_ms=8) is None
        await embedder.embed("a")
        assert model.ran == [1, 1]

    play(story, now_s=clock, token_s=0.001)


def test_closing_waits_for_the_text_at_hand_and_gives_none_to_the_others():
    async def story(embedder, model):
        model.may_end.clear()
        first, second = (asyncio.create_task(embedder.embed(text)) for text in "ab")
        await begun(model)
        closing = asyncio.create_task(embedder.close())
        await asyncio.sleep(0)
        assert await embedder.embed("c") is None
        assert not closing.done()
        model.may_end.set()
        assert await first is not None
        assert await second is None
        await closing
        assert model.read_texts == ["a"]
        assert await embedder.embed("d") is None
        await embedder.close()

    play(story)


def test_seconds_and_tokens_say_what_a_token_takes():
    async def story(embedder, model):
        await embedder.embed("a b c d")
        await embedder.embed("a b")

    told = play(story, now_s=Clock(0.5))
    assert told["p402_cache_embeds_tokens_total"] == 6
    assert told["p402_cache_embeds_seconds_total"] == 3 + WEIGHTS


@given(st.lists(st.sampled_from(["a", "a b", "?", "long", "", "boom", "cancel"]), max_size=12))
def test_every_text_ends_in_one_count(texts):
    async def story(embedder, model):
        tasks = []
        for text in texts:
            tasks.append(asyncio.create_task(embedder.embed(text)))
            if text == "cancel":
                await asyncio.sleep(0)
                tasks[-1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    told = play(story)
    ended = sum(counted(told).values())
    cancelled, empty = texts.count("cancel"), texts.count("")
    assert len(texts) - cancelled - empty <= ended <= len(texts) - empty


def test_a_turn_that_comes_too_late_is_trouble_as_if_it_had_not_come(caplog):
    clock = Clock(0.0)

    async def story(embedder, model):
        model.may_end.clear()
        first = asyncio.create_task(embedder.embed("a"))
        await begun(model)
        others = [asyncio.create_task(embedder.embed(text)) for text in "bcd"]
        await asyncio.sleep(0)
        clock.now_s += LONG_MS / 1e3
        model.may_end.set()
        assert await first is not None
        assert await asyncio.gather(*others) == [None] * 3
        assert model.read_texts == ["a"]
        assert await embedder.embed("e") is not None

    assert counted(play(story, now_s=clock)) == {"total": 2, "late": IN_A_ROW}
    assert len(caplog.records) == 2
