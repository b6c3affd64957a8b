"""What is kept, how a run ends early, and what is asked of the caller."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from p402.errors import StoreError
from sim.spread.contract import Processes, Ray, WorkersAway
from sim.spread.kept import Kept, code_version
from sim.spread.spread import spread
from tests.sim.spread import work
from tests.sim.spread.conftest import needs_ray

RUN = """
import sys
from functools import partial
from sim.spread.contract import Processes
from sim.spread.kept import Kept
from sim.spread.spread import spread
from tests.sim.spread import work

folder = sys.argv[1]
kept = Kept(__import__("pathlib").Path(folder) / "kept", "q", list("abcd"), work.Plain())
try:
    list(spread(partial(work.waits, folder), range(4), Processes(2), kept=kept))
except KeyboardInterrupt:
    sys.exit(130)
"""


def plain(folder, digests, question="q", **given):
    return Kept(folder, question, digests, work.Plain(), **given)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def workers_of(pid):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "spawn_main" in command:
            found.append(int(folder.name))
    return found


@pytest.fixture
def run_away(tmp_path):
    """A map in a process of its own, in a process group of its own, that stands at its last partition."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path)], start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    wait_for((tmp_path / "waiting").exists)
    kept = plain(tmp_path / "kept", list("abcd"))
    wait_for(lambda: all(kept.path(x).exists() for x in range(3)))
    yield process, kept
    process.kill()
    process.communicate()


def test_control_c_leaves_what_was_done_and_no_process(run_away, tmp_path):
    process, kept = run_away
    started = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in said
    wait_for(lambda: not any(alive(pid) for pid in started))
    found = list(spread(partial(work.worked, str(tmp_path)), range(4), kept=kept))
    assert [x[0] for x in found] == [0.0, 1 / 7, 2 / 7, 3 / 7]
    assert [(tmp_path / f"{x}").read_text().count("\n") for x in range(4)] == [1] * 4


def test_workers_end_when_their_caller_is_killed(run_away):
    process, _ = run_away
    started = workers_of(process.pid)
    assert len(started) == 2
    process.kill()
    process.wait()
    wait_for(lambda: sum(alive(pid) for pid in started) <= 1)  # the other one sleeps within its partition
    for pid in started:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_part_is_found_by_everything_it_follows_from(tmp_path):
    first = plain(tmp_path, ["a", "b"])
    first.keep(0, np.arange(3.0))
    assert first.find(0, print).tolist() == [0, 1, 2]
    assert first.find(1, print) is None
    for other in (
        plain(tmp_path, ["b", "a"]),
        plain(tmp_path, ["a", "b"], "r"),
        plain(tmp_path, ["a", "b"], code="other"),
        plain(tmp_path, ["qa", "b"], ""),  # the parts of a name do not run into one another
    ):
        assert other.find(0, print) is None
    assert plain(tmp_path, ["c", "a"]).find(1, print).tolist() == [0, 1, 2]


def test_a_damaged_part_is_said_and_worked_out_again(tmp_path):
    function = partial(work.worked, str(tmp_path))
    kept = plain(tmp_path / "kept", ["a", "b"])
    list(spread(function, range(2), kept=kept))
    for damage in (lambda data: data[:-1], lambda data: data[:60] + b"?" + data[61:], lambda _: b""):
        path = kept.path(1)
        path.write_bytes(damage(path.read_bytes()))
        said = []
        found = list(spread(function, range(2), kept=kept, report=said.append))
        assert found[1].tolist() == [1 / 7] * 3
        assert [message.partition(":")[0] for message in said] == [f"{path} is damaged"]
    assert (tmp_path / "0").read_text().count("\n") == 1
    assert (tmp_path / "1").read_text().count("\n") == 4


def test_a_kept_part_runs_nothing_when_it_is_read(tmp_path):
    kept = plain(tmp_path, ["a"])
    with pytest.raises(ValueError, match="allow_pickle"):
        kept.keep(0, np.array([{"an": "object"}], dtype=object))
    assert kept.find(0, print) is None


def test_a_folder_that_cannot_be_written_is_an_error_of_the_store(tmp_path):
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(StoreError, match="kept"):
        list(spread(work.square, [1], kept=plain(tmp_path / "kept", ["a"])))


def test_what_is_kept_needs_no_worker(tmp_path):
    kept = plain(tmp_path, list("abc"))
    list(spread(work.square, range(3), kept=kept))
    nobody = spread(lambda _: 1 / 0, range(3), Processes(2), kept=kept)  # could not even be sent
    assert [int(x) for x in nobody] == [0, 1, 4]


def test_a_function_that_other_processes_cannot_find_is_refused():
    with pytest.raises(WorkersAway, match="expected a function of a module"):
        list(spread(lambda x: x, range(3), Processes(2)))


def test_no_workers_are_refused():
    with pytest.raises(ValueError, match="0 processes"):
        Processes(0)
    with pytest.raises(ValueError, match="0 workers"):
        Ray(count=0)


def test_the_code_has_one_version_in_every_process():
    (theirs,) = set(spread(version, range(2), Processes(1)))
    assert theirs == code_version()


def version(_x):
    return code_version()


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_the_error_says_what_to_install():
    with pytest.raises(WorkersAway, match=r"pip install 'p402\[ray\]'"):
        list(spread(work.square, range(2), Ray()))


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_we_started_is_ended_and_gone():
    program = (
        "import sys, ray, os, glob, signal\n"
        "from sim.spread.contract import Ray\n"
        "from sim.spread.spread import spread\n"
        "from tests.sim.spread import work\n"
        "assert list(spread(work.square, range(5), Ray(count=2))) == [0, 1, 4, 9, 16]\n"
        "assert not ray.is_initialized()\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert not list(Path("/tmp").glob("p402-ray-*"))


@needs_ray
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_said():
    program = (
        "from sim.spread.contract import Ray, WorkersAway\n"
        "from sim.spread.spread import spread\n"
        "from tests.sim.spread import work\n"
        "try:\n"
        "    list(spread(work.square, range(2), Ray('127.0.0.1:1')))\n"
        "except WorkersAway as away:\n"
        "    print(away)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert "Ray at 127.0.0.1:1 cannot be reached" in process.stdout, process.stderr


def test_a_process_that_will_read_logs_loads_neither_duckdb_nor_until_its_first_array_pandas():
    assert list(spread(work.loaded, range(1), Processes(1))) == [[]]
