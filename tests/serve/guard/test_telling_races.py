"""Sequences that broke the telling of scopes in parts, and what is beside it; each docstring says how."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from p402.errors import Refusal
from p402.guard.lease import GRACE_MS
from p402.guard.scopes import LIFE_DAYS, session
from p402.limits import Kind, Period, Scope
from p402.ports import Hold
from serve.guard import position, scripts, watch
from serve.guard.answers import Foreign, Heard, Newer, Taken, Whole
from serve.guard.position import Position
from serve.guard.reporter import Shut
from serve.guard.wanted import Wanted
from serve.redis.calls import Part, Reply, Script
from serve.sqlite_file import Checkpointer, connect, enter_wal
from tests.serve.guard.test_scope_faults import Hosts, held, rows, scoped, spend, until_told
from tests.serve.guard.test_scripts import EMPTY, LIMITS, NOON, TODAY, WHO, Books, told
from tests.serve.guard.test_shared import Host, tell
from tests.serve.guard.test_shared_faults import CAP, begun_anew, both_there, drawn, story
from tests.serve.guard.test_shared_races import NO_LEASE
from tests.serve.redis.server import Server

__all__ = ["told"]  # the fixture

KEY = Scope(Kind.KEY, "ci", Period.MONTH, 100)


def behind(host: Host, script: Script, do: Callable[[int], Awaitable[None]]) -> None:
    """Do something behind each answer to a script, before whoever asked has it; told how many came before."""
    call, asked = host.guard._redis.call, 0

    def hooked(*parts: Part) -> Awaitable[Reply]:
        sent = call(*parts)
        return then(sent) if script.sha in parts[1:2] else sent

    async def then(sent: Awaitable[Reply]) -> Reply:
        nonlocal asked
        reply = await sent
        asked += 1
        await do(asked - 1)
        return reply

    host.guard._redis.call = hooked


async def many(host: Host, number: int) -> None:
    """Sessions that have spent something, each its own."""
    for i in range(number):
        await spend(host.guard, f"{host.own.path.parent.name} s{i}", 1, session(f"s{i}", 100))


# Money beyond the cap


@pytest.mark.parametrize(("scope", "most"), [((KEY,), 60), ((), CAP * 6 // 10)])
def test_what_a_host_holds_is_not_given_to_another_while_it_tells_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scope: tuple[Scope, ...], most: int
) -> None:
    """The first part takes all that the host holds out of the books, in days and scopes; only the report puts
    it back. Between the two others are granted the same money: 120 of 100."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a, b = (host(n, hosts=2, **NO_LEASE) for n in "ab")
        await both_there(server, a, b)
        under_way = await held(a.guard, "a1", most, *scope)
        await many(a, 5)
        await a.guard.spent("t")
        given: list[Hold | Refusal] = []

        async def ask(before: int) -> None:
            if not before:
                given.append(await b.guard.reserve("t", "b1", most, scopes=scope))

        behind(a, scripts.TELL, ask)
        await a.guard._reporter.report("t")
        assert len(given) == 1
        assert isinstance(given[0], Refusal), f"{given[0]} beside {under_way}"

    story(tmp_path, tell_it)


def test_a_host_that_dies_while_it_tells_in_parts_costs_what_it_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, for as long as the host is away: "a worker that dies costs its calls' maximum"."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a, b = (host(n, hosts=2, **NO_LEASE) for n in "ab")
        await both_there(server, a, b)
        await held(a.guard, "a1", 60, KEY)
        await many(a, 5)
        await a.guard.spent("t")

        async def die(before: int) -> None:
            if not before:
                raise ConnectionError

        behind(a, scripts.TELL, die)
        with pytest.raises(ConnectionError):
            await a.guard._reporter.report("t")
        await a.die()
        assert isinstance(await b.guard.reserve("t", "b1", 60, scopes=(KEY,)), Refusal), "120 of 100"

    story(tmp_path, tell_it)


# Books below the truth


def test_parts_that_a_redis_lost_when_it_began_anew_are_told_again_before_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis comes back with the first part alone, between the last part and the report. `arrive` has read
    under which report scopes were told before `distrust` takes that away: the report is taken, and what the
    lost parts said is never told until it moves again."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(**NO_LEASE)
        await a.start()
        await many(a, 6)
        await a.guard.spent("t")
        await tell(server, "FLUSHALL")

        async def begin_anew(before: int) -> None:
            if before == 0:
                await tell(server, "SAVE")
            if before == 1:
                await begun_anew(server, a)

        behind(a, scripts.TELL, begin_anew)
        await a.guard._reporter.report("t")
        await a.guard._reporter.report("t")
        assert await scoped(a.guard, *(session(f"s{i}", 100) for i in range(6))) == [(1, 0)] * 6

    story(tmp_path, tell_it)


