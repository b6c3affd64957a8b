"""Files that `p402 sim providers` writes: which it may replace, and each written whole or not at all.

What someone else wrote, a real configuration above all, is never replaced unless that is asked for.
A file is ours by its first line, which whoever edits the file can delete to keep it.
"""

from pathlib import Path
from typing import Final

from p402.errors import P402Error

MARK: Final = "# Written by `p402 sim providers`"
FIRST_LINE: Final = f"{MARK}, which replaces this file at its next start; to keep it, delete this line."


def refuse_anothers(path: Path, option: str) -> None:
    """Refuse a path that holds a file of someone else's; absent, empty or ours is well.

    Raises
    ------
    P402Error
        The file is not ours, or cannot be looked at.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MARK.encode()))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise P402Error(f"{option}: cannot look at {path}: {error.strerror}; give another path") from error
    if start not in {b"", MARK.encode()}:
        raise P402Error(
            f"{option}: {path} exists, and this command did not write it; expected no file, or one whose "
            f"first line says that it did; nothing was changed: give another path, or --force to replace it"
        )


def write_ours(path: Path, text: str) -> None:
    """Write a file that the next start may replace."""
    write_whole(path, f"{FIRST_LINE}\n{text}")


def write_whole(path: Path, text: str) -> None:
    """Write a whole file or none: a reader that waits for it never sees half."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text)
        part.replace(path)
    except OSError as error:
        raise P402Error(f"cannot write {path}: {error.strerror}") from error
