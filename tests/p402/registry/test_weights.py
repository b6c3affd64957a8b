import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.assemble import START_WEIGHTS
from p402.errors import StaleWeights, StoreError
from p402.registry.weights import Candidate, Published, WeightsRegistry, stamp_of
from p402.routing.scale import PARAM_ONE


def some(quality=600_000, reason="because", **more):
    return Candidate(quality=quality, cost=PARAM_ONE - quality, speed=0, reason=reason, **more)


def parts(weights):
    return weights.quality, weights.cost, weights.speed


@pytest.fixture
def registry(tmp_path):
    return WeightsRegistry(tmp_path / "registry", lambda: 1_780_000_000_000)


def test_where_nothing_was_published_there_is_nothing_and_it_is_no_error(registry):
    assert registry.current() is None
    assert registry.version_in_force() == 0
    assert registry.versions() == []


def test_what_is_published_is_read_back_whole(registry):
    made = registry.publish(some(run_id="r1", model_version=7), 0)
    assert registry.current() == made == registry.version(1)
    assert (made.version, made.previous, made.run_id, made.model_version) == (1, None, "r1", 7)
    assert made.published_ms == 1_780_000_000_000
    assert not made.forced
    assert len(made.sha256) == 64


@given(st.integers(0, PARAM_ONE), st.integers(0, PARAM_ONE), st.text(max_size=40), st.booleans())
def test_any_weights_survive_the_file(tmp_path_factory, a, b, reason, forced):
    low, high = sorted((a, b))
    registry = WeightsRegistry(tmp_path_factory.mktemp("r"))
    candidate = Candidate(quality=low, cost=high - low, speed=PARAM_ONE - high, reason=reason, forced=forced)
    made = registry.publish(candidate, 0)
    assert WeightsRegistry(registry.root).current() == made
    assert sum(made.shares) == 1.0


def test_a_version_is_published_only_over_the_one_its_publisher_saw(registry):
    registry.publish(some(), 0)
    with pytest.raises(StaleWeights, match="version 1 is in force; expected 0"):
        registry.publish(some(700_000), 0)
    assert registry.versions() == [1]
    assert registry.publish(some(700_000), 1).previous == 1


@pytest.mark.parametrize(("quality", "cost"), [(-1, PARAM_ONE + 1), (1, 1), (PARAM_ONE, 1)])
def test_weights_that_are_none_are_refused_before_anything_is_written(registry, quality, cost):
    with pytest.raises(StoreError, match="expected 0 or more"):
        registry.publish(Candidate(quality=quality, cost=cost, speed=0, reason=""), 0)
    assert not registry.root.exists()


def test_history_is_never_overwritten(registry):
    registry.publish(some(), 0)
    kept = (registry.root / "history/1.json").read_bytes()
    for version in range(1, 4):
        registry.publish(some(500_000 + version), version)
    assert (registry.root / "history/1.json").read_bytes() == kept
    assert registry.versions() == [1, 2, 3, 4]


def test_p21_a_rollback_publishes_the_previous_weights_under_a_new_version(registry):
    first = registry.publish(some(run_id="r1", model_version=1), 0)
    registry.publish(some(700_000, forced=True), 1)
    back = registry.rollback(2, "worse answers")
    assert parts(back) == parts(first)
    assert (back.version, back.previous, back.restores) == (3, 2, 1)
    assert (back.run_id, back.model_version, back.forced) == ("r1", 1, False)
    assert back.reason == "worse answers"
    assert registry.current() == back


def test_p21_rolling_back_again_goes_one_further_back_until_the_start(registry):
    for version in range(3):
        registry.publish(some(500_000 + version), version)
    assert parts(registry.rollback(3, "")) == parts(registry.version(2))
    assert parts(registry.rollback(4, "")) == parts(registry.version(1))
    assert parts(registry.rollback(5, "")) == START_WEIGHTS
    with pytest.raises(StoreError, match="nothing before"):
        registry.rollback(6, "")
    assert parts(registry.rollback(6, "", to=3)) == parts(registry.version(3))


def test_a_rollback_keeps_the_label_of_forced_weights(registry):
    registry.publish(some(forced=True), 0)
    registry.publish(some(700_000), 1)
    assert registry.rollback(2, "").forced


def test_a_rollback_needs_something_to_go_back_to(registry):
    with pytest.raises(StoreError, match="nothing was ever published"):
        registry.rollback(0, "")
    registry.publish(some(), 0)
    with pytest.raises(StoreError, match=r"no version 9.*expected 1 to 1"):
        registry.rollback(1, "", to=9)
    with pytest.raises(StaleWeights):
        registry.rollback(7, "")


def torn(registry):
    registry.path.write_bytes(registry.path.read_bytes()[:-40])


