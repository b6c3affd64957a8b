"""Counts and the draw that picks by them, where a row is one and where it is one of many."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import alike, any_world, rows_of

from p402.routing.compiled import compile_snapshot
from p402.routing.decide import work
from p402.routing.policy import Explored, pick
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE, param

COUNTS = st.lists(st.integers(1, 1000), min_size=1, max_size=6)


def whole(counts):
    """Counts in the given proportions that sum to 2**24."""
    scaled = [c * COUNT_ONE // sum(counts) for c in counts]
    return [float(scaled[0] + COUNT_ONE - sum(scaled)), *map(float, scaled[1:])]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.just([]), COUNTS), min_size=1, max_size=6), st.data())
def test_a_draw_picks_the_arm_in_whose_stretch_it_lies_first_and_last_number_included(rows, data):
    rows = [whole(r) if r else [] for r in rows]
    draws, places, start = [], [], 0
    for row in rows:
        place = data.draw(st.integers(0, max(len(row) - 1, 0)))
        first = int(sum(row[:place]))
        draw = data.draw(st.sampled_from([first, first + int(row[place]) - 1])) if row else 0
        if row:
            assert pick(Explored(0, [], [], len(row)), row, draw) == place
            places.append(start + place)
        draws.append(draw)
        start += len(row)
    size = np.array([len(r) for r in rows])
    listed = Explored(np.repeat(np.arange(len(rows)), size), None, None, size)
    found = pick(listed, np.concatenate([[], *rows]), np.array(draws, np.float64))
    assert found.tolist() == places


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_better_arm_never_has_the_smaller_count(seed):
    snapshot, batch = any_world(seed, 20)
    worked = work(snapshot, batch)
    for score, counts in zip(worked.score, worked.counts, strict=True):
        inside = np.flatnonzero(counts)
        order = inside[np.argsort(-score[inside], kind="stable")]
        assert np.all(np.diff(counts[order]) <= 0)


@pytest.mark.parametrize("n", [1, 2])
def test_counts_follow_the_closed_form(n):
    cap, gap = param(0.0625), param(0.125)
    spec = alike(
        2,
        posterior={"theta": ((param(0.5),), (param(0.25),))},
        mode={"quality": 0.5, "cost": 0.5, "loss_cap": cap, "floor": 0},
    )
    snapshot = compile_snapshot(spec)
    worked = work(snapshot, rows_of(snapshot, n))
    score, counts = worked.score.reshape(n, 2)[-1], worked.counts.reshape(n, 2)[-1]
    assert score[0] - score[1] == gap * PARAM_ONE
    assert counts.tolist() == [COUNT_ONE * 3 // 4, COUNT_ONE // 4]  # 1 / (2 + 0.125 / 0.0625)
    assert counts[1] / COUNT_ONE * (gap * PARAM_ONE / SCORE_ONE) <= cap / PARAM_ONE
