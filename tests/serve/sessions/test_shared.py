"""A store that is away, slow, full or damaged costs what it knows, a bounded wait, and one line on stderr."""

import asyncio
import logging

import pytest

from p402.errors import StoreError
from p402.ports import Word
from serve.sessions import shared
from serve.sessions.code import encode, key_of
from serve.sessions.shared import SharedSessions
from serve.sessions.trouble import IN_A_ROW, REST_S, Trouble
from tests.conformance.sessions import NOW, warmth, what


class Shelf:
    """A shelf in memory that does what a test says."""

    def __init__(self) -> None:
        self.words: dict[bytes, bytes] = {}
        self.hangs = False
        self.error: Exception | None = None
        self.gets = self.keeps = 0
        self.later: list[tuple[int, bytes, bytes]] = []

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    async def open(self) -> None:
        await self._answer()

    async def get(self, key):
        self.gets += 1
        await self._answer()
        for at, which, data in self.later:
            if self.gets >= at:
                self.words[which] = data
        return None if key not in self.words else Word(7, self.words[key])

    async def keep(self, words):
        self.keeps += 1
        await self._answer()
        self.words.update(words)

    async def close(self) -> None:
        pass


def play(story, **kw):
    shelf = Shelf()

    async def run():
        hand = SharedSessions(shelf, lambda: NOW, **kw)
        await story(shelf, hand)
        await hand.close()
        assert len(asyncio.all_tasks()) == 1
        return hand.collect()

    return asyncio.run(run())


KEY = key_of("t", "s")


@pytest.mark.parametrize("fault", ["hangs", StoreError("the store is away"), RuntimeError("a fault of ours")])
def test_a_request_goes_on_and_after_three_failures_does_not_even_ask(fault, caplog):
    async def story(shelf, hand):
        await hand.open()
        if fault == "hangs":
            shelf.hangs = True
        else:
            shelf.error = fault
        for _ in range(20):
            assert await hand.recall("t", "s", 5) is None
        assert shelf.gets == IN_A_ROW
        for n in range(20):
            hand.note("t", f"s{n}", warmth())
            if n < IN_A_ROW:
                await hand.settled()
        await hand.settled()

    shown = pytest.MonkeyPatch()
    shown.setattr(shared, "LEAVE_S", 0.02)
    with shown.context(), caplog.at_level(logging.WARNING, "p402.sessions"):
        counted = play(story, bound_s=0.02)
    shown.undo()
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]  # looks, and notes
    assert "not known" in caplog.records[0].getMessage()
    assert "do not hear" in caplog.records[1].getMessage()
    assert counted["p402_sessions_failed_total"] == IN_A_ROW
    assert counted["p402_sessions_dropped_total"] == counted["p402_sessions_notes_total"] == 20
    assert counted["p402_sessions_found_total"] == 0


def test_what_was_told_as_away_is_told_as_back_once(caplog, monkeypatch):
    monkeypatch.setattr("serve.sessions.trouble.REST_S", 0.0)

    async def story(shelf, hand):
        shelf.words[KEY] = encode(warmth())
        shelf.error = StoreError("away")
        for _ in range(5):
            await hand.recall("t", "s", 0)
        shelf.error = None
        for _ in range(5):
            assert what(await hand.recall("t", "s", 0)) == ("a/one", 5_000, 1)

    with caplog.at_level(logging.WARNING, "p402.sessions"):
        play(story)
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_one_failure_alone_is_counted_and_not_told(caplog):
    async def story(shelf, hand):
        for _ in range(4):
            for error in (StoreError("busy"), StoreError("busy"), None):
                shelf.error = error
                await hand.recall("t", "s", 0)

    with caplog.at_level(logging.WARNING, "p402.sessions"):
        assert play(story)["p402_sessions_failed_total"] == 8
    assert not caplog.records


def test_a_word_on_its_way_is_waited_for_by_who_says_how_many_answers_it_has_seen():
    async def story(shelf, hand):
        shelf.words[KEY] = encode(warmth("a/old", answers=1))
        shelf.later = [(3, KEY, encode(warmth("b/new", answers=2)))]
        assert what(await hand.recall("t", "s", 2)) == ("b/new", 5_000, 2)
        assert shelf.gets == 3

    counted = play(story)
    assert counted["p402_sessions_again_total"] == 2
    assert counted["p402_sessions_recalls_total"] == counted["p402_sessions_found_total"] == 1


