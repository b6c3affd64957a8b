"""Scopes in the scripts, on a real server: what each says and leaves behind."""

from dataclasses import replace

import pytest

from p402.guard.daily import DAY_MS, HOLD_TTL_MS, Entry, State
from p402.guard.lease import GRACE_MS, wanted_nano
from p402.guard.scopes import LIFE_DAYS, Totals, session
from p402.limits import Kind, Period, Scope
from serve.guard import scripts
from serve.guard.answers import Granted, NotRaised, Raised, Refused, Taken, Whole
from serve.guard.position import Position
from serve.guard.scripts import Caller
from serve.guard.wanted import Wanted
from tests.serve.guard.test_scripts import EMPTY, LIMITS, NOON, TODAY, WHO, Books, at, told

__all__ = ["told"]  # the fixture

KEY = Scope(Kind.KEY, "ci", Period.DAY, 100)
MONTH = Scope(Kind.KEY, "ci", Period.MONTH, 190)
LIFE = session("s", 150)
OF = (KEY, MONTH, LIFE)
(K, M, L) = (scope.account(TODAY) for scope in OF)


async def reserve(books: Books, name: str, amount: int, scopes=OF, who: Caller = WHO):
    parts = scripts.ask_reserve(who, Wanted("t", name, amount, 0, LIMITS, scopes))
    return scripts.read_reserve(await books.link.call(*parts))


async def totals(books: Books, scopes=OF, who: Caller = WHO) -> list[tuple[int, int]]:
    parts = scripts.ask_look(replace(who, host=""), "t", 100, scopes)
    looked = scripts.read_look(await books.link.call(*parts), who, scopes)
    return [(t.spent_nano, t.held_nano) for _, t in looked.scoped]


async def settle(books: Books, name: str, actual: int, accounts=(K, M, L), who: Caller = WHO):
    parts = scripts.ask_settle(who, "t", name, TODAY, actual, accounts=accounts)
    return scripts.read_settle(await books.link.call(*parts))


async def names(books: Books) -> set[str]:
    return {name.decode() for name in await books.link.call("HKEYS", "p402:{t}:scopes")}


def reported(report: int, **more) -> Position:
    return replace(EMPTY, report=report, token=f"t{report}", tokens=("t1", f"t{report - 1}"), **more)


