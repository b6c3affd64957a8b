"""`p402 demo` end to end, in real processes over real sockets."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from p402.store.reader import connect
from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from p402_datasets.outcomes import OutcomeTable

ROUNDS, OTHERS = 120, 15


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    try:
        return paretobandit.load()
    except MissingData as error:
        pytest.skip(str(error))


def _running(mark: str) -> list[int]:
    """Processes, other than this one, whose command line holds `mark`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def _demo(folder: Path, *options: str) -> "subprocess.Popen[str]":
    # What a script runs in the background is born deaf to SIGINT, and so would be whatever it starts.
    hearing = ["env", "--default-signal=INT", sys.executable]
    command = [*hearing, "-m", "p402.cli", "demo", "--dir", str(folder), *options]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


@pytest.fixture(scope="module")
def run(table: OutcomeTable, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("demo")
    process = _demo(folder, "--rounds", str(ROUNDS), "--other-rounds", str(OTHERS))
    try:
        out, err = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    assert process.returncode == 0, out + err
    return folder, out


@pytest.mark.slow
def test_the_demo_s_figures_are_those_of_its_log(run: tuple[Path, str]) -> None:
    folder, _ = run
    found = json.loads((folder / "latest" / "demo.json").read_bytes())
    assert [m["requests"] for m in found["modes"]] == [ROUNDS, OTHERS, OTHERS, OTHERS]
    with connect(folder / "latest" / "log") as con:
        for figures in found["modes"]:
            rounds, ok, cost, direct, judged, quality, p50, streamed = con.execute(
                "SELECT count(*), count(*) FILTER (status = 'ok'), sum(cost_nano), sum(direct_nano), "
                "count(quality), avg(quality), median(overhead_ms), count(*) FILTER (stream) FROM rounds "
                "WHERE mode = ? AND tags['demo'] IS NULL",
                [figures["mode"]],
            ).fetchall()[0]
            assert (figures["requests"], figures["ok"], figures["failed"]) == (rounds, ok, rounds - ok)
            assert figures["cost_usd"] == pytest.approx(cost / 1e9, rel=1e-12)
            assert figures["direct_usd"] == pytest.approx(direct / 1e9, rel=1e-12)
            assert figures["savings"] == pytest.approx(1 - cost / direct, rel=1e-9)
            assert figures["savings_lower"] <= figures["savings"] <= figures["savings_upper"]
            assert figures["judged"] == judged
            assert figures["quality"] == pytest.approx(quality, rel=1e-9)
            assert figures["overhead_p50_ms"] == pytest.approx(p50, rel=1e-9)
            assert figures["streamed"] == streamed > 0
        repeated = con.execute("SELECT count(*) - count(DISTINCT id) FROM outcomes").fetchall()[0][0]
    assert repeated == 0


@pytest.mark.slow
def test_p20_the_demo_s_log_replays_without_a_mismatch(run: tuple[Path, str]) -> None:
    folder, _ = run
    latest = folder / "latest"
    found = json.loads((latest / "demo.json").read_bytes())
    options = ["--log", str(latest / "log"), "--store", str(latest / "store")]
    again = subprocess.run(
        [sys.executable, "-m", "p402.cli", "replay", "--verify", "--json", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    replayed = json.loads(again.stdout)
    assert replayed["mismatched"] == replayed["unverified"] == 0
    assert replayed["decisions"] == found["replayed_at_end"]["decisions"]
    assert found["replayed"]["decisions"] == ROUNDS + 3 * OTHERS
    assert replayed["snapshots"] >= 2


@pytest.mark.slow
def test_p21_a_forced_version_reaches_the_gateway_and_is_rolled_back(run: tuple[Path, str]) -> None:
    folder, out = run
    found = json.loads((folder / "latest" / "demo.json").read_bytes())
    forced, back = found["switches"]
    assert forced["weights"]["forced"]
    assert forced["snapshot_after"] != forced["snapshot_before"] == back["snapshot_after"]
    assert found["weights_before"]["quality"] == found["weights_after"]["quality"]
    with connect(folder / "latest" / "log") as con:
        cited = con.execute("SELECT snapshot FROM decisions ORDER BY id").fetchnumpy()["snapshot"].tolist()
    assert list(dict.fromkeys(cited)) == [forced["snapshot_before"], forced["snapshot_after"]]
    assert cited[-1] == back["snapshot_after"]
    assert found["learned"]["verdict"] == "hold"
    assert "too_few_matured" in found["learned"]["reasons"]
    assert "forced by an operator" in out


@pytest.mark.slow
def test_the_demo_says_where_to_look_and_leaves_nothing_running(run: tuple[Path, str]) -> None:
    folder, out = run
    found = json.loads((folder / "latest" / "demo.json").read_bytes())
    assert all(check["passed"] for check in found["checks"])
    assert set(found["exits"].values()) == {0}
    assert {"providers", "gateway", "client-0", "verify", "learn", "promote", "rollback"} <= found[
        "exits"
    ].keys()
    for words in ("mlflow ui --backend-store-uri sqlite:///", "p402 log stats --log", "P402_DEMO_LOG="):
        assert words in out
    shown = (folder / "latest" / "demo.md").read_text()
    assert f"| balanced | {ROUNDS} |" in shown
    assert str(folder) not in shown
    assert _running(str(folder)) == []


@pytest.mark.slow
def test_what_the_demo_says_to_run_runs_as_it_stands(run: tuple[Path, str]) -> None:
    folder, out = run
    told = [line.strip().partition("  ")[2].strip() for line in out.splitlines()]
    for word in ("log stats --log", "replay --verify --log", "jupyter-execute"):
        (command,) = [line for line in told if word in line]
        done = subprocess.run(
            ["bash", "-c", command], check=False, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    for name in ("savings", "anomaly_thresholds"):
        executed = json.loads((folder / "latest" / f"{name}.ipynb").read_bytes())
        outputs = [o for cell in executed["cells"] for o in cell.get("outputs", ())]
        assert any("image/png" in output.get("data", ()) for output in outputs)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_every_process(
    table: OutcomeTable, tmp_path: Path, sent: signal.Signals
) -> None:
    process = _demo(tmp_path, "--rounds", "4000")
    try:
        _until(lambda: any(tmp_path.glob("*/client/records-0.jsonl")))
        process.send_signal(sent)
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert _running(str(tmp_path)) == []


@pytest.mark.slow
def test_a_gateway_that_dies_fails_the_demo(table: OutcomeTable, tmp_path: Path) -> None:
    process = _demo(tmp_path, "--rounds", "4000")
    try:
        _until(lambda: any(tmp_path.glob("*/client/records-0.jsonl")))
        for pid in _running("p402.cli\0serve\0--config\0" + str(tmp_path)):
            os.kill(pid, signal.SIGKILL)
        _, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "gateway" in err
    assert _running(str(tmp_path)) == []
