"""Request ids: what they look like, and how chance is keyed by them.

A request id is a UUIDv7: 48 bits of milliseconds and 74 random bits, so ids sort by
time and never meet. Time and chance are arguments.

Source: RFC 9562, section 5.7.
"""

PREFIX = "req_"
_48_BITS = (1 << 48) - 1
_62_BITS = (1 << 62) - 1


def request_id(now_ms: int, random_bits: int) -> str:
    """Build an id from wall time in ms and 74 or more random bits."""
    high = (now_ms & _48_BITS) << 16 | 0x7000 | (random_bits >> 62 & 0xFFF)
    low = 0b10 << 62 | (random_bits & _62_BITS)
    return f"{PREFIX}{high:016x}{low:016x}"


def key_of(request_id: str) -> tuple[int, int]:
    """High and low 64 bits of an id, which key the draw of its decision.

    Raises
    ------
    ValueError
        The text is not an id of ours.
    """
    digits = request_id.removeprefix(PREFIX)
    if len(digits) != 32 or len(request_id) != 36 or not (digits.isascii() and digits.isalnum()):
        raise ValueError(f"not a request id: found {request_id!r}; expected {PREFIX} and 32 hex digits")
    value = int(digits, 16)
    return value >> 64, value & 0xFFFF_FFFF_FFFF_FFFF
