"""What a field of somebody else's log says: money, time, counts and texts, exact or refused.

JSON numbers come as `Decimal` (see `p402.store.imported.lines`), CSV cells as text; both read alike. Absent,
null and empty are None. It knows nothing of who wrote the field.
"""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from p402.units import NANO_PER_USD, usd_to_nano

MAX_USD: Final = Decimal(1_000_000)
"""A call that is said to have cost more is damage, not a bill."""

_SECONDS_BELOW: Final = 10**11
"""A bare number below this is seconds since 1970, another is milliseconds: the year 5138, or 1973."""
_DATE_DIGITS: Final = 8
"""Of a date without dashes, the longest row of bare digits that is read as ISO 8601."""

_MOST: Final = 1 << 63
_MOST_TOKENS: Final = 1 << 40
_END_MS: Final = 253_402_300_800_000
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Unreadable(ValueError):
    """A row says what cannot be so; the message has the field, what was found and what is expected."""


def number(value: Any, name: str) -> Decimal | None:
    """A finite decimal, exactly as written.

    Raises
    ------
    Unreadable
        It is no number.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise Unreadable(f"{name}: found {_shown(value)}, expected a number")
    written = str(value).strip()
    try:
        found = Decimal(written)
    except InvalidOperation:
        raise Unreadable(f"{name}: found {_shown(value)}, expected a number") from None
    if not written.isascii() or "_" in written:  # Decimal reads 1_0 as ten; no log writes it so
        raise Unreadable(f"{name}: found {_shown(value)}, expected a number in plain digits")
    if not found.is_finite() or not -_MOST < found < _MOST:  # of 1e999999999 no arithmetic comes to an end
        raise Unreadable(f"{name}: found {_shown(value)}, expected a finite number below 2**63")
    return found


def nano(value: Any, name: str) -> int | None:
    """Nearest whole nano-USD of an amount in USD.

    Raises
    ------
    Unreadable
        It is no number, is below 0, or above `MAX_USD`.
    """
    usd = number(value, name)
    if usd is None:
        return None
    if not 0 <= usd <= MAX_USD:
        raise Unreadable(f"{name}: found {usd} USD, expected 0 to {MAX_USD:,} for one call")
    return int(usd_to_nano(usd))


def whole(value: Any, name: str) -> int | None:
    """A count of tokens or the like.

    Raises
    ------
    Unreadable
        It is no whole number of 0 or more.
    """
    found = number(value, name)
    if found is None:
        return None
    if found != found.to_integral_value() or not 0 <= found < _MOST_TOKENS:
        raise Unreadable(f"{name}: found {_shown(value)}, expected a whole number of 0 or more")
    return int(found)


def text(value: Any) -> str | None:
    """A non-empty text, without the white space around it; None of anything else."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
    return value.strip() or None


def instant(value: Any, name: str) -> int | None:
    """Milliseconds since 1970 UTC of an ISO 8601 time (UTC where it names no zone) or of a bare number.

    Raises
    ------
    Unreadable
        It is neither, or lies outside the years 1970 to 9999.
    """
    if value is None or value == "":
        return None
    found = _iso(value) if isinstance(value, str) else None
    if found is None:
        bare = number(value, name)
        assert bare is not None, "an empty value was answered above"
        found = int(bare * 1_000 if abs(bare) < _SECONDS_BELOW else bare)
    if not 0 <= found < _END_MS:
        raise Unreadable(f"{name}: found {_shown(value)}, expected a time from 1970 on")
    return found


def _iso(value: str) -> int | None:
    written = value.strip()
    if written.isdecimal() and len(written) > _DATE_DIGITS:
        return None  # 1764101511234 is a moment in ms, not 23:41 on a day of 1764
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    whole_seconds = int(found.replace(microsecond=0).timestamp())
    return whole_seconds * 1_000 + found.microsecond // 1_000


def unpacked(value: Any) -> Any:
    """A value that may have been written as JSON text within a field: read, or as it is where it is none."""
    if isinstance(value, str) and value[:1] in {"{", "["}:
        try:
            return _decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return value
    return value


def table(value: Any) -> dict[str, Any]:
    """An object, also where it was written as text; empty for anything else."""
    found = unpacked(value)
    return found if isinstance(found, dict) else {}


def span_ms(start: int | None, end: int | None) -> float | None:
    """Milliseconds from one instant to another; None where one is unknown or they run backwards."""
    if start is None or end is None or end < start:
        return None
    return float(end - start)


def usd(nano_usd: int) -> str:
    """An amount for people, exact."""
    return f"{Decimal(nano_usd) / NANO_PER_USD:f}"


def _shown(value: Any) -> str:
    """A value in an error: short, so that no prompt gets into it."""
    said = repr(str(value) if isinstance(value, Decimal) else value)
    return said if len(said) <= 40 else f"{said[:37]}..."
