"""Request ids to the keys of chance, many at once: what `p402.ids.key_of` gives for each.

It knows nothing of what is drawn.
"""

import binascii
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.ids import PREFIX

ID_BYTES: Final = len(PREFIX) + 32
"""Bytes of every id."""

_PREFIX: Final = np.frombuffer(PREFIX.encode(), np.uint8)
_NO_DIGIT: Final = 255
_WORD: Final = np.dtype(np.uint32)


def _digits() -> NDArray[np.uint8]:
    """Value of each byte as a hex digit."""
    table = np.full(256, _NO_DIGIT, np.uint8)
    for text in ("0123456789abcdef", "0123456789ABCDEF"):
        table[np.frombuffer(text.encode(), np.uint8)] = np.arange(16)
    return table


_DIGITS: Final = _digits()


def keys_of(ids: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """High and low 64 bits of ids, (n, 2), and which of them are ids of ours.

    Parameters
    ----------
    ids
        (n, 36) bytes of text. The key of what is none is arbitrary: `key_of` says what is wrong with it.
    """
    digits = np.ascontiguousarray(ids[:, len(_PREFIX) :])
    ours: NDArray[np.bool_] = np.ascontiguousarray(ids[:, : len(_PREFIX)]).view(_WORD)[:, 0] == _PREFIX.view(
        _WORD
    )
    try:
        packed = np.frombuffer(binascii.unhexlify(digits.data), np.uint8).reshape(-1, 16)
    except binascii.Error:
        value = _DIGITS[digits]
        ours &= (value != _NO_DIGIT).all(axis=1)
        packed = (value[:, 0::2] << 4 | value[:, 1::2] & 15).astype(np.uint8)
    return packed.view(">u8").astype(np.uint64), ours
