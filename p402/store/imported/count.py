"""How many calls of other systems' logs a log has, without reading any of them."""

from pathlib import Path
from typing import Final

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.segments import all_names, read_segment

LINE: Final = b'{"kind":"imported",'
"""How the line of such a call begins: the kind comes first in every line."""

_TRIES: Final = 20


def imported_calls(root: Path) -> int:
    """Rows of that kind in Parquet and in segments that are not compacted; one that is in both counts once.

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
            lines = sum(data.count(b"\n" + LINE) + data.startswith(LINE) for data in segments if data)
            return lines + sum(part.rows for part in manifest.of_kind("imported"))
    raise StoreError(f"{root} was compacted {_TRIES} times while it was read; expected a pause; try again")
