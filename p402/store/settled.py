"""What a log is as of one instant: its manifest, and the segments that it does not cover.

Writers append and the compactor moves things meanwhile; here is where that is borne. It knows nothing of
DuckDB, so that whoever reads a log by its files alone need not load it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.manifest import Manifest
from p402.store.segments import all_names, segment_size

Found = TypeVar("Found")

_TRIES: Final = 20


def require_log(root: Path) -> None:
    """Raise `StoreError` where `root` is no folder."""
    if not root.is_dir():
        raise StoreError(
            f"{root} is no folder; expected the log that the gateway writes: pass --log, or start it"
        )


def uncompacted(root: Path) -> tuple[Manifest, tuple[tuple[str, int], ...]]:
    """The manifest, and every segment that it does not cover with its size in bytes: the log as of this call.

    Segments only grow, and a size cuts one at what had been appended.

    Raises
    ------
    StoreError
        There is no such folder, or its manifest cannot be used.
    """
    require_log(root)
    found: list[tuple[str, int]] = []
    manifest = settled(root, lambda name, size: found.append((name, size)), found.clear, segment_size)
    return manifest, tuple((name, size) for name, size in found if size)


def unread(path: Path, reason: Exception) -> StoreError:
    """What to say where every file is as the manifest lists it."""
    said = str(reason).partition("\n")[0]
    return StoreError(
        f"{path} cannot be read: {said}; its Parquet files are as the manifest lists them, so expected is "
        f"memory and disk for the query: free some and try again"
    )


def settled(
    root: Path,
    take: Callable[[str, Found], None],
    restart: Callable[[], None],
    read: Callable[[Path, str], Found | None],
) -> Manifest:
    """Hand what `read` finds of every segment that the returned manifest does not cover to `take`, once each.

    Names are listed before the manifest is read, so what left the list is in the manifest; what
    leaves later is found missing, and everything starts over.
    """
    for _ in range(_TRIES):
        names = list(all_names(root))
        manifest = manifests.load(root)
        covered = set(manifest.pending)
        for name in names:
            if name in covered:
                continue
            found = read(root, name)
            if found is None:  # compacted since: it is in the next manifest
                break
            take(name, found)
        else:
            return manifest
        restart()
    raise StoreError(f"{root} was compacted {_TRIES} times while it was read; expected a pause; try again")
