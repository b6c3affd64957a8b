"""Chance keyed by what it is for: the same question has the same draws in every run and every order.

Each draw is a keyed BLAKE2b hash of a stream's number and the numbers of what is asked about (session, turn,
arm, attempt), so that no event can shift another's chance. Uniform draws have 53 bits.
"""

from collections.abc import Iterator
from enum import IntEnum
from hashlib import blake2b
from math import log, sqrt
from statistics import NormalDist
from struct import Struct
from typing import Final

from p402.errors import ConfigError

Draws = tuple[float, float, float, float, float, float, float, float]

_WORDS: Final = Struct("<8Q")
_ASKED: Final = Struct("<6q")
_UNIT: Final = 2.0**-53
_NORMAL: Final = NormalDist().inv_cdf
_ID_BITS: Final = 74


class Stream(IntEnum):
    """What a draw is for."""

    SESSION = 0
    TURN = 1
    ID = 2
    ANSWER = 3
    GAMMA = 4
    JUDGE = 5
    WORKER = 6
    REPEAT = 7
    QUESTION = 8
    VECTOR = 9


class Chance:
    """All chance of a run.

    Parameters
    ----------
    seed
        0 to 2**63 - 1.

    Raises
    ------
    ConfigError
        The seed is out of range.
    """

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < 1 << 63:
            raise ConfigError(f"seed is {seed}; expected 0 to 2**63 - 1")
        self.seed = seed
        self._key = seed.to_bytes(8, "little")

    def draws(self, stream: Stream, a: int = 0, b: int = 0, c: int = 0, d: int = 0, e: int = 0) -> Draws:
        """Eight independent uniforms in [0, 1) for what the numbers name."""
        data = _ASKED.pack(stream, a, b, c, d, e)
        words = _WORDS.unpack(blake2b(data, key=self._key).digest())
        a_, b_, c_, d_, e_, f_, g_, h_ = [(word >> 11) * _UNIT for word in words]
        return a_, b_, c_, d_, e_, f_, g_, h_

    def bits(self, session: int, turn: int) -> int:
        """Random bits of a request's id."""
        data = _ASKED.pack(Stream.ID, session, turn, 0, 0, 0)
        return int.from_bytes(blake2b(data, key=self._key, digest_size=10).digest(), "little") >> (
            80 - _ID_BITS
        )

    def uniforms(self, stream: Stream, a: int, b: int, c: int, d: int) -> Iterator[float]:
        """As many uniforms as are asked for."""
        block = 0
        while True:
            yield from self.draws(stream, a, b, c, d, block)
            block += 1


def normal(u: float) -> float:
    """The standard normal quantile of a uniform, within eight standard deviations."""
    return _NORMAL(min(max(u, 1e-15), 1 - 1e-15))


def beta(alpha: float, other: float, uniforms: Iterator[float]) -> float:
    """A beta variate of two parameters above 0, from uniforms."""
    one, two = _gamma(alpha, uniforms), _gamma(other, uniforms)
    return one / (one + two) if one + two > 0 else float(next(uniforms) < alpha / (alpha + other))


def _gamma(shape: float, uniforms: Iterator[float]) -> float:
    """A gamma variate.

    Source: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26(3), 2000;
    shapes below 1 by their boost.
    """
    if shape < 1:
        boost = max(next(uniforms), _UNIT) ** (1 / shape)
        return _gamma(shape + 1, uniforms) * float(boost)
    d = shape - 1 / 3
    c = 1 / sqrt(9 * d)
    while True:
        z = normal(next(uniforms))
        v = (1 + c * z) ** 3
        if v > 0 and log(max(next(uniforms), _UNIT)) < z * z / 2 + d - d * v + d * log(v):
            return d * v
