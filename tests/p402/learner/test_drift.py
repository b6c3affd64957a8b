"""A change is noticed soon, and noise seldom mistaken for one."""

import numpy as np
import pytest

from p402.learner.drift import Drift


def first_alarm(z, provider="a"):
    made = Drift()
    for i in range(len(z)):
        if made.hear([provider], z[i : i + 1]):
            return i
    return None


def test_false_alarms_are_as_rare_as_is_said():
    rng = np.random.default_rng(5)
    runs, length = 20, 6_000
    alarms = sum(len(Drift().hear([f"p{r}"] * length, rng.normal(size=length))) for r in range(runs))
    # one in about 9,500 judgements; a name is told once a batch, so at most one a run is counted
    assert 2 <= alarms <= 17


@pytest.mark.parametrize("shift", [1.5, -1.5])
def test_a_shift_is_noticed_within_two_dozen_judgements_in_either_direction(shift):
    rng = np.random.default_rng(6)
    delays = [first_alarm(np.concatenate([np.zeros(50), rng.normal(shift, 1, 100)])) for _ in range(20)]
    assert all(delay is not None and 50 <= delay <= 74 for delay in delays)


def test_only_the_provider_that_changed_is_named():
    rng = np.random.default_rng(7)
    made, names = Drift(), ["a", "b"] * 100
    z = rng.normal(size=200) * 0.5
    z[1::2] -= 2.0
    assert made.hear(names, z) == ["b"]


def test_judgements_of_zero_or_one_do_not_sound_like_change():
    rng = np.random.default_rng(8)
    z = ((rng.random(1_000) < 0.7) - 0.7) / 0.2
    assert len(Drift().hear(["a"] * 1_000, z)) <= 1


def test_silence_is_passed_over():
    assert Drift().hear(["a"] * 50, np.full(50, np.nan)) == []


def test_batches_do_not_matter():
    rng = np.random.default_rng(9)
    z = rng.normal(1.0, 1.0, 60)
    whole, parts = Drift(), Drift()
    raised = whole.hear(["a"] * 60, z)
    apart = [name for i in range(60) for name in parts.hear(["a"], z[i : i + 1])]
    assert raised == sorted(set(apart)) == ["a"]
    assert whole._sums == parts._sums


def test_limits_must_be_above_zero():
    with pytest.raises(ValueError, match="above 0"):
        Drift(alarm=0.0)
