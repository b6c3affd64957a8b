"""Names by code; that columns become the batch of their rows is held in tests/sim/replay/test_columns.py."""

import numpy as np

from p402.routing.columns import Names


def test_names_become_numbers_and_none_stays_none():
    found = Names(np.array([1, -1, 0, 2]), ("a", "b", "c"))
    assert found.onto({"a": 7, "b": 5}).tolist() == [5, -1, 7, -1]
    assert found.onto({"a": 7, "b": 5}, -2).tolist() == [5, -1, 7, -2]
    assert found.rows(np.array([2, 1])).onto({"a": 7}).tolist() == [7, -1]
    assert Names(np.array([-1, -1]), ()).onto({"a": 1}).tolist() == [-1, -1]


def test_several_names_a_row_keep_their_places():
    found = Names(np.array([[0, 1], [1, -1], [-1, -1]]), ("a", "b"))
    assert found.onto({"a": 3, "b": 4}).tolist() == [[3, 4], [4, -1], [-1, -1]]
