"""The seam between one row and many: helpers give each row the same in both forms."""

import numpy as np
import pytest
from worlds import a_batch, a_snapshot

from p402.routing.lens import ALL, at, bar, count, cut, product, pull, some
from p402.routing.look import look


@pytest.mark.parametrize("width", [1, 50, 614, 615, 2_000])
@pytest.mark.parametrize("n", [2, 300, 1_024])
def test_products_in_pieces_are_the_whole_product_for_a_row_and_for_many(width, n):
    rng = np.random.default_rng(width)
    left = rng.integers(-4096, 4096, (n, 15)).astype(np.float64)
    right = rng.integers(-(2**20), 2**20, (15, width)).astype(np.float64)
    exact = left.astype(np.int64) @ right.astype(np.int64)
    assert np.array_equal(product(left, right), exact)
    assert np.array_equal(product(left[0], right), exact[0])


def test_each_row_has_its_value_at_its_arm_its_count_and_its_bar():
    rng = np.random.default_rng(1)
    matrix, arms = rng.random((6, 9)), rng.integers(0, 9, 6)
    mask = rng.random((6, 9)) < 0.5
    assert np.array_equal(at(matrix, arms)[:, 0], [at(row, k) for row, k in zip(matrix, arms, strict=True)])
    assert count(mask).tolist() == [count(row) for row in mask] == mask.sum(axis=1).tolist()
    many = bar(matrix.copy(), mask, 2.0**62)
    for row, allowed, barred in zip(matrix, mask, many, strict=True):
        assert np.array_equal(barred[allowed], row[allowed])
        assert np.array_equal(bar(row, allowed, 2.0**62)[allowed], row[allowed])
        assert max(barred[~allowed], default=-(2.0**62)) <= -(2.0**61)
        assert max(bar(row, allowed, 2.0**62)[~allowed], default=-(2.0**62)) <= -(2.0**61)


def test_some_names_the_rows_that_are_concerned():
    snapshot = a_snapshot(24)
    many, one = look(snapshot, a_batch(snapshot, 5)), look(snapshot, a_batch(snapshot, 1))
    concerned = np.array([[True], [False], [False], [True], [False]])
    assert some(many, concerned).tolist() == [0, 3]
    assert some(many, ~np.ones((5, 1), np.bool_)) is None
    assert some(one, True) is ALL
    assert some(one, 0) is None
    assert cut(7.0, ALL) == 7.0
    assert cut(concerned, some(many, concerned)).all()


def test_rows_are_pulled_from_a_table_alike():
    table = np.arange(12.0).reshape(4, 3)
    assert pull(table, 2).tolist() == [6.0, 7.0, 8.0]
    assert pull(table, np.array([2, 0])).tolist() == [[6.0, 7.0, 8.0], [0.0, 1.0, 2.0]]


@pytest.mark.parametrize("rare", [True, False])
def test_one_row_is_seen_as_the_same_row_among_many(rare):
    snapshot = a_snapshot(24)
    batch = a_batch(snapshot, 40, rare=rare)
    many = look(snapshot, batch)
    for i in range(40):
        one = look(snapshot, batch.rows([i]))
        for name in ("prompt", "output", "bound", "room", "bill", "max_output", "ceiling", "explore"):
            assert getattr(one, name) == getattr(many, name)[i, 0]
        assert one.rules == tuple(cell[i, 0] for cell in many.rules)
        assert (one.rule, one.task, one.policy, one.needs) == (
            many.rule[i],
            many.task[i],
            many.policy[i],
            many.needs[i],
        )
        assert one.lives[0] is many.lives[many.live_row[i]]
        assert np.array_equal(one.tokens, many.tokens[i])
