"""What an estimator is given: logged rounds with the probabilities they were taken under.

A batch is checked once, at the door, so that no estimator checks again. It knows nothing
of the log's files, of the objective that made the rewards, or of any policy.

Source: Li et al., "Unbiased offline evaluation of contextual-bandit-based news article
recommendation algorithms", WSDM 2011, for what a logged round must hold.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SCALE: Final = 1 << 24
"""Propensities are whole counts out of this."""

ROW_SUM_TOLERANCE: Final = 1e-9
"""How far a row of target probabilities may be from 1: counts / 2**24 sum to it exactly."""


class NoPropensity(ValueError):
    """Rounds without a propensity were given to what needs one."""


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """Rounds as one behaviour policy, or a sequence of them, logged them.

    Rounds whose reward has not matured stay in the batch with `observed` 0: dropping them would
    make the rounds that do have feedback stand for more than they are.

    Attributes
    ----------
    action
        The first arm of each round, `(n,)`, in `[0, K)`.
    reward
        Its reward under the fixed objective, `(n,)`, in `[0, 1]`; ignored where `observed` is 0.
    count
        The logged propensity of `action` times 2**24, `(n,)`, whole, in `[1, 2**24]`; 0 where it is
        null, as in rounds imported from a log that kept none.
    eligible
        Which arms the behaviour policy could have taken (a count above 0), `(n, K)`; of a round without
        a propensity, which arms might serve it, its own among them.
    session
        Hash of the session, `(n,)`: rounds of one session are one independent unit.
    observed
        1 / P(the reward is observed), `(n,)`: 0 for an unmatured round, else at least 1.
    task
        Task index, `(n,)`, 0 or more.

    Raises
    ------
    ValueError
        A column has the wrong shape, type or range; the message gives its first bad row.
    """

    action: IntArray
    reward: FloatArray
    count: IntArray
    eligible: BoolArray
    session: IntArray
    observed: FloatArray
    task: IntArray

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name in ("action", "count", "session", "task"):
            set_field(self, name, whole(name, getattr(self, name)))
        for name in ("reward", "observed"):
            set_field(self, name, real(name, getattr(self, name)))
        set_field(self, "eligible", claims("eligible", self.eligible))
        self._check_shapes()
        self._check_ranges()

    def _check_shapes(self) -> None:
        if self.eligible.ndim != 2 or 0 in self.eligible.shape:
            raise ValueError(
                f"eligible has shape {self.eligible.shape}: expected (rounds, arms), one or more of each; "
                f"pass the arms the logged policy could have taken"
            )
        n = self.eligible.shape[0]
        for name in ("action", "reward", "count", "session", "observed", "task"):
            shape = getattr(self, name).shape
            if shape != (n,):
                raise ValueError(
                    f"{name} has shape {shape}: expected ({n},), as eligible has {n} rows; one value a round"
                )

    def _check_ranges(self) -> None:
        n, k = self.eligible.shape
        off = (self.action < 0) | (self.action >= k)
        refuse("action", self.action, off, f"an arm in [0, {k})", "map arms to columns first")
        off = (self.count < 0) | (self.count > SCALE)
        hint = "a propensity is a count out of 2**24, and 0 says that it is null"
        refuse("count", self.count, off, f"a whole number in [0, {SCALE}]", hint)
        off = ~((self.reward >= 0.0) & (self.reward <= 1.0))
        refuse("reward", self.reward, off, "a number in [0, 1]", "clip it where the objective is computed")
        off = ~(((self.observed >= 1.0) & np.isfinite(self.observed)) | (self.observed == 0.0))
        refuse("observed", self.observed, off, "0 (not matured) or 1/P of at least 1", "see learner.reward")
        refuse("task", self.task, self.task < 0, "0 or more", "give unknown tasks an index of their own")
        off = ~self.eligible[np.arange(n), self.action]
        refuse("action", self.action, off, "an arm marked eligible", "mark what the logged policy could take")

    @property
    def n(self) -> int:
        """Number of rounds."""
        return int(self.eligible.shape[0])

    @property
    def n_arms(self) -> int:
        """Number of arms, K."""
        return int(self.eligible.shape[1])

    @property
    def known(self) -> bool:
        """Every round has a propensity."""
        return bool((self.count > 0).all())

    @property
    def propensity(self) -> FloatArray:
        """Logged probability of each round's action, `(n,)`; exact, since counts are below 2**53.

        Raises
        ------
        NoPropensity
            A round has none: nothing that weighs by it can be computed.
        """
        null = self.count == 0
        if null.any():
            raise NoPropensity(
                f"propensity of row {int(np.argmax(null))} is null, as of {int(np.count_nonzero(null))} of "
                f"{self.n} rows: expected the probability that the logged arm had; importance weights need "
                f"it, and an imported log has none. Ask for the model-based estimate alone (names=('dm',)), "
                f"or log through the gateway and ask `p402 plan` how much exploration a causal answer takes"
            )
        return self.count.astype(np.float64) / SCALE

    def take(self, rows: BoolArray | IntArray) -> "LoggedBatch":
        """Some of the rounds, by mask or by index, in the order given."""
        return LoggedBatch(
            action=self.action[rows],
            reward=self.reward[rows],
            count=self.count[rows],
            eligible=self.eligible[rows],
            session=self.session[rows],
            observed=self.observed[rows],
            task=self.task[rows],
        )


def target_of(batch: LoggedBatch, probs: ArrayLike, name: str = "target_probs") -> FloatArray:
    """Check a target policy's probabilities against a batch.

    Parameters
    ----------
    batch
        The rounds they are for.
    probs
        `(n, K)`, each row non-negative with sum 1.
    name
        What to call them in an error.

    Raises
    ------
    ValueError
        Wrong shape, a negative or non-finite value, or a row that does not sum to 1.
    """
    array = matrix_of(batch, probs, name)
    bad = np.count_nonzero(array < 0.0, axis=1) > 0
    refuse(name, array, bad, "probabilities of 0 or more", "pass counts / 2**24")
    sums = np.add.reduce(array, axis=1)
    off = np.abs(sums - 1.0) > ROW_SUM_TOLERANCE
    refuse(f"sum of {name}", sums, off, "1", "a policy must take some arm in every round it is valued on")
    return array


def matrix_of(batch: LoggedBatch, values: ArrayLike, name: str) -> FloatArray:
    """Check that `values` is a finite `(n, K)` matrix for a batch, and give it as C-ordered float64.

    Raises
    ------
    ValueError
        Wrong shape or a value that is not finite.
    """
    array = real(name, values)
    if array.shape != batch.eligible.shape:
        raise ValueError(
            f"{name} has shape {array.shape}: expected {batch.eligible.shape}, rounds by arms; "
            f"compute it for the same rounds and the same arms as the batch"
        )
    odd = np.count_nonzero(~np.isfinite(array), axis=1) > 0
    refuse(name, array, odd, "finite numbers", "mend what computed it")
    return array


def hash_of(text: str) -> int:
    """Signed 64-bit hash of a session, tenant or source name, the same on every machine."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def mixed(session: IntArray, salt: int) -> NDArray[np.uint64]:
    """64 well-mixed bits of each session hash; another salt gives independent bits.

    Folds and holdout must not follow from one another, so each mixes with a salt of its own.

    Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014
    (the finaliser of SplitMix64).
    """
    mask = (1 << 64) - 1
    x = session.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & mask)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)), dtype=np.uint64)


