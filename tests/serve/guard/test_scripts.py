"""The scripts one by one, on a real server: what each says and leaves behind, whoever asks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from p402.guard import lease
from p402.guard.anomaly import NO_PAST, CostHistory, observe
from p402.guard.daily import DAY_MS, HOLD_TTL_MS, KEEP_DAYS, Entry, State
from p402.guard.ledger import Account
from p402.limits import Rate
from serve.guard import answers, scripts
from serve.guard.answers import Cold, Foreign, Granted, Newer, NotRaised, Over, Raised, Refused, Stale
from serve.guard.position import Position
from serve.guard.scripts import Caller
from serve.guard.wanted import Wanted
from serve.redis.address import read_address
from serve.redis.calls import NO_RUN
from serve.redis.link import Link
from tests.conformance.guard import NOON
from tests.limits import capped
from tests.serve.guard.test_shared import PATIENT
from tests.serve.redis.server import Server

TODAY = NOON // DAY_MS
LIMITS = capped(1_000)
WHO = Caller(NOON, "h", 1, 0, 1)
EMPTY = Position("h", 1, 0, "t1", (), TODAY, 0, 0, Account(), (), (), ())
FORGET_MS = 3_600_000


class Books:
    """One tenant's books, asked as a host does."""

    def __init__(self, link: Link) -> None:
        self.link = link

    async def report(self, position: Position = EMPTY, who: Caller = WHO, cap: int = 1_000):
        who = replace(who, report=position.report, host=position.host)
        return scripts.read_report(await self.link.call(*scripts.ask_report(who, "t", position, cap)))

    async def reserve(self, name: str, amount: int, who: Caller = WHO, limits=LIMITS):
        wanted = Wanted("t", name, amount, 0, limits)
        return scripts.read_reserve(await self.link.call(*scripts.ask_reserve(who, wanted)))

    async def top_up(self, name: str, amount: int, who: Caller = WHO):
        return scripts.read_top_up(await self.link.call(*scripts.ask_top_up(who, "t", name, amount, 1_000)))

    async def settle(
        self, name: str, actual: int, who: Caller = WHO, day: int = TODAY, *, learns: bool = True
    ):
        parts = scripts.ask_settle(who, "t", name, day, actual, learns=learns)
        return scripts.read_settle(await self.link.call(*parts))

    async def look(self, who: Caller = WHO):
        return scripts.read_look(
            await self.link.call(*scripts.ask_look(replace(who, host=""), "t", 100)), who
        )

    async def spent(self, who: Caller = WHO) -> tuple[int, int]:
        day = (await self.look(who)).day
        return day.spent_nano, day.held_nano

    async def size(self, key: str) -> int:
        count = {"holds": "HLEN", "due": "ZCARD", "slots": "ZCARD", "old": "ZCARD"}[key]
        return int(await self.link.call(count, f"p402:{{t}}:{key}"))


Story = Callable[[Books], Awaitable[None]]


@pytest.fixture
def told(redis: Server) -> Callable[[Story], None]:
    def tell(story: Story) -> None:
        async def run() -> None:
            link = Link(read_address(redis.url), scripts=scripts.ALL, **PATIENT)
            try:
                await link.call("FLUSHALL")
                await story(Books(link))
            finally:
                await link.aclose()

        asyncio.run(run())

    return tell


def at(who: Caller, ms: int) -> Caller:
    return replace(who, now_ms=NOON + ms)


def test_only_the_report_in_force_is_believed_by_every_script(told) -> None:
    async def story(books: Books) -> None:
        assert isinstance(await books.reserve("a", 1), Cold)
        await books.report()
        await books.report(replace(EMPTY, report=3, tokens=("t1",), token="t3"))
        for number in (0, 1, 2, 4):
            who = replace(WHO, report=number)
            assert await books.reserve("a", 1, who) == Stale(3)
            assert await books.top_up("a", 1, who) == Stale(3)
            assert await books.settle("a", 1, who) == Stale(3)
        assert await books.reserve("a", 1, replace(WHO, host="other")) == Stale(0)
        assert await books.spent() == (0, 0)
        assert isinstance(await books.reserve("a", 1, replace(WHO, report=3)), Granted)

    told(story)


