"""Whatever the demonstration starts ends with it, and a failure shows its last lines."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.demonstration.processes import House, ProcessFailed, clean

DEAF = "import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


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


def test_a_deaf_process_and_its_children_end_with_the_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.demonstration.processes.STOP_S", 0.5)
    mark = str(tmp_path / "mark")
    child = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {mark!r}; time.sleep(60)"
    script = DEAF + f"subprocess.Popen([sys.executable, '-c', {child!r}])\nprint('up', flush=True)\n"
    with House(tmp_path, os.environ) as house:
        deaf = house.start("deaf", [sys.executable, "-c", script + "time.sleep(60)"])
        _until(lambda: "up" in deaf.log.read_text() and len(_running(mark)) >= 2)
    assert deaf.status == -signal.SIGKILL
    _until(lambda: not _running(mark))


def test_a_failure_shows_the_last_lines(tmp_path: Path) -> None:
    with House(tmp_path, os.environ) as house:
        with pytest.raises(ProcessFailed, match=r"(?s)status 3.*the very end"):
            house.must("bad", [sys.executable, "-c", "print('the very end'); raise SystemExit(3)"], 30)
        with pytest.raises(ProcessFailed, match="did not end within"):
            house.run("slow", [sys.executable, "-c", "import time; time.sleep(60)"], 0.2)
        bad = house.start("server", [sys.executable, "-c", "raise SystemExit('no port')"])
        with pytest.raises(ProcessFailed, match="no port"):
            house.ready(bad, tmp_path / "never")
        assert house.exits()["bad"] == 3


def test_children_see_no_other_gateway_s_settings_and_no_proxy() -> None:
    given = {"P402_CONFIG": "x", "OPENAI_API_KEY": "x", "https_proxy": "x", "HTTP_PROXY": "x", "PATH": "/bin"}
    found = clean(given)
    assert found["PATH"] == "/bin"
    assert not (given.keys() - {"PATH"}) & found.keys()
    assert found["MLFLOW_DISABLE_TELEMETRY"] == "true"
