"""Which weights balanced mode has: one small file that the gateway watches, and its whole history.

`weights.json` is what is in force, replaced whole or not at all; a version is published only over
the version its publisher saw, so that of two publishers one loses and is told. Every version is
then filed in `history/` for good, so a file that the history is ahead of is a stale one. Versions
only rise: rolling back publishes old weights under a new number.
It knows nothing of MLflow, of evidence, or of what weights do.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from p402.assemble import START_WEIGHTS
from p402.errors import StaleWeights, StoreError
from p402.registry.published import MEND, Candidate, Published, check, decoded, sealed, text_of
from p402.store.atomic import store_error, write_atomic

__all__ = ["START", "Candidate", "Published", "Stamp", "WeightsRegistry", "stamp_of"]

START: Final = 0
"""Version of the weights before anything was published: 50/50 (`assemble.START_WEIGHTS`)."""

LOCK_WAIT_S: Final = 10.0

Stamp = tuple[int, int, int]
"""Inode, size and time of change of a file, in ns."""


class WeightsRegistry:
    """Published weights under one folder.

    Parameters
    ----------
    root
        Folder; made at the first publication.
    now_ms
        Wall time in ms since 1970 UTC; the machine's clock by default.
    step
        Called with a name between any two effects on disk; tests stop a publisher there.
    """

    def __init__(
        self,
        root: Path,
        now_ms: Callable[[], int] | None = None,
        step: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.root = root
        self.path = root / "weights.json"
        """What is in force: the file to watch."""
        self._now_ms = now_ms or (lambda: time.time_ns() // 1_000_000)
        self._step = step

    def current(self) -> Published | None:
        """Weights in force; None if nothing was ever published.

        Raises
        ------
        StoreError
            The file is torn, corrupt, of a newer schema, older than the history, or gone though
            there is a history: keep the last good weights.
        """
        found = self._in_force()
        following = (START if found is None else found.version) + 1
        if not self._path_of(following).exists():
            return found
        found = self._in_force()  # filed only once it is in force: look again
        seen = START if found is None else found.version
        if seen >= following:
            return found
        state = "gone" if found is None else f"stale: found version {seen}"
        raise StoreError(f"{self.path} is {state}; expected version {self.versions()[-1]}, the last: {MEND}")

    def version_in_force(self) -> int:
        """Number of the version in force; 0 if nothing was ever published."""
        current = self.current()
        return START if current is None else current.version

    def publish(self, candidate: Candidate, expected_version: int) -> Published:
        """Put weights in force, if the version in force is still the expected one.

        Parameters
        ----------
        candidate
            What to publish.
        expected_version
            Version that the decision to publish was taken under; 0 where nothing was published.

        Raises
        ------
        StaleWeights
            Another version is in force by now; nothing was published.
        StoreError
            The weights are no weights, the version in force cannot be read, or the disk failed.
        """
        return self._publish(candidate, expected_version, None)

    def rollback(self, expected_version: int, reason: str, to: int | None = None) -> Published:
        """Publish earlier weights again, under a new version.

        Without `to`, those that were in force before the current ones came; after a rollback, one
        further back. Version 0 is the start, 50/50.

        Raises
        ------
        StaleWeights
            The version in force is not the expected one.
        StoreError
            There is nothing to go back to, or the version's file cannot be used.
        """
        current = self.current()
        if current is None:
            raise StoreError(f"{self.root}: nothing was ever published; there is nothing to roll back")
        target = self._before(current) if to is None else to
        return self._publish(self._again(target, reason), expected_version, target)

    def repair(self, to: int, reason: str) -> Published:
        """Publish a version of the history where the file in force cannot be read.

        The damaged file is kept beside it.

        Raises
        ------
        StoreError
            The file in force is sound: roll back instead.
        """
        again = self._again(to, reason)
        with self._alone():
            if self._is_sound():
                raise StoreError(f"{self.path} is sound; expected a damaged one: roll back without --repair")
            if self.path.exists():
                self.path.rename(self.root / f"damaged-{self._now_ms()}.json")
            last = max(self.versions(), default=START)
            return self._put(again, to, last)

    def version(self, number: int) -> Published:
        """One version that was published.

        Raises
        ------
        StoreError
            There is no such version, or its file cannot be used.
        """
        path = self._path_of(number)
        data = _bytes_of(path)
        if data is not None:
            return decoded(data, path)
        current = self._in_force()
        if current is not None and current.version == number:  # its publisher died before filing it
            return current
        known = self.versions()
        span = f"1 to {known[-1]}" if known else "none, as nothing was published"
        raise StoreError(f"{path}: there is no version {number} of the weights; expected {span}")

    def versions(self) -> list[int]:
        """Numbers of all versions in the history, ascending."""
        found = (self.root / "history").glob("*.json")
        return sorted(int(path.stem) for path in found if path.stem.isdigit())

    def _in_force(self) -> Published | None:
        data = _bytes_of(self.path)
        return None if data is None else decoded(data, self.path)

    def _is_sound(self) -> bool:
        try:
            self.current()
        except StoreError:
            return False
        return True

    def _before(self, current: Published) -> int:
        """Version in force before the weights that are in force now first came."""
        origin = current
        while origin.restores is not None:  # a rollback's weights came with the version it restores
            if origin.restores == START:
                raise StoreError(
                    f"version {current.version} has the start's weights: found nothing before them; "
                    f"name a version to go to"
                )
            origin = self.version(origin.restores)
        return START if origin.previous is None else origin.previous

    def _again(self, number: int, reason: str) -> Candidate:
        if number == START:
            quality, cost, speed = START_WEIGHTS
            return Candidate(quality=quality, cost=cost, speed=speed, reason=reason)
        old = self.version(number)
        return Candidate(
            quality=old.quality,
            cost=old.cost,
            speed=old.speed,
            reason=reason,
            run_id=old.run_id,
            model_version=old.model_version,
            forced=old.forced,
        )

    def _publish(self, candidate: Candidate, expected_version: int, restores: int | None) -> Published:
        check(candidate, "these weights")
        with self._alone():
            current = self.current()
            seen = START if current is None else current.version
            if seen != expected_version:
                raise StaleWeights(
                    f"{self.path}: version {seen} is in force; expected {expected_version}: someone "
                    f"published meanwhile; look at it and decide again"
                )
            if current is not None and not self._path_of(seen).exists():
                self._file(current)  # its publisher died between putting it in force and filing it
            return self._put(candidate, restores, seen)

    def _put(self, candidate: Candidate, restores: int | None, last: int) -> Published:
        published = sealed(
            Published(
                version=last + 1,
                published_ms=self._now_ms(),
                previous=last or None,
                restores=restores,
                **msgspec.structs.asdict(candidate),
            )
        )
        self._step("checked")
        write_atomic(self.path, text_of(published))
        self._step("in force")
        self._file(published)
        self._step("filed")
        return published

    def _file(self, published: Published) -> None:
        path = self._path_of(published.version)
        if path.exists():
            raise StoreError(f"{path} exists already; expected a new version: history is never overwritten")
        write_atomic(path, text_of(published))

    def _path_of(self, number: int) -> Path:
        return self.root / "history" / f"{number}.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the publishers' lock; it ends with the process, however that ends."""
        path = self.root / "weights.lock"
        deadline = time.monotonic() + LOCK_WAIT_S
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as reason:
            raise store_error(path, reason) from reason
        try:
            while not _locked(fd):
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{path}: held by another for {LOCK_WAIT_S:g} s; expected a moment: try again"
                    )
                time.sleep(0.005)
            yield
        finally:
            os.close(fd)


def stamp_of(path: Path) -> Stamp | None:
    """What changes whenever the file is replaced; None where it is absent. One system call."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise store_error(path, reason) from reason
