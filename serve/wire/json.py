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
        Not JSON, not an object, or nested deeper than `MAX_DEPTH`.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(too_large(len(body)))
    if _too_deep(body):
        raise InvalidInput(f"the body nests deeper than {MAX_DEPTH} levels; flatten it")
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


def _too_deep(body: bytes) -> bool:
    """Whether brackets outside strings nest deeper than allowed; bytes that are not JSON may say either.

    Escapes, then everything but brackets and quotes, then strings are cut away; each pass then
    peels the innermost level, so the work is bounded by the limit and every pass is one C loop.
    """
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    rest = body
    if b"\\" in rest:
        rest = rest.replace(b"\\\\", b"").replace(b'\\"', b"")
    rest = rest.translate(None, _NOISE).replace(b'""', b"")
    if b'"' in rest:
        rest = b"".join(rest.split(b'"')[::2])
    rest = rest.translate(_BRACES)
    for _ in range(MAX_DEPTH):
        peeled = rest.replace(b"{}", b"")
        if len(peeled) == len(rest):
            return False
        rest = peeled
    return b"{}" in rest
