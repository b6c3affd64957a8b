"""Read the task head's file: the one that is packaged, or another."""

from importlib.resources import files
from pathlib import Path

from p402.errors import StoreError
from p402.routing.head import TaskHead, parse


def load_head(path: Path | None = None) -> TaskHead:
    """Load a task head.

    Parameters
    ----------
    path
        The file, or None for the packaged one.

    Raises
    ------
    StoreError
        The file is absent or unreadable, or its bytes are not a sound head.
    """
    source = files("p402.routing") / "data" / "tasks.json" if path is None else path
    try:
        data = source.read_bytes()
    except OSError as error:
        raise StoreError(
            f"cannot read the task head {source}: {error.strerror}; "
            "reinstall p402, or train it with `python datasets/tasks/train.py --write DAY`"
        ) from error
    try:
        return parse(data)
    except ValueError as error:
        raise StoreError(f"{source}: {error}") from error
