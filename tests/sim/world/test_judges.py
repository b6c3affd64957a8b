"""Sources that judge: how often, how late, how far from the truth."""

import numpy as np
import pytest

from sim.world.chance import Chance
from sim.world.judges import judged_share, words_on
from sim.world.rewards import clip
from sim.world.spec import Judge, Sessions, Spread
from sim.world.traffic import Traffic
from tests.sim.world.small import a_world

CHANCE = Chance(9)
ASKED = list(Traffic(a_world(sessions=Sessions()), CHANCE, rounds=3_000))


def words(judge, quality):
    return [word for asked in ASKED for word in words_on((judge,), CHANCE, asked, 1, 0, quality)]


@pytest.mark.parametrize(("quality", "share"), [(0.0, 0.2), (0.5, 0.4), (1.0, 0.6)])
def test_good_answers_are_judged_more_often_where_the_source_prefers_them(quality, share):
    judge = Judge(name="user", share=0.4, slope=0.4)
    assert judged_share(judge, quality) == pytest.approx(share)
    assert abs(len(words(judge, quality)) / len(ASKED) - share) < 4 * np.sqrt(
        share * (1 - share) / len(ASKED)
    )


def test_a_share_stays_a_share():
    assert judged_share(Judge(name="user", share=0.9, slope=2.0), 1.0) == 1.0
    assert judged_share(Judge(name="user", share=0.1, slope=2.0), 0.0) == 0.0


def test_a_biased_and_noisy_source_is_off_by_its_bias():
    said = [w.quality for w in words(Judge(name="user", share=1, bias=-0.1, noise_sd=0.05), 0.5)]
    assert np.mean(said) == pytest.approx(0.4, abs=0.005)
    assert np.std(said) == pytest.approx(0.05, abs=0.005)
    assert all(clip(q) == q for q in said)


def test_a_source_speaks_when_its_law_says():
    late = [w.after_ms for w in words(Judge(name="user", share=1, delay_s=Spread(median=90, sigma=0.4)), 0.5)]
    assert np.median(late) == pytest.approx(90_000, rel=0.04)


def test_an_exact_source_says_the_truth_of_every_answer_in_the_same_way():
    judge = Judge(name="user", share=1, delay_s=Spread(median=60))
    assert {(w.quality, w.after_ms) for w in words(judge, 0.3)} == {(0.3, 60_000.0)}
    assert words(judge, 0.3) == words(judge, 0.3)
