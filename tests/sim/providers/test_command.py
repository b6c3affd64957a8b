"""`p402 sim` as a process: it starts, announces itself, serves, and stops cleanly."""

import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import httpx
import pytest

from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from sim.providers.command import main

RUN = "import sys; from sim.providers.command import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module", autouse=True)
def _wheel() -> None:
    try:
        paretobandit.files()
    except MissingData as error:
        pytest.skip(str(error))


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "providers", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "not ready within 30 s"
        time.sleep(0.02)
    return path.read_text().strip()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_writes_its_configuration_and_stops_on_a_signal(
    tmp_path: Path, stop: signal.Signals
) -> None:
    config, benchmarks, ready = (tmp_path / n for n in ("p402.toml", "benchmarks.toml", "ready"))
    process = start(
        *("--latency-scale", "0", "--ready-file", str(ready), "--max-seconds", "60"),
        *("--config-out", str(config), "--benchmarks-out", str(benchmarks)),
    )
    try:
        url = wait_for(ready, process)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
        process.send_signal(stop)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert "Simulated providers: 27 arms" in out
    assert url in out
    providers = tomllib.loads(config.read_text())["providers"]
    assert all(p["base_url"].startswith(url) for p in providers.values())
    assert tomllib.loads(benchmarks.read_text())["benchmark"]


@pytest.mark.parametrize("option", ["--config-out", "--benchmarks-out"])
@pytest.mark.parametrize("found", [b"[providers.groq]\n", b"\xff\n", b"# Written by me\n"])
def test_a_file_that_it_did_not_write_is_never_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, found: bytes
) -> None:
    path, other = tmp_path / "p402.toml", tmp_path / "other.toml"
    path.write_bytes(found)
    both = {"--config-out": str(other), "--benchmarks-out": str(other), option: str(path)}
    arguments = [part for pair in both.items() for part in pair]
    assert main(["providers", "--max-seconds", "0.1", *arguments]) == 1
    assert path.read_bytes() == found
    assert not other.exists()
    said = capsys.readouterr().err
    assert f"{option}: {path} exists, and this command did not write it" in said
    assert "--force" in said


def test_it_replaces_what_it_wrote_itself_and_an_empty_file_and_anything_by_force(tmp_path: Path) -> None:
    config, benchmarks = tmp_path / "p402-sim.toml", tmp_path / "benchmarks.toml"
    config.write_text("")
    options = ["--max-seconds", "0.1", "--config-out", str(config), "--benchmarks-out", str(benchmarks)]
    texts = []
    for more in ([], [], ["--force"]):
        assert main(["providers", *options, *more]) == 0
        assert "providers" in tomllib.loads(config.read_text())
        texts.append(config.read_text())
        if len(texts) == 2:
            config.write_text("[providers.groq]\n")
    assert len(set(texts)) == 3, "each start has its own port"


def test_it_stops_by_itself() -> None:
    process = start("--max-seconds", "0.2")
    try:
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert "stopped after" in out


def test_config_prints_toml_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--port", "4321"]) == 0
    assert len(tomllib.loads(capsys.readouterr().out)["providers"]) == 9
    assert main(["config", "--benchmarks"]) == 0
    assert len(tomllib.loads(capsys.readouterr().out)["benchmark"]) == 15


def test_bad_usage_and_bad_paths_have_their_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["providers", "--port", "70000"]) == 2
    assert main(["no-such-command"]) == 2
    blocker = tmp_path / "file"
    blocker.write_text("")
    capsys.readouterr()
    assert main(["providers", "--config-out", str(blocker / "p402.toml")]) == 1
    assert "cannot write" in capsys.readouterr().err
