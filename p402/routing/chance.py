"""Chance keyed by request: Philox4x32-10 over the whole request id.

The counter is the 128-bit request id and the key is the policy's salt with a stream
number mixed in, so a draw depends on nothing else: not on order, process or machine.
One request uses plain integers, many use numpy; both give the same words.

A round multiplies two of the four words and leaves the halves of both products. With words 0 and 2
at bits 0 and 64 of one integer, one multiplication by both factors, 128 bits apart, gives both:
above what it adds below bit 64 lie, 32 bits each, low and high half of the one, low and high of the other.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked
against the known-answer vectors of Random123.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

STREAM_ARM: Final = 0
"""Stream of the draw that picks an arm."""

_MASK: Final = 0xFFFF_FFFF
_M0: Final = 0xD251_1F53
_M1: Final = 0xCD9E_8D57
_W0: Final = 0x9E37_79B9
_W1: Final = 0xBB67_AE85
_ROUNDS: Final = 10
_FEW: Final = 12
"""Up to this many rows plain integers beat numpy's call overhead."""


_FACTORS: Final = _M0 << 128 | _M1
_EVEN: Final = _MASK << 64 | _MASK
"""Bits of words 0 and 2."""


@lru_cache(maxsize=64)
def _keys(k0: int, k1: int) -> tuple[tuple[int, int], ...]:
    """Both key words of every round."""
    return tuple(((k0 + r * _W0) & _MASK, (k1 + r * _W1) & _MASK) for r in range(_ROUNDS))


@lru_cache(maxsize=64)
def _paired(key: tuple[int, int]) -> tuple[int, ...]:
    """The key words of every round as one integer, at bits 0 and 64."""
    return tuple(k1 << 64 | k0 for k0, k1 in _keys(*key))


def block(counter: int, key: tuple[int, int]) -> int:
    """128 bits of Philox4x32-10 for a counter of 128 bits, word 0 lowest."""
    even, odd = counter & _EVEN, counter >> 32
    for words in _paired(key):
        products = even * _FACTORS
        even = (products >> 96 ^ odd ^ words) & _EVEN
        odd = products >> 64
    return (odd & _EVEN) << 32 | even


def _first_words(high: Words, low: Words, key: tuple[int, int]) -> Words:
    mask, shift = np.uint64(_MASK), np.uint64(32)
    m0, m1 = np.uint64(_M0), np.uint64(_M1)
    c0, c1, c2, c3 = low & mask, low >> shift, high & mask, high >> shift
    for k0, k1 in _keys(*key):
        c0 *= m0
        c2 *= m1
        c1 ^= c2 >> shift
        c1 ^= np.uint64(k0)
        c3 ^= c0 >> shift
        c3 ^= np.uint64(k1)
        c0 &= mask
        c2 &= mask
        c0, c1, c2, c3 = c1, c2, c3, c0
    return c0


def draw_one(high: int, low: int, salt: int, stream: int = STREAM_ARM) -> int:
    """Uniform whole number below 2**24 for one request, given the halves of its id."""
    return (block(high << 64 | low, _key(salt, stream)) & _MASK) >> 8


def _key(salt: int, stream: int) -> tuple[int, int]:
    return salt & _MASK, (salt >> 32) ^ stream


def draw24(key: Words, salt: int, stream: int = STREAM_ARM) -> NDArray[np.int64]:
    """Uniform whole numbers below 2**24, one for each request.

    Parameters
    ----------
    key
        (n, 2) high and low half of the request ids.
    salt
        Below 2**64.
    stream
        Which of a request's independent draws; below 2**32.

    Returns
    -------
    (n,) int64
    """
    if len(key) <= _FEW:
        return np.array([draw_one(high, low, salt, stream) for high, low in key.tolist()], np.int64)
    first = _first_words(key[:, 0], key[:, 1], _key(salt, stream))
    return (first >> np.uint64(8)).astype(np.int64)
