"""A busy log, made once and a test's own to break, and replay as a process."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.sim.house import House, a_spec


@pytest.fixture(scope="session")
def busy_once(tmp_path_factory):
    """Two workers, two snapshots, failovers, deltas, observed rounds: closed and ready to be replayed."""
    house = House(tmp_path_factory.mktemp("busy"))
    first, second = house.stored(a_spec()), house.stored(a_spec(quality=0.7, seed=5))
    flows = [house.worker("w-one", first), house.worker("w-two", first)]
    house.mixed_traffic(flows, 160)
    flows[0].state.swap(second)
    house.mixed_traffic(flows, 60)
    flows[1].state.swap(second)
    house.mixed_traffic(flows, 100)
    house.close()
    return house


@pytest.fixture
def busy(busy_once, tmp_path):
    """The busy log and its store, a test's own to break."""
    shutil.copytree(busy_once.root, tmp_path / "busy")
    return House(tmp_path / "busy")


@pytest.fixture
def replay():
    """`p402 replay` in a process of its own."""

    def replay(house, *arguments, **env):
        return subprocess.run(
            [
                *(sys.executable, "-c", "import sys; from p402.cli import main; sys.exit(main())", "replay"),
                *("--log", str(house.log), "--store", str(house.store), *arguments),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | env,
            check=False,
        )

    return replay
