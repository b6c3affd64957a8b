"""Independent jobs over processes of this machine; a process that dies is an error that names its job.

Each process is started afresh (nothing is inherited but the environment), takes a job, and says how it
ended. Results lie where the job puts them, so their order and the number of processes change nothing.
The first failure ends all: what is finished stays. It knows nothing of what a job does.
"""

import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, Protocol, TypeVar

from p402.errors import P402Error

ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
"""Set to 1 for a process unless they are set: one process a core is enough."""


class Named(Protocol):
    """What a job must have here."""

    @property
    def name(self) -> str:
        """For messages."""
        ...


J = TypeVar("J", bound=Named)


class RunFailed(P402Error):
    """A job ended without its result."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(jobs: Sequence[J], work: Callable[[J], None], processes: int, done: Callable[[J], None]) -> None:
    """Do every job; `work` and the jobs must be picklable.

    Parameters
    ----------
    work
        Called in another process; puts its result where it belongs.
    processes
        At most so many at once.
    done
        Called here for each finished job.

    Raises
    ------
    RunFailed
        A job raised, or its process died; the others were ended.
    """
    waiting = deque(jobs)
    busy: dict[Connection, tuple[BaseProcess, J]] = {}
    context = get_context("spawn")

    def give(ours: Connection, process: BaseProcess) -> None:
        job = waiting.popleft()
        busy[ours] = process, job
        with suppress(OSError):  # it died idle: waiting for its answer says so
            ours.send(job)

    try:
        with _one_thread():
            for _ in range(min(processes, len(jobs))):
                ours, theirs = context.Pipe()
                process: BaseProcess = context.Process(target=_serve, args=(theirs, work), daemon=True)
                process.start()
                theirs.close()
                give(ours, process)
        while busy:
            for ours in [c for c in wait(list(busy)) if isinstance(c, Connection)]:
                process, job = busy.pop(ours)
                _ended(ours, process, job)
                done(job)
                if waiting:
                    give(ours, process)
                else:
                    ours.close()
                    process.join()
    finally:
        for process, _ in busy.values():
            process.kill()
        for ours, (process, _) in busy.items():
            process.join()
            ours.close()


def _ended(ours: Connection, process: BaseProcess, job: Named) -> None:
    try:
        failure = ours.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        why = "; the machine may be out of memory: try fewer --processes" if code == -signal.SIGKILL else ""
        raise RunFailed(
            f"the run of {job.name}: its process {how}{why}; finished runs are kept, run the command again "
            f"to go on"
        ) from None
    if failure is not None:
        process.kill()
        process.join()
        ours.close()
        raise RunFailed(f"the run of {job.name}: {failure}")


def _serve(theirs: Connection, work: Callable[[J], None]) -> None:
    """Do jobs as they come, until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who asked ends us
    while True:
        try:
            job = theirs.recv()
        except (EOFError, OSError):
            return
        try:
            work(job)
        except P402Error as error:
            theirs.send(str(error))
        except Exception as error:  # noqa: BLE001 -- whatever a stranger's strategy raises is told
            theirs.send(f"{type(error).__name__}: {error}\n{traceback.format_exc().rstrip()}")
        else:
            theirs.send(None)


@contextmanager
def _one_thread() -> Iterator[None]:
    ours = [name for name in ONE_THREAD if name not in os.environ]
    os.environ.update(dict.fromkeys(ours, "1"))
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