def test_a_hold_moves_its_day_and_the_accounts_of_its_scopes_together(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        granted = await reserve(books, "a", 60)
        assert isinstance(granted, Granted)
        assert granted.totals == (Totals(), Totals(), Totals())
        refused = await reserve(books, "b", 41)
        assert isinstance(refused, Refused)
        assert refused.totals == (Totals(0, 60),) * 3
        assert isinstance(await books.top_up("a", 90), NotRaised), "its scopes are not named"
        parts = scripts.ask_top_up(WHO, "t", "a", 90, 1_000, OF)
        assert isinstance(scripts.read_top_up(await books.link.call(*parts)), Raised)
        assert (await books.spent(), await totals(books)) == ((0, 90), [(0, 90)] * 3)
        await settle(books, "a", 70)
        await settle(books, "a", 10)
        assert (await books.spent(), await totals(books)) == ((70, 0), [(70, 0)] * 3)
        await settle(books, "lost", 5, (K,))
        assert (await books.spent(), await totals(books)) == ((75, 0), [(75, 0), (70, 0), (70, 0)])

    told(story)


def test_an_expired_hold_is_charged_to_its_scopes_too_and_lives_again_in_them(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await reserve(books, "a", 60)
        late = at(WHO, HOLD_TTL_MS)
        assert await totals(books, who=late) == [(60, 0)] * 3
        assert isinstance(await books.top_up("a", 60, late), Raised)
        assert await totals(books, who=late) == [(0, 60)] * 3

    told(story)


def test_a_top_up_is_refused_by_a_scope_with_what_the_law_needs(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await reserve(books, "a", 60)
        new = Scope(Kind.KEY, "new", Period.DAY, 1)
        parts = scripts.ask_top_up(WHO, "t", "a", 101, 1_000, (*OF, new))
        refused = scripts.read_top_up(await books.link.call(*parts))
        assert isinstance(refused, NotRaised)
        assert (refused.entry.amount_nano, refused.entry.accounts) == (60, (K, M, L))
        assert refused.totals == (*(Totals(0, 60),) * 3, Totals())
        parts = scripts.ask_top_up(WHO, "t", "a", 100, 1_000, (*OF, new))
        assert isinstance(scripts.read_top_up(await books.link.call(*parts)), Raised), "new is not its scope"

    told(story)


def test_a_report_replaces_what_its_host_holds_in_scopes_and_sets_what_it_spent(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await reserve(books, "kept", 10)
        await reserve(books, "gone", 20)
        await settle(books, "never recorded", 30, (K,))
        assert await totals(books) == [(30, 30), (0, 30), (0, 30)]
        kept = Entry(TODAY, 10, NOON + HOLD_TTL_MS, slot_ms=NOON + 60_000, accounts=(K, M, L))
        told_of = reported(
            2, taken=1, base=1, calls=(("kept", kept),), days=((TODAY, 7),), spent=((K, 7, 0),)
        )
        assert isinstance(await books.report(told_of), Taken)
        assert (await books.spent(), await totals(books)) == ((7, 10), [(7, 10), (0, 10), (0, 10)])

    told(story)


def test_a_report_undoes_what_a_settlement_or_an_expiry_it_does_not_know_of_charged(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        for name in ("settled early", "expired"):
            await reserve(books, name, 10)
        await settle(books, "settled early", 4)
        late = at(WHO, HOLD_TTL_MS)
        assert await totals(books, who=late) == [(14, 0)] * 3
        held = Entry(TODAY, 10, NOON + 2 * HOLD_TTL_MS, accounts=(K, M, L))
        calls = (("settled early", held), ("expired", held))
        await books.report(reported(2, taken=1, base=1, calls=calls), late)
        assert await totals(books, who=late) == [(0, 20)] * 3
        late = replace(late, report=2)
        await settle(books, "settled early", 4, who=late)
        assert await totals(books, who=late) == [(4, 10)] * 3

    told(story)


def test_a_report_undoes_what_a_call_was_charged_that_its_ledger_never_had(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await reserve(books, "answer lost", 10)
        await reserve(books, "known", 20)
        late = at(WHO, HOLD_TTL_MS)
        assert await totals(books, who=late) == [(30, 0)] * 3
        known = Entry(TODAY, 20, NOON + HOLD_TTL_MS, State.EXPIRED, 20, accounts=(K, M, L))
        told_of = reported(2, taken=1, base=1, calls=(("known", known),), days=((TODAY, 20),))
        await books.report(told_of, late)
        assert (await books.spent(late), await totals(books, who=late)) == ((20, 0), [(20, 0)] * 3)
        await settle(books, "known", 15, who=replace(late, report=2))
        assert (await books.spent(late), await totals(books, who=late)) == ((15, 0), [(15, 0)] * 3)

    told(story)


@pytest.mark.parametrize("base", [1, 2])
def test_a_redis_that_lacks_what_a_report_builds_on_asks_for_all_of_it(told, base: int) -> None:
    async def story(books: Books) -> None:
        told_of = reported(3, taken=0, base=base, spent=((K, 7, 0),))
        assert await books.report(told_of) == Whole()
        await books.report(reported(2) if base == 1 else EMPTY)
        again = replace(told_of, report=4, token="t4", tokens=("t1", "t2"))
        assert isinstance(await books.report(again), Taken if base == 1 else Whole)
        whole = replace(told_of, report=5, token="t5", tokens=("t1", "t2", "t4"), base=0)
        assert isinstance(await books.report(whole), Taken)
        assert (await totals(books))[0] == (7, 0)

    told(story)


def test_hosts_scopes_add_up_and_each_report_sets_only_its_own(told) -> None:
    async def story(books: Books) -> None:
        both = replace(WHO, hosts=2)
        for host, nano in (("h", 10), ("i", 20)):
            await books.report(replace(EMPTY, host=host, spent=((K, nano, 0), (L, nano, 0))), both)
        assert await totals(books, who=both) == [(30, 0), (0, 0), (30, 0)]
        await books.report(reported(2, host="i", taken=1, base=1, spent=((K, 5, 0),)), both)
        assert await totals(books, who=both) == [(15, 0), (0, 0), (30, 0)]

    told(story)


def test_an_absent_host_counts_at_its_share_of_a_scope_in_the_period_in_which_redis_forgot(told) -> None:
    async def story(books: Books) -> None:
        both = replace(WHO, hosts=2)
        await books.report(who=both)
        late = at(both, GRACE_MS)
        assert isinstance(await reserve(books, "a", 51, who=late), Refused)
        assert isinstance(await reserve(books, "a", 50, who=late), Granted)
        assert await totals(books, who=late) == [(50, 50), (95, 50), (75, 50)]
        tomorrow = at(both, DAY_MS)
        assert (await totals(books, who=tomorrow))[0] == (0, 0)
        assert (await totals(books, who=at(both, 9 * DAY_MS)))[2][0] == 50 + 75
        assert (await totals(books, who=at(both, 60 * DAY_MS)))[1] == (0, 0)
        await books.report(replace(EMPTY, host="i"), late)
        assert await totals(books, who=late) == [(50, 0)] * 3, "it has expired meanwhile"

    told(story)


def test_what_is_aside_for_when_redis_is_away_is_not_given_out(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        wide = Scope(Kind.KEY, "wide", Period.DAY, 900)
        assert wanted_nano(900, 1) == 4
        refused = await reserve(books, "a", 897, (wide,))
        assert isinstance(refused, Refused)
        assert refused.totals == (Totals(0, 0),)
        assert isinstance(await reserve(books, "a", 896, (wide,)), Granted)
        parts = scripts.ask_look(replace(WHO, host=""), "t", 100, (wide,))
        looked = scripts.read_look(await books.link.call(*parts), WHO, (wide,))
        assert looked.scoped == ((wide, Totals(0, 896, 4)),)

    told(story)


@pytest.mark.parametrize(("scope", "days"), [(KEY, 3), (MONTH, LIFE_DAYS + 1), (LIFE, LIFE_DAYS + 1)])
def test_an_account_is_forgotten_once_nobody_can_need_it(told, scope: Scope, days: int) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await reserve(books, "a", 5, (scope,))
        await settle(books, "a", 5)
        midnight = (TODAY + days) * DAY_MS
        await settle(books, "b", 0, (), replace(WHO, now_ms=midnight - 1))
        assert await names(books) == {scope.account(TODAY)}
        await settle(books, "c", 0, (), replace(WHO, now_ms=midnight))
        assert await names(books) == set()

    told(story)


def test_script_and_law_name_the_same_account_on_every_day_of_eight_years(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        for day in range(TODAY, TODAY + 8 * 366, 1):
            who = replace(WHO, now_ms=day * DAY_MS + DAY_MS // 2)
            granted = await reserve(books, f"r{day}", 0, (MONTH,), who)
            assert isinstance(granted, Granted)
            entry = await books.link.call("HGET", "p402:{t}:holds", f"r{day}")
            assert entry.split()[8].decode() == MONTH.account(day)
            await books.settle(f"r{day}", 0, who, day)

    told(story)


def test_books_that_are_wiped_take_their_scopes_with_them(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        granted = await reserve(books, "a", 5)
        await reserve(books, "b", 5, who=replace(WHO, seen=granted.seq + 9))
        assert await names(books) == set()

    told(story)
