"""Strategies are read from their names, and their probabilities are decide's own."""

import numpy as np
import pytest

from p402.routing.decide import decide, work
from p402.store.reader import connect
from sim.replay.snapshots import Snapshots
from sim.replay.source import groups
from sim.replay.target import UnknownPolicy, asked, parse, probabilities
from sim.replay.verify import CHOICES

POLICIES = (
    "cost",
    "quality",
    "speed",
    "balanced",
    "random",
    "cheapest",
    "logged",
    "weights:quality=3,cost=1",
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qualty", "did you mean `quality`"),
        ("weights:qualty=1", "did you mean `quality`"),
        ("weights:quality=x", "found quality='x'"),
        ("weights:quality=1,quality=2", "quality twice"),
        ("weights:quality=-1,cost=2", "0 or more"),
        ("weights:", "found weight ''"),
        ("weights:quality=nan", "expected"),
        ("", "unknown policy ''"),
    ],
)
def test_an_unknown_policy_names_what_was_expected(text, said):
    with pytest.raises(UnknownPolicy, match=said):
        parse(text)


def test_greedy_goes_only_with_what_explores():
    with pytest.raises(UnknownPolicy, match="--greedy goes with"):
        parse("random", greedy=True)


def test_weights_in_any_unit_sum_to_one():
    assert parse("weights:quality=6,cost=4").weights == parse("weights:quality=0.6,cost=0.4,speed=0").weights


@pytest.mark.parametrize("text", POLICIES)
def test_probabilities_sum_to_one_over_eligible_arms(busy_once, text):
    target, store = parse(text), Snapshots(busy_once.store)
    with connect(busy_once.log) as con:
        for group in groups(con, CHOICES):
            snapshot = store.get(group.snapshot)
            probs = probabilities(target, snapshot, group.batch(snapshot, asked(target, group.inputs)))
            assert (probs >= 0).all()
            assert np.abs(probs.sum(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize("text", POLICIES[:4])
def test_a_mode_without_exploration_is_its_best_arm(busy_once, text):
    target, store = parse(text, greedy=True), Snapshots(busy_once.store)
    with connect(busy_once.log) as con:
        for group in groups(con, CHOICES):
            snapshot = store.get(group.snapshot)
            batch = group.batch(snapshot, asked(target, group.inputs))
            probs = probabilities(target, snapshot, batch)
            assert (probs.max(axis=1) == 1).all()
            assert (probs.argmax(axis=1) == decide(snapshot, batch).arm).all()


def test_the_cheapest_is_cheaper_than_random_everywhere(busy_once):
    cheap, spread, store = parse("cheapest"), parse("random"), Snapshots(busy_once.store)
    with connect(busy_once.log) as con:
        for group in groups(con, CHOICES):
            snapshot = store.get(group.snapshot)
            batch = group.batch(snapshot)
            cost = work(snapshot, batch).cost_pico
            cheapest, random = (
                (probabilities(policy, snapshot, batch) * cost).sum(axis=1) for policy in (cheap, spread)
            )
            assert (cheapest <= random + 1).all()
