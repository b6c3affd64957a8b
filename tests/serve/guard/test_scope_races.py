"""Sequences that once broke budgets of scopes; each docstring says what went wrong."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from p402.errors import Refusal
from p402.guard.daily import DAY_MS, HOLD_TTL_MS, Entry
from p402.guard.lease import GRACE_MS
from p402.guard.scopes import LIFE_DAYS, session
from p402.limits import Kind, Period, Scope
from p402.ports import Hold
from serve.guard import position, scripts
from serve.guard.operations import Beat
from serve.guard.sheet import Sheet
from serve.guard.sqlite import SqliteGuard
from tests.conformance.guard import NOON
from tests.limits import capped
from tests.serve.guard.test_scope_faults import Hosts, held, rows, scoped, spend, until_told
from tests.serve.guard.test_scripts import EMPTY, TODAY, WHO, Books, told
from tests.serve.guard.test_shared import PATIENT, tell
from tests.serve.guard.test_shared_faults import CAP, QUICK, begun_anew, both_there, drawn, story
from tests.serve.guard.test_shared_races import NO_LEASE
from tests.serve.redis.server import Server

__all__ = ["told"]  # the fixture

KEY = Scope(Kind.KEY, "ci", Period.MONTH, 100)


# Money beyond the cap


def test_every_scope_is_told_to_a_redis_that_forgot_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report names the accounts that moved last, and Redis takes it for all there are. A key that has
    spent its month is refused and moves no more, so that it is the first to fall out."""
    monkeypatch.setattr(position, "MOST_TOLD", 3)

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(**NO_LEASE)
        await a.start()
        await spend(a.guard, "all of the month", 100, KEY)
        await a.guard.spent("t")
        for i in range(3):
            await a.guard._reporter.report("t")
            await spend(a.guard, f"s{i}", 1, session(f"s{i}", 100))
            await a.guard.spent("t")
        assert isinstance(await a.guard.reserve("t", "more", 100, scopes=(KEY,)), Refusal)
        await tell(server, "FLUSHALL")
        for _ in range(3):
            await a.guard._reporter.report("t")
        assert await scoped(a.guard, KEY) == [(100, 0)]
        assert isinstance(await a.guard.reserve("t", "more", 100, scopes=(KEY,)), Refusal), "200 of 100"

    story(tmp_path, tell_it)


def test_a_session_that_one_host_has_forgotten_keeps_what_that_host_spent(tmp_path: Path) -> None:
    """A's row goes LIFE_DAYS after A's last call, Redis' account after anybody's; A's next call writes a
    new row that is told absolutely, over what Redis had of A. Nothing fails, and the cap is passed."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, life = [NOON], session("long", 100)
        a, b = (host(n, clock=clock, hosts=2, **NO_LEASE) for n in "ab")
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(a.guard, "a1", 60, life)
        await a.guard.spent("t")
        await spend(b.guard, "b1", 1, life)
        for days in (20, LIFE_DAYS + 1):  # b goes on with it; a does not
            clock[0] = NOON + days * DAY_MS
            for each in (a, b):
                await each.guard._reporter.report("t")
            await spend(b.guard, f"b{days}", 1, life)
            await b.guard.spent("t")
        assert await scoped(b.guard, life) == [(63, 0)]
        await spend(a.guard, "a2", 1, life)
        await a.guard.spent("t")
        await a.guard._reporter.report("t")
        assert await scoped(b.guard, life) == [(64, 0)]

    story(tmp_path, tell_it)


def test_a_session_that_one_host_has_forgotten_is_told_whole_to_a_redis_that_forgot(tmp_path: Path) -> None:
    """The same where Redis forgets: A has nothing to tell of a session that B goes on with."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, life = [NOON], session("long", 100)
        a, b = (host(n, clock=clock, hosts=2, **NO_LEASE) for n in "ab")
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(a.guard, "a1", 60, life)
        await a.guard.spent("t")
        for days in (0, 20, LIFE_DAYS + 1):
            clock[0] = NOON + days * DAY_MS
            for each in (a, b):
                await each.guard._reporter.report("t")
            await spend(b.guard, f"b{days}", 1, life)
            await b.guard.spent("t")
        assert await scoped(b.guard, life) == [(63, 0)]
        await tell(server, "FLUSHALL")
        for each in (a, b, a):
            await each.guard._watch.look()
        assert await scoped(b.guard, life) == [(63, 0)]

    story(tmp_path, tell_it)


