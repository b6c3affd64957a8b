"""The law of lengths: what was measured counts by its precision, the rest is the prior."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.observe.chance import Chance
from sim.observe.lengths import MIN_ROUNDS, MIN_SESSIONS, PRIOR_SD, TRANSFER_SD, Lengths, Seen, verbosity


def seen_of(sessions):
    """Sums over sessions, each a list of (output, expected)."""
    sums = [(sum(o for o, _ in s), sum(e for _, e in s)) for s in sessions]
    return Seen(
        rounds=sum(map(len, sessions)),
        sessions=len(sessions),
        output=sum(o for o, _ in sums),
        expected=sum(e for _, e in sums),
        output_squared=sum(o * o for o, _ in sums),
        cross=sum(o * e for o, e in sums),
        expected_squared=sum(e * e for _, e in sums),
    )


def answers(mean, sessions=400, seed=0, spread=0.5):
    rng = np.random.default_rng(seed)
    drawn = rng.lognormal(log(mean) - spread**2 / 2, spread, sessions)
    return seen_of([[(round(x), 200)] for x in drawn])


CHAT = "chat"


def test_verbosity_is_output_over_expected_with_an_error_that_repeats_show():
    found = [verbosity(answers(300, seed=seed)) for seed in range(200)]
    logs = np.array([v.log for v in found])
    assert logs.mean() == pytest.approx(log(1.5), abs=0.01)
    assert np.mean([v.sd for v in found]) == pytest.approx(logs.std(), rel=0.15)


def test_rounds_of_one_session_are_not_independent():
    alone = seen_of([[(100 + 10 * k, 200)] for k in range(40)])
    together = seen_of([[(100 + 10 * k, 200)] * 5 for k in range(40)])
    assert verbosity(together).sd == pytest.approx(verbosity(alone).sd)


@pytest.mark.parametrize(
    "seen",
    [
        seen_of([[(100, 200)]] * (MIN_ROUNDS - 1)),
        seen_of([[(100, 200)] * 9] * (MIN_SESSIONS - 1)),
        seen_of([[(0, 200)]] * 100),
    ],
)
def test_too_few_answers_or_empty_ones_say_nothing(seen):
    assert verbosity(seen) is None


def test_a_model_that_nobody_measured_is_as_long_give_or_take_the_prior():
    ratio = Lengths({("large", CHAT): answers(300)}).ratio("large", "small", CHAT)
    assert (ratio.center, ratio.learned, ratio.sd) == (0.0, 0.0, PRIOR_SD)


def test_a_measured_ratio_is_nearly_what_was_measured():
    ratio = Lengths({("large", CHAT): answers(300), ("small", CHAT): answers(600)}).ratio(
        "large", "small", CHAT
    )
    assert ratio.center == pytest.approx(log(2), abs=0.1)
    assert ratio.learned > 0.9
    assert TRANSFER_SD * 0.9 < ratio.sd < 0.25


def test_the_same_model_at_another_provider_is_as_long():
    lengths, chance = Lengths({}), Chance()
    assert lengths.ratio("m", "m", CHAT).sd == 0.0
    assert not lengths.off("m", "m", CHAT, chance).any()


@given(st.integers(MIN_ROUNDS, 2_000), st.integers(MIN_ROUNDS, 2_000))
def test_draws_spread_as_far_as_the_ratio_may_be_off(few, many):
    lengths = Lengths(
        {("large", CHAT): answers(300, few, spread=1.5), ("small", CHAT): answers(600, many, 1, spread=1.5)}
    )
    ratio, chance = lengths.ratio("large", "small", CHAT), Chance()
    off = lengths.off("large", "small", CHAT, chance)
    assert off.std() == pytest.approx(ratio.sd, rel=0.1)
    assert abs(off.mean()) < 0.1 * ratio.sd


def test_two_tasks_are_off_together_where_the_model_is_unknown():
    lengths, chance = Lengths({}), Chance()
    chat, code = (lengths.off("large", "small", task, chance) for task in ("chat", "code"))
    assert np.array_equal(chat, code)
    other = lengths.off("large", "tiny", "chat", chance)
    assert np.corrcoef(chat, other)[0, 1] == pytest.approx(0.5, abs=0.05)


def test_a_column_follows_from_its_name_alone():
    first, second = Chance(), Chance()
    first.column("a")
    assert np.array_equal(first.column("b"), second.column("b"))
    assert not np.array_equal(first.column("a"), first.column("b"))
