"""Whether one field of a request has the type and range it should, by its dotted path.

Every check takes the value and its path and gives the narrow type, or raises `InvalidInput` with
what was found, what was expected and the path as `param`. null counts as absent where a field is
optional: clients that serialise their options send it.
"""

from collections.abc import Mapping
from typing import Any

from p402.errors import InvalidInput, nearest
from serve.wire.json import kind

Json = Mapping[str, Any]


def wrong(path: str, value: object, expected: str) -> InvalidInput:
    """The error for a value that is not what was expected; scalars are quoted back, shortened."""
    if isinstance(value, str):
        found = f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'
    elif isinstance(value, (bool, int, float)):
        found = str(value).lower()
    else:
        found = kind(value)
    return InvalidInput(f"{path}: found {found}, expected {expected}", param=path)


def boolean(value: object, path: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(path, value, "true or false")
    return value


def whole(value: object, path: str, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    if type(value) is not int or not low <= value <= high:
        raise wrong(path, value, f"a whole number from {low} to {high}")
    return value


def text(value: object, path: str, longest: int, *, printable: bool = False) -> str:
    """Non-empty text of at most `longest` characters; without control characters if `printable`."""
    if not isinstance(value, str) or not value:
        raise wrong(path, value, "a non-empty string")
    if len(value) > longest:
        raise wrong(path, value, f"at most {longest} characters and not {len(value)}")
    if printable and not value.isprintable():
        raise wrong(path, value.encode("unicode_escape").decode(), "text without control characters")
    return value


def array(value: object, path: str, longest: int) -> list[Any]:
    """An array of at most `longest` items."""
    if not isinstance(value, list):
        raise wrong(path, value, "an array")
    if len(value) > longest:
        raise InvalidInput(f"{path}: found {len(value)} items, expected at most {longest}", param=path)
    return value


def words(value: object, path: str, longest: int, known: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """An array of short names, each one of `known` if given; repetitions are dropped."""
    names: dict[str, None] = {}
    for i, item in enumerate(array(value, path, longest)):
        name = text(item, f"{path}[{i}]", 200, printable=True)
        if known is not None and name not in known:
            raise wrong(f"{path}[{i}]", name, f"one of {', '.join(known)}{nearest(name, known)}")
        names[name] = None
    return tuple(names)


def mapping(value: object, path: str) -> Json:
    """An object."""
    if not isinstance(value, dict):
        raise wrong(path, value, "an object")
    return value


def labels(value: object, path: str, most: int, longest: int) -> dict[str, str]:
    """A small object of strings: at most `most` names of 64 characters, values of `longest`."""
    found = mapping(value, path)
    if len(found) > most:
        raise InvalidInput(f"{path}: found {len(found)} entries, expected at most {most}", param=path)
    for name, entry in found.items():
        where = f"{path}.{name[:64]}"
        text(name, where, 64, printable=True)
        if not isinstance(entry, str) or len(entry) > longest:
            raise wrong(where, entry, f"a string of at most {longest} characters")
    return dict(found)


def refuse_unknown(found: Json, known: tuple[str, ...], path: str = "") -> None:
    """Refuse a field that nobody knows, and name the nearest that somebody does."""
    for name in found:
        if name not in known:
            where = f"{path}.{name}" if path else name
            raise InvalidInput(
                f"{where[:200]}: unknown field; expected {', '.join(known)}{nearest(name[:64], known)}",
                param=where[:200],
            )