def test_a_host_that_is_down_over_the_weekend_counts_in_a_life_until_it_reports(tmp_path: Path) -> None:
    """An absent host's share of a life is dropped after KEEP_DAYS although it has not reported: the
    scope's cap is passed by what the host had spent."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, life = [NOON], session("long", 100)
        a, b = (host(n, clock=clock, hosts=2, **NO_LEASE) for n in "ab")
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(b.guard, "b1", 50, life)
        await b.guard.spent("t")
        await b.die()
        await tell(server, "FLUSHALL")
        await a.guard._watch.look()
        clock[0] += GRACE_MS
        await spend(a.guard, "a1", 50, life)
        assert isinstance(await a.guard.reserve("t", "a2", 1, scopes=(life,)), Refusal)
        clock[0] += 3 * DAY_MS
        await a.guard._reporter.report("t")
        assert isinstance(await a.guard.reserve("t", "a3", 50, scopes=(life,)), Refusal), "150 of 100"

    story(tmp_path, tell_it)


def test_a_new_name_of_a_host_is_not_the_host_that_is_absent(tmp_path: Path) -> None:
    """The first report under any new name counts as the absent host's: its share is given out."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, key = [NOON], Scope(Kind.KEY, "k", Period.DAY, 100)
        a, b = (host(n, clock=clock, hosts=2, **NO_LEASE) for n in "ab")
        for each in (a, b, a):
            await (each.start() if not each.guard.open else each.guard._watch.look())
        await spend(b.guard, "b1", 50, key)
        await b.guard.spent("t")
        await b.die()
        await tell(server, "FLUSHALL")
        await a.guard._watch.look()
        clock[0] += GRACE_MS
        await spend(a.guard, "a1", 1, key)
        assert isinstance(await a.guard.reserve("t", "a2", 50, scopes=(key,)), Refusal)
        await a.guard.spent("t")
        await a.own.do(lambda db, _: position.rename(db))  # its ledger went back
        await a.guard._reporter.report("t")
        assert isinstance(await a.guard.reserve("t", "a3", 50, scopes=(key,)), Refusal), "101 of 100"

    story(tmp_path, tell_it)


def test_a_repeat_with_other_scopes_cannot_raise_a_call_beyond_those_it_has(tmp_path: Path) -> None:
    """A top-up asks only of scopes that both hold and entry name: of a repeat with other scopes, of none."""

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: NOON)
        guard.start()
        narrow, wide = session("narrow", 50), session("wide", 1_000)
        await held(guard, "x", 50, narrow)
        repeat = await held(guard, "x", 50, wide)
        await guard.top_up(repeat, 900)
        ((_, in_narrow),) = await scoped(guard, narrow)
        await guard.close()
        assert in_narrow == 50

    asyncio.run(tell_it())


# Script and law, odd names


@pytest.mark.parametrize("name", ["team\u00a0a", "team\u2003a", "team\x1ca", "team a"])
def test_a_name_with_white_space_of_any_kind_is_refused_or_one_name_everywhere(
    tmp_path: Path, name: str
) -> None:
    """Accounts are parted by `split()`, which knows more white space than Lua, and nothing refuses a name
    that has some: what is held is never released, and a top-up that is refused fails an assertion."""
    try:
        scope = Scope(Kind.KEY, name, Period.DAY, 100)
    except ValueError:
        return

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(**NO_LEASE)
        await a.start()
        hold = await held(a.guard, "a", 10, scope)
        assert isinstance(await a.guard.top_up(hold, 101), Refusal)
        a.guard.settle(hold, 5)
        await a.guard.spent("t")
        assert await scoped(a.guard, scope) == [(5, 0)]
        assert rows(a) == {scope.account(TODAY): (5, 0, 0)}

    story(tmp_path, tell_it)


def test_a_name_with_a_blank_does_not_stop_what_is_charged_when_it_expires(tmp_path: Path) -> None:
    """`kept_until` reads the pieces of such a name as periods: a ValueError in `sweep`, and with it in
    every transaction of the thread from then on. No budget of any tenant can be reserved any more."""
    try:
        scope = Scope(Kind.POLICY, "our deal makers", Period.DAY, 100)
    except ValueError:
        return
    clock = [NOON]

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: clock[0])
        guard.start()
        await held(guard, "a", 10, scope)
        clock[0] += HOLD_TTL_MS
        verdict = await guard.reserve("other", "b", 1)
        await guard.close()
        assert isinstance(verdict, Hold), verdict

    asyncio.run(tell_it())


def test_a_scope_that_is_named_twice_is_an_error(tmp_path: Path) -> None:
    """Each name would move the account: what is held and spent would be doubled, for good."""

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: NOON)
        guard.start()
        with pytest.raises(ValueError, match="each once"):
            await guard.reserve("t", "a", 10, scopes=(KEY, replace(KEY, cap_nano=90)))
        await guard.close()

    asyncio.run(tell_it())


# Refusals that mislead


