import re
import subprocess
import sys

import pytest

from experiments.learning.step import Plan, take_step
from experiments.promote import parse_weights, promote, rollback
from p402.assemble import START_WEIGHTS
from p402.learner.weights import START, Weights
from p402.registry.tracking import CHALLENGER, CHAMPION, Run, Tracking
from p402.registry.weights import WeightsRegistry
from p402.routing.scale import PARAM_ONE

NOON = 1_795_348_800_000
HOUR = 3_600_000


def in_force(world):
    return WeightsRegistry(world.places.registry).current()


def parts(published):
    return published.quality, published.cost, published.speed


def proposed(world, verdict, *, from_version=0, quality=600_000):
    """A registered version with a verdict, as a step would leave it."""
    return Tracking(world.places.tracking).record(
        Run(
            name="step", started_ms=NOON, ended_ms=NOON,
            tags={"verdict": verdict, "reasons": "as_told", "from_version": str(from_version)},
            weights={"v": 1, "quality": quality, "cost": PARAM_ONE - quality, "speed": 0},
        )
    )  # fmt: skip


def forced(world, text="quality=0.7,cost=0.3", reason="we try it"):
    return promote(["--force", "--weights", text, "--reason", reason, *world.hand_options()])


def test_p21_a_challenger_that_passed_is_published_and_becomes_champion(world, capsys):
    here = world()
    made = proposed(here, "promote")
    assert promote(here.hand_options()) == 0
    now = in_force(here)
    assert (now.version, now.quality, now.forced, now.run_id) == (1, 600_000, False, made.run_id)
    assert Tracking(here.places.tracking).alias(CHAMPION) == made.model_version
    said = capsys.readouterr().out
    assert "nothing published" in said
    assert "version 1" in said
    assert "FORCED" not in said


def test_p21_what_a_dry_run_found_can_be_promoted_by_hand(world):
    here = world("strong")
    plan = Plan(seal_wait_s=0.0, dry_run=True)
    step = take_step(here.places, plan, lambda: NOON + HOUR)
    assert in_force(here) is None
    assert promote(here.hand_options()) == 0
    assert parts(in_force(here)) == (step.proposal.candidate.quality, step.proposal.candidate.cost, 0)


@pytest.mark.parametrize("verdict", ["hold", "forced"])
def test_p21_a_version_that_did_not_pass_is_refused(world, capsys, verdict):
    here = world()
    proposed(here, verdict)
    assert promote(here.hand_options()) == 1
    assert in_force(here) is None
    assert f"verdict {verdict} (as_told); expected promote" in capsys.readouterr().err


def test_p21_a_verdict_under_other_weights_than_are_in_force_is_refused(world, capsys):
    here = world()
    proposed(here, "promote")
    assert forced(here) == 0
    assert promote(["--version", "1", *here.hand_options()]) == 1
    assert "compared with weights version 0; expected 1" in capsys.readouterr().err


def test_without_a_challenger_there_is_nothing_to_promote(world, capsys):
    here = world()
    assert promote(here.hand_options()) == 1
    assert "no challenger" in capsys.readouterr().err
    assert promote(["--version", "4", *here.hand_options()]) == 1
    assert "no version 4" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "seen"), [([], "no challenger"), (["--version", "4"], "no version 4")])
def test_a_refusal_where_nothing_was_recorded_leaves_no_folders_behind(tmp_path, capsys, more, seen):
    registry, tracking = tmp_path / "new" / "registry", tmp_path / "new" / "mlflow"
    assert promote([*more, "--registry", str(registry), "--tracking", str(tracking)]) == 1
    assert f"{seen}: nothing is recorded in {tracking}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_reason_is_shown_as_it_was_written(world, capsys):
    here = world()
    assert forced(here, reason="see [ops] and [/x]") == 0
    assert "see [ops] and [/x]" in capsys.readouterr().out


def test_p21_forced_weights_are_labelled_in_the_file_in_mlflow_and_in_the_output(world, capsys):
    here = world()
    assert forced(here, "quality=0.6,cost=0.4,speed=0") == 0
    now = in_force(here)
    assert now.forced
    assert now.shares == pytest.approx((0.6, 0.4, 0.0), abs=1e-6)
    assert now.reason == "we try it"
    record = Tracking(here.places.tracking)
    assert record.alias(CHAMPION) == now.model_version
    assert record.version(now.model_version).tags["forced"] == "true"
    assert record._client.get_run(now.run_id).data.tags["forced"] == "true"
    assert "FORCED by an operator" in " ".join(capsys.readouterr().out.split())


def test_p21_a_version_that_was_held_can_be_forced_and_says_so(world):
    here = world()
    made = proposed(here, "hold")
    assert promote(["--version", "1", "--force", "--reason", "I know", *here.hand_options()]) == 0
    assert in_force(here).forced
    tags = Tracking(here.places.tracking)._client.get_run(made.run_id).data.tags
    assert (tags["forced"], tags["verdict"]) == ("true", "hold")


