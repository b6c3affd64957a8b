"""How an event is on disk before anyone acts on it.

`append` is one `os.write` to this writer's own segment: what it returned from survives the death
of the process. A thread syncs what is dirty about every 100 ms, so a power cut costs at most that
window, and seals segments by size and age. A full disk raises `DiskFull` to whoever appended;
the half-written line is cut off again, or ended and left, and the next append starts on a fresh one.
It knows nothing of what events mean, nor of Parquet.
"""

import fcntl
import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from p402.errors import StoreError
from p402.events import Event
from p402.store.atomic import store_error, sync_folder
from p402.store.segments import LIVE, SEAL_REQUEST, SEALED, holds, recover, seal, segment_name

SEAL_BYTES: Final = 64 << 20
SEAL_MS: Final = 60_000
SYNC_S: Final = 0.1
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC


@dataclass(slots=True)
class _Segment:
    name: str
    fd: int
    opened_ms: int
    size: int = 0
    synced: int = 0
    torn: bool = False
    """The last line is unfinished and could not be cut off: begin the next with a newline."""
    uncut: bool = False
    """An unfinished line lies somewhere in it, so that it is longer than `size`: cut it no more."""


class LogWriter:
    """One process's hand on the log under `root`. Threads may share it; forked children may not.

    Parameters
    ----------
    root
        Folder of the log; made when absent. Segments of dead writers found there are sealed.
    worker
        Name of this writer in segment names.
    now_ms
        Wall time in ms since 1970 UTC; ages segments.
    seal_bytes, seal_ms
        A segment is sealed once it is this large, or this old and not empty.
    sync_s
        Seconds between group syncs.
    """

    def __init__(
        self,
        root: Path,
        worker: str,
        now_ms: Callable[[], int],
        *,
        seal_bytes: int = SEAL_BYTES,
        seal_ms: int = SEAL_MS,
        sync_s: float = SYNC_S,
    ) -> None:
        self.root = root
        self.worker = worker
        self.boot = secrets.token_hex(8)
        self.appended = 0
        """Events acknowledged."""
        self.degraded = 0
        """Appends, syncs and rotations that failed."""
        self.last_error = ""
        """What the last of them said."""
        self._now_ms = now_ms
        self._seal_bytes = seal_bytes
        self._seal_ms = seal_ms
        self._sync_s = sync_s
        self._encode = msgspec.json.Encoder().encode
        self._write_lock = threading.Lock()  # guards the current segment; never held while syncing
        self._sync_lock = threading.Lock()  # guards file descriptors against being closed under a sync
        self._retired: list[_Segment] = []
        self._seq = 0
        self._request = root / SEAL_REQUEST
        self._closed = False
        try:
            for state in (LIVE, SEALED):
                (root / state).mkdir(parents=True, exist_ok=True)
            recover(root)
            self._asked = _mtime_ns(self._request)
            self._segment = self._open()
        except OSError as reason:
            raise store_error(root, reason) from reason
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tend, name=f"log-{worker}", daemon=True)
        self._thread.start()

    def append(self, event: Event) -> None:
        """Write one event as one line. On return it survives the death of this process.

        Raises
        ------
        DiskFull
            There was no room; the event is not in the log and the next one starts on a fresh line.
        StoreError
            The writer is closed, or the file system failed otherwise; the event is not in the log.
        """
        line = self._encode(event) + b"\n"
        with self._write_lock:
            segment = self._segment
            if segment.torn:
                line = b"\n" + line
            try:
                written = os.write(segment.fd, line)
                while written != len(line):  # a disk that fills up, a signal, a size limit
                    written += os.write(segment.fd, line[written:])
            except OSError as reason:
                self._cut(segment)
                raise self._failed(segment, reason) from reason
            segment.torn = False
            segment.size += written
            self.appended += 1
            if segment.size >= self._seal_bytes:
                self._rotate()

    def flush(self) -> None:
        """Sync everything appended so far, now.

        Raises
        ------
        StoreError
            The disk did not take it; what was appended may not survive a power cut.
        """
        with self._sync_lock:
            try:
                self._sync()
            except OSError as reason:
                raise self._failed(self._segment, reason) from reason

    def close(self) -> None:
        """Sync and seal what is open; a second call does nothing."""
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join()
        with self._sync_lock, self._write_lock:
            if self._closed:
                return
            self._closed = True
            self._retired.append(self._segment)
            self._segment = _Segment(
                f"{self._segment.name} (closed)", -1, 0
            )  # a late append fails, never strays
            try:
                self._settle_retired()
            except OSError as reason:
                raise self._failed(self._segment, reason) from reason

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tend(self) -> None:
        while not self._stop.wait(self._sync_s):
            with self._sync_lock:
                try:
                    self._rotate_when_due()
                    self._sync()
                except OSError as reason:
                    self._failed(self._segment, reason)

    def _sync(self) -> None:
        """Sync the current segment if dirty, then finish the retired. Under the sync lock."""
        segment = self._segment
        size = segment.size
        if size != segment.synced:
            os.fdatasync(segment.fd)
            segment.synced = size
        self._settle_retired()

    def _settle_retired(self) -> None:
        """Sync, seal and close segments that take no more appends. Under the sync lock."""
        while self._retired:
            segment = self._retired[0]
            os.fdatasync(segment.fd)
            seal(self.root, segment.name)
            os.close(segment.fd)  # drops the lock, and only now
            self._retired.pop(0)
            sync_folder(self.root / SEALED)

    def _rotate_when_due(self) -> None:
        asked = _mtime_ns(self._request)
        with self._write_lock:
            age = self._now_ms() - self._segment.opened_ms
            if self._segment.size and (asked != self._asked or not 0 <= age < self._seal_ms):
                self._rotate()
        self._asked = asked

    def _rotate(self) -> None:
        """Go on in a new segment; where none can be opened, go on in this one. Under the write lock."""
        try:
            fresh = self._open()
        except OSError as reason:
            self._failed(self._segment, reason)
            return
        self._retired.append(self._segment)
        self._segment = fresh

    def _open(self) -> _Segment:
        while True:
            name = segment_name(self.worker, os.getpid(), self.boot, self._seq)
            self._seq += 1
            path = self.root / LIVE / name
            fd = os.open(path, _FLAGS, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # a recovery looked in between open and lock: leave it the file
                os.close(fd)
                continue
            if holds(fd, path):
                sync_folder(path.parent)
                return _Segment(name, fd, self._now_ms())
            os.close(fd)

    def _cut(self, segment: _Segment) -> None:
        """Take a half-written line off the end, or remember that it is there.

        Once one was left there, `size` no longer says where the last whole line ends: a later cut
        would reach into rows that were acknowledged, so there is none.
        """
        if segment.uncut:
            segment.torn = True
            return
        try:
            os.ftruncate(segment.fd, segment.size)
            segment.torn = False
        except OSError:
            segment.torn = segment.uncut = True

    def _failed(self, segment: _Segment, reason: OSError) -> StoreError:
        self.degraded += 1
        error = store_error(self.root / LIVE / segment.name, reason)
        self.last_error = str(error)
        return error


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