def test_what_is_set_aside_is_not_said_to_end_in_a_second(tmp_path: Path) -> None:
    """What Redis sets aside for its absence counts as held by calls: a call that finds no room for it is
    told to come again in a second, for ever; nothing is under way, and nobody can free it."""

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(link=PATIENT)
        await a.start()
        key = Scope(Kind.KEY, "ci", Period.DAY, 1_000)
        await spend(a.guard, "a", 995, key)
        refusal = await a.guard.reserve("t", "b", 1, scopes=(key,))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "API_KEY_BUDGET_EXCEEDED"
        assert refusal.retry_after_ms == DAY_MS - NOON % DAY_MS

    story(tmp_path, tell_it)


def test_a_top_up_after_midnight_is_not_told_that_yesterday_resets(tmp_path: Path) -> None:
    """`daily` gives no hint where the call's day is not today; scopes say "it resets at 00:00 UTC"."""
    clock = [NOON - NOON % DAY_MS + DAY_MS - 1]

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: clock[0])
        guard.start()
        key = Scope(Kind.KEY, "ci", Period.DAY, 100)
        await spend(guard, "a", 60, key)
        hold = await held(guard, "b", 10, key)
        clock[0] += 2
        refusal = await guard.top_up(hold, 50)
        await guard.close()
        assert isinstance(refusal, Refusal)
        assert refusal.retry_after_ms is None

    asyncio.run(tell_it())


# Books that stay above the truth


