"""How sealed segments become Parquet, once, whatever moment the compactor is killed at.

Parts are written under names that follow from their inputs, the manifest is committed, and only
then are the segments deleted. A run that dies before the commit leaves parts that no manifest
lists and segments that are still there: the next run throws the former away and reads the latter.
One that dies after it leaves segments that the manifest calls pending: the next run deletes them.
Lines that are no event go to `quarantine/`, never nowhere. One compactor runs at a time.
It knows nothing of DuckDB.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.atomic import store_error, sync_folder, write_atomic
from p402.store.manifest import PARQUET, Manifest, Part
from p402.store.parts import Batch, inputs_of, read_batch, write_parts
from p402.store.segments import LIVE, QUARANTINE, SEAL_REQUEST, SEALED, names_in, recover

LOCK: Final = "compactor.lock"
BATCH_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a run did.

    Attributes
    ----------
    ran
        False where another compactor held the lock; then nothing was done.
    segments, events, parts
        Segments taken in, events written, files written.
    torn, malformed
        Unfinished last lines and whole lines that were no event; all lie in `quarantine/`.
    digest
        The dataset's digest after the run.
    """

    ran: bool
    segments: int = 0
    events: int = 0
    parts: int = 0
    torn: int = 0
    malformed: int = 0
    digest: str = ""


def compact(
    root: Path,
    *,
    include_live: bool = False,
    live_wait_s: float = 5.0,
    batch_bytes: int = BATCH_BYTES,
    step: Callable[[str], None] = lambda _name: None,
) -> Compaction:
    """Take every sealed segment into Parquet. Segments of dead writers are sealed first.

    Parameters
    ----------
    include_live
        Also ask living writers to seal, and wait up to `live_wait_s` until they have.
    batch_bytes
        JSONL bytes held in memory between two commits.
    step
        Called with a name between any two effects on disk; tests stop the run there.

    Raises
    ------
    DiskFull
        No room for Parquet; the segments are untouched and the next run starts over.
    StoreError
        The manifest is damaged or does not go with the files; nothing was deleted.
    """
    with _only_one(root) as alone:
        if not alone:
            return Compaction(ran=False, digest=manifests.load(root).digest)
        try:
            recover(root)
            if include_live:
                seal_living(root, live_wait_s)
            step("recovered")
            return _compact(root, batch_bytes, step)
        except OSError as reason:
            raise store_error(root, reason) from reason


def _compact(root: Path, batch_bytes: int, step: Callable[[str], None]) -> Compaction:
    (root / SEALED).mkdir(exist_ok=True)
    manifest = _resume(root, step)
    segments = events = parts = torn = malformed = 0
    for names in _batches(root, batch_bytes):
        batch = read_batch(root, names)
        step("read")
        for name, lines in batch.quarantine.items():
            write_atomic(root / QUARANTINE / name, b"".join(line + b"\n" for line in lines))
            step("quarantined")
        written = write_parts(root, batch, step)
        manifest = manifests.commit(root, _grown(manifest, batch, written))
        step("committed")
        manifest = _forget_pending(root, manifest, step)
        segments += len(batch.names)
        events += sum(part.rows for part in written)
        parts += len(written)
        torn += batch.torn
        malformed += batch.malformed
    return Compaction(
        ran=True,
        segments=segments,
        events=events,
        parts=parts,
        torn=torn,
        malformed=malformed,
        digest=manifest.digest,
    )


def seal_living(root: Path, wait_s: float) -> bool:
    """Ask living writers to seal; whether all that had something did so within `wait_s`."""
    waiting = {name for name in names_in(root, LIVE) if _size(root / LIVE / name)}
    (root / SEAL_REQUEST).touch()
    deadline = time.monotonic() + wait_s
    while waiting & set(names_in(root, LIVE)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def _only_one(root: Path) -> Iterator[bool]:
    if not root.is_dir():
        raise StoreError(
            f"{root} is no folder; expected the log that the gateway writes: pass --log, or start it"
        )
    try:
        fd = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as reason:
        raise store_error(root / LOCK, reason) from reason
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _resume(root: Path, step: Callable[[str], None]) -> Manifest:
    """Finish or undo what a killed run began."""
    parquet = root / PARQUET
    found = {path.relative_to(root).as_posix() for path in parquet.rglob("part-*.parquet")}
    if not manifests.exists(root):
        if found:
            raise StoreError(
                f"{root / manifests.MANIFEST} is missing beside {len(found)} Parquet files; restore it "
                f"from a copy, or move {parquet} away to start an empty log"
            )
        manifests.commit(root, manifests.EMPTY)
        step("began")
    manifest = manifests.load(root)
    listed = {part.path for part in manifest.parts}
    if missing := sorted(listed - found):
        raise StoreError(
            f"{root / missing[0]} is listed in the manifest but missing, with {len(missing) - 1} others; "
            f"restore from a copy"
        )
    manifest = _forget_pending(root, manifest, step)
    sealed = set(names_in(root, SEALED))
    for orphan in sorted(found - listed):
        path = root / orphan
        if not sealed.issuperset(inputs_of(path)):
            raise StoreError(
                f"{path} is in no manifest and its segments are gone; manifest.json is older than the "
                f"data: restore it from a copy, or move that file away"
            )
        path.unlink()
        step("unlinked orphan")
    for leftover in parquet.rglob(".part-*.tmp"):
        leftover.unlink()
    return manifest


def _forget_pending(root: Path, manifest: Manifest, step: Callable[[str], None]) -> Manifest:
    """Delete the segments whose events are committed."""
    if not manifest.pending:
        return manifest
    for name in manifest.pending:
        (root / SEALED / name).unlink(missing_ok=True)
        step("deleted")
    sync_folder(root / SEALED)
    return manifests.commit(root, msgspec.structs.replace(manifest, pending=[]))


def _batches(root: Path, batch_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    total = 0
    for name in names_in(root, SEALED):
        names.append(name)
        total += _size(root / SEALED / name)
        if total >= batch_bytes:
            yield names
            names, total = [], 0
    if names:
        yield names


def _grown(manifest: Manifest, batch: Batch, written: list[Part]) -> Manifest:
    kinds = sorted({*manifest.jsonl_bytes, *batch.bytes_of})
    return msgspec.structs.replace(
        manifest,
        parts=[*manifest.parts, *written],
        pending=batch.names,
        jsonl_bytes={k: manifest.jsonl_bytes.get(k, 0) + batch.bytes_of.get(k, 0) for k in kinds},
        torn=manifest.torn + batch.torn,
        malformed=manifest.malformed + batch.malformed,
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
