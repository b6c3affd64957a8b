"""Runs in processes: what dies is named, what is finished stays, and how many there were changes nothing."""

import os
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest

from sim.compare.job import jobs_of
from sim.compare.kept import is_kept, path_of
from sim.compare.pool import ONE_THREAD, RunFailed, cores, run_all
from sim.compare.runs import play
from sim.compare.whole import conclude
from tests.sim.compare import made

NAMES = ("static", "p402")


@contextmanager
def silent(_):
    yield lambda _done, _total: None


class Told:
    """A progress bar that remembers."""

    def __init__(self):
        self.seen = []

    @contextmanager
    def __call__(self, what):
        yield lambda done, total: self.seen.append((what, done, total))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The same comparison by one process and by two."""
    folders = []
    for processes in (1, 2):
        out = tmp_path_factory.mktemp("by") / "same"
        jobs = jobs_of(b"200", NAMES, range(3), "code")
        assert play(out, jobs, made.play, processes, silent) == 6
        conclude(out, jobs, "p402", made.setting(), "p402 sim compare", silent)
        folders.append(out)
    return folders


def test_the_number_of_processes_changes_no_byte(two):
    one, other = ({p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} for out in two)
    assert one.keys() == other.keys()
    assert all(one[name] == other[name] for name in one)
    assert {"report.html", "summary.json", "summary.parquet", "paired.parquet", "regret.svg"} <= {
        str(name) for name in one
    }


def test_finished_runs_are_reused_and_only_a_force_redoes_them(two):
    out, told = two[0], Told()
    jobs = jobs_of(b"200", NAMES, range(3), "code")
    stamps = {path: path.stat().st_mtime_ns for path in (out / "rounds").iterdir()}
    assert play(out, jobs, made.play, 1, told) == 0
    assert told.seen == []
    path_of(out, jobs[0]).unlink()
    assert play(out, jobs, made.play, 1, told) == 1
    assert told.seen == [("runs", 5, 6), ("runs", 6, 6)]
    again = {path: path.stat().st_mtime_ns for path in (out / "rounds").iterdir()}
    assert sum(stamps[path] != again[path] for path in again) == 1
    assert play(out, jobs[:1], made.play, 1, silent, force=True) == 1


def test_a_run_that_dies_is_named_and_what_is_finished_stays(tmp_path):
    good, bad = jobs_of(b"80", ["static"], [1], "code"), jobs_of(b"dies", ["linucb"], [7], "code")
    with pytest.raises(RunFailed, match=r"the run of linucb, seed 7: its process was killed by SIGKILL"):
        play(tmp_path, [*good, *bad], made.play, 1, silent)
    assert is_kept(tmp_path, good[0])


def test_a_run_that_raises_is_named_with_the_place(tmp_path):
    with pytest.raises(RunFailed, match=r"linucb, seed 7: ZeroDivisionError: a strategy") as error:
        play(tmp_path, jobs_of(b"raises", ["linucb"], [7], "code"), made.play, 1, silent)
    assert "made.py" in str(error.value)


def test_a_run_whose_rounds_are_no_good_is_not_kept(tmp_path):
    (job,) = jobs_of(b"0", ["static"], [1], "code")
    with pytest.raises(RunFailed, match="found no request"):
        play(tmp_path, [job], made.play, 1, silent)
    assert not is_kept(tmp_path, job)


def test_the_first_failure_ends_the_others(tmp_path):
    jobs = [*jobs_of(b"sleeps", ["static"], [1], "code"), *jobs_of(b"raises", ["p402"], [2], "code")]
    with pytest.raises(RunFailed, match="p402, seed 2"):  # the other would sleep for a minute
        play(tmp_path, jobs, made.play, 2, silent)


def test_processes_are_told_to_use_one_thread_and_this_one_is_not():
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    run_all([], made.play, 2, lambda _: None)
    assert {name: os.environ.get(name) for name in ONE_THREAD} == before
    assert cores() >= 1


def test_tables_on_disk_are_what_the_document_says(two):
    paired = pq.read_table(two[0] / "paired.parquet").to_pylist()
    regret = next(r for r in paired if r["measure"] == "regret" and r["kind"] == "all")
    assert (regret["strategy"], regret["reference"], regret["seeds"]) == ("static", "p402", 3)
    assert regret["lower"] < regret["value"] < regret["upper"]
    assert regret["p"] <= regret["p_holm"]
    summary = pq.read_table(two[0] / "summary.parquet").to_pylist()
    assert {row["kind"] for row in summary} == {"all", "task", "tenant", "arm"}
    assert all(row["estimand"] for row in summary)
