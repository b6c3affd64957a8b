import os
import subprocess
import sys
from math import inf, nan

import pytest
from matplotlib.figure import Figure

from p402.errors import StoreError
from p402.registry.published import Published
from p402.registry.tracking import (
    ABANDONED_MS,
    CHALLENGER,
    CHAMPION,
    WEIGHTS_FILE,
    Dataset,
    Recorded,
    Run,
    Tracking,
    has_record,
)

NOW = 1_795_348_800_000
WEIGHTS = {"v": 1, "quality": 524_288, "cost": 524_288, "speed": 0}


def a_run(weights=WEIGHTS, **more):
    given = {"name": "reweight", "started_ms": NOW, "ended_ms": NOW + 900, "weights": weights} | more
    return Run(**given)


def in_force(version, made):
    """Weights that a recorded run proposed; None for the start's."""
    return Published(
        quality=1 << 20, cost=0, speed=0, reason="", version=version, published_ms=NOW,
        run_id=made and made.run_id, model_version=made and made.model_version,
    )  # fmt: skip


def artifacts(tracking, run_id):
    return {found.path for found in tracking._client.list_artifacts(run_id)}


def test_p21_a_run_keeps_all_that_it_was_given(tracking):
    figure = Figure()
    figure.subplots().plot([1, 2])
    made = tracking.record(
        a_run(
            params={"look": "3"},
            metrics={"value": 0.25, "lower": -inf, "odd": nan},
            tags={"verdict": "hold"},
            documents={"verdict.json": {"action": "hold"}},
            tables={"candidates.json": {"quality": [0.5, 0.55], "value": [0.1, None]}},
            figures={"weights.png": figure},
            dataset=Dataset("p402-log", "log", "ab" * 32),
        )
    )
    run = tracking._client.get_run(made.run_id)
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (NOW, NOW + 900)
    assert run.data.params == {"look": "3"}
    assert run.data.metrics == {"value": 0.25}
    assert run.data.tags["verdict"] == "hold"
    assert run.inputs.dataset_inputs[0].dataset.digest == ("ab" * 32)[:36]
    assert artifacts(tracking, made.run_id) == {
        "verdict.json",
        "candidates.json",
        "weights.png",
        WEIGHTS_FILE,
    }


def test_p21_the_artifacts_are_plain_files_under_one_folder_and_no_pickles(tracking):
    made = tracking.record(a_run())
    files = [path for path in tracking.root.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".db", ".json"}
    assert tracking.version(made.model_version).weights == WEIGHTS


def test_p21_each_proposal_is_a_version_and_the_last_is_challenger(tracking):
    assert tracking.alias(CHALLENGER) is None
    first, second = tracking.record(a_run()), tracking.record(a_run(tags={"verdict": "promote"}))
    assert (first.model_version, second.model_version) == (1, 2)
    assert tracking.alias(CHALLENGER) == 2
    assert tracking.alias(CHAMPION) is None
    assert tracking.version(2).tags["verdict"] == "promote"
    assert tracking.version(1).run_id == first.run_id


def test_a_run_that_proposes_nothing_registers_nothing(tracking):
    assert tracking.record(a_run(weights=None)).model_version is None
    assert tracking.alias(CHALLENGER) is None


def test_p21_champion_is_what_is_in_force_and_knows_what_was_before(tracking):
    first, second = tracking.record(a_run()), tracking.record(a_run())
    tracking.align(in_force(1, first))
    assert tracking.alias(CHAMPION) == 1
    assert tracking.version(1).tags["previous"] == "none"
    tracking.align(in_force(2, second))
    tracking.align(in_force(2, second))
    assert tracking.alias(CHAMPION) == 2
    assert tracking.version(2).tags["previous"] == "1"
    assert tracking.version(2).tags["published_version"] == "2"
    tracking.align(in_force(3, first))  # rolled back
    assert tracking.alias(CHAMPION) == 1
    tracking.align(in_force(4, None))  # to the start, which no run proposed
    assert tracking.alias(CHAMPION) is None


def test_weights_of_a_record_that_was_lost_make_no_other_version_champion(tracking):
    tracking.align(in_force(1, Recorded("lost", 1)))
    assert tracking.alias(CHAMPION) is None
    made = tracking.record(a_run())
    tracking.align(in_force(1, Recorded("lost", made.model_version)))
    assert tracking.alias(CHAMPION) is None


def test_a_version_that_is_not_there_names_those_that_are(tracking):
    with pytest.raises(StoreError, match=r"no version 1; .*registers first"):
        tracking.version(1)
    tracking.record(a_run())
    with pytest.raises(StoreError, match=r"no version 5.*\[1\]"):
        tracking.version(5)


def test_a_run_that_cannot_be_written_is_marked_failed_and_registers_nothing(tracking):
    with pytest.raises(StoreError, match="expected a database and artifacts"):
        tracking.record(a_run(params={"": "a parameter needs a name"}))
    (run,) = tracking._client.search_runs([tracking._experiment])
    assert run.info.status == "FAILED"
    assert tracking.alias(CHALLENGER) is None


def test_the_run_of_a_killed_process_is_closed_by_the_next(tracking):
    left = tracking._client.create_run(tracking._experiment, start_time=NOW - ABANDONED_MS - 1)
    young = tracking._client.create_run(tracking._experiment, start_time=NOW - 1)
    tracking.record(a_run())
    assert tracking._client.get_run(left.info.run_id).info.status == "KILLED"
    assert tracking._client.get_run(young.info.run_id).info.status == "RUNNING"


def test_opening_again_finds_the_same_record(tracking):
    tracking.record(a_run())
    again = Tracking(tracking.root)
    assert again.version(1).weights == WEIGHTS
    assert has_record(tracking.root)
    assert not has_record(tracking.root / "elsewhere")


def test_a_database_that_is_none_is_an_error_that_says_where(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"not a database, but long enough to be looked at as one" * 4)
    with pytest.raises(StoreError, match="not a database"):
        Tracking(tmp_path)


def test_mlflow_is_told_to_keep_to_itself_and_leaves_no_uri_behind(tracking):
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert tracking.uri.endswith("mlflow.db")


def test_importing_the_record_imports_no_mlflow():
    code = "import sys, p402.registry.tracking as _; print('mlflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
