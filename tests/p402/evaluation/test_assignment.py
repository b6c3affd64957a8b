import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.evaluation.assignment import assign, holdout


def chance(seed):
    return np.random.Generator(np.random.Philox(seed))


def hashes(n, seed=0):
    return chance(seed).integers(-(2**62), 2**62, n)


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=5), st.integers(0, 2**40))
def test_groups_have_their_shares_and_a_session_is_never_split(parts, salt):
    shares = [part / sum(parts) for part in parts]
    session = hashes(4_000)
    group = assign(session, shares, salt)
    for index, share in enumerate(shares):
        seen = np.count_nonzero(group == index)
        assert abs(seen - 4_000 * share) < 5 * math.sqrt(4_000 * share * (1 - share)) + 1
    assert (assign(session[::-1], shares, salt)[::-1] == group).all()
    assert (assign(session[:7], shares, salt) == group[:7]).all()


def test_salts_give_groups_that_know_nothing_of_one_another():
    session = hashes(20_000)
    one, other = holdout(session, 0.3, 1), holdout(session, 0.3, 2)
    together = np.mean(one & other)
    assert abs(together - 0.09) < 5 * math.sqrt(0.09 * 0.91 / 20_000)


def test_a_group_of_share_0_is_empty():
    assert set(assign(hashes(1_000), (0.0, 1.0), 3)) == {1}
    assert set(assign(hashes(1_000), (1.0, 0.0), 3)) == {0}


@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.6), (-0.5, 1.5)])
def test_shares_that_are_none_are_refused(shares):
    with pytest.raises(ValueError, match="shares are"):
        assign(hashes(3), shares, 0)
    with pytest.raises(ValueError, match="share is"):
        holdout(hashes(3), 1.0, 0)
