"""What every hand of the guard does alike: one suite, run against each.

A hand is opened by `open_guard(limits, clock)`, an asynchronous context manager; the clock is a list of
one integer, wall time in ms. Settlements are queued, so a test reads the books before it looks.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from p402.errors import Refusal
from p402.guard.anomaly import NO_PAST, observe
from p402.guard.daily import DAY_MS, HOLD_TTL_MS, Day
from p402.guard.explain import layers
from p402.guard.scopes import Totals, session
from p402.guard.slots import SLOT_LEASE_MS
from p402.limits import Kind, Limits, Period, Rate, Scope
from p402.ports import Guard, Hold
from tests.limits import capped

Open = Callable[[Callable[[str], Limits], list[int]], AbstractAsyncContextManager[Guard]]
SLOW = capped(100, rate=Rate(1, 50))
NOON = 20_000 * DAY_MS + DAY_MS // 2
KEY = Scope(Kind.KEY, "ci", Period.DAY, 50)
POLICY = Scope(Kind.POLICY, "interns", Period.MONTH, 70)
SESSION = session("s-1", 30)


async def scoped(guard: Guard, *scopes: Scope) -> list[tuple[int, int]]:
    """Spent and held of some scopes."""
    return [(t.spent_nano, t.held_nano) for _, t in (await guard.standing("t", scopes)).scoped]


class GuardConformance:
    """Subclass with a fixture `open_guard`."""

    def run(self, open_guard: Open, story, **limited) -> None:
        clock, limits = [NOON], capped(100, **limited)

        async def tell() -> None:
            async with open_guard(lambda _: limits, clock) as guard:
                await story(guard, clock)

        asyncio.run(tell())

    def test_a_hold_counts_until_it_is_settled_at_what_was_spent(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 60)
            assert hold == Hold("a", "t", 60, NOON // DAY_MS)
            assert await guard.spent("t") == (0, 60)
            guard.settle(hold, 25)
            assert await guard.spent("t") == (25, 0)
            guard.settle(hold, 25)
            guard.settle(hold, 99)
            assert await guard.spent("t") == (25, 0)

        self.run(open_guard, story)

    def test_the_cap_is_exact_and_a_refusal_consumes_nothing(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            assert isinstance(await guard.reserve("t", "a", 100), Hold)
            refusal = await guard.reserve("t", "b", 1)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("BUDGET_RESERVATION_FAILED", 402)
            assert refusal.retry_after_ms is not None
            assert await guard.spent("t") == (0, 100)
            assert isinstance(await guard.reserve("t", "free", 0), Hold)
            assert isinstance(await guard.reserve("other", "a", 100), Hold)

        self.run(open_guard, story)

    def test_p13_the_daily_cap_refuses_until_utc_midnight(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 90)
            assert isinstance(hold, Hold)
            guard.settle(hold, 90)
            refusal = await guard.reserve("t", "b", 11)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("DAILY_SPEND_LIMIT_EXCEEDED", 402)
            assert refusal.retry_after_ms == DAY_MS // 2
            clock[0] += refusal.retry_after_ms - 1
            assert isinstance(await guard.reserve("t", "b", 11), Refusal)
            clock[0] += 1
            assert isinstance(await guard.reserve("t", "b", 11), Hold)
            assert await guard.spent("t") == (0, 11)

        self.run(open_guard, story)

    def test_waiting_is_not_advised_where_it_cannot_help(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            refusal = await guard.reserve("t", "a", 101)
            assert isinstance(refusal, Refusal)
            assert refusal.retry_after_ms is None

        self.run(open_guard, story)

    def test_a_repeated_id_gives_the_same_hold_and_holds_nothing_twice(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 60)
            assert await guard.reserve("t", "a", 60) == hold
            assert await guard.reserve("t", "a", 10) == hold
            assert await guard.spent("t") == (0, 60)
            assert isinstance(hold, Hold)
            guard.settle(hold, 1)
            assert isinstance(await guard.reserve("t", "a", 60), Refusal)

        self.run(open_guard, story)

    def test_a_top_up_raises_the_hold_or_leaves_it_as_it_was(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            refusal = await guard.top_up(hold, 101)
            assert isinstance(refusal, Refusal)
            assert await guard.spent("t") == (0, 60)
            more = await guard.top_up(hold, 100)
            assert more == Hold("a", "t", 100, hold.day)
            assert await guard.top_up(hold, 5) == more
            assert await guard.spent("t") == (0, 100)
            guard.settle(hold, 80)
            assert await guard.spent("t") == (80, 0)
            assert isinstance(await guard.top_up(hold, 90), Refusal)

        self.run(open_guard, story)

    def test_p17_a_hold_lives_five_minutes_then_is_charged_and_corrected_late(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            clock[0] += HOLD_TTL_MS - 1
            assert await guard.spent("t") == (0, 60)
            clock[0] += 1
            assert await guard.spent("t") == (60, 0)
            refusal = await guard.reserve("t", "b", 50)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "DAILY_SPEND_LIMIT_EXCEEDED"
            guard.settle(hold, 10)
            assert await guard.spent("t") == (10, 0)
            guard.settle(hold, 10)
            assert await guard.spent("t") == (10, 0)

        self.run(open_guard, story)

    def test_topping_up_renews_a_long_call(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            for _ in range(3):
                clock[0] += HOLD_TTL_MS - 1
                assert await guard.top_up(hold, 60) == hold
            assert await guard.spent("t") == (0, 60)
            clock[0] += HOLD_TTL_MS
            assert await guard.spent("t") == (60, 0)
            assert await guard.top_up(hold, 60) == hold
            assert await guard.spent("t") == (0, 60)

        self.run(open_guard, story)

    def test_a_call_over_midnight_is_charged_to_the_day_it_began(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            clock[0] = NOON + DAY_MS // 2 - 1
            hold = await guard.reserve("t", "a", 60)
            assert isinstance(hold, Hold)
            clock[0] += 2
            assert await guard.spent("t") == (0, 0)
            guard.settle(hold, 60)
            assert await guard.spent("t") == (0, 0)
            clock[0] -= 2
            assert await guard.spent("t") == (60, 0)

        self.run(open_guard, story)

    def test_an_unknown_hold_is_booked_as_truth_but_not_on_a_closed_day(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            day = NOON // DAY_MS
            guard.settle(Hold("lost", "t", 50, day), 150)
            guard.settle(Hold("lost", "t", 50, day), 150)
            guard.settle(Hold("ancient", "t", 50, day - 3), 7)
            assert await guard.spent("t") == (150, 0)
            assert isinstance(await guard.reserve("t", "a", 0), Refusal)
            clock[0] -= 3 * DAY_MS
            assert await guard.spent("t") == (0, 0)

        self.run(open_guard, story)

    def test_p12_a_thousand_requests_an_hour_then_exactly_when_the_next_is_free(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            for i in range(1_000):
                hold = await guard.reserve("t", f"r{i}", 0)
                assert isinstance(hold, Hold), (i, hold)
                guard.settle(hold, 0)
            for _ in range(3):
                refusal = await guard.reserve("t", "more", 0)
                assert isinstance(refusal, Refusal)
                assert (refusal.code, refusal.status) == ("RATE_LIMIT_EXCEEDED", 429)
                assert refusal.retry_after_ms == 3_600
            assert isinstance(await guard.reserve("other", "more", 0), Hold)
            clock[0] += 3_599
            assert isinstance(await guard.reserve("t", "more", 0), Refusal)
            clock[0] += 1
            assert isinstance(await guard.reserve("t", "more", 0), Hold)
            assert isinstance(await guard.reserve("t", "again", 0), Refusal)

        self.run(open_guard, story, rate=Rate(1_000, 1_000))

    def test_p12_an_answer_that_costs_nothing_is_one_request_of_the_rate_and_nothing_else(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            assert isinstance(await guard.reserve("t", "a", 100), Hold)
            assert await guard.admit("t") is None
            refusal = await guard.admit("t")
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.retry_after_ms) == ("RATE_LIMIT_EXCEEDED", 3_600_000)
            assert isinstance(await guard.reserve("t", "b", 0), Refusal)
            assert await guard.admit("other") is None
            assert await guard.spent("t") == (0, 100)
            clock[0] += 3_600_000
            assert await guard.admit("t") is None

        self.run(open_guard, story, rate=Rate(1, 2), max_in_flight=1)

    def test_what_another_layer_refuses_or_a_repeat_takes_no_request_from_the_rate(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            for i in range(5):
                assert isinstance(await guard.reserve("t", f"dear{i}", 101), Refusal)
            for _ in range(3):
                assert isinstance(await guard.reserve("t", "a", 1), Hold)
            assert isinstance(await guard.reserve("t", "b", 1), Hold)
            refusal = await guard.reserve("t", "c", 1)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "RATE_LIMIT_EXCEEDED"

        self.run(open_guard, story, rate=Rate(1, 2))

    def test_p14_ten_in_flight_and_a_slot_is_free_when_its_call_is_settled(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            holds = [await guard.reserve("t", f"r{i}", 1) for i in range(10)]
            assert all(isinstance(hold, Hold) for hold in holds)
            refusal = await guard.reserve("t", "more", 1)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("CONCURRENCY_LIMIT_EXCEEDED", 429)
            assert refusal.retry_after_ms is not None
            assert isinstance(await guard.reserve("t", "r0", 1), Hold)
            assert isinstance(await guard.reserve("other", "more", 1), Hold)
            assert isinstance(holds[3], Hold)
            guard.settle(holds[3], 1)
            assert isinstance(await guard.reserve("t", "more", 1), Hold)
            assert isinstance(await guard.reserve("t", "again", 1), Refusal)

        self.run(open_guard, story, max_in_flight=10)

    def test_p14_a_slot_that_nobody_renews_is_free_after_a_minute_and_its_money_is_still_held(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            hold = await guard.reserve("t", "a", 1)
            assert isinstance(hold, Hold)
            for _ in range(3):
                clock[0] += SLOT_LEASE_MS - 1
                assert isinstance(await guard.reserve("t", "b", 1), Refusal)
                assert isinstance(await guard.top_up(hold, 1), Hold)
            clock[0] += SLOT_LEASE_MS
            assert isinstance(await guard.reserve("t", "b", 1), Hold)
            assert await guard.spent("t") == (0, 2)

        self.run(open_guard, story, max_in_flight=1)

    def test_p15_a_hold_knows_the_past_and_each_settlement_adds_to_it_once(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            past = NO_PAST
            for i, cost in enumerate((3, 0, 5, 8)):
                hold = await guard.reserve("t", f"r{i}", 10)
                assert isinstance(hold, Hold)
                assert hold.history == past
                guard.settle(hold, cost)
                guard.settle(hold, cost + 1)
                past = observe(past, cost)
            assert past.count == 3
            hold = await guard.reserve("other", "r", 10)
            assert isinstance(hold, Hold)
            assert hold.history == NO_PAST

        self.run(open_guard, story)

    def test_p15_a_call_expected_out_of_line_is_refused_where_a_tenant_asks_for_it(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            for i in range(30):
                hold = await guard.reserve("t", f"r{i}", 10, 1_000_000)
                assert isinstance(hold, Hold), (i, hold)
                guard.settle(hold, 2 + i % 2)
            refusal = await guard.reserve("t", "dear", 10, 1_000_000)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == ("ANOMALY_DETECTED", 402)
            assert isinstance(await guard.reserve("t", "usual", 10, 3), Hold)

        self.run(open_guard, story, block_anomalies=True)

    def test_where_a_tenant_stands_is_told_call_by_call(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            assert (await guard.standing("t")).calls == ()
            first = await guard.reserve("t", "a", 40)
            assert isinstance(first, Hold)
            clock[0] += SLOT_LEASE_MS
            second = await guard.reserve("t", "b", 30)
            done = await guard.reserve("t", "c", 20)
            assert isinstance(second, Hold)
            assert isinstance(done, Hold)
            guard.settle(done, 10)
            await guard.spent("t")
            standing = await guard.standing("t")
            assert (standing.now_ms, standing.day) == (clock[0], Day(NOON // DAY_MS, 10, 70))
            assert [name for name, _ in standing.calls] == ["a", "b"]
            assert (standing.slots, standing.in_flight) == (("b",), 1)
            assert standing.account.history.count == 1
            told = [(layer.code, layer.used, layer.left) for layer in layers(standing, SLOW)]
            assert told == [
                ("RATE_LIMIT_EXCEEDED", 3, SLOW.rate.burst - 3),
                ("DAILY_SPEND_LIMIT_EXCEEDED", 10, 90),
                ("CONCURRENCY_LIMIT_EXCEEDED", 1, SLOW.max_in_flight - 1),
                ("BUDGET_RESERVATION_FAILED", 70, 20),
            ]
            assert (await guard.standing("other")).day == Day(NOON // DAY_MS)

        self.run(open_guard, story, rate=SLOW.rate)

    @pytest.mark.parametrize(
        ("scope", "code"),
        [
            (KEY, "API_KEY_BUDGET_EXCEEDED"),
            (POLICY, "API_KEY_BUDGET_EXCEEDED"),
            (SESSION, "SESSION_BUDGET_EXCEEDED"),
        ],
    )
    def test_p19_spend_is_governed_per_session_key_and_policy(
        self, open_guard: Open, scope: Scope, code: str
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            cap, resets = scope.cap_nano, {"d": DAY_MS // 2, "m": DAY_MS * 27 + DAY_MS // 2, "l": None}
            hold = await guard.reserve("t", "a", cap, scopes=(scope,))
            assert hold == Hold("a", "t", cap, NOON // DAY_MS, scopes=(scope,), rooms=(cap,))
            assert (await guard.spent("t"), await scoped(guard, scope)) == ((0, cap), [(0, cap)])
            refusal = await guard.reserve("t", "b", 1, scopes=(scope,))
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status, refusal.retry_after_ms) == (
                "BUDGET_RESERVATION_FAILED",
                402,
                1_000,
            )
            guard.settle(hold, cap)
            refusal = await guard.reserve("t", "b", 1, scopes=(scope,))
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.status) == (code, 402)
            assert refusal.retry_after_ms == resets[scope.period]
            assert isinstance(await guard.reserve("t", "elsewhere", 1), Hold)
            assert isinstance(await guard.reserve("other", "b", cap, scopes=(scope,)), Hold)
            assert (await guard.spent("t"), await scoped(guard, scope)) == ((cap, 1), [(cap, 0)])

        self.run(open_guard, story)

    def test_p19_a_refusal_by_one_scope_takes_nothing_from_day_scopes_rate_or_slots(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            scopes = (KEY, POLICY, SESSION)
            for i in range(5):
                assert isinstance(await guard.reserve("t", f"dear{i}", 31, scopes=scopes), Refusal)
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((0, 0), [(0, 0)] * 3)
            for i in range(2):
                assert isinstance(await guard.reserve("t", f"r{i}", 15, scopes=scopes), Hold)
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((0, 30), [(0, 30)] * 3)
            refusal = await guard.reserve("t", "more", 0, scopes=scopes)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "RATE_LIMIT_EXCEEDED"

        self.run(open_guard, story, rate=Rate(1, 2))

    def test_p19_each_scope_begins_anew_with_its_own_period(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            clock[0] = 20_030 * DAY_MS - 1  # 2024-11-03 less a millisecond
            month = Scope(Kind.KEY, "ci", Period.MONTH, 90)
            scopes = (KEY, month, SESSION)
            hold = await guard.reserve("t", "a", 30, scopes=scopes)
            assert isinstance(hold, Hold)
            guard.settle(hold, 30)
            assert await scoped(guard, *scopes) == [(30, 0)] * 3
            clock[0] += 1
            assert await scoped(guard, *scopes) == [(0, 0), (30, 0), (30, 0)]
            refusal = await guard.reserve("t", "b", 1, scopes=scopes)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "SESSION_BUDGET_EXCEEDED"
            guard.settle(await _held(guard, "c", 50, (KEY, month)), 50)
            clock[0] = 20_058 * DAY_MS - 1  # 2024-12-01 less a millisecond
            assert await scoped(guard, month) == [(80, 0)]
            clock[0] += 1
            assert await scoped(guard, *scopes) == [(0, 0), (0, 0), (30, 0)]

        self.run(open_guard, story)

    def test_p19_a_top_up_needs_room_in_every_scope_and_leaves_all_as_they_were_without(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            scopes = (KEY, SESSION)
            hold = await _held(guard, "a", 20, scopes)
            other = await _held(guard, "b", 8, scopes)
            refusal = await guard.top_up(hold, 23)
            assert isinstance(refusal, Refusal)
            assert refusal.code == "BUDGET_RESERVATION_FAILED"
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((0, 28), [(0, 28)] * 2)
            guard.settle(other, 8)
            refusal = await guard.top_up(hold, 23)
            assert isinstance(refusal, Refusal)
            assert (refusal.code, refusal.retry_after_ms) == ("SESSION_BUDGET_EXCEEDED", None)
            more = await guard.top_up(hold, 22)
            assert isinstance(more, Hold)
            assert more.amount_nano == 22
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((8, 22), [(8, 22)] * 2)

        self.run(open_guard, story)

    def test_p19_scopes_follow_a_hold_that_expires_and_is_settled_late_or_twice(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            scopes = (KEY, POLICY, SESSION)
            hold = await _held(guard, "a", 20, scopes)
            clock[0] += HOLD_TTL_MS
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((20, 0), [(20, 0)] * 3)
            assert isinstance(await guard.top_up(hold, 20), Hold)
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((0, 20), [(0, 20)] * 3)
            clock[0] += HOLD_TTL_MS
            for actual in (7, 7, 99):
                guard.settle(hold, actual)
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((7, 0), [(7, 0)] * 3)
            guard.settle(Hold("lost", "t", 1, hold.day, scopes=scopes), 5)
            assert (await guard.spent("t"), await scoped(guard, *scopes)) == ((12, 0), [(12, 0)] * 3)

        self.run(open_guard, story)

    def test_p19_a_repeat_keeps_the_scopes_it_has_and_knows_what_they_have_left_beside_it(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            guard.settle(await _held(guard, "first", 10, (KEY,)), 10)
            hold = await _held(guard, "a", 20, (KEY,))
            assert hold.rooms == (40,)
            again = await _held(guard, "a", 20, (KEY, SESSION))
            assert again.rooms == (40, 30)
            assert await scoped(guard, KEY, SESSION) == [(10, 20), (0, 0)]

        self.run(open_guard, story)

    def test_p19_what_a_call_may_cost_is_the_least_that_day_and_scopes_have_left(
        self, open_guard: Open
    ) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            guard.settle(await _held(guard, "a", 25, (SESSION,)), 25)
            await _held(guard, "b", 40, (KEY,))
            assert await guard.left("t") == 35
            assert await guard.left("t", (KEY,)) == 10
            assert await guard.left("t", (KEY, SESSION)) == 5
            assert await guard.left("t", (Scope(Kind.KEY, "new", Period.DAY, 7),)) == 7
            guard.settle(Hold("lost", "t", 1, NOON // DAY_MS, scopes=(SESSION,)), 9)
            assert await guard.left("t", (KEY, SESSION)) == 0
            assert (await guard.standing("t", (SESSION,))).scoped == ((SESSION, Totals(34, 0)),)

        self.run(open_guard, story)

    def test_a_negative_amount_is_an_error(self, open_guard: Open) -> None:
        async def story(guard: Guard, clock: list[int]) -> None:
            with pytest.raises(ValueError, match="amount"):
                await guard.reserve("t", "a", -1)
            with pytest.raises(ValueError, match="amount"):
                guard.settle(Hold("a", "t", 1, 1), -1)

        self.run(open_guard, story)


async def _held(guard: Guard, name: str, amount: int, scopes: tuple[Scope, ...]) -> Hold:
    hold = await guard.reserve("t", name, amount, scopes=scopes)
    assert isinstance(hold, Hold), hold
    return hold