def test_who_says_no_number_or_finds_enough_answers_asks_once():
    async def story(shelf, hand):
        assert await hand.recall("t", "s", 0) is None
        assert shelf.gets == 1
        shelf.words[KEY] = encode(warmth(answers=9))
        assert what(await hand.recall("t", "s", 3)) == ("a/one", 5_000, 9)
        assert shelf.gets == 2

    play(story)


def test_where_no_later_word_comes_the_older_is_gone_by():
    async def story(shelf, hand):
        shelf.words[KEY] = encode(warmth("a/old", answers=1))
        found = await hand.recall("t", "s", 2)
        assert what(found) == ("a/old", 5_000, 1)
        assert found.at_ms == NOW - 7
        assert shelf.gets == 1 + len(shared.AGAIN_S)
        del shelf.words[KEY]
        assert await hand.recall("t", "s", 2) is None

    play(story, bound_s=20)
    assert sum(shared.AGAIN_S) < shared.BOUND_S <= 0.05


def test_where_the_bound_is_over_before_the_next_look_nothing_has_failed():
    async def story(shelf, hand):
        shelf.words[KEY] = encode(warmth("a/old", answers=1))
        assert what(await hand.recall("t", "s", 2)) == ("a/old", 5_000, 1)
        assert shelf.gets == 1

    pauses = pytest.MonkeyPatch()
    pauses.setattr(shared, "AGAIN_S", (0.6,))
    with pauses.context():
        assert play(story, bound_s=0.5)["p402_sessions_failed_total"] == 0
    pauses.undo()


def test_a_store_that_stops_answering_between_two_looks_gives_what_it_said_before():
    async def story(shelf, hand):
        shelf.words[KEY] = encode(warmth("a/old", answers=1))
        get = shelf.get

        async def once(key):
            word = await get(key)
            shelf.hangs = True
            return word

        shelf.get = once
        assert what(await hand.recall("t", "s", 2)) == ("a/old", 5_000, 1)

    assert play(story)["p402_sessions_failed_total"] == 1


def test_notes_of_one_turn_leave_together_and_so_many_wait_at_most(monkeypatch):
    monkeypatch.setattr(shared, "WAITING", 10)

    async def story(shelf, hand):
        for n in range(30):
            hand.note("t", f"s{n}", warmth())
        hand.note("t", "s9", warmth(tokens=6))  # has its place
        assert len(hand._waiting) == 10
        await hand.settled()
        assert shelf.keeps == 1
        assert shelf.words[key_of("t", "s9")] == b"6 1 a/one"

    assert play(story)["p402_sessions_dropped_total"] == 20


def test_after_its_close_nothing_is_asked_or_left():
    async def story(shelf, hand):
        await hand.close()
        hand.note("t", "s", warmth())
        assert await hand.recall("t", "s", 0) is None
        assert (shelf.gets, shelf.keeps) == (0, 0)

    assert play(story)["p402_sessions_dropped_total"] == 1


def test_a_caller_that_leaves_while_it_waits_leaves_nothing_behind():
    async def story(shelf, hand):
        shelf.hangs = True
        call = asyncio.create_task(hand.recall("t", "s", 0))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        shelf.hangs = False

    assert play(story, bound_s=20)["p402_sessions_failed_total"] == 0


def test_in_trouble_one_caller_a_second_asks():
    trouble = Trouble()
    assert [trouble.note_failure(0.0) for _ in range(IN_A_ROW + 1)] == [False, False, True, False]
    assert not trouble.may_ask(REST_S - 0.01)
    assert [trouble.may_ask(REST_S) for _ in range(3)] == [True, False, False]
    assert not trouble.note_failure(REST_S)
    assert [trouble.may_ask(3 * REST_S) for _ in range(2)] == [True, False]
    assert trouble.note_success()
    assert [trouble.may_ask(3 * REST_S) for _ in range(2)] == [True, True]
    assert not trouble.note_success()
