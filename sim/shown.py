"""How commands over a log show what they found, and how far they are. It knows nothing of either."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

WIDTH: Final = 120
"""Columns of a table that does not go to a terminal."""


class Advance(Protocol):
    """Takes how much is done, and of how much."""

    def __call__(self, done: int, total: int, /) -> None: ...  # noqa: D102 - as the class says


def show(parts: Iterable[RenderableType], document: str | None) -> None:
    """Print the document where there is one, else the parts for people."""
    if document is not None:
        print(document)
        return
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str))


def json_of(value: object) -> str:
    """One JSON document, with no newline at its end; numbers that are not finite are null."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def minute_of(ms: int) -> str:
    """A time since 1970 as UTC to the minute, such as `2026-11-26 18:00`."""
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M}"


@contextmanager
def bar(what: str) -> Iterator[Advance]:
    """A progress bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
