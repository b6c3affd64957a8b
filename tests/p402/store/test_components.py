import subprocess
import sys
from pathlib import Path

import pytest

from p402.errors import CorruptComponent, DiskFull, MissingSnapshot, StoreError
from p402.store import atomic
from p402.store.atomic import write_atomic
from p402.store.components import ComponentStore, sha256

PUTS = """
import sys
from pathlib import Path
from p402.store.components import ComponentStore
store = ComponentStore(Path(sys.argv[1]))
for i in range(40):
    print(store.put_snapshot({"arms": b"%d" % (i % 5), "weights": b'{"w":%d}' % i}))
"""


def test_what_is_put_is_got_and_stored_once(tmp_path):
    store = ComponentStore(tmp_path)
    digest = store.put("arms", b"[1,2]")
    assert digest == sha256(b"[1,2]") == store.put("arms", b"[1,2]")
    assert store.get("arms", digest) == b"[1,2]"
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [f"{digest}.json"]


def test_a_snapshots_id_follows_from_its_parts_and_not_from_their_order(tmp_path):
    store = ComponentStore(tmp_path)
    first = store.put_snapshot({"arms": b"A", "weights": b"W"})
    assert first == store.put_snapshot({"weights": b"W", "arms": b"A"})
    assert first != store.put_snapshot({"arms": b"A", "weights": b"V"})
    assert store.get_snapshot(first) == {"arms": b"A", "weights": b"W"}
    assert store.has_snapshot(first)
    assert first in set(store.snapshots())
    assert len(list((tmp_path / "arms").rglob("*.json"))) == 1  # shared by both snapshots


def test_rotten_bytes_are_refused_and_the_next_put_mends_them(tmp_path):
    store = ComponentStore(tmp_path)
    digest = store.put("arms", b"good")
    path = tmp_path / "arms" / digest[:2] / f"{digest}.json"
    path.write_bytes(b"goox")
    with pytest.raises(CorruptComponent, match=r"expected .*restore it"):
        store.get("arms", digest)
    store.put("arms", b"good")
    assert store.get("arms", digest) == b"good"


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_an_id_that_is_not_there_or_none_at_all_is_missing(tmp_path, digest):
    with pytest.raises(MissingSnapshot, match="expected"):
        ComponentStore(tmp_path).get_snapshot(digest)


def test_a_snapshot_whose_component_is_gone_is_missing(tmp_path):
    store = ComponentStore(tmp_path)
    snapshot = store.put_snapshot({"arms": b"A"})
    next((tmp_path / "arms").rglob("*.json")).unlink()
    with pytest.raises(MissingSnapshot, match="arms"):
        store.get_snapshot(snapshot)


@pytest.mark.parametrize("kind", ["snapshot", "../up", "Arms", ""])
def test_a_component_cannot_take_a_name_that_is_not_its_own(tmp_path, kind):
    with pytest.raises(ValueError, match="component"):
        ComponentStore(tmp_path).put_snapshot({kind: b"A"})
    assert not list(tmp_path.rglob("*.json"))


def test_several_processes_store_the_same_snapshots_at_once(tmp_path):
    runs = [
        subprocess.Popen([sys.executable, "-c", PUTS, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = [run.communicate(timeout=60)[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert answers[0] == answers[1] == answers[2]
    store = ComponentStore(tmp_path)
    assert store.get_snapshot(answers[0][7]) == {"arms": b"2", "weights": b'{"w":7}'}
    assert sorted(store.snapshots()) == sorted(set(answers[0]))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "weights.json"
    write_atomic(path, b"old")

    def full(fd, data):
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(data)

    monkeypatch.setattr(atomic, "write_all", full)
    with pytest.raises(DiskFull, match="free space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="expected to write"):
        write_atomic(tmp_path / "file" / "x.json", b"x")
