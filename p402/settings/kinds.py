"""Which values a setting may hold, in words an operator reads and as code that checks.

A kind turns a TOML value, or an environment variable's text, into the narrow type of a field.
It knows nothing of which settings exist, of files or of the environment.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from typing import Final, Generic, TypeVar
from urllib.parse import SplitResult, urlsplit

from p402.errors import ConfigError, nearest

T = TypeVar("T")


class Secret(str):
    """Text that is not shown: neither printed nor part of a repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say that there is one."""
        return "Secret(***)"

    def __str__(self) -> str:
        """Say that there is one; `reveal` gives the text."""
        return "***"

    def __format__(self, spec: str) -> str:
        """Say that there is one, in f-strings too."""
        return format("***", spec)

    def reveal(self) -> str:
        """The text itself."""
        return "".join(self)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value.

    Attributes
    ----------
    expected
        Completes "expected ..." in a message and the table of settings.
    convert
        TOML value to field value; raises ValueError, TypeError or ArithmeticError.
    of_text
        An environment variable's text to what TOML would have given.
    mend
        What to do about a bad value, completing "; ...".
    secret
        The value is never quoted back.
    """

    expected: str
    convert: Callable[[object], T]
    mend: str
    of_text: Callable[[str], object] = str
    secret: bool = False

    def read(self, value: object, path: str) -> T:
        """Field value of a TOML value found at the dotted `path`; ConfigError says what is wrong."""
        try:
            return self.convert(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            hint = str(error) if isinstance(error, _Hint) else ""
            found = shown(value, secret=self.secret)
            raise ConfigError(f"{path}: found {found}, expected {self.expected}; {self.mend}{hint}") from None

    def read_text(self, text: str, variable: str) -> T:
        """Field value of an environment variable's text."""
        try:
            value = self.of_text(text)
        except (ValueError, ArithmeticError):
            value = text
        return self.read(value, variable)


class _Hint(ValueError):
    """A refusal whose text adds to `expected`, as the nearest known words."""


def shown(value: object, *, secret: bool = False) -> str:
    """A found value as a message quotes it: short, and not at all if it may be a secret."""
    if secret:
        return f"a {_kind_of(value)}"
    if isinstance(value, (dict, list)):
        return f"a {_kind_of(value)}"
    text = (
        f'"{value}"'
        if isinstance(value, str)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}..."


def _kind_of(value: object) -> str:
    names = {dict: "table", list: "array", str: "string", bool: "boolean", int: "number", Decimal: "number"}
    return names.get(type(value), type(value).__name__)


def text(expected: str, pattern: str, mend: str, *, secret: bool = False) -> Kind[str]:
    """Text that matches `pattern` from end to end."""
    compiled = re.compile(pattern)

    def convert(value: object) -> str:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise ValueError
        return Secret(value) if secret else value

    return Kind(expected, convert, mend, secret=secret)


def whole(low: int, high: int, unit: str = "") -> Kind[int]:
    """A whole number in [low, high]."""

    def convert(value: object) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    amount = f"a whole number of {unit}" if unit else "a whole number"
    return Kind(f"{amount} from {low} to {high}", convert, "change it", of_text=int)


def exact(low: Decimal, high: Decimal, unit: str) -> Kind[Decimal]:
    """An exact amount in [low, high], from a TOML number or from text."""

    def convert(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
            raise TypeError
        amount = Decimal(str(value))
        if not amount.is_finite() or not low <= amount <= high:
            raise ValueError
        return amount

    return Kind(f"{unit} from {low} to {high}", convert, "change it", of_text=_decimal)


def _decimal(text_: str) -> Decimal:
    try:
        return Decimal(text_)
    except InvalidOperation as error:
        raise ValueError from error


def flag() -> Kind[bool]:
    """True or false."""

    def convert(value: object) -> bool:
        if not isinstance(value, bool):
            raise TypeError
        return value

    words = {"true": True, "1": True, "false": False, "0": False}
    return Kind(
        "true or false", convert, "write it without quotes", of_text=lambda t: words.get(t.lower(), t)
    )


def one_of(*words: str) -> Kind[str]:
    """One of a few words."""

    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        if value not in words:
            raise _Hint(nearest(value, words))
        return value

    return Kind(f"one of {', '.join(words)}", convert, "choose one of these")


def several(known: tuple[str, ...] | None = None) -> Kind[tuple[str, ...]]:
    """A list of distinct words, of `known` ones if given; commas part them in an environment variable."""

    def convert(value: object) -> tuple[str, ...]:
        if not isinstance(value, (list, tuple)):
            raise TypeError
        for word in value:
            if not isinstance(word, str) or not word:
                raise TypeError
            if known is not None and word not in known:
                raise _Hint(nearest(word, known))
        if len(set(value)) != len(value):
            raise _Hint("; it names one twice")
        return tuple(value)

    expected = f"a list of {', '.join(known)}" if known else "a list of names"
    return Kind(
        expected,
        convert,
        'write it as ["...", "..."]',
        of_text=lambda t: [w.strip() for w in t.split(",") if w.strip()],
    )


def url() -> Kind[str]:
    """An http or https URL with a host and without user, query or fragment; a closing slash is dropped."""

    def convert(value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or " " in value:
            raise TypeError
        parts: SplitResult = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError
        if parts.query or parts.fragment or (parts.port is not None and parts.port < 1):
            raise ValueError
        if not all(0 < len(label) < 64 for label in parts.hostname.removesuffix(".").split(".")):
            raise ValueError  # no name server would be asked for it
        return value.rstrip("/")

    return Kind("a URL", convert, 'write it like "https://api.example.com/v1"')


def webhook() -> Kind[Secret]:
    """An https URL, or an http one of loopback, without user or fragment; secret: it may hold a token."""

    def convert(value: object) -> Secret:
        if not isinstance(value, str) or re.fullmatch(r"[\x21-\x7e]{1,2048}", value) is None:
            raise TypeError
        parts: SplitResult = urlsplit(value)
        host = parts.hostname or ""
        if "@" in parts.netloc or "#" in value or (parts.port is not None and parts.port < 1):
            raise ValueError
        if not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
            raise ValueError
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise ValueError
        return Secret(value)

    return Kind(
        "an https URL, or an http one of loopback, without user or fragment",
        convert,
        'write it like "https://hooks.example.com/p402"',
        secret=True,
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


NAME: Final = r"[a-z0-9][a-z0-9._-]{0,62}"
"""Names of providers, tenants and keys: they travel in headers, arm ids and metrics."""

VARIABLE: Final = text(
    "the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]{0,127}", "name the variable, not its value"
)
PATH: Final = text(
    "a path", r"[^\x00\r\n]{1,4096}", "write it relative to where the gateway starts, or in full"
)
