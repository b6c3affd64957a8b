"""Read the catalogue file: the one that is packaged, or another that the operator names."""

from importlib.resources import files
from pathlib import Path

from p402.catalog.codec import parse
from p402.catalog.model import Catalog
from p402.errors import StoreError


def load_catalog(path: Path | None = None) -> Catalog:
    """Load a catalogue file.

    Parameters
    ----------
    path
        The file, or None for the packaged one.

    Raises
    ------
    StoreError
        The file is absent or unreadable, or its bytes are not a sound catalogue.
    """
    source = files("p402.catalog") / "data" / "catalog.json" if path is None else path
    try:
        data = source.read_bytes()
    except OSError as error:
        raise StoreError(
            f"cannot read the catalogue {source}: {error.strerror}; "
            "reinstall p402, or build it with `python datasets/catalog/build.py`"
        ) from error
    try:
        return parse(data)
    except ValueError as error:
        raise StoreError(f"catalogue {source}: {error}") from error
