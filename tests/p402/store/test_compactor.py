import shutil
import subprocess
import sys
import threading

import pyarrow.parquet as pq
import pytest

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.compactor import compact
from p402.store.manifest import MANIFEST, PARQUET
from p402.store.reader import connect, dataset_digest, read_events
from p402.store.segments import LIVE, QUARANTINE, SEALED, names_in
from p402.store.writer import LogWriter

VIEWS = ("decisions", "attempts", "outcomes", "rewards", "refusals", "live", "imported", "cache_hits")

COMPACT_AND_DIE = """
import os, sys
from pathlib import Path
from p402.store.compactor import compact
def step(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), 9)
compact(Path(sys.argv[1]), step=step)
"""

COMPACT_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from p402.errors import DiskFull
from p402.store.compactor import compact
resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
try:
    compact(Path(sys.argv[1]))
except DiskFull as error:
    print(error)
    sys.exit(7)
"""


class Killed(BaseException):
    """Stands for the end of the process."""


def counts(root):
    with connect(root) as con:
        return [con.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0] for view in VIEWS]


def key(event):
    return type(event).__name__, getattr(event, "id", ""), event.ts_ms


@pytest.fixture
def log(tmp_path, make, write):
    """Three segments over two hours with a malformed line, an unfit one and a torn tail."""
    root = tmp_path / "log"
    for n in range(3):
        write(root, [event for i in range(n * 10, n * 10 + 10) for event in make.round(i * 200)], f"w{n}")
    with (root / SEALED / names_in(root, SEALED)[1]).open("ab") as segment:
        segment.write(
            b'{"kind":"decision","v":1}\n\n{"kind":"reward","v":1,"ts_ms":-5,"id":"x","tenant":"t",'
        )
        segment.write(b'"source":"s","status":"accepted"}\n{"kind":"outc')
    return root


def test_every_event_reaches_parquet_and_the_segments_go(log):
    before = sorted(read_events(log), key=key)
    done = compact(log)
    assert (done.ran, done.segments, done.events, done.torn, done.malformed) == (True, 3, 240, 1, 2)
    assert names_in(log, SEALED) == []
    assert sorted(read_events(log), key=key) == [event for event in before if event.ts_ms >= 0]
    assert counts(log) == [30] * len(VIEWS)
    manifest = manifests.load(log)
    assert done.digest == dataset_digest(log) == manifest.digest
    assert len(manifest.parts) == done.parts == 15  # seven kinds in two hours, and a day of imported calls
    assert {path.parent.name for path in (log / PARQUET).rglob("*.parquet")} == {"hr=00", "hr=12", "hr=13"}
    for part in manifest.parts:
        table = pq.read_table(log / part.path, partitioning=None)
        span = sorted(table["ts_ms"].to_pylist())
        assert (part.rows, part.min_ts_ms, part.max_ts_ms) == (table.num_rows, span[0], span[-1])


def test_bad_lines_are_kept_in_quarantine_as_they_were(log):
    name = names_in(log, SEALED)[1]
    compact(log)
    kept = (log / QUARANTINE / name).read_bytes().split(b"\n")
    assert kept[0] == b'{"kind":"decision","v":1}'
    assert b'"ts_ms":-5' in kept[1]
    assert kept[2:] == [b'{"kind":"outc', b""]
    manifest = manifests.load(log)
    assert (manifest.torn, manifest.malformed) == (1, 2)


def test_a_second_run_changes_nothing(log):
    first = compact(log)
    files = {path: path.read_bytes() for path in log.rglob("*") if path.is_file()}
    second = compact(log)
    assert (second.segments, second.events, second.digest) == (0, 0, first.digest)
    assert {path: path.read_bytes() for path in log.rglob("*") if path.is_file()} == files


def test_killed_between_any_two_steps_it_loses_and_doubles_nothing(tmp_path, make, write):
    log, smooth = tmp_path / "log", tmp_path / "smooth"
    for n in range(2):
        write(
            log, [event for i in (2 * n, 2 * n + 1) for event in (make.decision(i), make.outcome(i))], f"w{n}"
        )
    with (log / SEALED / names_in(log, SEALED)[0]).open("ab") as segment:
        segment.write(b'{"kind":"outc')
    shutil.copytree(log, smooth)
    names = []
    digest = compact(smooth, batch_bytes=100, step=names.append).digest
    assert set(names) == {"recovered", "began", "read", "quarantined", "written", "committed", "deleted"}
    assert names.count("committed") == 2
    for stop, at in enumerate(names):
        root = tmp_path / f"stop{stop}"
        shutil.copytree(log, root)
        left = iter(range(stop, -1, -1))

        def die(name, left=left):
            if next(left) == 0:
                raise Killed(name)

        with pytest.raises(Killed):
            compact(root, batch_bytes=100, step=die)
        assert counts(root)[:3] == [4, 0, 4], at
        assert len(list(read_events(root))) == 8, at
        assert compact(root, batch_bytes=100).digest == digest, at
        assert counts(root)[:3] == [4, 0, 4], at
        listed = {part.path for part in manifests.load(root).parts}
        assert {path.relative_to(root).as_posix() for path in (root / PARQUET).rglob("*.*")} == listed
        assert names_in(root, SEALED) == []
        assert len(list((root / QUARANTINE).iterdir())) == 1


@pytest.mark.parametrize("step", ["written", "committed"])
def test_a_compactor_that_is_killed_dash_nine_is_finished_by_the_next(log, tmp_path, step):
    shutil.copytree(log, tmp_path / "smooth")
    run = subprocess.run([sys.executable, "-c", COMPACT_AND_DIE, str(log), step], timeout=60, check=False)
    assert run.returncode == -9
    assert names_in(log, SEALED)
    assert counts(log) == [30] * len(VIEWS)  # the view shows each once in between
    assert compact(log).digest == compact(tmp_path / "smooth").digest
    assert names_in(log, SEALED) == []


def test_parts_of_a_killed_run_go_even_if_more_segments_came_since(log, make, write):
    def die(name):
        if name == "written":
            raise Killed(name)

    with pytest.raises(Killed):
        compact(log, step=die)
    write(log, make.round(7_000_000), "late")
    compact(log)
    assert counts(log) == [31] * len(VIEWS)
    assert sum(1 for _ in (log / PARQUET).rglob("*.parquet")) == len(manifests.load(log).parts)


def test_of_two_compactors_one_works_and_the_other_says_so(log):
    inner = []
    done = compact(log, step=lambda _name: inner.append(compact(log)))
    assert done.ran
    assert inner
    assert not any(other.ran for other in inner)
    assert counts(log) == [30] * len(VIEWS)


def test_two_compactor_processes_at_once_both_exit_well(log):
    command = "import sys; from p402.commands.log import main; sys.exit(main(sys.argv[1:]))"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", command, "compact", "--log", str(log)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert counts(log) == [30] * len(VIEWS)
    assert names_in(log, SEALED) == []


def test_no_room_for_parquet_leaves_every_segment(log):
    before = names_in(log, SEALED)
    run = subprocess.run(
        [sys.executable, "-c", COMPACT_WITHOUT_ROOM, str(log)], timeout=60, check=False, capture_output=True
    )
    assert run.returncode == 7, run.stderr
    assert b"free space" in run.stdout
    assert names_in(log, SEALED) == before
    assert counts(log) == [30] * len(VIEWS)
    assert compact(log).events == 240
    assert not list(log.rglob("*.tmp"))


def test_living_writers_seal_when_asked(tmp_path, make):
    with LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=0.01) as log:
        for i in range(5):
            log.append(make.decision(i))
        assert compact(tmp_path).segments == 0
        assert compact(tmp_path, include_live=True).events == 5
        log.append(make.decision(5))
        assert compact(tmp_path, include_live=True).events == 1
        assert len(names_in(tmp_path, LIVE)) == 1
    assert counts(tmp_path)[0] == 6


def test_a_lost_manifest_stops_the_run_before_anything_is_deleted(log, make, write):
    compact(log)
    write(log, make.round(9))
    files = set((log / PARQUET).rglob("*.parquet"))
    (log / MANIFEST).unlink()
    with pytest.raises(StoreError, match="restore it from a"):
        compact(log)
    assert set((log / PARQUET).rglob("*.parquet")) == files
    assert names_in(log, SEALED)


def test_an_older_manifest_does_not_delete_newer_data(log, make, write):
    old = compact(log) and (log / MANIFEST).read_bytes()
    write(log, make.round(9))
    compact(log)
    (log / MANIFEST).write_bytes(old)
    files = set((log / PARQUET).rglob("*.parquet"))
    with pytest.raises(StoreError, match="older than the data"):
        compact(log)
    assert set((log / PARQUET).rglob("*.parquet")) == files


@pytest.mark.parametrize("damage", ["cut", "edit", "version"])
def test_a_damaged_manifest_is_named_with_what_to_do(log, damage):
    compact(log)
    path = log / MANIFEST
    data = path.read_bytes()
    bad = {
        "cut": data[:-20],
        "edit": data.replace(b'"rows": ', b'"rows": 1', 1),
        "version": data.replace(b'"version": 1', b'"version": 9'),
    }
    assert bad[damage] != data
    path.write_bytes(bad[damage])
    with pytest.raises(StoreError, match=r"manifest\.json.*(restore|use)"), connect(log):
        pass


def test_a_missing_parquet_file_is_named(log):
    compact(log)
    next((log / PARQUET).rglob("*.parquet")).unlink()
    with pytest.raises(StoreError, match="listed in the manifest but missing"):
        compact(log)


def test_a_file_of_a_killed_run_that_cannot_be_read_is_named_and_kept(log):
    with pytest.raises(Killed):
        compact(log, step=die_once_written)
    (orphan,) = (log / PARQUET).rglob("*.parquet")
    orphan.write_bytes(orphan.read_bytes()[:-20])
    with pytest.raises(StoreError, match=r"cannot be read: .*; move it away") as error:
        compact(log)
    assert str(error.value).startswith(f"{orphan} ")
    assert "\n" not in str(error.value)
    orphan.rename(log / "aside.parquet")
    compact(log)
    assert counts(log) == [30] * len(VIEWS)


def die_once_written(name):
    if name == "written":
        raise Killed


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="is no folder"):
        compact(tmp_path / "nowhere")


def test_a_connection_stays_as_it_was_while_the_compactor_moves_things(log, make, write):
    with connect(log) as con:
        compact(log)
        write(log, make.round(9_000_001))
        compact(log)
        assert con.execute("SELECT count(*), count(status) FROM rounds").fetchall() == [(30, 30)]
    assert counts(log)[0] == 31


def test_readers_among_compactions_see_every_row_once(log, make, write):
    stop, seen = threading.Event(), []

    def look():
        while not stop.is_set():
            seen.append(counts(log)[0])

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for n in range(12):
            write(log, [make.decision(50_000 + n)])
            compact(log)
    finally:
        stop.set()
        reader.join(timeout=30)
    assert seen
    assert seen == sorted(seen)
    assert set(seen) <= set(range(30, 43))
    assert counts(log)[0] == 42
