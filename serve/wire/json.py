"""Whether bytes are JSON that the gateway is willing to look at.

Size and depth are judged before the parser sees the bytes, in passes that run at memory speed.
The parser itself refuses NaN, Infinity, numbers beyond float64, lone surrogates and bytes that are
not UTF-8. A name that comes twice keeps its last value, as OpenAI's own parser does.
It knows nothing of what the object means.
"""

from typing import Any, Final

import orjson

from p402.errors import InvalidInput, TooLarge

MAX_BODY_BYTES: Final = 20 << 20
MAX_DEPTH: Final = 64
MAX_CONTAINERS: Final = 250_000
"""Arrays and objects in one body: 20 MiB of `[],[],` would take a gigabyte once parsed."""

_STRUCTURE: Final = b'{}[]"'
_NOISE: Final = bytes(set(range(256)) - set(_STRUCTURE))
_BRACES: Final = bytes.maketrans(b"[]", b"{}")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Raises
    ------
    TooLarge
        More than `MAX_BODY_BYTES`.
    InvalidInput
        Not JSON, not an object, nested deeper than `MAX_DEPTH`, or of more than `MAX_CONTAINERS` parts.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(too_large(len(body)))
    _check_structure(body)
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise InvalidInput("the body is empty; expected a JSON object") from None
        raise InvalidInput(f"the body is not valid JSON: {error.msg} at byte offset {error.pos}") from None
    if not isinstance(value, dict):
        raise InvalidInput(f"the body is {kind(value)}; expected a JSON object")
    return value


def too_large(size: int | None) -> str:
    """What a client whose body is too large is told."""
    found = "more" if size is None else f"{size} bytes"
    return f"the body is too large: found {found}, expected at most {MAX_BODY_BYTES} bytes; send less"


def kind(value: object) -> str:
    """JSON's word for a parsed value."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _check_structure(body: bytes) -> None:
    """Refuse brackets outside strings that are too many or nest too deep; other faults are the parser's.

    Escapes, then everything but brackets and quotes, then strings are cut away; each pass then
    peels the innermost level, so the work is bounded by both limits and every pass is one C loop.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return
    rest = body
    if b"\\" in rest:
        rest = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    rest = rest.translate(None, _NOISE).replace(b'""', b"")
    if b'"' in rest:
        rest = b"".join(rest.split(b'"')[::2])
    rest = rest.translate(_BRACES)
    if len(rest) > 2 * MAX_CONTAINERS:
        raise InvalidInput(f"the body holds more than {MAX_CONTAINERS} arrays and objects; send fewer")
    for _ in range(MAX_DEPTH):
        peeled = rest.replace(b"{}", b"")
        if len(peeled) == len(rest):
            return
        rest = peeled
    if b"{}" in rest:
        raise InvalidInput(f"the body nests deeper than {MAX_DEPTH} levels; flatten it")
