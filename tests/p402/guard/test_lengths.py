"""The bound on an answer's length: exact, distribution-free, silent while too little is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from p402.guard.lengths import (
    CONFIDENCE,
    FAMILIAR,
    GENERATION,
    NEEDED,
    NO_ANSWERS,
    SHARE,
    UNBOUNDED,
    Generation,
    Lengths,
    most,
    observe,
    predict,
)

tokens = st.integers(0, 40)
answers = st.lists(st.tuples(tokens, st.booleans()), max_size=60)


def past(lengths, known=NO_ANSWERS):
    for length in lengths:
        known = observe(known, length, whole=True)
    return known


def pool(count: int, *longest: int) -> Lengths:
    return Lengths(Generation(count, tuple(sorted(longest, reverse=True))))


def test_the_numbers_needed_are_those_of_the_binomial_law():
    for rank, needed in enumerate(NEEDED):
        assert binom.cdf(rank, needed, 1 - SHARE) <= 1 - CONFIDENCE
        assert binom.cdf(rank, needed - 1, 1 - SHARE) > 1 - CONFIDENCE
    # Two generations never hold enough to ask for a sixth.
    assert binom.cdf(len(NEEDED), 2 * GENERATION - 1, 1 - SHARE) > 1 - CONFIDENCE


@pytest.mark.parametrize("n", [0, 1, 50, NEEDED[0] - 1])
def test_a_short_past_claims_nothing(n):
    assert most(past([7] * n)) is None


@given(answers, st.integers(NEEDED[0], GENERATION - 61))
def test_what_is_kept_is_exactly_the_longest(rest, n):
    known = past([1] * n)
    for length, whole in rest:
        known = observe(known, length, whole=whole)
    everything = sorted([1] * n + [length for length, _ in rest], reverse=True)
    assert known.count == n + sum(whole for _, whole in rest)
    assert known.now.longest == tuple(everything[: len(NEEDED)])
    assert most(known) == everything[sum(known.count >= needed for needed in NEEDED) - 1]


@given(st.lists(tokens, max_size=40), tokens)
def test_a_cut_answer_is_no_evidence_and_never_lowers_the_bound(lengths, cut):
    known = pool(NEEDED[0], 20)
    known = past(lengths, known)
    after = observe(known, cut, whole=False)
    assert after.count == known.count
    assert most(after) >= most(known)


@given(st.lists(tokens, min_size=1, max_size=40))
def test_the_order_of_answers_within_a_generation_does_not_matter(lengths):
    assert past(lengths) == past(sorted(lengths)) == past(sorted(lengths, reverse=True))


def test_answers_that_their_cap_ended_make_the_bound_as_long_as_any_cap():
    known = past([100] * NEEDED[1])
    known = observe(known, UNBOUNDED, whole=True)
    assert most(known) == 100  # one in 4,743 may be so
    assert most(observe(known, UNBOUNDED, whole=True)) == UNBOUNDED


def test_memory_is_bounded_and_answers_of_long_ago_are_forgotten():
    known = observe(NO_ANSWERS, 9_999, whole=True)
    lengths = []
    for _ in range(2 * GENERATION):
        known = observe(known, 5, whole=True)
        lengths.append(known.count)
        assert len(known.now.longest) <= len(NEEDED) >= len(known.before.longest)
    assert GENERATION <= lengths[GENERATION] <= max(lengths) < 2 * GENERATION
    assert most(known) == 5


def test_a_few_longer_answers_raise_the_bound_to_theirs():
    known = past([100] * (2 * GENERATION - 1))
    for _ in range(len(NEEDED)):
        known = observe(known, 3_000, whole=True)
    assert most(known) == 3_000


def test_the_finest_pool_that_knows_enough_speaks():
    fine, coarse = pool(NEEDED[0], 50), pool(9_000, *[400] * 5)
    assert predict([fine, coarse]) == 50
    assert predict([pool(NEEDED[0] - 1, 50), coarse]) == 400


def test_a_coarse_pool_says_no_less_than_a_finer_one_has_seen_and_nothing_of_what_it_hardly_knows():
    coarse = pool(9_000, *[400] * 5)
    assert predict([pool(FAMILIAR, 700, 3), coarse]) == 700
    assert predict([pool(FAMILIAR - 1, 700), coarse]) is None
    assert predict([NO_ANSWERS, coarse]) is None
    assert predict([pool(FAMILIAR, 3), pool(2_000, 3)]) is None
    assert predict([]) is None


def test_a_negative_length_is_a_fault_of_ours():
    with pytest.raises(ValueError, match="expected 0 or more"):
        observe(NO_ANSWERS, -1, whole=True)


def test_the_bound_covers_as_often_as_it_says_whatever_the_distribution():
    chance = np.random.Generator(np.random.Philox(402))
    for draw, truth in (
        (chance.random, SHARE),
        (lambda n: chance.pareto(1.1, n), (1 - SHARE) ** (-1 / 1.1) - 1),
    ):
        covered = 0
        for _ in range(400):
            n = int(chance.choice(NEEDED[:3]))
            top = np.sort(draw(n))[::-1]
            covered += top[sum(n >= needed for needed in NEEDED) - 1] >= truth
        assert covered / 400 > CONFIDENCE - 0.033  # three standard errors
