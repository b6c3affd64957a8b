"""How many calls of other systems' logs a log has, and their bytes on disk, without parsing any of them."""

from pathlib import Path
from typing import Final, NamedTuple

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.segments import all_names, read_segment

LINE: Final = b'{"kind":"imported",'
"""How the line of such a call begins: the kind comes first in every line."""

_TRIES: Final = 20


class Imported(NamedTuple):
    """Calls of that kind, in Parquet and in segments that are not compacted, each counted once."""

    calls: int
    size_bytes: int


def imported_in(root: Path) -> Imported:
    """What a log has of other systems' calls.

    Raises
    ------
    StoreError
        The manifest cannot be used, or the log is compacted again and again meanwhile.
    """
    for _ in range(_TRIES):
        names = list(all_names(root))
        manifest = manifests.load(root)
        segments = [read_segment(root, name) for name in names if name not in set(manifest.pending)]
        if None not in segments:  # else one was compacted since, and the next manifest has it
            lines = [_lines(data) for data in segments if data]
            parts = manifest.of_kind("imported")
            return Imported(
                sum(calls for calls, _ in lines) + sum(part.rows for part in parts),
                sum(size for _, size in lines) + sum(part.size_bytes for part in parts),
            )
    raise StoreError(f"{root} was compacted {_TRIES} times while it was read; expected a pause; try again")


def _lines(data: bytes) -> tuple[int, int]:
    """How many lines are such calls, and their bytes."""
    if LINE not in data:
        return 0, 0
    sizes = [len(line) for line in data.splitlines(keepends=True) if line.startswith(LINE)]
    return len(sizes), sum(sizes)
