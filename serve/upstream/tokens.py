"""How many tokens a provider is believed, and how many are taken to have been used where it tells none.

It knows nothing of languages.
"""

from collections.abc import Mapping
from typing import Any, Final

from p402.ports import Usage

MAX_COUNT: Final = 1 << 23
"""Most tokens of one kind that a provider is believed: four times the longest prompt that is decided. Beyond
it usage counts as missing, and is estimated, lest one reply close a tenant's day."""
BYTES_PER_TOKEN: Final = 4
"""Of English text; used only where a provider reports no usage, and flagged."""

MAX_TIER: Final = 32
"""Characters of a service tier's name that are kept."""
AUDIO: Final = "audio"
"""Stands for a tier where tokens of sound were billed: they have prices of their own, and none is known."""
_STANDARD: Final = frozenset({"auto", "default", "standard", "on_demand"})


def counted(mapping: Mapping[str, Any], name: str) -> int | None:
    """A count as reported; None where there is none that can be believed."""
    value = mapping.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def tier_of(told: Any) -> str | None:
    """An answer's `service_tier` where it is not the standard one; `auto` is a wish and tells of no bill."""
    if not isinstance(told, str) or not told or told.lower() in _STANDARD:
        return None
    return told[:MAX_TIER] if told.isascii() and told.isprintable() else "other"


def estimated(prompt_tokens: int, text_bytes: int, tier: str | None = None) -> Usage:
    """Usage from lengths, flagged."""
    return Usage(prompt_tokens, -(-text_bytes // BYTES_PER_TOKEN), estimated=True, tier=tier)


def utf8(value: Any) -> int:
    """UTF-8 bytes of a string; 0 of anything else."""
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
