"""How a number and its interval are written, in tables, plots and on the page alike."""

from math import isfinite
from typing import Final

from sim.compare.measures import Form
from sim.compare.paired import Bounded

MINUS: Final = "\N{MINUS SIGN}"

UNKNOWN: Final = "unknown"


def written(value: float, form: Form, *, signed: bool = False) -> str:
    """A number of some form; a signed share is in percentage points. Minus is the ASCII one."""
    if not isfinite(value):
        return UNKNOWN
    text = _plain(value, form, "+" if signed else "")
    return text.replace("-", "", 1) if not any(digit in text for digit in "123456789") else text


def _plain(value: float, form: Form, sign: str) -> str:
    match form:
        case "count":
            return f"{value:{sign},.{_places(value, 3)}f}"
        case "score":
            return f"{value:{sign}.{4 if sign else 3}f}"
        case "share":
            return f"{100.0 * value:{sign}.{2 if sign else 1}f}{' pp' if sign else '%'}"
        case "usd":
            return f"{value:{sign},.{_places(value, 4)}f}"
        case "ms":
            return f"{value:{sign},.{1 if abs(value) < 10.0 else 0}f}"


def interval(at: Bounded, form: Form, *, signed: bool = False) -> str:
    """Its 95 % interval, `[lower, upper]`."""
    if not (isfinite(at.lower) and isfinite(at.upper)):
        return f"[{UNKNOWN}]"
    low, high = (written(bound, form, signed=signed).replace(" pp", "") for bound in (at.lower, at.upper))
    return f"[{low}, {high}]"


def p_value(p: float) -> str:
    """A p-value, never 0."""
    if not isfinite(p):
        return UNKNOWN
    return "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def typeset(text: str) -> str:
    """The same with a true minus before digits, for the page and plots."""
    made = []
    for i, letter in enumerate(text):
        follows = text[i + 1 : i + 2]
        begins = i == 0 or not text[i - 1].isalnum()
        made.append(MINUS if letter == "-" and begins and follows.isdigit() else letter)
    return "".join(made)


def _places(value: float, digits: int) -> int:
    """Decimal places that leave about so many digits."""
    size = abs(value)
    for power in range(digits):
        if size < 10.0 ** (power - 1):
            return min(6, digits - power + 1) if power else min(6, digits + 1)
    return 0 if size >= 10.0 ** (digits - 1) else 1
