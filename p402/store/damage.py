"""Which Parquet file of the log is damaged, told by the manifest and not by an error's words.

Whoever reads a damaged file fails somewhere, often without saying where; the manifest has every
file's size and hash. Looking reads the whole log, so it is done only once something has failed.
It knows nothing of queries.
"""

from pathlib import Path
from typing import Final

from p402.errors import StoreError
from p402.store import manifest as manifests
from p402.store.manifest import Part
from p402.store.parts import hash_of

_MEND: Final = "restore it from a copy"


def damage_of(root: Path) -> StoreError | None:
    """What is wrong with the first file that is not as the manifest lists it; None if all are.

    Sizes are compared before contents: most damage is found without reading a file.

    Raises
    ------
    StoreError
        The manifest itself cannot be used.
    """
    parts = manifests.load(root).parts
    for differs in (_size_differs, _content_differs):
        for part in parts:
            try:
                found = differs(root / part.path, part)
            except OSError as reason:
                found = f"{reason.strerror}; expected the file that the manifest lists"
            if found:
                return StoreError(f"{root / part.path}: {found}; {_MEND}")
    return None


def _size_differs(path: Path, part: Part) -> str:
    seen = path.stat().st_size
    if seen == part.size_bytes:
        return ""
    return f"found {seen} bytes; expected {part.size_bytes}, as the manifest lists it"


def _content_differs(path: Path, part: Part) -> str:
    seen = hash_of(path)
    if seen == part.sha256:
        return ""
    return f"its bytes hash to {seen[:12]}; expected {part.sha256[:12]}, as the manifest lists it"