def told_of(account: str, nano: int, seen: int = 0, most: int = 1) -> tuple[tuple[str, int, int], ...]:
    """Accounts that are told in two parts, the one that is meant in the second."""
    return ((("session:x/l", 1, 0),) * most) + ((account, nano, seen),)


async def part(books: Books, position: Position, rows: tuple[tuple[str, int, int], ...], *, first: bool):
    who = replace(WHO, hosts=3, report=position.report, host=position.host)
    return scripts.read_tell(await books.link.call(*scripts.ask_tell(who, "t", position, rows, first=first)))


def test_only_the_first_part_that_redis_hears_of_a_host_may_be_the_first_it_hears_of_it(
    told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mine` is 0 in every part but the first, so that each telling counts as a host's first: what others saw
    of an absent host is taken for this host's, again and again, down to the absent host's share."""
    monkeypatch.setattr(position, "MOST_TOLD", 1)
    key = Scope(Kind.KEY, "k", Period.LIFE, 90)
    name = key.account(TODAY)

    async def tell_it(books: Books) -> None:
        three = replace(WHO, hosts=3, now_ms=NOON)
        await books.report(replace(EMPTY, host="c", spent=((name, 10, 70),)), replace(three, host="c"))
        await books.report(replace(EMPTY, spent=((name, 5, 0),)), three)
        late = replace(three, now_ms=NOON + GRACE_MS)
        wanted = Wanted("t", "x", 0, 0, LIMITS, (key,))
        await books.link.call(*scripts.ask_reserve(late, wanted))
        assert await books.link.call("HGET", "p402:{t}:books", "absent") == b"1"

        async def spent() -> int:
            parts = scripts.ask_look(replace(late, host=""), "t", 0, (key,))
            return scripts.read_look(await books.link.call(*parts), late, (key,)).scoped[0][1].spent_nano

        before = await spent()
        tokens: tuple[str, ...] = ("t1",)
        for number in range(2, 6):
            again = replace(EMPTY, report=number, token=f"t{number}", tokens=tokens, spent=told_of(name, 5))
            assert await part(books, again, again.spent[:1], first=True) == Heard()
            assert await part(books, again, again.spent[1:], first=False) == Heard()
            assert isinstance(await books.report(again, late), Taken)
            tokens = (*tokens, again.token)
        assert await spent() == before

    told(tell_it)


def test_parts_of_a_copy_of_a_ledger_are_not_taken_for_the_hosts_own(
    told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis forgot; a host and a copy of it tell under the same name and number. `w:HOST` is a number, not a
    token: the copy's parts lie over the host's, whose report is then taken for all that it told."""
    monkeypatch.setattr(position, "MOST_TOLD", 1)
    name = KEY.account(TODAY)

    async def tell_it(books: Books) -> None:
        own = replace(EMPTY, report=5, token="own", spent=told_of(name, 60))
        copy = replace(EMPTY, report=5, token="of a copy", spent=told_of(name, 20))
        for each in (own, copy):
            answer = await part(books, each, each.spent[:1], first=True)
            if isinstance(answer, Heard):
                answer = await part(books, each, each.spent[1:], first=False)
            assert isinstance(answer, Heard | Newer | Foreign | Whole)
        answer = await books.report(own)
        if isinstance(answer, Taken):
            account = await books.link.call("HGET", "p402:{t}:scopes", name)
            assert account == b"0 h 60"

    told(tell_it)


def test_a_repeat_that_is_cancelled_while_a_lease_pays_leaves_the_first_callers_hold(tmp_path: Path) -> None:
    """`from_lease` does not say whether its hold is fresh: a repeat whose caller leaves settles the live call
    at 0 in the ledger, and what it costs is never booked. Found by random histories."""

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host()
        await a.start()
        await drawn(a)
        server.freeze()
        hold = await held(a.guard, "x", 2_000)

        async def repeat() -> None:
            wanted = Wanted("t", "x", 2_000, 0, a.guard._limits("t"))
            await a.guard._from_lease(wanted, Shut("away"))

        leaving = asyncio.ensure_future(repeat())
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(0.1)
        server.thaw()
        a.guard.settle(hold, 1_500)
        await until_told(a)
        assert (await a.guard.spent("t"))[0] == 1_500

    story(tmp_path, tell_it)


def test_a_ledger_that_is_gone_for_good_is_not_the_host_that_is_absent(told) -> None:
    """Redis began anew; one host of two is off. Its share is what `pairs` gives first of those that have not
    reported: ledgers that were lost or renamed long ago count for it, with what they had spent."""
    key = Scope(Kind.KEY, "k", Period.LIFE, 10_000)
    name = key.account(TODAY)

    async def tell_it(books: Books) -> None:
        two = replace(WHO, hosts=2)
        for i in range(8):
            await books.report(replace(EMPTY, host=f"gone{i}", spent=((name, 1_000, 0),)), two)
        await books.report(replace(EMPTY, host="b", spent=((name, 10, 0),)), two)
        await books.report(EMPTY, two)
        await books.link.call("HSET", "p402:{t}:books", "run", "1" * 40)
        again = replace(EMPTY, report=2, token="t2", tokens=("t1",))
        assert isinstance(await books.report(again, two), Taken)
        late = replace(two, report=2, now_ms=NOON + GRACE_MS)
        wanted = Wanted("t", "x", 0, 0, LIMITS, (key,))
        await books.link.call(*scripts.ask_reserve(late, wanted))
        parts = scripts.ask_look(replace(late, host=""), "t", 0, (key,))
        looked = scripts.read_look(await books.link.call(*parts), late, (key,))
        assert looked.scoped[0][1].spent_nano >= 8_000 + 5_000

    told(tell_it)


# Stuck


def test_workers_of_a_host_that_tell_in_parts_at_once_do_not_keep_each_other_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis forgot, and each worker finds that out by a call of its own. The first part of one ends the
    telling of the other, which begins anew and ends the first's: none gets to its report, and all give up."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        workers = [host(**NO_LEASE) for _ in range(3)]
        for each in workers:
            await each.start()
            each.guard.patience_s = 0.05
        await many(workers[0], 90)
        await workers[0].guard.spent("t")
        for each in workers:
            await each.guard._reporter.refresh("t")
            behind(each, scripts.TELL, lambda _: asyncio.sleep(0.005))  # a thousand accounts take 10 ms
        await tell(server, "FLUSHALL")
        loop = asyncio.get_running_loop()
        end, granted = loop.time() + 5, 0

        async def ask(worker: int) -> None:
            nonlocal granted
            i = 0
            while loop.time() < end and not granted:
                verdict = await workers[worker].guard.reserve("t", f"{worker} {i}", 1)
                i, granted = i + 1, granted + isinstance(verdict, Hold)
                await asyncio.sleep(0.01)

        await asyncio.gather(*(ask(worker) for worker in range(3)))
        told = sum(each.guard.counters.reports for each in workers)
        assert granted, f"no call was taken in 5 s, and {told} reports were begun"

    story(tmp_path, tell_it)


def test_a_checkpointer_that_is_stopped_just_as_it_wakes_ends(tmp_path: Path) -> None:
    """It looks whether it is to end, and then takes the word down that would wake it: `stop` between the two
    waits for it for ever."""

    class Slow(threading.Event):
        """Another thread's turn comes between."""

        stop: Callable[[], None]

        def clear(self) -> None:
            self.stop()
            super().clear()

    path = tmp_path / "kept.db"
    with closing(connect(path)) as db:
        enter_wal(db)
        db.execute("CREATE TABLE kept (n INTEGER)")
        checkpointer, woken = Checkpointer(path), threading.Event()
        due = checkpointer._due = Slow()

        def stop() -> None:
            if not woken.is_set():
                stopper.start()
                woken.set()
                while not checkpointer._ended:
                    pass

        stopper = threading.Thread(target=checkpointer.stop, daemon=True)
        due.stop = stop
        checkpointer.start(db)
        due.set()
        assert woken.wait(5)
        stopper.join(2)
        assert not stopper.is_alive(), "the guard's close would never return"


# Growth


def test_sessions_of_a_tenant_that_is_no_more_do_not_keep_others_from_being_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that the configuration names no more never reports, so that Redis says nothing of its
    sessions: its first thousand are asked for each second, and nobody else's come up."""
    monkeypatch.setattr(watch, "MOST_FORGOTTEN", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(**NO_LEASE)
        await a.start()
        with closing(sqlite3.connect(a.own.path)) as db:
            db.executemany(
                "INSERT INTO scope VALUES (?, ?, 5, 0, 0, 0, ?, 0)",
                [("gone", f"session:{i}/l", TODAY - LIFE_DAYS) for i in range(3)]
                + [("t", "session:over/l", TODAY - 1)],
            )
            db.commit()
        for _ in range(5):
            a.guard._watch._forget_at = 0.0
            await a.guard._watch.look()
        assert "session:over/l" not in rows(a)

    story(tmp_path, tell_it)


def test_what_has_not_moved_is_not_told_again_because_much_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more accounts have moved since the last report than one script is told of, all that there are are
    told: of 200,000 sessions, 1,002 of which moved, 0.26 s of the ledger's lock and 3.5 s without a report in
    force, in which leases alone pay. A host that moves a hundred accounts a second does so with every
    report."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(**NO_LEASE)
        await a.start()
        await many(a, 60)
        await a.guard.spent("t")
        await a.guard._reporter.report("t")
        for i in range(4):
            await spend(a.guard, f"more {i}", 1, session(f"s{i}", 100))
        await a.guard.spent("t")
        heard: list[int] = []

        async def count(before: int) -> None:
            heard.append(before)

        behind(a, scripts.TELL, count)
        await a.guard._reporter.report("t")
        assert len(heard) <= 2, f"{len(heard)} parts for 4 accounts"

    story(tmp_path, tell_it)
