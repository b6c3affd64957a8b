"""Logged rounds made of hashes: the same bits on every machine, with numpy alone and no generator.

What `obp` was shown when its values were frozen (`tests/golden/peers/obp.json`) and what the default suite
shows to our estimators. Only + - x / and whole numbers, so nothing depends on a libm.
"""

from dataclasses import dataclass

import numpy as np

ONE = 1 << 24
MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Made:
    action: np.ndarray  # (n,)
    reward: np.ndarray  # (n,)
    count: np.ndarray  # (n,) of 2**24
    behaviour: np.ndarray  # (n, K) counts
    target: np.ndarray  # (n, K) probabilities, each a count / 2**24
    q_hat: np.ndarray  # (n, K)
    q_mrdr: np.ndarray  # (n, K)
    context: np.ndarray  # (n, 3) in [0, 1)

    @property
    def n(self) -> int:
        return len(self.action)

    @property
    def propensity(self) -> np.ndarray:
        return self.count / ONE


def uniform(shape: tuple[int, ...], salt: int) -> np.ndarray:
    """Hashes of 0, 1, 2, ... as multiples of 2**-53 in [0, 1): the finaliser of SplitMix64."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint64) + np.uint64((salt + 1) * 0x9E3779B97F4A7C15 & MASK)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return ((x >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def whole(mass: np.ndarray) -> np.ndarray:
    """Rows of masses as counts that sum to 2**24; what rounding leaves goes to the first arm."""
    total = np.add.accumulate(mass, axis=1)[:, -1:]
    counts = np.floor(mass / total * (ONE - mass.shape[1])).astype(np.int64) + 1
    counts[:, 0] += ONE - counts.sum(axis=1)
    return counts


def made(n: int, arms: int, salt: int, *, sharp: float = 2.0, binary: bool = True) -> Made:
    """Rounds of a behaviour that favours what it scores highly, and a target that favours others.

    Parameters
    ----------
    sharp
        How unlike even the behaviour is; heavier weights with more of it.
    binary
        Rewards of 0 or 1, else in between.
    """
    base = salt * 16
    context = uniform((n, 3), base)
    score = (uniform((n, arms), base + 1) + context[:, :1] * uniform((1, arms), base + 2)) * 0.5
    behaviour = whole(0.02 + sharp * score * score * score)
    target = whole(0.01 + (1.0 - score) * (1.0 - score) * uniform((n, arms), base + 3))
    truth = 0.2 + 0.6 * score * uniform((1, arms), base + 4)
    draw = np.floor(uniform((n, 1), base + 5) * ONE).astype(np.int64)
    action = (draw >= np.cumsum(behaviour, axis=1)).sum(axis=1)
    rows = np.arange(n)
    chance = uniform((n,), base + 6)
    reward = (chance < truth[rows, action]).astype(np.float64) if binary else chance * truth[rows, action]
    return Made(
        action=action,
        reward=reward,
        count=behaviour[rows, action],
        behaviour=behaviour,
        target=target / ONE,
        q_hat=np.clip(truth + 0.3 * (uniform((n, arms), base + 7) - 0.5), 0.0, 1.0),
        q_mrdr=np.clip(truth + 0.2 * (uniform((n, arms), base + 8) - 0.5), 0.0, 1.0),
        context=context,
    )


CASES = {
    "even": {"n": 1_500, "arms": 4, "salt": 1, "sharp": 0.05},
    "usual": {"n": 3_000, "arms": 10, "salt": 2},
    "sharp": {"n": 3_000, "arms": 24, "salt": 3, "sharp": 40.0},
    "real_valued": {"n": 2_000, "arms": 7, "salt": 4, "sharp": 8.0, "binary": False},
    "few": {"n": 40, "arms": 3, "salt": 5},
}
"""Arguments of `made` by the name its frozen values have."""

CAPS = (0.0, 0.5, 1.0, 3.0, 10.0, 1e6)
"""Caps of clipping and switching that were frozen."""

STRENGTHS = (0.0, 0.1, 1.0, 5.0, 100.0, 1e12)
"""Strengths of shrinking that were frozen."""
