"""Which log segments exist, who still writes to them, and how their lines become events.

A segment is a JSONL file of one writer: in `live/` while it grows, in `sealed/` once it does not.
Its writer holds a lock on it (`flock`), which the kernel drops when the process dies, so nobody
guesses from process ids. Names never repeat: each writer draws its own `boot`. It knows nothing
of Parquet or of what events mean.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import ConfigError
from p402.events import AnyEvent
from p402.store.atomic import sync_folder

LIVE: Final = "live"
SEALED: Final = "sealed"
QUARANTINE: Final = "quarantine"
SUFFIX: Final = ".jsonl"
SEAL_REQUEST: Final = "seal.request"
"""Touching this file asks every living writer to seal what it has, at its next tick."""

CHUNK: Final = 8192
"""Lines parsed at once: few live objects keep the collector and the memory small."""

_WORKER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_decode = msgspec.json.Decoder(AnyEvent).decode


@dataclass(frozen=True, slots=True)
class Parsed:
    """Some of a segment's lines, taken apart.

    Attributes
    ----------
    events
        In the order they were appended.
    malformed
        Whole lines that are no event of a known kind, as found.
    torn
        Bytes after the last newline: a write that never finished, never acknowledged.
    bytes_of
        Bytes of the lines of `events`, by kind.
    """

    events: list[AnyEvent]
    malformed: list[bytes]
    torn: bytes
    bytes_of: dict[str, int]


def segment_name(worker: str, pid: int, boot: str, seq: int) -> str:
    """`<worker>-<pid>-<boot>-<seq>.jsonl`; ascending in `seq` for one writer.

    Raises
    ------
    ConfigError
        The worker's name does not fit into a file name.
    """
    if not _WORKER.fullmatch(worker):
        raise ConfigError(f"worker name: found {worker!r}; expected letters, digits, `_`, `.` and `-`")
    return f"{worker}-{pid}-{boot}-{seq:06d}{SUFFIX}"


def names_in(root: Path, state: str) -> list[str]:
    """Segment names in `live` or `sealed`, ascending; none where the folder is absent."""
    try:
        return sorted(path.name for path in (root / state).iterdir() if path.suffix == SUFFIX)
    except FileNotFoundError:
        return []


def parse(data: bytes, chunk: int = CHUNK) -> Iterator[Parsed]:
    """Events of a segment's bytes, `chunk` lines at a time; what is none is kept aside, never raised."""
    *lines, torn = data.split(b"\n")
    for start in range(0, len(lines), chunk):
        yield _parse_lines(lines[start : start + chunk], b"")
    if torn:
        yield _parse_lines([], torn)


def _parse_lines(lines: list[bytes], torn: bytes) -> Parsed:
    events: list[AnyEvent] = []
    malformed: list[bytes] = []
    bytes_of: dict[str, int] = {}
    for line in lines:
        if not line:  # left by a writer that began a fresh line after a torn one
            continue
        try:
            event = _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            malformed.append(line)
            continue
        events.append(event)
        kind = str(event.__struct_config__.tag)
        bytes_of[kind] = bytes_of.get(kind, 0) + len(line) + 1
    return Parsed(events, malformed, torn, bytes_of)


def holds(fd: int, path: Path) -> bool:
    """Whether `path` still names the file that `fd` has open."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def seal(root: Path, name: str) -> None:
    """Move a finished segment out of `live`; an empty one just goes."""
    path = root / LIVE / name
    if path.stat().st_size:
        path.rename(root / SEALED / name)
    else:
        path.unlink()


def recover(root: Path) -> list[str]:
    """Seal every live segment whose writer is dead; return their names.

    Safe beside living writers and other recoveries: a segment is touched only under its own lock.
    """
    recovered = [name for name in names_in(root, LIVE) if _recover_one(root, name)]
    if recovered:
        sync_folder(root / SEALED)
        sync_folder(root / LIVE)
    return recovered


def _recover_one(root: Path, name: str) -> bool:
    path = root / LIVE / name
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not holds(fd, path):
            return False
        os.fdatasync(fd)
        (root / SEALED).mkdir(exist_ok=True)
        seal(root, name)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def read_segment(root: Path, name: str) -> bytes | None:
    """Bytes of a segment wherever it now lies; None when it lies nowhere (it was compacted)."""
    for state in (LIVE, SEALED, LIVE):  # it may move from live to sealed between two looks
        try:
            return (root / state / name).read_bytes()
        except FileNotFoundError:
            continue
    return None


def segment_size(root: Path, name: str) -> int | None:
    """Bytes of a segment wherever it now lies; None when it lies nowhere."""
    for state in (LIVE, SEALED, LIVE):
        try:
            return (root / state / name).stat().st_size
        except FileNotFoundError:
            continue
    return None


def all_names(root: Path) -> Iterator[str]:
    """Names in `live` and `sealed`, each once, ascending. Live is listed first: segments move one way."""
    live = names_in(root, LIVE)
    yield from sorted({*live, *names_in(root, SEALED)})
