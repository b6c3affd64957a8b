"""Which Parquet files the log consists of, and the one hash that names them all.

`manifest.json` is replaced atomically; a file that it does not list is not part of the log.
Its digest is the dataset's: an experiment that pins it can say later what it was fed.
It knows nothing of Parquet.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import StoreError
from p402.store.atomic import write_atomic

MANIFEST: Final = "manifest.json"
PARQUET: Final = "parquet"
VERSION: Final = 1


class Part(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One Parquet file: its path under the log, its content's hash, and what it spans."""

    path: str
    kind: str
    sha256: str
    rows: int
    size_bytes: int
    min_ts_ms: int
    max_ts_ms: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit of the compactor leaves.

    Attributes
    ----------
    digest
        SHA-256 of the parts' canonical JSON, ascending by path.
    pending
        Segments whose events are in `parts` and that may not be deleted yet.
    jsonl_bytes
        Bytes of the lines that went in, by kind, since the first compaction.
    torn, malformed
        Unfinished last lines and whole lines that were no event, all kept in quarantine.
    """

    version: int = VERSION
    digest: str
    parts: list[Part]
    pending: list[str] = []
    jsonl_bytes: dict[str, int] = {}
    torn: int = 0
    malformed: int = 0

    def of_kind(self, kind: str) -> list[Part]:
        """Parts of one kind, ascending by path."""
        return [part for part in self.parts if part.kind == kind]


def digest_of(parts: list[Part]) -> str:
    """SHA-256, hex, of the canonical list of files."""
    return hashlib.sha256(msgspec.json.encode(sorted(parts), order="deterministic")).hexdigest()


EMPTY: Final = Manifest(digest=digest_of([]), parts=[])


def exists(root: Path) -> bool:
    """Whether anything was ever committed."""
    return (root / MANIFEST).exists()


def load(root: Path) -> Manifest:
    """The last committed manifest; `EMPTY` where there is none.

    Raises
    ------
    StoreError
        The file is no manifest of this version, or its digest is not that of its parts.
    """
    path = root / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return EMPTY
    except msgspec.DecodeError as reason:
        raise StoreError(f"{path}: {reason}; expected a manifest; restore it from a copy") from reason
    if manifest.version != VERSION:
        raise StoreError(
            f"{path}: found version {manifest.version}; expected {VERSION}; use the p402 that wrote it"
        )
    if (seen := digest_of(manifest.parts)) != manifest.digest:
        raise StoreError(
            f"{path}: its parts hash to {seen}; expected {manifest.digest}; it was edited or is damaged: "
            f"restore it from a copy"
        )
    return manifest


def commit(root: Path, manifest: Manifest) -> Manifest:
    """Replace the manifest atomically, parts sorted and digest renewed; return what was written."""
    parts = sorted(manifest.parts)
    sealed = msgspec.structs.replace(manifest, parts=parts, digest=digest_of(parts))
    write_atomic(root / MANIFEST, msgspec.json.format(msgspec.json.encode(sealed), indent=1))
    return sealed
