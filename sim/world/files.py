"""How a world's spec lies on disk: TOML or JSON, by the name's ending.

Reading tells what is wrong and where. Writing leaves out what is as usual and reads back as the same spec.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from p402.errors import ConfigError
from sim.world.spec import WorldSpec
from sim.written import write_whole

TOML: Final = ".toml"
JSON: Final = ".json"


def read_spec(path: Path) -> WorldSpec:
    """Read a world.

    Raises
    ------
    ConfigError
        The file cannot be read, is neither TOML nor JSON, or describes no world: which field, and why.
    """
    require_ending(path)
    try:
        return parse_spec(path.read_bytes(), path.suffix)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; give the path of a world's spec"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_spec(data: bytes, ending: str) -> WorldSpec:
    """Read a world from bytes of the form that `ending` names.

    Raises
    ------
    ConfigError
        As of `read_spec`.
    """
    try:
        raw = tomllib.loads(data.decode()) if ending == TOML else msgspec.json.decode(data)
        return msgspec.convert(raw, WorldSpec)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.ValidationError):
            raise ConfigError(f"no world: {error}") from error
        raise ConfigError(f"not {ending.removeprefix('.').upper()}: {error}") from error


def write_spec(path: Path, spec: WorldSpec) -> None:
    """Write a world, whole or not at all.

    Raises
    ------
    ConfigError
        The name's ending is neither of TOML nor of JSON.
    P402Error
        It cannot be written.
    """
    write_whole(path, spec_text(spec, require_ending(path)))


def spec_text(spec: WorldSpec, ending: str = TOML) -> str:
    """A world as text that `parse_spec` reads back."""
    if ending == JSON:
        return msgspec.json.format(msgspec.json.encode(spec)).decode() + "\n"
    return "\n".join(_tables(msgspec.to_builtins(spec), ())).lstrip("\n") + "\n"


def require_ending(path: Path) -> str:
    """The path's ending, `.toml` or `.json`.

    Raises
    ------
    ConfigError
        It has another.
    """
    if path.suffix not in {TOML, JSON}:
        raise ConfigError(f"{path}: its name ends in {path.suffix!r}; expected .toml or .json")
    return path.suffix


def _tables(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """A table's plain values, then its tables, each below a header of its own."""
    below: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) or _is_rows(value):
            below.append((key, value))
        else:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in below:
        inner = (*path, key)
        name = ".".join(_key(part) for part in inner)
        for rows in value if _is_rows(value) else (value,):
            yield f"\n[[{name}]]" if _is_rows(value) else f"\n[{name}]"
            yield from _tables(rows, inner)


def _is_rows(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    bare = key.replace("_", "").replace("-", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _value(value: object) -> str:
    """TOML of a plain value; JSON's strings, numbers and booleans are TOML's as well."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
