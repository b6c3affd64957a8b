"""What the kernel tells of a process and its descendants: CPU seconds, memory; and which cores it may use.

Read from `/proc`, so Linux only. What has ended meanwhile counts as nothing.
"""

import os
from pathlib import Path
from typing import Final

_TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")


def keep_to(pid: int, cores: set[int]) -> None:
    """Let every thread of a process run on these cores only."""
    for task in _listed(Path(f"/proc/{pid}/task")):
        os.sched_setaffinity(int(task.name), cores)


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for task in _listed(Path(f"/proc/{pid}/task")):
        for child in _read(task / "children").split():
            found += tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended; 0 once it is gone."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * _TICK_S


def rss_mib(pid: int) -> float:
    """Resident memory of a process."""
    found = [line for line in _read(Path(f"/proc/{pid}/status")).splitlines() if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def peak_mib() -> float:
    """Most memory that this process held; `ru_maxrss` tells its parent's, where that had more."""
    told = _read(Path("/proc/self/status")).partition("VmHWM:")[2].split()
    return int(told[0]) / 1024


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
