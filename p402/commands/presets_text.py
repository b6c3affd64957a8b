"""How the list of presets reads: as plain JSON values, and as the table that the gateway's README prints.

It knows nothing of the command line.
"""

from collections.abc import Iterator
from typing import Any

from p402.catalog.model import Catalog, is_priced
from p402.settings.model import is_spoken
from p402.settings.presets import PRESETS, Preset


def described(catalog: Catalog) -> list[dict[str, Any]]:
    """Every preset as plain JSON values; `priced_models` is None where the catalogue has none of it."""
    return [
        {
            "name": name,
            "dialect": preset.dialect,
            "base_url": preset.base_url or None,
            "api_key_env": preset.key_env,
            "catalog": preset.catalog,
            "priced_models": priced(catalog, preset),
            "output_field": preset.output_field,
            "extra_fields": list(preset.extra_fields),
            "message_fields": list(preset.message_fields),
            "omit_fields": list(preset.omit_fields),
            "note": preset.note or None,
            "docs": preset.docs,
            "read_on": preset.read_on,
        }
        for name, preset in PRESETS.items()
    ]


def priced(catalog: Catalog, preset: Preset) -> int | None:
    """How many models of it the catalogue has prices of."""
    if preset.catalog is None:
        return None
    return sum(
        d.provider == preset.catalog
        and d.status == "active"
        and is_priced(d)
        and is_spoken(preset.dialect, d.model)
        for d in catalog.deployments
    )


def presets_table(catalog: Catalog) -> str:
    """The list as markdown."""
    lines = [
        "| name | dialect | base URL | key | priced models | otherwise than OpenAI |",
        "|---|---|---|---|---|---|",
    ]
    for name, preset in PRESETS.items():
        models = priced(catalog, preset)
        cells = (
            f"[`{name}`]({preset.docs})",
            preset.dialect,
            preset.base_url or "yours",
            _key(preset),
            "yours" if models is None or preset.needs_models else str(models),
            "; ".join(quirks(preset)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def quirks(preset: Preset) -> Iterator[str]:
    """What it does otherwise, a phrase each."""
    if preset.output_field != "max_tokens":
        yield f"`{preset.output_field}`"
    for fields, word in (
        (preset.omit_fields, "without"),
        (preset.extra_fields, "also takes"),
        (preset.message_fields, "in messages"),
    ):
        if fields:
            yield f"{word} {', '.join(f'`{field}`' for field in fields)}"
    if preset.note:
        yield preset.note


def _key(preset: Preset) -> str:
    if preset.key_env is None:
        return "none"
    return f"`{preset.key_env}`" + ("" if preset.needs_key else ", if set")
