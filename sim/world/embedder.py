"""A simulated embedder: only the model is simulated, whose cosines of common questions follow a declared law.

A text of a question is a wording and what is asked, and its vector the outer product of a vector of each, so
that the cosine of two texts is the product of theirs. Two wordings, or a question and its near miss, have

    -ln(cosine) = a + b,    a and b exponential, one of each text: a gamma law of shape 2.

Its one scale follows from the share of pairs above 0.92 that a world declares. With 18.5 % of near misses
above 0.92 it puts 8.5 % above 0.95, as was measured of MiniLM (fow-cache's pairs: 17 to 21 %, 8.5 %; the
project's study of caches, sections 3 and 4); a plain exponential would put 12 % there. Of wordings, 43 %
above 0.92 were measured, and nothing to choose a shape by.

Source: outer products multiply inner products (Kronecker); frames of different questions are random, of
cosines about 0.09 in 128 dimensions, so that no two questions ever come near.
"""

from collections import OrderedDict
from math import exp, log, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.cache.contract import Vector
from p402.limits import LEAST_SIMILARITY
from sim.world.chance import Chance, Stream
from sim.world.parts import CacheSpec
from sim.world.questions import Said, misses, text_of, wordings

DIMS: Final = 128
FAR: Final = -log(LEAST_SIMILARITY)
"""-ln of the cosine that shares are declared above."""

KEPT: Final = 4_096
"""Vectors that are not made again; beyond them the longest unused go."""

WORDING: Final = 0
ASKED: Final = 1

Float = NDArray[np.float64]


class SimEmbedder:
    """Vectors of the texts of common questions.

    Any other text has none: it is asked once, near nothing, and its vector would be found by nobody.

    Parameters
    ----------
    chance
        Of the run.
    tasks
        In the order that numbers them.
    """

    def __init__(self, law: CacheSpec, chance: Chance, tasks: tuple[str, ...]) -> None:
        self._chance = chance
        self._tasks = {task: number for number, task in enumerate(tasks)}
        self._scales = scale_of(law.reworded_above), scale_of(law.near_above)
        self._known: dict[str, Said] = {}
        self._made: OrderedDict[str, Vector] = OrderedDict()

    @property
    def id(self) -> str:
        """Names the law's two scales: vectors of other scales have other cosines."""
        return "simulated:{:.6g}:{:.6g}".format(*self._scales)

    def learn(self, said: Said) -> None:
        """Know a text by what it asks, before it is asked; as many as there are texts of common questions."""
        self._known[text_of(said)] = said

    async def embed(self, text: str) -> Vector | None:
        """The vector of a text, at once; None for one that is no common question."""
        said = self._known.get(text)
        if said is None:
            return None
        found = self._made.get(text)
        if found is None:
            found = self._made[text] = self.vector(said)
            if len(self._made) > KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(text)
        return found

    def vector(self, said: Said) -> Vector:
        """(DIMS,) of length 1."""
        ways, asked = wordings(said.task, said.number), misses(said.task, said.number) + 1
        plain = np.outer(
            self._part(said, WORDING, said.wording, ways), self._part(said, ASKED, said.miss, asked)
        )
        made = self._frame(said, plain.size) @ plain.ravel()
        return np.asarray(made / np.linalg.norm(made), np.float32)

    def _part(self, said: Said, kind: int, which: int, of: int) -> Float:
        """(of + 1,): what all share, and what is this one's own."""
        u = self._chance.draws(Stream.VECTOR, self._tasks[said.task], said.number, kind, which)[0]
        near = exp(self._scales[kind] * log(1.0 - u))
        made = np.zeros(of + 1)
        made[0], made[1 + which] = near, sqrt(1.0 - near * near)
        return made

    def _frame(self, said: Said, size: int) -> Float:
        """(DIMS, size) orthonormal columns, a question's own."""
        draws = self._chance.uniforms(Stream.VECTOR, self._tasks[said.task], said.number, ASKED + 1, 0)
        random = np.array([next(draws) - 0.5 for _ in range(DIMS * size)]).reshape(DIMS, size)
        return np.asarray(np.linalg.qr(random)[0], np.float64)


def scale_of(above: float) -> float:
    """Mean of the exponential of each text, where `above` is the share of pairs above 0.92.

    P(a + b < x) = 1 - exp(-y) * (1 + y) at y = x / mean: solved for y by halving.
    """
    low, high = 0.0, 64.0
    for _ in range(80):
        y = (low + high) / 2
        if 1.0 - exp(-y) * (1.0 + y) < above:
            low = y
        else:
            high = y
    return FAR / high
