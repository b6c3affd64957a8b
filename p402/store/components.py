"""Where snapshots lie: each component once, under the hash of its bytes.

A snapshot is a small record of its components' hashes, and the hash of that record is its id.
Bytes are checked against their name on every read, so a row that cites an id gets exactly what
was decided under or an error. Several processes may write at once: equal names are equal bytes.
It knows nothing of what components mean.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import CorruptComponent, MissingSnapshot
from p402.store.atomic import store_error, write_atomic

SNAPSHOT: Final = "snapshot"
"""The kind under which snapshot records lie; no component may take it."""

_KIND = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_HASH = re.compile(r"[0-9a-f]{64}")
_encode = msgspec.json.Encoder(order="deterministic").encode
_record = msgspec.json.Decoder(dict[str, str])


def sha256(data: bytes) -> str:
    """Lower-case hex SHA-256."""
    return hashlib.sha256(data).hexdigest()


def snapshot_record(parts: Mapping[str, bytes]) -> bytes:
    """Canonical record of a snapshot: `{component: hash}`, keys ascending. Its SHA-256 is the id."""
    return _encode({kind: sha256(data) for kind, data in parts.items()})


class ComponentStore:
    """Content-addressed files under `root/<kind>/<first two digits>/<hash>.json`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, kind: str, data: bytes) -> str:
        """Store `data` once and return its hash. A stored copy that has rotted is mended.

        Raises
        ------
        DiskFull
            There was no room; nothing changed.
        """
        digest = sha256(data)
        path = self._path(kind, digest)
        if _bytes_of(path) != data:
            write_atomic(path, data)
        return digest

    def get(self, kind: str, digest: str) -> bytes:
        """Bytes whose hash is `digest`.

        Raises
        ------
        MissingSnapshot
            Nothing is stored under that name.
        CorruptComponent
            The file's bytes have another hash.
        """
        path = self._path(kind, digest)
        data = _bytes_of(path)
        if data is None:
            raise MissingSnapshot(
                f"{kind} {digest} is not in {self.root}: expected {path.name}; point the command at the "
                f"folder that the gateway wrote, or restore that file from a copy"
            )
        if (seen := sha256(data)) != digest:
            raise CorruptComponent(
                f"{path} is corrupt: found {len(data)} bytes with hash {seen}; expected {digest}; restore it "
                f"from a copy, or delete it and let a process that holds the component store it again"
            )
        return data

    def put_snapshot(self, parts: Mapping[str, bytes]) -> str:
        """Store every component, then the record that names them; return the snapshot's id."""
        for kind, data in parts.items():
            if kind == SNAPSHOT:
                raise ValueError(f"no component may be called {SNAPSHOT!r}")
            self.put(kind, data)
        return self.put(SNAPSHOT, snapshot_record(parts))

    def get_snapshot(self, snapshot_id: str) -> dict[str, bytes]:
        """Components of a snapshot, by name.

        Raises
        ------
        MissingSnapshot
            The record or one of its components is absent.
        CorruptComponent
            Bytes on disk do not have their name's hash.
        """
        record = _record.decode(self.get(SNAPSHOT, snapshot_id))
        return {kind: self.get(kind, digest) for kind, digest in record.items()}

    def has_snapshot(self, snapshot_id: str) -> bool:
        """Whether a record of that id is stored; its bytes are not checked."""
        return self._path(SNAPSHOT, snapshot_id).exists()

    def snapshots(self) -> Iterator[str]:
        """Ids of all stored snapshots, ascending."""
        for path in sorted((self.root / SNAPSHOT).glob("??/*.json")):
            yield path.stem

    def _path(self, kind: str, digest: str) -> Path:
        if not _KIND.fullmatch(kind):
            raise ValueError(f"not a component's name: found {kind!r}; expected lower-case letters")
        if not _HASH.fullmatch(digest):  # a log row is not trusted with a path
            raise MissingSnapshot(f"not an id: found {digest!r}; expected 64 lower-case hex digits")
        return self.root / kind / digest[:2] / f"{digest}.json"


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise store_error(path, reason) from reason