def whole(name: str, values: ArrayLike) -> IntArray:
    """C-ordered int64 of whole numbers.

    Raises
    ------
    ValueError
        The values are not of an integer type.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} has type {array.dtype}: expected whole numbers; convert it where it is read"
        )
    return np.ascontiguousarray(array, dtype=np.int64)


def real(name: str, values: ArrayLike) -> FloatArray:
    """C-ordered float64 of numbers.

    Raises
    ------
    ValueError
        The values are not of a numeric type.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} has type {array.dtype}: expected numbers; convert it where it is read")
    return np.ascontiguousarray(array, dtype=np.float64)


def claims(name: str, values: ArrayLike) -> BoolArray:
    """C-ordered booleans.

    Raises
    ------
    ValueError
        The values are not of boolean type.
    """
    array = np.asarray(values)
    if array.dtype.kind != "b":
        raise ValueError(f"{name} has type {array.dtype}: expected booleans; compare counts with 0 first")
    return np.ascontiguousarray(array, dtype=np.bool_)


def refuse(name: str, values: NDArray[Any], off: BoolArray, expected: str, hint: str) -> None:
    """Raise for the first row marked in `off`.

    Raises
    ------
    ValueError
        Any row is marked.
    """
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise ValueError(
            f"{name}[{row}] is {values[row]!s}: expected {expected}; {hint} "
            f"({int(np.count_nonzero(off))} of {off.shape[0]} rows are so)"
        )
