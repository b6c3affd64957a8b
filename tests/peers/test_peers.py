"""The libraries themselves beside ours, where `make peers` has installed them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = Path(os.environ.get("P402_PEERS_PYTHON", ROOT / ".venv" / "peers" / "bin" / "python"))
GOLDEN = ROOT / "tests" / "golden" / "peers"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="other libraries are not installed: run `make peers`"),
]


def told(script: str) -> dict:
    """What a script beside this one prints, run by the peers' Python from the root of the tree."""
    done = subprocess.run(
        [PYTHON, "-m", f"tests.peers.{script}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)


def frozen(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def test_every_estimator_is_obp_s_on_its_synthetic_data():
    found = told("obp_synthetic")
    assert len(found["values"]) == 9
    assert found["max_abs_diff"] <= 1e-12
    assert found["mrdr_weight_max_rel_diff"] <= 1e-12
    assert found["ridge_max_abs_diff"] <= 1e-9
    assert abs(found["values"]["dr"][0] - found["truth"]) < 0.02


def test_every_estimator_is_obp_s_on_the_open_bandit_data_in_its_package():
    for campaign, found in told("obp_open_bandit").items():
        assert found["max_abs_diff"] <= 1e-12, campaign
        kept = frozen("open_bandit")[campaign]
        assert (found["n"], found["clicks"]) == (kept["n"], kept["clicks"])
        for name, (ours, _) in found["values"].items():
            assert abs(ours - kept["values"][name][0]) <= 1e-12, (campaign, name)


def test_obp_still_says_of_the_made_rounds_what_was_frozen():
    now = told("obp_made")
    for case, values in frozen("obp").items():
        for name, value in values.items():
            assert abs(now[case][name] - value) <= 1e-12, (case, name)


def test_vowpal_wabbit_still_gives_the_probabilities_that_were_frozen():
    now = told("vw_squarecb")
    for case, kept in frozen("squarecb").items():
        assert now[case]["probabilities"] == pytest.approx(kept["probabilities"], abs=1e-6)


def test_bayesianbandits_still_believes_what_was_frozen():
    now = told("bb_posterior")
    for name, kept in frozen("posterior").items():
        for row, kept_row in zip(now[name], kept, strict=True):
            assert row == pytest.approx(kept_row, rel=1e-12)
