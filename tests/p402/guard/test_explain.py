"""What a layer says of itself is what it would do."""

from hypothesis import given
from hypothesis import strategies as st

from p402.errors import Refusal
from p402.guard.anomaly import CostHistory
from p402.guard.daily import DAY_MS, Day
from p402.guard.explain import Standing, budgets, layers, past, would_refuse
from p402.guard.ledger import Account, left, reserve
from p402.guard.scopes import Totals
from p402.limits import Kind, Limits, Period, Rate, Scope

LIMITS = Limits(100, Rate(3_600, 3), 2)


MONEY = st.integers(0, 120)


@given(st.integers(0, DAY_MS - 1), MONEY, MONEY, st.integers(0, 3), st.integers(0, 6_000))
def test_the_first_layer_that_refuses_is_the_one_that_refuses_the_next_call(
    ms, spent, held, in_flight, ahead
):
    now = 20_000 * DAY_MS + ms
    day, account = Day(20_000, spent, held), Account(tat_us=(now + ahead) * 1_000)
    found = layers(Standing(now, day, account, in_flight, ()), LIMITS)
    refusing = [layer for layer in found if layer.refuses]
    verdict = reserve(day, None, account, in_flight, 1, 0, LIMITS, now)
    if refusing:
        assert isinstance(verdict, Refusal)
        assert verdict.code == refusing[0].code
        if refusing[0].layer != 6:
            assert verdict.retry_after_ms == refusing[0].retry_after_ms
    else:
        assert not isinstance(verdict, Refusal)
    for layer in found:
        assert 0 <= layer.left <= layer.limit
        assert (layer.retry_after_ms is not None) == layer.refuses


SCOPES = st.builds(Scope, st.sampled_from(Kind), st.just("ci"), st.sampled_from(Period), st.integers(1, 100))
SCOPED = st.lists(st.tuples(SCOPES, st.builds(Totals, MONEY, MONEY)), max_size=4).map(tuple)


@given(st.integers(0, DAY_MS - 1), MONEY, MONEY, st.integers(0, 3), st.integers(0, 6_000), SCOPED)
def test_p19_whoever_is_said_to_refuse_first_is_whose_refusal_the_next_call_gets(
    ms, spent, held, in_flight, ahead, scoped
):
    now = 20_000 * DAY_MS + ms
    day, account = Day(20_000, spent, held), Account(tat_us=(now + ahead) * 1_000)
    standing = Standing(now, day, account, in_flight, (), scoped)
    verdict = reserve(day, None, account, in_flight, 1, 0, LIMITS, now, scoped)
    said = would_refuse(layers(standing, LIMITS), budgets(standing))
    assert said == (verdict.code if isinstance(verdict, Refusal) else None)
    assert [budget.scope for budget in budgets(standing)] == [scope for scope, _ in scoped]
    room = min((LIMITS.daily_cap_nano - spent - held, *(b.left_nano for b in budgets(standing))))
    assert left(day, LIMITS.daily_cap_nano, scoped) == max(0, room)


@given(st.integers(0, DAY_MS - 1), SCOPES, MONEY, MONEY)
def test_what_a_scope_says_of_itself_is_what_its_law_says_of_a_call(ms, scope, spent, held):
    now = 20_000 * DAY_MS + ms
    scoped = ((scope, Totals(spent, held)),)
    (told,) = budgets(Standing(now, Day(20_000), Account(), 0, (), scoped))
    verdict = reserve(Day(20_000), None, Account(), 0, 1, 0, LIMITS, now, scoped)
    assert told.refuses == isinstance(verdict, Refusal) == (told.left_nano == 0)
    if isinstance(verdict, Refusal):
        assert (told.code, told.retry_after_ms) == (verdict.code, verdict.retry_after_ms)
    else:
        assert told.code == ("SESSION" if scope.kind is Kind.SESSION else "API_KEY") + "_BUDGET_EXCEEDED"
        assert told.retry_after_ms is None
    assert (told.resets_in_ms is None) == (scope.period is Period.LIFE)


def test_layer_4_says_whether_it_is_silent_yet():
    assert past(CostHistory(3, 1.0, 1.0), LIMITS) == "silent: 3 calls are known, 30 are needed"
    assert "from 3 standard deviations" in past(CostHistory(30, 1.0, 1.0), LIMITS)
