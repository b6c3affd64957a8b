"""How the demonstration's processes start, are waited for and end: each in a process group of its own.

Whatever happens in the driver, Ctrl-C and SIGTERM included, `House.__exit__` ends every group by
its id. Output goes to files in the run folder; a failure shows their last lines. It knows
nothing of what the processes do.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

from p402.errors import P402Error

STOP_S: Final = 45.0
"""How long a process may take to stop after SIGTERM before it is killed; the gateway drains for 30 s."""

SHOWN_LINES: Final = 20
P402: Final = (sys.executable, "-m", "p402.cli")
"""The `p402` command of this very environment."""


class ProcessFailed(P402Error):
    """A process of the demonstration ended badly, or not in time; the message has its last lines."""


@dataclass(slots=True)
class Child:
    """A process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started_s: float

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self.process.poll()

    def last_lines(self) -> str:
        """Tail of its output."""
        lines = self.log.read_text(errors="replace").splitlines()[-SHOWN_LINES:]
        return "\n".join(f"  {self.name} | {line}" for line in lines)


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that ran to its end."""

    status: int
    output: str
    seconds: float


class House:
    """All processes of a run.

    Parameters
    ----------
    folder
        Where their output goes, a file each.
    environ
        Environment of the driver; what belongs to other configurations is left out (`clean`).
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = clean(environ)
        self._children: list[Child] = []
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for child in reversed(self._children):
                self.stop(child)
        except KeyboardInterrupt:  # asked a second time: no more waiting
            for child in self._children:
                _signal(child, signal.SIGKILL)
            raise

    def start(self, name: str, command: Sequence[str], extra: Mapping[str, str] | None = None) -> Child:
        """Start a process in a group of its own; `extra` adds to its environment."""
        log = self._folder / f"{name}.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own commands, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self._environ | dict(extra or {}),
                start_new_session=True,
            )
        child = Child(name, process, log, time.monotonic())
        self._children.append(child)
        return child

    def run(self, name: str, command: Sequence[str], timeout_s: float) -> Finished:
        """Run a command to its end; the status is the caller's to judge.

        Raises
        ------
        ProcessFailed
            It did not end in time.
        """
        child = self.start(name, command)
        try:
            status = child.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop(child)
            raise ProcessFailed(f"{name} did not end within {timeout_s:g} s:\n{child.last_lines()}") from None
        return Finished(status, child.log.read_text(errors="replace"), time.monotonic() - child.started_s)

    def must(self, name: str, command: Sequence[str], timeout_s: float) -> Finished:
        """Run a command that has to end well.

        Raises
        ------
        ProcessFailed
            It did not, or not in time.
        """
        finished = self.run(name, command, timeout_s)
        if finished.status != 0:
            raise ProcessFailed(
                f"{name} ended with status {finished.status}:\n{self._children[-1].last_lines()}"
            )
        return finished

    def check(self) -> None:
        """Raise `ProcessFailed` for the first child that ended badly."""
        for child in self._children:
            if child.status:
                raise ProcessFailed(f"{child.name} ended with status {child.status}:\n{child.last_lines()}")

    def ready(self, child: Child, path: Path, timeout_s: float = 60.0) -> str:
        """Text of the file that a server writes once it serves.

        Raises
        ------
        ProcessFailed
            The server ended, or was not ready in time.
        """
        deadline = child.started_s + timeout_s
        while not path.exists():
            if child.status is not None:
                raise ProcessFailed(f"{child.name} ended with status {child.status}:\n{child.last_lines()}")
            if time.monotonic() > deadline:
                raise ProcessFailed(
                    f"{child.name} was not ready within {timeout_s:g} s:\n{child.last_lines()}"
                )
            time.sleep(0.02)
        return path.read_text().strip()

    def exits(self) -> dict[str, int]:
        """Exit status of every process that has ended, by name."""
        return {child.name: child.status for child in self._children if child.status is not None}

    def stop(self, child: Child) -> int:
        """End a process and its group, politely first; its exit status."""
        if child.status is None:
            _signal(child, signal.SIGTERM)
            try:
                child.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{child.name} did not stop within {STOP_S:g} s; killed", file=sys.stderr)
        _signal(child, signal.SIGKILL)  # what is left of the group: nothing, if all is well
        return child.process.wait()


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without settings of another gateway, without proxies, without telemetry."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("P402_", "OPENAI_", "MLFLOW_")) and not name.lower().endswith("_proxy")
    }
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "NO_COLOR": "1"}


def stop_on_sigterm() -> None:
    """Let SIGTERM end this process as Ctrl-C does, so that every `finally` runs."""

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)


def _signal(child: Child, number: signal.Signals) -> None:
    try:
        os.killpg(child.process.pid, number)
    except ProcessLookupError:
        return
