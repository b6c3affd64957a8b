import errno
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from p402.errors import DiskFull, P402Error
from sim.compare.job import jobs_of
from sim.compare.kept import NotWritable, is_kept, keep, load, path_of, prepare, remove, write_text
from tests.sim.compare.made import rounds


@pytest.fixture
def out(tmp_path):
    prepare(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def job():
    return jobs_of(b"60", ["static"], [1], "code")[0]


def test_a_finished_run_is_kept_and_read_back(out, job):
    assert not is_kept(out, job)
    table = rounds("static", 1, 60)
    keep(out, job, table)
    assert is_kept(out, job)
    assert load(out, job, ["id", "regret", "nothing"]).equals(table.select(["id", "regret"]))
    remove(out, job)
    assert not is_kept(out, job)
    remove(out, job)


def test_a_run_of_another_key_is_not_this_run(out, job):
    keep(out, job, rounds("static", 1, 60))
    other = jobs_of(b"60", ["static"], [1], "edited")[0]
    path_of(out, job).rename(path_of(out, other))
    assert not is_kept(out, other)


@pytest.mark.parametrize("harm", [lambda b: b[:-20], lambda b: b"", lambda b: b"no Parquet at all"])
def test_a_torn_file_is_no_run(out, job, harm):
    keep(out, job, rounds("static", 1, 60))
    path = path_of(out, job)
    path.write_bytes(harm(path.read_bytes()))
    assert not is_kept(out, job)
    with pytest.raises(P402Error, match="delete it"):
        load(out, job, ["id"])


def test_what_an_interrupted_write_left_is_taken_away_and_nothing_else(out):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"x.{gone.pid}.part", f"rounds/y.parquet.{gone.pid}.part"):
        (out / name).write_text("half")
    kept = {"mine.part", "mine.txt", f"at-work.parquet.{os.getpid()}.part"}
    for name in kept:
        (out / name).write_text("kept")
    prepare(out)
    assert {p.name for p in out.rglob("*") if p.is_file()} == kept


def test_a_folder_that_cannot_be_made_is_a_bad_question(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable, match=r"--out .*file.*expected a folder that can be written to"):
        prepare(tmp_path / "file")


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [(errno.ENOSPC, DiskFull, "no space left"), (errno.EIO, NotWritable, "expected to write it")],
)
def test_a_disk_that_takes_no_more_leaves_no_half_file(out, job, monkeypatch, code, kind, said):
    def fill(_, part, **__):
        part.write_bytes(b"half")
        raise OSError(code, "as the system says")

    monkeypatch.setattr(pq, "write_table", fill)
    with pytest.raises(kind, match=said):
        keep(out, job, rounds("static", 1, 60))
    assert [p for p in out.rglob("*") if p.is_file()] == []


def test_a_text_is_written_whole(out):
    write_text(out / "a.html", "ä")
    assert (out / "a.html").read_text(encoding="utf-8") == "ä"
    with pytest.raises(NotWritable):
        write_text(out / "no" / "a.html", "x")


def test_a_strategy_of_any_name_has_a_file(out):
    (job,) = jobs_of(b"60", ["../my.module:Some Class/" + "x" * 300], [1], "code")
    keep(out, job, rounds("static", 1, 60))
    assert path_of(out, job).resolve().parent == (out / "rounds").resolve()