def test_a_report_is_taken_once_by_number_and_only_of_the_ledger_that_made_the_last(told) -> None:
    async def story(books: Books) -> None:
        await books.report(replace(EMPTY, report=5))
        assert await books.report(replace(EMPTY, report=5, tokens=("t1",))) == Newer(5)
        assert await books.report(replace(EMPTY, report=4, token="t0")) == Newer(5)
        assert await books.report(replace(EMPTY, report=5, token="of a copy")) == Foreign(5)
        assert await books.report(replace(EMPTY, report=6, token="of a copy")) == Foreign(5)
        assert (await books.report(replace(EMPTY, report=6, token="t6", tokens=("t0", "t1")))).open

    told(story)


def test_books_that_went_back_are_wiped_by_the_first_who_saw_more(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        granted = await books.reserve("a", 10)
        assert isinstance(granted, Granted)
        ahead = replace(WHO, seen=granted.seq + 1)
        assert isinstance(await books.reserve("b", 1, ahead), Cold)
        assert await books.size("due") == await books.size("holds") == 0
        taken = await books.report(replace(EMPTY, report=2), ahead)
        assert taken.seq > ahead.seen
        fewer = replace(EMPTY, report=3, taken=9, token="t3", tokens=("t1",))
        assert (await books.report(fewer)).open, "a report below one that was taken begins the books anew"
        assert isinstance(await books.reserve("c", 1, replace(WHO, report=2)), Stale)

    told(story)


def test_a_settled_call_is_over_and_settled_once_and_remembered_for_an_hour(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await books.reserve("a", 10)
        for actual in (4, 9):
            await books.settle("a", actual)
        assert await books.spent() == (4, 0)
        assert isinstance(await books.reserve("a", 10), Over)
        assert isinstance(await books.top_up("a", 20), Over)
        await books.reserve("b", 10, at(WHO, FORGET_MS - 1))
        await books.settle("b", 1, at(WHO, FORGET_MS - 1))
        assert await books.size("holds") == 2
        await books.reserve("c", 10, at(WHO, FORGET_MS))
        await books.settle("c", 1, at(WHO, FORGET_MS))
        assert await books.size("holds") == 2
        assert await books.size("old") == 2

    told(story)


def test_an_unknown_settlement_is_booked_but_not_on_a_closed_day(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await books.settle("lost", 7)
        await books.settle("ancient", 7, day=TODAY - KEEP_DAYS - 1)
        assert await books.spent() == (7, 0)
        assert await books.link.call("HGET", "p402:{t}:books", f"{TODAY - KEEP_DAYS - 1}:s") is None

    told(story)


def test_an_expired_call_is_charged_and_corrected_late_also_behind_a_report_that_names_it(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await books.reserve("a", 10)
        late = at(WHO, HOLD_TTL_MS)
        assert await books.spent(late) == (10, 0)
        assert await books.size("due") == await books.size("slots") == 0
        named = Entry(TODAY, 10, NOON + HOLD_TTL_MS, State.EXPIRED, 10)
        position = replace(
            EMPTY, report=2, token="t2", tokens=("t1",), days=((TODAY, 10),), calls=(("a", named),)
        )
        await books.report(position, late)
        assert await books.spent(late) == (10, 0)
        await books.settle("a", 3, replace(late, report=2))
        assert await books.spent(late) == (3, 0)
        raised = await books.top_up("a", 5, replace(late, report=2))
        assert isinstance(raised, Over)

    told(story)


def test_an_expired_call_lives_again_when_it_is_topped_up_and_is_not_forgotten(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await books.reserve("a", 10)
        late = at(WHO, HOLD_TTL_MS)
        assert isinstance(await books.top_up("a", 10, late), Raised)
        assert await books.spent(late) == (0, 10)
        assert await books.size("old") == 0
        refused = await books.top_up("a", 1_001, late)
        assert isinstance(refused, NotRaised)
        assert (refused.day.spent_nano, refused.day.held_nano, refused.entry.amount_nano) == (0, 10, 10)

    told(story)


def test_nothing_is_given_out_before_all_have_reported_but_settlements_are_booked(told) -> None:
    async def story(books: Books) -> None:
        two = replace(WHO, hosts=2)
        assert not (await books.report(who=two)).open
        assert isinstance(await books.reserve("a", 1, two), answers.Wait)
        assert isinstance(await books.top_up("a", 1, two), answers.Wait)
        await books.settle("b", 5, two)
        wishes = replace(EMPTY, report=2, token="t2", tokens=("t1",), days=((TODAY, 5),), wanted_nano=9)
        assert (await books.report(wishes, two)).lease_nano == 0
        assert (await books.report(replace(EMPTY, host="other", token="o"), two)).open
        assert isinstance(await books.reserve("a", 1, replace(two, report=2)), Granted)
        assert await books.spent() == (5, 1)

    told(story)


def test_a_lease_is_of_today_replaces_the_last_and_is_charged_if_nobody_renews_it(told) -> None:
    async def story(books: Books) -> None:
        yesterday = replace(EMPTY, lease_day=TODAY - 1, wanted_nano=5)
        assert (await books.report(yesterday)).lease_nano == 0
        for number in (2, 3):
            wishes = replace(
                EMPTY, report=number, token=f"t{number}", tokens=(f"t{number - 1}", "t1"), wanted_nano=5
            )
            assert (await books.report(wishes)).lease_nano == 5
            assert await books.spent() == (0, 5)
        late = at(WHO, HOLD_TTL_MS)
        assert await books.spent(late) == (5, 0)
        again = replace(EMPTY, report=4, token="t4", tokens=("t3",), kept_nano=4, wanted_nano=4)
        await books.report(again, late)
        assert await books.spent(late) == (0, 4)
        after = replace(at(WHO, (KEEP_DAYS + 2) * DAY_MS), report=5)
        leased = replace(
            EMPTY, report=5, token="t5", tokens=("t4",), lease_day=TODAY + 4, kept_nano=4, wanted_nano=4
        )
        await books.report(leased, after)
        await books.settle("x", 0, after, day=TODAY + 4)  # forgets what may be forgotten
        assert await books.spent(after) == (0, 4)
        assert await books.size("due") == 1
        fields = await books.link.call("HKEYS", "p402:{t}:books")
        assert not [f for f in fields if f.startswith(b"%d:" % (TODAY - 1))]

    told(story)


def test_bucket_and_past_of_two_hosts_come_together_again(told) -> None:
    async def story(books: Books) -> None:
        pasts: dict[str, CostHistory] = {}
        together = NO_PAST
        for host, costs in (("h", (3, 900, 40)), ("other", (7, 7_000))):
            past = NO_PAST
            for cost in costs:
                past, together = observe(past, cost), observe(together, cost)
            pasts[host] = past
        for host, tat in (("h", 5_000), ("other", 4_000)):
            account = Account(NOON * 1_000 + tat, pasts[host])
            position = replace(EMPTY, host=host, token=host, account=account)
            await books.report(position, replace(WHO, hosts=2))
            await books.report(
                replace(position, report=2, token=f"{host}2", tokens=(host,)), replace(WHO, hosts=2)
            )
        account = (await books.look()).account
        assert account.tat_us == NOON * 1_000 + 5_000
        assert account.history.count == together.count == 5
        assert account.history.mean == pytest.approx(together.mean, rel=1e-12)
        assert account.history.m2 == pytest.approx(together.m2, rel=1e-12)

    told(story)


def test_a_settlement_is_learnt_from_unless_it_is_told_again(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        for name, learns in (("a", True), ("b", False)):
            await books.reserve(name, 10)
            await books.settle(name, 5, learns=learns)
        await books.reserve("free", 10)
        await books.settle("free", 0)
        assert (await books.look()).account.history == observe(NO_PAST, 5)

    told(story)


def test_what_others_spent_is_told_and_what_was_seen_of_the_silent_counts_today_alone(told) -> None:
    async def story(books: Books) -> None:
        two = replace(WHO, hosts=2)
        seen = (("gone", TODAY, 300), ("past", TODAY - 1, 300), ("h", TODAY, 300))
        await books.report(replace(EMPTY, days=((TODAY, 50),), peers=seen), two)
        assert await books.spent() == (350, 0)
        less = (("gone", TODAY, 200),)
        await books.report(
            replace(EMPTY, report=2, token="t2", tokens=("t1",), days=((TODAY, 50),), peers=less), two
        )
        assert await books.spent() == (350, 0)
        back = await books.report(replace(EMPTY, host="gone", token="g", days=((TODAY, 310),)), two)
        assert back.others == (("h", 50),)
        assert await books.spent() == (360, 0)
        again = replace(EMPTY, report=3, token="t3", tokens=("t2",), days=((TODAY, 50),), peers=seen)
        assert (await books.report(again, two)).others == (("gone", 310),)
        assert await books.spent() == (360, 0)

    told(story)


def test_a_refusal_by_any_layer_takes_nothing(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        narrow = capped(100, rate=Rate(1, 2), max_in_flight=1)
        assert isinstance(await books.reserve("a", 60, limits=narrow), Granted)
        before = (await books.look()).account
        for name, amount, limits in (
            ("dear", 50, capped(100)),
            ("crowded", 1, narrow),
            ("fast", 1, capped(100, rate=Rate(1, 1))),
        ):
            refused = await books.reserve(name, amount, limits=limits)
            assert isinstance(refused, Refused), name
            assert (refused.day.held_nano, refused.in_flight) == (60, 1)
        assert (await books.look()).account == before
        assert await books.size("due") == await books.size("slots") == 1

    told(story)


def test_a_key_that_somebody_deleted_breaks_nothing_and_frees_nothing(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await books.reserve("a", 10)
        await books.link.call("DEL", "p402:{t}:holds")
        await books.report(replace(EMPTY, report=2, token="t2", tokens=("t1",)))
        again = replace(WHO, report=2)
        assert isinstance(await books.reserve("b", 20, again), Granted)
        await books.link.call("DEL", "p402:{t}:holds")
        late = replace(at(WHO, HOLD_TTL_MS), report=2)
        assert isinstance(await books.reserve("c", 30, late), Granted)
        assert await books.spent(late) == (0, 60)

    told(story)


async def begun_anew(books: Books) -> None:
    """The books as another server would have written them."""
    await books.link.call("HSET", "p402:{t}:books", "run", "f" * 40)


def test_books_that_another_server_wrote_stand_but_are_closed_until_told_again(told) -> None:
    async def story(books: Books) -> None:
        both = replace(WHO, hosts=2)
        other = replace(EMPTY, host="other", token="o1", days=((TODAY, 30),))
        await books.report(replace(EMPTY, days=((TODAY, 7),)), both)
        await books.report(other, both)
        assert isinstance(await books.reserve("a", 10, both), Granted)
        await begun_anew(books)
        assert isinstance(await books.look(), Cold)
        assert await books.reserve("b", 1, both) == Stale(0)
        assert await books.spent() == (37, 10)
        taken = await books.report(replace(EMPTY, report=2, days=((TODAY, 7),)), both)
        assert (taken.open, taken.others) == (False, (("other", 30),))
        who = replace(both, report=2)
        assert isinstance(await books.reserve("b", 1, who), answers.Wait)
        assert await books.spent() == (37, 0), "its host no longer says that it holds it"
        assert (await books.report(replace(other, report=2), both)).open
        assert isinstance(await books.reserve("b", 1, who), Granted)
        assert await books.spent() == (37, 1)

    told(story)


def test_the_share_of_an_absent_host_is_not_counted_again_where_redis_begins_anew(told) -> None:
    async def story(books: Books) -> None:
        both = replace(WHO, hosts=2)
        for report in (1, 2):
            await books.report(replace(EMPTY, report=report), both)
            late = at(replace(both, report=report), report * lease.GRACE_MS)
            assert isinstance(await books.reserve(f"r{report}", 1, late), Granted)
            assert (await books.spent(late))[0] == 500
            await begun_anew(books)
        await books.report(replace(EMPTY, host="other", token="o1"), both)
        assert (await books.spent())[0] == 0

    told(story)


def test_a_server_that_does_not_tell_its_run_is_believed_by_number_alone(told) -> None:
    async def story(books: Books) -> None:
        await books.report()
        await begun_anew(books)
        connection = books.link._connection
        assert connection is not None
        connection.run = NO_RUN
        assert isinstance(await books.reserve("a", 1), Granted)

    told(story)