def test_what_was_lent_is_given_back_also_where_redis_heard_of_the_call_before_it_ended(
    tmp_path: Path,
) -> None:
    """A call under way when Redis comes back is named by the report, and its settlement then gives nothing
    back: the scope can be lent no more, for the rest of its period, for a life for ever, though a tenth
    was spent."""

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host()
        await a.start()
        await drawn(a)
        life = session("s", CAP // 2)
        server.freeze()
        hold = await held(a.guard, "x", 2_000, life)
        server.thaw()
        await until_told(a)
        a.guard.settle(hold, 200)
        await until_told(a)
        assert rows(a)[life.account(TODAY)] == (200, 0, 200)

    story(tmp_path, tell_it)


def test_what_expired_of_a_host_that_is_gone_is_not_kept_for_ever(told) -> None:
    """`x:HOST` is taken away by that host's next report alone, and read by every report of the others."""

    async def tell_it(books: Books) -> None:
        both = replace(WHO, hosts=2)
        calls = tuple((f"req_{i:032x}", Entry(TODAY, 1, NOON + HOLD_TTL_MS)) for i in range(100))
        await books.report(replace(EMPTY, host="gone", calls=calls), both)
        for days in (0, 40):
            late = replace(both, now_ms=NOON + days * DAY_MS + HOLD_TTL_MS)
            number = days + 1
            await books.report(replace(EMPTY, report=number, token=f"t{number}", tokens=("t1",)), late)
        assert await books.link.call("HEXISTS", "p402:{t}:books", "x:gone") == 0

    told(tell_it)


def test_a_beat_reads_all_accounts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`work` prefetches no accounts for a `Beat`: each scope of each call is a statement of its own, 466
    ms for 1,000 calls of four scopes (62 without), in the write transaction of all workers."""
    reads = []
    read = Sheet._read_scopes

    def counted(self, accounts) -> None:
        accounts = list(accounts)
        reads.append(len(accounts))
        read(self, accounts)

    monkeypatch.setattr(Sheet, "_read_scopes", counted)

    async def tell_it() -> None:
        guard = SqliteGuard(tmp_path / "state.db", lambda _: capped(CAP), lambda: NOON)
        guard.start()
        for i in range(10):
            await held(guard, f"{i}", 1, session(f"s{i}", 100), session(f"t{i}", 100))
        reads.clear()
        guard._ask(Beat(tuple(guard._alive.values())))
        await guard.spent("t")
        await guard.close()

    asyncio.run(tell_it())
    assert len(reads) <= 3, reads


def test_a_redis_that_begins_anew_is_told_also_of_scopes_in_which_nothing_is_spent(tmp_path: Path) -> None:
    """A whole report leaves out accounts with nothing spent, as if Redis had none of them; the books of a
    server that begins anew stand, with a charge in them that was taken back meanwhile."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, life = [NOON], session("s", 100)
        a = host(clock=clock, **NO_LEASE)
        await a.start()
        hold = await held(a.guard, "x", 10, life)
        clock[0] += HOLD_TTL_MS
        await a.guard._reporter.report("t")
        assert await scoped(a.guard, life) == [(10, 0)]
        await tell(server, "SAVE")
        a.guard.settle(hold, 0)
        assert (await a.guard.spent("t"), await scoped(a.guard, life)) == ((0, 0), [(0, 0)])
        await begun_anew(server, a)
        for _ in range(3):
            await a.guard._reporter.report("t")
        assert await a.guard.spent("t") == (0, 0)
        assert await scoped(a.guard, life) == [(0, 0)]

    story(tmp_path, tell_it)


def test_a_host_that_is_gone_when_redis_begins_anew_counts_at_its_share_or_what_it_spent(
    tmp_path: Path,
) -> None:
    """Its day counts at the greater of the two, its scopes at their sum: a month's budget is used up till
    the host is back, by nobody."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock = [NOON]
        a, b = (host(n, hosts=2, clock=clock, **NO_LEASE) for n in "ab")
        await both_there(server, a, b)
        await spend(b.guard, "b1", 50, KEY)
        assert await b.guard.spent("t") == (50, 0)
        await b.die()
        await begun_anew(server, a)
        a.guard.patience_s = 0.01
        await a.guard.reserve("t", "early", 1)
        clock[0] += GRACE_MS
        a.guard.patience_s = 20.0
        verdict = await a.guard.reserve("t", "fits", 50, scopes=(KEY,))
        assert isinstance(verdict, Hold), verdict

    story(tmp_path, tell_it, "--appendonly", "yes")


def test_a_call_that_cost_what_it_was_charged_at_its_expiry_is_told_again(tmp_path: Path) -> None:
    """Redis had revived it and the ledger had not; settling it moved no sum of the ledger, so that no report
    named its accounts. Found by random histories."""

    async def tell_it(server: Server, host: Hosts) -> None:
        clock, life = [NOON], session("s", 100)
        a = host(clock=clock, **NO_LEASE)
        await a.start()
        hold = await held(a.guard, "x", 10, life)
        clock[0] += HOLD_TTL_MS
        await a.guard._reporter.report("t")
        assert await scoped(a.guard, life) == [(10, 0)]
        parts = scripts.ask_top_up(a.guard._reporter.caller("t"), "t", "x", 10, CAP, (life,))
        await a.guard._redis.call(*parts)
        assert await scoped(a.guard, life) == [(0, 10)]
        a.own.settle(hold, 10)  # and Redis does not hear it
        await a.own.do(lambda db, _: position.survey(db, 0))
        await a.guard._reporter.report("t")
        assert await scoped(a.guard, life) == [(10, 0)]
        assert await a.guard.spent("t") == (10, 0)

    story(tmp_path, tell_it)


# Time


def test_a_host_of_many_sessions_brings_a_redis_that_forgot_up_to_date_in_time(tmp_path: Path) -> None:
    """One script for 50,000 accounts stops Redis for a second, beyond the link's 150 ms. A ledger of which
    no report was ever known to be taken (a new name, a restored file) tells all of them again each
    second, and never knows."""

    async def tell_it(server: Server, host: Hosts) -> None:
        a = host(lease_nano=lambda *_: 0, link=QUICK)
        await a.start()
        await a.own.do(lambda db, _: position.rename(db))
        with closing(sqlite3.connect(a.own.path)) as db:
            db.executemany(
                "INSERT INTO scope VALUES ('t', ?, 5, 0, 0, 0, ?, 1)",
                [(session(f"s{i}", 1).account(TODAY), TODAY + LIFE_DAYS) for i in range(50_000)],
            )
            db.commit()
        told = 0
        for _ in range(5):
            await a.guard._watch.look()
            told = (await a.own.do(lambda db, _: db.execute("SELECT taken FROM shared").fetchone()))[0]
            await asyncio.sleep(2)
        assert told, "no report of five was known to be taken"

    story(tmp_path, tell_it)


def test_many_calls_that_expire_at_once_do_not_stop_redis(told) -> None:
    """`sweep` reads and writes one growing text for each: 4 s for 10,000 calls, 0.2 s on main."""

    async def tell_it(books: Books) -> None:
        calls = tuple(
            (f"req_{i:032x}", Entry(TODAY, 1, NOON + HOLD_TTL_MS, slot_ms=NOON)) for i in range(10_000)
        )
        await books.report(replace(EMPTY, calls=calls))
        await books.link.call("CONFIG", "SET", "slowlog-log-slower-than", "0")
        await books.link.call("SLOWLOG", "RESET")
        await books.look(replace(WHO, now_ms=NOON + HOLD_TTL_MS))
        slowest = max(entry[2] for entry in await books.link.call("SLOWLOG", "GET", "10"))
        assert slowest < 5_000_000, f"{slowest / 1e6:.1f} s"  # from where on Redis itself calls a script slow

    told(tell_it)


def test_a_script_of_the_release_before_reads_what_this_one_writes(told) -> None:
    """An entry ends with a blank also where it names no scopes; the pattern of the release before then
    finds nothing, its `sweep` fails, and every call of a host that is not upgraded yet is refused."""

    async def tell_it(books: Books) -> None:
        await books.report()
        await books.reserve("a", 5)
        entry = await books.link.call("HGET", "p402:{t}:holds", "a")
        assert len(entry.split(b" ")) == 8

    told(tell_it)
