"""The keeper of a worker's snapshot, on real files."""

import os

from p402.errors import DiskFull
from p402.registry.weights import Candidate, WeightsRegistry
from p402.routing.scale import PARAM_ONE
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402.store.components import ComponentStore
from serve.snapshots import SnapshotKeeper

NOW_MS = 1_795_384_000_000


def a_keeper(tmp_path, notices):
    settings = read_settings(
        {
            "server": {"store": str(tmp_path / "store"), "registry": str(tmp_path / "registry")},
            "providers": {"groq": {"base_url": "https://api.example.com/v1", "api_key": "k"}},
        },
        {},
    )
    return SnapshotKeeper(settings, load_catalog(), (), lambda: NOW_MS, notices.append)


def publish(tmp_path, quality):
    registry = WeightsRegistry(tmp_path / "registry", lambda: NOW_MS)
    candidate = Candidate(
        quality=quality, cost=PARAM_ONE - quality, speed=0, reason="test", run_id=None, model_version=None,
        forced=True,
    )  # fmt: skip
    registry.publish(candidate, registry.version_in_force())


def test_a_passing_fault_delays_published_weights_and_does_not_lose_them(tmp_path, monkeypatch):
    notices = []
    keeper = a_keeper(tmp_path, notices)
    before = keeper.in_force.snapshot.id
    publish(tmp_path, PARAM_ONE * 3 // 5)
    with monkeypatch.context() as disk:
        disk.setattr(ComponentStore, "put_snapshot", _full)
        assert not keeper.refresh()
        assert not keeper.refresh()
    assert keeper.in_force.snapshot.id == before
    assert len(notices) == 1
    assert keeper.refresh()
    assert keeper.in_force.snapshot.spec.policy.variants[0][3].quality == PARAM_ONE * 3 // 5


def test_nothing_is_assembled_again_while_nothing_changed(tmp_path):
    keeper = a_keeper(tmp_path, [])
    first = keeper.in_force
    assert not keeper.refresh()
    assert keeper.in_force is first


def test_a_file_that_was_cut_in_place_and_given_its_old_time_is_noticed(tmp_path):
    notices = []
    publish(tmp_path, PARAM_ONE * 3 // 5)
    keeper = a_keeper(tmp_path, notices)
    path = tmp_path / "registry" / "weights.json"
    before = path.stat()
    os.truncate(path, before.st_size // 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not keeper.refresh()
    (notice,) = notices
    assert str(path) in notice


def _full(self, parts):
    raise DiskFull("no space left on device; free some")
