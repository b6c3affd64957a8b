"""Our estimators against `obp`'s values, frozen for rounds made of hashes (`tests/peers/made.py`)."""

import json
from pathlib import Path

import numpy as np
import pytest

from p402.evaluation.estimators import evaluate
from p402.evaluation.fits import ALL_NAMES
from p402.evaluation.logged import LoggedBatch
from p402.evaluation.side import Bends
from tests.peers.made import CASES, made

FROZEN = json.loads((Path(__file__).parents[2] / "golden" / "peers" / "obp.json").read_text())
BENT = {"clipped_ips": "clip", "switch_dr": "switch", "dros": "shrink"}


def batch_of(rounds):
    return LoggedBatch(
        action=rounds.action,
        reward=rounds.reward,
        count=rounds.count,
        eligible=rounds.behaviour > 0,
        session=np.arange(rounds.n),
        observed=np.ones(rounds.n),
        task=np.zeros(rounds.n, np.int64),
    )


def ours(rounds, frozen_name):
    name, _, bend = frozen_name.rstrip(")").partition("(")
    bends = Bends(**{BENT[name]: float(bend)}) if bend else None
    (found,) = evaluate(
        batch_of(rounds), rounds.target, rounds.q_hat, names=(name,), q_mrdr=rounds.q_mrdr, bends=bends
    )
    return found.value


@pytest.mark.parametrize("case", CASES)
def test_every_estimator_is_obp_s_on_made_rounds(case):
    rounds = made(**CASES[case])
    for name, theirs in FROZEN[case].items():
        assert abs(ours(rounds, name) - theirs) <= 1e-12, name


def test_every_estimator_was_frozen_plain_and_bent():
    assert {name.partition("(")[0] for name in FROZEN["usual"]} == set(ALL_NAMES)
    assert sum("(" in name for name in FROZEN["usual"]) == 17
    assert set(FROZEN) == set(CASES)


def test_the_made_rounds_have_the_bits_that_obp_was_shown():
    rounds = made(**CASES["few"])
    assert rounds.action[:12].tolist() == [1, 2, 0, 2, 0, 0, 0, 0, 1, 0, 1, 1]
    assert int(rounds.count.sum()) == 322_351_369
    assert rounds.target[0, 0] == 0.23480010032653809
