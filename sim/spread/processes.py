"""Processes of this machine as a crew.

Each is spawned, so it holds nothing of the caller's threads or files, and has a pipe of its own: whose end
falls silent has died, and its partition is known. The caller's death closes the pipes, and then they end
as well. They ignore ctrl-C: the caller hears it and ends them.
"""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from sim.spread.attempt import tried
from sim.spread.contract import ONE_THREAD, Died, Event, Function, WorkersAway

_PATIENCE_S: Final = 5.0
"""How long an ended process may take before it is killed."""

_HEARS_S: Final = 1.0
"""How long a wait may last at once: a ctrl-C that comes just before it is heard when it ends."""

_spawn = get_context("spawn")


@dataclass(slots=True)
class _Worker:
    process: SpawnProcess
    pipe: "connection.Connection[Any, Any]"
    index: int | None = None
    function: Function | None = None
    """What it was told to work on."""


class Pool:
    """Up to `size` processes, started when there is something to do for them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._function: Function | None = None
        self._workers: list[_Worker] = []

    def begin(self, function: Function) -> None:
        """Work on another function from now on."""
        self._function = function

    def warm(self, function: Callable[..., Any]) -> None:
        """Start every process; each loads the function's module while the caller does something else."""
        while len(self._workers) < self.size:
            worker = self._started()
            self._tell(worker, (None, None, function))

    @property
    def free(self) -> bool:
        """Whether a process is idle or may still be started."""
        return len(self._workers) < self.size or any(worker.index is None for worker in self._workers)

    def submit(self, index: int, partition: Any) -> None:
        """Send a partition to an idle process, or start one."""
        worker = next((worker for worker in self._workers if worker.index is None), None)
        if worker is None:
            worker = self._started()
        fresh = worker.function is not self._function
        self._tell(worker, (index, partition, self._function if fresh else None))
        worker.index, worker.function = index, self._function

    def wait(self) -> Event:
        """What the first process to say something, or to fall silent, leaves behind."""
        while True:
            busy = {worker.pipe: worker for worker in self._workers if worker.index is not None}
            for pipe in connection.wait(list(busy), _HEARS_S):
                worker = busy[pipe]  # type: ignore[index] # pipes went in, pipes come out
                index = worker.index
                assert index is not None, "only busy workers are waited for"
                try:
                    event: Event = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    return Died(index, self._buried(worker))
                worker.index = None
                return event

    def close(self) -> None:
        """End them all."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_PATIENCE_S)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._workers.clear()

    def _tell(self, worker: _Worker, message: tuple[int | None, Any, Function | None]) -> None:
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it died idle: `wait` says so
                worker.pipe.send(message)
        except (pickle.PicklingError, AttributeError, TypeError) as reason:
            raise WorkersAway(
                f"{message[2]!r} cannot be sent to another process: {reason}; expected a function of a "
                f"module and arguments that can be pickled; use one process otherwise"
            ) from reason

    def _started(self) -> _Worker:
        ours, theirs = _spawn.Pipe()
        process = _spawn.Process(target=_work, args=(theirs,), name="p402-spread", daemon=True)
        with _quiet():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _buried(self, worker: _Worker) -> str:
        worker.pipe.close()
        worker.process.join(_PATIENCE_S)
        code = worker.process.exitcode
        self._workers.remove(worker)
        if code is None:
            worker.process.kill()
            return "it closed its pipe"
        if code < 0:
            with suppress(ValueError):
                return f"killed by {signal.Signals(-code).name}"
        return f"exit status {code}"


@contextmanager
def _quiet() -> Iterator[None]:
    """What a process is born with: ctrl-C blocked until it ignores it, and one thread for each library."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys((name for name in ONE_THREAD if before[name] is None), "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _work(pipe: "connection.Connection[Any, Any]") -> None:
    """A process's whole life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    function: Function = _nothing_to_do
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the caller is gone
        while True:
            index, partition, fresh = pipe.recv()
            function = fresh or function
            if index is not None:
                pipe.send(tried(function, index, partition))


def _nothing_to_do(_partition: Any) -> Any:
    raise RuntimeError("a process was given a partition before a function: expected both at first")
