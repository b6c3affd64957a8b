"""Requests as columns: rows taken out are the rows that were put in, in types that arithmetic needs."""

from dataclasses import replace

import numpy as np
import pytest
from worlds import a_batch, a_snapshot

from p402.routing.batch import COLUMNS, WHOLE_FLOATS


@pytest.fixture(scope="module")
def batch():
    return a_batch(a_snapshot(24), 50)


@pytest.mark.parametrize("index", [slice(10, 20), [3, 1, 4, 1, 5], np.array([49, 0])])
def test_rows_are_those_named_in_the_order_named(batch, index):
    part = batch.rows(index)
    assert len(part) == len(part.key)
    for name in COLUMNS:
        assert np.array_equal(getattr(part, name), getattr(batch, name)[index])
    assert part.lives is batch.lives


def test_rows_of_a_plain_batch_have_no_rare_columns():
    plain = a_batch(a_snapshot(24), 5, rare=False).rows([1, 2])
    assert plain.weights is plain.tried is plain.excluded is plain.previous_arm is None


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - {"key", "excluded", "explore", "probed"}))
def test_rows_of_narrow_columns_are_wide(batch, name):
    column = getattr(batch, name)
    narrow = column.astype(np.float32 if name in WHOLE_FLOATS else np.int16)
    part = replace(batch, **{name: narrow}).rows(slice(0, 7))
    assert getattr(part, name).dtype == (np.float64 if name in WHOLE_FLOATS else np.int64)
