"""What a token takes is learned from the last runs, and a bad spell ends."""

from hypothesis import given
from hypothesis import strategies as st

from serve.embedding.pace import REST_S, RUNS, Pace, token_s


def test_what_was_told_at_the_start_decides_until_something_ran():
    pace = Pace(0.001)
    assert pace.fits(8, 0.016)
    assert not pace.fits(9, 0.016)


def test_one_run_that_lost_its_core_changes_nothing():
    pace = Pace(0.001)
    for _ in range(3):
        pace.note(12, 0.02, 0)
    pace.note(10, 1.0, 0)
    assert pace.token_s == 0.001


@given(st.floats(1e-6, 1), st.floats(1e-6, 1))
def test_after_enough_runs_only_the_last_ones_count(first, then):
    pace = Pace(first)
    for _ in range(RUNS):
        pace.note(1, then, 0)
    assert pace.token_s == token_s(1, then)


@given(st.lists(st.tuples(st.integers(1, 128), st.floats(1e-4, 1)), min_size=1), st.integers(1, 127))
def test_a_shorter_text_fits_where_a_longer_one_does(runs, tokens):
    pace = Pace(0.0)
    for ran, took_s in runs:
        pace.note(ran, took_s, 0)
    assert pace.fits(tokens, 0.008) or not pace.fits(tokens + 1, 0.008)


def test_with_nothing_run_for_a_while_it_is_stale():
    pace = Pace(0.001)
    assert pace.stale(0)
    pace.note(1, 1, 10)
    assert not pace.stale(10 + REST_S / 2)
    assert pace.stale(10 + REST_S)


def test_short_runs_say_what_long_ones_take_and_the_other_way_round():
    for tokens, others in ((8, 120), (120, 8)):
        pace = Pace(0.0)
        for _ in range(RUNS):
            pace.note(tokens, 0.0002 * tokens + 0.0016, 0)
        assert pace.fits(others, 0.0002 * others + 0.00161)
        assert not pace.fits(others, 0.0002 * others + 0.00159)
