"""A body whose provider coded it although it was asked not to.

Every call says `accept-encoding: identity`; some proxies compress all the same. What a few bytes may
grow to is bounded by the caller. It knows nothing of HTTP beyond the names of the codings.

Source: RFC 9110, section 8.4.1.
"""

import zlib
from collections.abc import Callable
from typing import Final

Decode = Callable[[bytes, int], bytes]
"""A piece as sent, and the most bytes wanted of it, to what it says.

Raises `ValueError` where it is not what its header says, or says more than is wanted.
"""

_ZLIB_OR_GZIP: Final = zlib.MAX_WBITS | 32


def as_it_is(data: bytes, most: int) -> bytes:
    """The decoder of a body that is not coded."""
    del most
    return data


def decoder_of(coding: str) -> Decode | None:
    """The decoder of a `content-encoding`; None for one that P402 does not know."""
    name = coding.strip().lower()
    if name in ("", "identity"):
        return as_it_is
    return _inflater() if name in ("gzip", "x-gzip", "deflate") else None


def _inflater() -> Decode:
    inflate = zlib.decompressobj(_ZLIB_OR_GZIP)

    def decode(data: bytes, most: int) -> bytes:
        nonlocal inflate
        plain, room = [], most
        while data:
            if inflate.eof:  # a body may be of several members, one after the other
                inflate = zlib.decompressobj(_ZLIB_OR_GZIP)
            try:
                plain.append(inflate.decompress(data, room))
            except zlib.error as error:
                raise ValueError(str(error)) from error
            room -= len(plain[-1])
            if inflate.unconsumed_tail or (inflate.unused_data and room <= 0):
                raise ValueError(f"more than {most} bytes")
            data = inflate.unused_data
        return b"".join(plain)

    return decode
