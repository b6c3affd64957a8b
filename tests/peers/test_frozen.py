"""What other libraries said once, frozen: the default suite checks ours against it without them."""

import json
from pathlib import Path

import numpy as np
import pytest

from p402.learner.posterior import Beliefs
from p402.learner.prior import Prior
from p402.learner.words import Words
from p402.routing.compiled import compile_snapshot
from p402.routing.decide import work
from p402.routing.scale import COUNT_ONE, param
from tests.p402.routing.worlds import alike, rows_of
from tests.peers.made import uniform

GOLDEN = Path(__file__).parents[1] / "golden" / "peers"
SQUARECB = json.loads((GOLDEN / "squarecb.json").read_text())
POSTERIOR = json.loads((GOLDEN / "posterior.json").read_text())
OPEN_BANDIT = json.loads((GOLDEN / "open_bandit.json").read_text())
PRIOR, NOISE, KEPT = 4.0, 16.0, 0.75


@pytest.mark.parametrize("case", SQUARECB)
def test_propensities_are_vowpal_wabbit_s_squarecb(case):
    """Its regressor works in float32 and ours counts out of 2**24: that is all that lies between them."""
    costs, gamma = SQUARECB[case]["costs"], SQUARECB[case]["gamma"]
    m = len(costs)
    spec = alike(
        m,
        posterior={"theta": tuple((param(1.0 - cost),) for cost in costs)},
        mode={
            "quality": 1.0,
            "cost": 0.0,
            "loss_cap": param((m - 1) / gamma),
            "floor": 0,
            "tolerance": param(1.0),
        },
        policy={"beta": 0},
    )
    snapshot = compile_snapshot(spec)
    for n in (1, 2):
        counts = work(snapshot, rows_of(snapshot, n)).counts.reshape(n, m)[-1]
        assert counts.sum() == COUNT_ONE
        assert counts / COUNT_ONE == pytest.approx(SQUARECB[case]["probabilities"], abs=2e-6)


def observed():
    """As `bb_posterior` showed it."""
    x = uniform((40, 5), 900)
    x[:, 0] = 1.0
    return x, uniform((40,), 901) * 0.5 + x[:, 1] * 0.5


def test_the_frozen_posterior_is_the_textbook_s():
    x, y = observed()
    precision = PRIOR * np.eye(5) + NOISE * x.T @ x
    mean = np.linalg.solve(precision, NOISE * x.T @ y)
    assert np.abs(mean - POSTERIOR["mean"]).max() < 1e-13
    assert precision == pytest.approx(np.array(POSTERIOR["precision"]), rel=1e-13)


def test_our_posterior_is_bayesianbandits_s_before_and_after_it_forgets():
    x, y = observed()
    prior = Prior(("a",), np.zeros((1, 5)), np.full(5, PRIOR))
    names = ["bias", "u", "v", "w", "z"]
    beliefs = Beliefs(prior, NOISE**-0.5, ["chat"], names)

    def learn(first, rows, salt):
        return Words(
            key=np.stack(
                [np.full(rows, 1 << 20, np.uint64), np.arange(rows, dtype=np.uint64) + salt], axis=1
            ),
            arm=["a"] * rows,
            features=x[first : first + rows],
            task=np.zeros(rows, np.int64),
            quality=y[first : first + rows],
            weight=np.ones(rows),
        )

    def same(which):
        assert np.abs(beliefs.mean[0] - POSTERIOR[f"mean{which}"]).max() < 1e-12
        assert beliefs.precision[0] == pytest.approx(np.array(POSTERIOR[f"precision{which}"]), rel=1e-12)

    beliefs.learn(learn(0, 40, np.uint64(0)))
    same("")
    beliefs.forget(KEPT, keep_mean=True)
    same("_after")
    beliefs.learn(learn(0, 10, np.uint64(1_000)))
    same("_again")


def test_on_the_open_bandit_data_we_said_what_obp_said():
    assert set(OPEN_BANDIT) == {"all", "men", "women"}
    for campaign in OPEN_BANDIT.values():
        assert campaign["n"] == 10_000
        assert len(campaign["values"]) == 9
        assert all(abs(ours - theirs) <= 1e-12 for ours, theirs in campaign["values"].values())
