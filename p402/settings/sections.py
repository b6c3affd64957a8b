"""How one table of the configuration becomes one of the settings' dataclasses.

A variable of the environment goes before the table, the table before what stands behind it: another
section, or the fields' own defaults. It knows nothing of which tables there are.
"""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, replace
from typing import Any, TypeVar

from p402.errors import ConfigError, nearest
from p402.settings.kinds import Kind, shown
from p402.settings.model import (
    KeySettings,
    ModelSettings,
    PolicySettings,
    ProviderSettings,
    ServerSettings,
    TenantSettings,
)

AnySection = ServerSettings | ModelSettings | ProviderSettings | TenantSettings | PolicySettings | KeySettings
Section = TypeVar(
    "Section", ServerSettings, ModelSettings, ProviderSettings, TenantSettings, PolicySettings, KeySettings
)
Overrides = Mapping[str, tuple[str, str]]
"""Field name to the variable's name and text."""


def settable(section: type[AnySection]) -> tuple[Field[Any], ...]:
    """Fields of a section that stand in the file under their own name."""
    return tuple(f for f in fields(section) if "kind" in f.metadata)


def section(
    cls: type[Section],
    table: Mapping[str, Any],
    path: str,
    overrides: Overrides,
    base: Section | None = None,
    **given: Any,
) -> Section:
    """Read one table at the dotted `path`; `base` stands behind it, `given` are values read elsewhere.

    Raises
    ------
    ConfigError
        A name is unknown, a value is wrong, or one is missing.
    """
    known: dict[str, Field[Any]] = {f.name: f for f in settable(cls)}
    _refuse_unknown(table, (*known, "models") if "models" in given else tuple(known), path)
    values = dict(given)
    for name, spec in known.items():
        kind: Kind[Any] = spec.metadata["kind"]
        if name in overrides:
            variable, text = overrides[name]
            values[name] = kind.read_text(text, variable)
        elif name in table:
            values[name] = kind.read(table[name], f"{path}.{name}")
        elif base is None and spec.default is MISSING:
            raise ConfigError(f"{path}.{name} is missing: expected {kind.expected}; add it")
    return cls(**values) if base is None else replace(base, **values)


def as_table(value: object, path: str) -> Mapping[str, Any]:
    """A value as a table, or the error that says what it is."""
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}: found {shown(value)}, expected a table; write it as `[{path}]`")
    return value


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], path: str) -> None:
    for name in table:
        if name not in known:
            raise ConfigError(
                f"{path}.{name}: unknown setting; the README lists them all{nearest(name, known)}"
            )
