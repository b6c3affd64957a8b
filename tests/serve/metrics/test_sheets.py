"""The files by which workers' counts are added up: whole, living or dead."""

import os
import subprocess
import sys

import orjson
import pytest

from serve.metrics.sheets import AFRESH_S, EVERY_S, SHARE, Sheet, Sheets


def put(folder, pid: int, name: str, numbers: dict) -> None:
    (folder / f"{pid}-{name}.json").write_bytes(orjson.dumps(numbers))


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(20)
    return ended.pid


def test_workers_are_added_up(tmp_path):
    put(tmp_path, os.getpid(), "a", {"x_total": 1, 'y_total{k="v"}': 2.5, "p402_in_flight": 3})
    put(tmp_path, os.getpid(), "b", {"x_total": 10, "p402_in_flight": 4})
    assert Sheets(tmp_path).total() == {
        "p402_workers": 2,
        "x_total": 11,
        'y_total{k="v"}': 2.5,
        "p402_in_flight": 7,
    }


def test_what_a_dead_worker_counted_stays_and_what_it_was_doing_does_not(tmp_path, dead):
    put(tmp_path, os.getpid(), "a", {"x_total": 1, "p402_in_flight": 1})
    sheets = Sheets(tmp_path)
    assert sheets.total()["x_total"] == 1
    for name in ("b", "c"):
        put(
            tmp_path,
            dead,
            name,
            {"x_total": 10, "p402_in_flight": 7, 'p402_request_seconds_bucket{le="1"}': 5},
        )
    for _ in range(3):
        assert sheets.total() == {
            "p402_workers": 1,
            "x_total": 21,
            "p402_in_flight": 1,
            'p402_request_seconds_bucket{le="1"}': 10,
        }
    assert [path.name for path in tmp_path.iterdir()] == [f"{os.getpid()}-a.json"]


def test_a_sheet_is_written_when_something_has_changed(tmp_path, monkeypatch):
    numbers = {"x_total": 1}
    sheet = Sheet(tmp_path, "w", (lambda: numbers, lambda: {"z": 0}))
    assert sheet.write() == EVERY_S
    (path,) = tmp_path.iterdir()
    assert orjson.loads(path.read_bytes()) == {"x_total": 1, "z": 0}
    before = path.stat().st_ino
    sheet.write()
    assert path.stat().st_ino == before
    numbers["x_total"] = 2
    sheet.write()
    assert orjson.loads(path.read_bytes())["x_total"] == 2


def test_an_unchanged_sheet_is_written_afresh_now_and_then(tmp_path, monkeypatch):
    clock = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    sheet = Sheet(tmp_path, "w", (lambda: {"x_total": 1},))
    sheet.write()
    (path,) = tmp_path.iterdir()
    path.unlink()
    clock[0] += AFRESH_S / 2
    sheet.write()
    assert not path.exists()
    clock[0] += AFRESH_S
    sheet.write()
    assert path.exists()


def test_a_sheet_with_very_many_series_is_written_less_often(tmp_path, monkeypatch):
    clock = [1_000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])

    def slow() -> dict:
        clock[0] += 0.2
        return {}

    assert Sheet(tmp_path, "w", (slow,)).write() == pytest.approx(0.2 * SHARE)


def test_a_folder_that_is_gone_is_told_once_and_stops_nobody(tmp_path, caplog):
    numbers = {"x_total": 0}
    sheet = Sheet(tmp_path / "gone", "w", (lambda: numbers,))
    for i in range(3):
        numbers["x_total"] = i
        sheet.write()
    assert len(caplog.messages) == 1
    (tmp_path / "gone").mkdir()
    sheet.write()
    assert Sheets(tmp_path / "gone").total() == {"p402_workers": 1, "x_total": 2}