def edited(registry):
    registry.path.write_bytes(registry.path.read_bytes().replace(b"600000", b"600001"))


def newer(registry):
    document = json.loads(registry.path.read_bytes()) | {"v": 2, "something": "new"}
    registry.path.write_text(json.dumps(document))


def older(registry):
    registry.publish(some(700_000), 1)
    registry.path.write_bytes((registry.root / "history/1.json").read_bytes())


def gone(registry):
    registry.path.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [(torn, "expected published weights"), (edited, "edited or is damaged"), (newer, "found schema 2"),
     (older, "stale: found version 1"), (gone, "gone")],
)  # fmt: skip
def test_a_file_that_cannot_be_trusted_is_an_error_and_can_be_mended(registry, harm, said):
    registry.publish(some(), 0)
    harm(registry)
    with pytest.raises(StoreError, match=said):
        registry.current()
    with pytest.raises(StoreError):
        registry.publish(some(650_000), 1)
    before = registry.versions()
    mended = registry.repair(1, "mended")
    assert registry.current() == mended
    assert parts(mended) == parts(some())
    assert mended.version == before[-1] + 1
    assert len(list(registry.root.glob("damaged-*.json"))) == (harm is not gone)
    with pytest.raises(StoreError, match="is sound"):
        registry.repair(1, "again")


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", ["checked", "in force", "filed"])
def test_a_publisher_killed_at_any_moment_leaves_one_version_in_force_and_all_in_history(registry, moment):
    registry.publish(some(), 0)

    def stop(name):
        if name == moment:
            raise Killed

    with pytest.raises(Killed):
        WeightsRegistry(registry.root, step=stop).publish(some(700_000), 1)
    in_force = registry.version_in_force()
    assert in_force == (1 if moment == "checked" else 2)
    assert parts(registry.version(in_force)) == parts(registry.current())
    after = registry.publish(some(800_000), in_force)
    assert registry.versions() == list(range(1, after.version + 1))
    assert parts(registry.rollback(after.version, "")) == parts(registry.version(in_force))


PUBLISHER = """
import os, sys
from pathlib import Path
from p402.registry.weights import Candidate, WeightsRegistry
stop = lambda name: name == "in force" and os.kill(os.getpid(), 9)
registry = WeightsRegistry(Path(sys.argv[1]), step=stop)
registry.publish(Candidate(quality=1 << 20, cost=0, speed=0, reason="killed"), 0)
"""


def test_a_publisher_killed_with_the_lock_does_not_keep_it(registry):
    done = subprocess.run([sys.executable, "-c", PUBLISHER, str(registry.root)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert registry.current().reason == "killed"
    assert registry.publish(some(), 1).previous == 1
    assert registry.version(1).reason == "killed"


def race(root: str, name: int, wins: int) -> None:
    """Publish until `wins` of ours went through; everything the other one won is skipped."""
    registry = WeightsRegistry(Path(root))
    won = 0
    while won < wins:
        seen = registry.version_in_force()
        try:
            registry.publish(some(500_000 + name, f"publisher {name}"), seen)
        except StaleWeights:
            continue
        won += 1
    os._exit(0)


def test_of_two_publishers_each_version_has_one_and_none_is_lost(registry):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=race, args=(str(registry.root), name, 15)) for name in (1, 2)]
    for one in both:
        one.start()
    readings = 0
    while any(one.is_alive() for one in both):
        registry.current()  # a reader never meets half a file nor a false alarm
        readings += 1
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert readings
    assert registry.versions() == list(range(1, 31))
    chain = [registry.version(number) for number in registry.versions()]
    assert [one.previous for one in chain] == [None, *range(1, 30)]
    assert sorted(one.reason for one in chain) == ["publisher 1"] * 15 + ["publisher 2"] * 15


def test_a_watcher_sees_every_publication_and_nothing_else(registry):
    assert stamp_of(registry.path) is None
    registry.publish(some(), 0)
    first = stamp_of(registry.path)
    assert first is not None
    registry.current()
    assert stamp_of(registry.path) == first
    registry.publish(some(), 1)
    assert stamp_of(registry.path) not in {first, None}


def test_a_reader_of_weights_needs_neither_mlflow_nor_any_heavy_package(tmp_path):
    code = (
        "import sys, p402.registry.weights as _;"
        "heavy = {'mlflow', 'duckdb', 'pandas', 'pyarrow', 'scipy', 'sklearn', 'matplotlib'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_published_type_is_what_the_file_says(registry):
    made = registry.publish(some(forced=True), 0)
    document = json.loads(registry.path.read_bytes())
    assert document["forced"] is True
    assert set(document) == set(Published.__struct_fields__)
    assert document["sha256"] == made.sha256
