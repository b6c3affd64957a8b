"""How a file appears whole or not at all, whatever stops the writer.

A temporary neighbour is written, synced and renamed over the name; then the folder is synced,
so that the name itself outlives a power cut. It knows nothing of what the bytes mean.
"""

import errno
import itertools
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from p402.errors import DiskFull, StoreError

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk, a quota and a file-size limit say when they take no more."""

_serial = itertools.count()


def store_error(path: Path, reason: OSError) -> StoreError:
    """The error to raise for `reason`: `DiskFull` where there is no room, else `StoreError`."""
    if reason.errno in FULL:
        return DiskFull(f"{path}: {reason.strerror}; expected room to write; free space or move the folder")
    return StoreError(f"{path}: {reason.strerror}; expected to write; mend the disk or its permissions")


def sync_folder(folder: Path) -> None:
    """Make names that were added to or removed from `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that no other thread or process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{next(_serial)}.tmp")


def publish(temporary: Path, path: Path) -> None:
    """Sync a finished temporary file and give it its name."""
    fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    temporary.replace(path)
    sync_folder(path.parent)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte of `data`, completing short writes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data`; after a failure or a crash it holds what it held before.

    Missing folders are made.

    Raises
    ------
    DiskFull
        There was no room; nothing changed.
    StoreError
        The file system refused otherwise; nothing changed.
    """
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as reason:
        with suppress(OSError):
            temporary.unlink()
        raise store_error(path, reason) from reason
