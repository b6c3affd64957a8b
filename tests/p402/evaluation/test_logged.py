import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.logged import SCALE, LoggedBatch, hash_of, matrix_of, mixed, target_of

GOOD = {
    "action": [0, 1],
    "reward": [0.0, 1.0],
    "count": [SCALE, 5],
    "eligible": [[True, False], [True, True]],
    "session": [-7, 9],
    "observed": [0.0, 1.5],
    "task": [0, 3],
}


def test_a_good_batch_is_held_as_c_ordered_columns():
    batch = LoggedBatch(**{**GOOD, "eligible": np.asfortranarray(GOOD["eligible"])})
    assert (batch.n, batch.n_arms) == (2, 2)
    assert batch.eligible.flags.c_contiguous
    assert batch.propensity.tolist() == [1.0, 5 / SCALE]
    assert batch.take(np.array([False, True])).session.tolist() == [9]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("action", [0, 2], r"action\[1\] is 2: expected an arm in \[0, 2\)"),
        ("action", [1, 1], r"action\[0\] is 1: expected an arm marked eligible"),
        ("action", [0.0, 1.0], "action has type float64: expected whole numbers"),
        ("action", [0], r"action has shape \(1,\): expected \(2,\)"),
        ("reward", [0.0, 1.0000001], r"reward\[1\] is 1.0000001: expected a number in \[0, 1\]"),
        ("reward", [float("nan"), 1.0], r"reward\[0\] is nan"),
        ("count", [-1, 5], r"count\[0\] is -1: expected a whole number in \[0, 16777216\]"),
        ("count", [1, SCALE + 1], r"count\[1\] is 16777217"),
        ("observed", [0.5, 1.0], r"observed\[0\] is 0.5: expected 0 \(not matured\) or 1/P"),
        ("observed", [1.0, float("inf")], r"observed\[1\] is inf"),
        ("task", [0, -1], r"task\[1\] is -1: expected 0 or more"),
        ("eligible", [[1, 1], [1, 1]], "eligible has type int64: expected booleans"),
        ("eligible", [True, True], r"eligible has shape \(2,\): expected \(rounds, arms\)"),
        ("reward", ["a", "b"], "expected numbers"),
    ],
)
def test_a_bad_column_is_refused_with_its_first_row(column, value, said):
    with pytest.raises(ValueError, match=said):
        LoggedBatch(**{**GOOD, column: value})


@pytest.mark.parametrize(
    ("probs", "said"),
    [
        ([[1.0, 0.0], [0.4, 0.5]], r"sum of target_probs\[1\] is 0.9"),
        ([[1.5, -0.5], [0.5, 0.5]], r"target_probs\[0\] is .*expected probabilities"),
        ([[1.0, 0.0]], r"target_probs has shape \(1, 2\): expected \(2, 2\)"),
        ([[1.0, float("nan")], [0.5, 0.5]], r"target_probs\[0\] is .*expected finite"),
    ],
)
def test_a_target_that_is_no_policy_is_refused(probs, said):
    with pytest.raises(ValueError, match=said):
        target_of(LoggedBatch(**GOOD), probs)


def test_a_model_may_hold_any_finite_number_but_not_nan():
    batch = LoggedBatch(**GOOD)
    assert matrix_of(batch, [[-1, 2], [3, 4]], "q_hat").dtype == np.float64
    with pytest.raises(ValueError, match="q_hat"):
        matrix_of(batch, [[-1, 2], [3, float("nan")]], "q_hat")


def test_a_session_hash_is_the_same_on_every_machine():
    assert hash_of("s-1") == 226042384122961421
    assert -(2**63) <= hash_of("s-2") < 2**63


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.integers(0, 2**32))
def test_mixing_is_a_bijection_that_follows_its_reference(values, salt):
    def reference(value: int) -> int:
        m = (1 << 64) - 1
        x = (value + salt * 0x9E3779B97F4A7C15) & m
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & m
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & m
        return x ^ (x >> 31)

    assert mixed(np.array(values, dtype=np.int64), salt).tolist() == [reference(v) for v in values]


def test_two_salts_split_sessions_independently():
    session = np.arange(20_000, dtype=np.int64)
    first, second = mixed(session, 1) % 2 == 0, mixed(session, 2) % 2 == 0
    both = np.mean(first & second)
    assert abs(both - 0.25) < 4 * (0.25 * 0.75 / 20_000) ** 0.5
