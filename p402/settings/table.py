"""The table of settings that the README prints, made from the dataclasses that define them."""

from dataclasses import MISSING
from decimal import Decimal
from typing import Final

from p402.settings.model import (
    KeySettings,
    ModelSettings,
    PolicySettings,
    ProviderSettings,
    ServerSettings,
    TenantSettings,
)
from p402.settings.sections import AnySection, settable

_PARTS: Final[tuple[tuple[str, type[AnySection]], ...]] = (
    ("[server]", ServerSettings),
    ("[providers.NAME]", ProviderSettings),
    ("[[providers.NAME.models]]", ModelSettings),
    ("[tenants.NAME]", TenantSettings),
    ("[policies.NAME]", PolicySettings),
    ("[[keys]]", KeySettings),
)


def settings_table() -> str:
    """Every setting as markdown: one table a section."""
    lines: list[str] = []
    for title, cls in _PARTS:
        lines += [
            f"**`{title}`**",
            "",
            "| setting | default | expected | what it does |",
            "|---|---|---|---|",
        ]
        for spec in settable(cls):
            kind = spec.metadata["kind"]
            default = spec.metadata["shown"] or (
                "required" if spec.default is MISSING else _default(spec.default)
            )
            lines.append(f"| `{spec.name}` | {default} | {kind.expected} | {spec.metadata['doc']} |")
        if cls is ProviderSettings:
            lines.append(
                "| `models` | all of the catalogue's | catalogue ids, or the tables below | its offer |"
            )
        lines.append("")
    return "\n".join(lines)


def _default(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f'`"{value}"`'
        case tuple():
            words = ", ".join(f'"{word}"' for word in value)
            return f"`[{words}]`"
        case Decimal() | int():
            return f"`{value}`"
        case _:
            raise TypeError(f"no way to print a default of type {type(value).__name__}; add one here")
