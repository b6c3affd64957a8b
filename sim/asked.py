"""What commands over a log ask in the same words: where it lies, an instant, one of some names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from p402.commands.run import BadQuestion
from p402.errors import nearest

Name = TypeVar("Name", bound=str)

LOG: Final = Path("var/p402/log")
STORE: Final = Path("var/p402/store")
"""Where a gateway that is not told otherwise writes its log and its snapshots."""


def instant_ms(option: str, text: str | None) -> int | None:
    """Milliseconds since 1970 of a day or time; one without a zone is UTC, and none is None.

    Raises
    ------
    BadQuestion
        The text is no time.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadQuestion(
            f"{option}: found {text!r}, expected a day or a time such as 2026-11-25 or 2026-11-25T18:00"
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def one_of(option: str, name: str, known: tuple[Name, ...]) -> Name:
    """A name that is known.

    Raises
    ------
    BadQuestion
        It is not; the message says what is, and what is near.
    """
    for one in known:
        if one == name:
            return one
    raise BadQuestion(f"{option}: found {name!r}; expected one of {', '.join(known)}{nearest(name, known)}")