def test_p21_a_rollback_restores_weights_and_champion_under_a_new_version(world, capsys):
    here = world()
    first = proposed(here, "promote")
    assert promote(here.hand_options()) == 0
    assert forced(here) == 0
    assert rollback(["--reason", "worse answers", *here.hand_options()]) == 0
    now = in_force(here)
    assert (now.version, now.restores, now.forced, now.quality) == (3, 1, False, 600_000)
    assert Tracking(here.places.tracking).alias(CHAMPION) == first.model_version
    assert "restores 1" in " ".join(capsys.readouterr().out.split())


def test_p21_the_first_publication_rolls_back_to_the_start(world):
    here = world()
    assert forced(here) == 0
    assert rollback(["--reason", "no", *here.hand_options()]) == 0
    assert parts(in_force(here)) == START_WEIGHTS
    assert Tracking(here.places.tracking).alias(CHAMPION) is None
    assert rollback(["--to", "1", "--reason", "yes after all", *here.hand_options()]) == 0
    assert in_force(here).forced
    assert Tracking(here.places.tracking).alias(CHAMPION) == 1


def test_p21_a_rollback_works_though_the_record_is_broken(world, capsys):
    here = world()
    assert forced(here) == 0
    (here.places.tracking / "mlflow.db").write_bytes(b"broken" * 100)
    assert rollback(["--reason", "now", *here.hand_options()]) == 0
    assert in_force(here).version == 2
    assert "the record is behind" in capsys.readouterr().err


def test_p21_a_rollback_makes_no_record_where_there_is_none(tmp_path, world):
    here = world()
    assert forced(here) == 0
    elsewhere = tmp_path / "none"
    options = ["--registry", str(here.places.registry), "--tracking", str(elsewhere)]
    assert rollback(["--reason", "now", *options]) == 0
    assert not elsewhere.exists()


def test_there_is_nothing_to_roll_back_where_nothing_was_published(world, capsys):
    here = world()
    assert rollback(["--reason", "now", *here.hand_options()]) == 1
    assert "nothing was ever published" in capsys.readouterr().err


def test_a_damaged_file_is_mended_from_the_history(world, capsys):
    here = world()
    assert forced(here) == 0
    (here.places.registry / "weights.json").write_bytes(b"{")
    assert rollback(["--reason", "now", *here.hand_options()]) == 1
    assert "--repair" in capsys.readouterr().err
    assert rollback(["--repair", "--to", "1", "--reason", "mended", *here.hand_options()]) == 0
    assert in_force(here).restores == 1


@pytest.mark.parametrize(
    "argv",
    [
        ["--weights", "quality=1"],
        ["--force", "--weights", "quality=1"],
        ["--force", "--weights", "quality=1", "--version", "1", "--reason", "r"],
        ["--force", "--weights", "qualty=1", "--reason", "r"],
        ["--force", "--weights", "quality=1,quality=2", "--reason", "r"],
        ["--force", "--weights", "quality=high", "--reason", "r"],
        ["--force", "--weights", "quality=-1,cost=2", "--reason", "r"],
        ["--force", "--weights", "quality=nan", "--reason", "r"],
        ["--force", "--weights", "quality=0,cost=0", "--reason", "r"],
        ["--nonsense"],
    ],
)
def test_a_wrong_call_is_told_so_and_publishes_nothing(world, argv):
    here = world()
    assert promote([*argv, *here.hand_options()]) == 2
    assert in_force(here) is None
    assert Tracking(here.places.tracking).alias(CHALLENGER) is None


def test_a_rollback_needs_a_reason(world):
    here = world()
    assert rollback(here.hand_options()) == 2
    assert rollback(["--repair", "--reason", "r", *here.hand_options()]) == 2


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("quality=0.5, cost=0.5", START),
        ("speed=1", Weights(0, 0, PARAM_ONE)),
        ("quality=0.333,cost=0.333,speed=0.333", Weights.of(1.0, 1.0, 1.0)),
        ("quality=0.667,cost=0.334", Weights.of(0.334, 0.667)),
    ],
)
def test_weights_are_those_given_up_to_rounding(text, weights):
    assert parse_weights(text) == weights


@pytest.mark.parametrize("text", ["quality=0.6,cost=0.6", "quality=0.6", "quality=3,cost=3"])
def test_weights_that_do_not_sum_to_one_are_refused_with_those_of_the_same_proportions(world, capsys, text):
    here = world()
    assert forced(here, text) == 2
    assert in_force(here) is None
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    (same,) = re.findall(r"found a sum of \S+; expected 1: (\S+) has the same proportions", said)
    assert parse_weights(same) == (START if "cost" in text else Weights(0, PARAM_ONE, 0))


def test_p21_rolling_back_needs_none_of_the_heavy_packages():
    code = (
        "import sys, experiments.promote as _;"
        "heavy = {'mlflow', 'duckdb', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
