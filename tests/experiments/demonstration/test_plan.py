"""The traffic's plan: real prompts, dealt into sessions, the same for the same seed."""

import pytest

from experiments.demonstration.plan import LONGEST, MODES, make_plan
from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from p402_datasets.outcomes import OutcomeTable


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    try:
        return paretobandit.load()
    except MissingData as error:
        pytest.skip(str(error))


def test_the_plan_has_the_requests_asked_for_in_every_mode_and_the_same_ones_again(
    table: OutcomeTable,
) -> None:
    plan = make_plan(table, 700, 40, 3)
    counts = {mode: sum(len(s.asks) for s in plan if s.mode == mode) for mode in MODES}
    assert counts == {"balanced": 700, "cost": 40, "quality": 40, "speed": 40}
    assert plan == make_plan(table, 700, 40, 3)
    assert plan != make_plan(table, 700, 40, 4)
    numbers = [ask.number for session in plan for ask in session.asks]
    assert numbers == list(range(820))
    assert all(1 <= len(session.asks) <= LONGEST for session in plan)
    named = [session.id for session in plan if session.id is not None]
    assert len(set(named)) == len(named)
    assert all(len(session.asks) == 1 for session in plan if session.id is None)


def test_prompts_of_the_test_split_come_before_those_the_prior_has_seen(table: OutcomeTable) -> None:
    fresh = {p.text for p in table.split(paretobandit.TEST).prompts}
    asks = [ask.prompt for s in make_plan(table, len(fresh), 1, 7) for ask in s.asks if s.mode == "balanced"]
    assert sorted(asks) == sorted(fresh)
    more = [ask.prompt for s in make_plan(table, 4000, 1, 7) for ask in s.asks if s.mode == "balanced"]
    assert set(more) == {p.text for p in table.prompts}


def test_a_third_is_streamed_and_nine_in_ten_outcomes_are_to_be_posted(table: OutcomeTable) -> None:
    plan = make_plan(table, 4000, 500, 7)
    asks = [ask for session in plan for ask in session.asks]
    share = {when: sum(ask.judged == when for ask in asks) / len(asks) for when in ("now", "late", "never")}
    assert abs(sum(ask.stream for ask in asks) / len(asks) - 1 / 3) < 0.03
    assert abs(share["never"] - 0.1) < 0.02
    assert abs(share["late"] - 0.1) < 0.02
    bare = sum(session.id is None for session in plan) / len(plan)
    assert abs(bare - 1 / 8) < 0.03
