"""What workers of the tests do; other processes find it by its name."""

import os
import signal
import time
from pathlib import Path

import numpy as np


def square(x):
    return x * x


def slow_first(x):
    """The first partition ends last."""
    time.sleep(0.3 if x == 0 else 0.0)
    return x


def worked(folder, x):
    """Leaves a mark for every time it ran."""
    with (Path(folder) / f"{x}").open("a") as marks:
        marks.write(f"{os.getpid()}\n")
    return np.full(3, x / 7.0)


def killed_once(folder, x):
    """Partition 2 kills its worker the first time."""
    mark = Path(folder) / "killed"
    if x == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x + 100


def killed_always(folder, x):
    if x == 2:
        with (Path(folder) / "deaths").open("a") as marks:
            marks.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def refused(x):
    if x == 3:
        raise ValueError(f"{x} is refused")
    return x


class Unsendable(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def refused_oddly(_x):
    raise Unsendable("one", "two")


def threads(_x):
    return os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")


def pid(_x):
    time.sleep(0.05)
    return os.getpid()


def waits(folder, x):
    """The last partition waits until it is told to go on, which nobody does."""
    if x == 3:
        (Path(folder) / "waiting").touch()
        time.sleep(60)
    return worked(folder, x)


class Plain:
    """One array as a result."""

    def arrays(self, result):
        return {"value": np.asarray(result)}

    def result(self, arrays):
        return arrays["value"]


def loaded(_x):
    """Which heavy packages a worker has once it can work."""
    import sys

    import sim.replay.pass_two  # noqa: F401 - what a valuation's workers load

    return sorted({"duckdb", "matplotlib", "pandas", "scipy", "sklearn"} & set(sys.modules))
