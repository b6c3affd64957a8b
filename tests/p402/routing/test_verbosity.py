"""An arm that says more than expected is expected to cost more: learned, told coarsely, decided exactly."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.routing.decide import decide, work
from p402.routing.health import Health
from p402.routing.live import RATIO_ONE
from p402.routing.verbosity import Verbosity
from tests.p402.routing.worlds import a_batch, a_live, a_snapshot

T0 = 1_795_651_200_000


def heard(*answers: tuple[int, int]) -> int:
    lengths = Verbosity()
    for tokens, expected in answers:
        lengths.add(tokens, expected)
    return lengths.ratio()


def test_nobody_heard_is_as_expected_and_one_long_answer_is_no_habit() -> None:
    assert Verbosity().ratio() == RATIO_ONE
    assert heard((150, 150)) == RATIO_ONE
    assert heard((900, 150)) < 3 * RATIO_ONE


@pytest.mark.parametrize(("times", "told"), [(0.5, 8), (2.0, 32), (8.0, 128)])
def test_a_habit_is_learned_within_a_step(times: float, told: int) -> None:
    found = heard(*[(round(200 * times), 200)] * 300)
    assert told / 1.2 <= found <= told * 1.2


def test_an_arm_that_says_nothing_for_ever_is_as_terse_as_is_told() -> None:
    assert heard(*[(0, 200)] * 20_000) == RATIO_ONE // 8


def test_noise_moves_nothing() -> None:
    lengths = Verbosity()
    told = set()
    for number in range(400):
        lengths.add(380 if number % 2 else 420, 200)
        if number > 200:
            told.add(lengths.ratio())
    assert len(told) == 1


@given(st.lists(st.tuples(st.integers(0, 1 << 23), st.integers(1, 1 << 20)), max_size=50))
def test_what_is_told_stays_within_its_bounds(answers: list[tuple[int, int]]) -> None:
    assert RATIO_ONE // 8 <= heard(*answers) <= RATIO_ONE * 16


def test_a_habit_is_a_column_of_the_delta() -> None:
    health = Health()
    for _ in range(60):
        health.observe("a/x", T0, failed=False, output=(800, 200))
    moved = health.due(T0 + 1)
    assert moved is not None
    assert 3 * RATIO_ONE < moved["a/x"].output_ratio <= 4 * RATIO_ONE
    health.publish(moved)
    assert health.due(T0 + 5_000) is None or "a/x" in health.table


def test_twice_the_words_cost_twice_the_output() -> None:
    snapshot = a_snapshot(6)
    batch = a_batch(snapshot, 1, rare=False, lives=1)
    plain, longer = a_live(6), a_live(6, output_ratio={2: 2 * RATIO_ONE})
    costs = [work(snapshot, batch_with(batch, live)).cost_pico for live in (plain, longer)]
    output = float(batch.expected_output[0] * batch.n_choices[0])
    extra = costs[1] - costs[0]
    assert extra[2] == output * snapshot.prices.base.expected[2] or snapshot.prices.above is not None
    assert [extra[k] for k in range(6) if k != 2] == [0.0] * 5


def batch_with(batch, live):
    return replace(batch, lives=(live,))


def test_a_chatty_arm_loses_its_place_in_cost_mode() -> None:
    snapshot = a_snapshot(24)
    batch = a_batch(snapshot, 40, rare=False, lives=1)
    first = decide(snapshot, batch_with(batch, a_live(24))).incumbent
    worst = int(first[0])
    after = decide(snapshot, batch_with(batch, a_live(24, output_ratio={worst: 16 * RATIO_ONE}))).incumbent
    assert (after == worst).sum() <= (first == worst).sum()


@given(st.floats(0.05, 20.0), st.floats(0.05, 20.0))
def test_what_is_told_is_beside_what_the_snapshot_believes(length: float, believed: float) -> None:
    lengths = Verbosity()
    for _ in range(300):
        lengths.add(round(length * 10_000), 10_000)
    lengths.believe(believed)
    found = lengths.ratio() / RATIO_ONE
    wanted = min(max(length / believed, 1 / 8), 16.0)
    assert wanted / 1.2 - 0.5 / RATIO_ONE <= found <= wanted * 1.2 + 0.5 / RATIO_ONE


@given(st.floats(0.05, 20.0))
def test_a_belief_that_is_right_leaves_nothing_to_tell(length: float) -> None:
    lengths = Verbosity()
    for _ in range(300):
        lengths.add(round(length * 10_000), 10_000)
    lengths.ratio()
    lengths.believe(round(length * 10_000) / 10_000)
    assert lengths.ratio() == RATIO_ONE
    lengths.add(round(length * 10_000), 10_000)
    assert lengths.ratio() == RATIO_ONE


def test_a_belief_of_an_arm_that_nobody_called_is_told_once_it_is_wrong() -> None:
    health = Health()
    health.believe_lengths({"a/x": 4.0})
    assert health.due(T0) is None
    health.observe("a/x", T0, failed=True)
    health.believe_lengths({"a/x": 3.0})
    health.believe_lengths({"a/x": 4.0})
    for _ in range(60):
        health.observe("a/x", T0, failed=False, output=(800, 200))
    assert health.due(T0 + 2_000) is None, "four times as long is what was believed"
    health.believe_lengths({})
    moved = health.due(T0 + 4_000)
    assert moved is not None
    assert 3 * RATIO_ONE < moved["a/x"].output_ratio <= 4 * RATIO_ONE
