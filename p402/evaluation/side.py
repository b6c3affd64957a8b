"""One policy as seen from rounds that another logged: its weights, its modelled rewards, its estimates.

What `evaluate` and `compare` share. It checks nothing and judges nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from p402.evaluation.fits import Fit, Name, dm, dr, ips, sndr, snips
from p402.evaluation.logged import FloatArray, LoggedBatch
from p402.evaluation.traded import clipped_ips, dros, switch_dr
from p402.evaluation.tuning import caps_for, chosen, strengths_for


@dataclass(frozen=True, slots=True)
class Bends:
    """How far weights are bent; None leaves it to SLOPE (`tuning`), on the same rows.

    Attributes
    ----------
    clip
        Cap of `clipped_ips`, 0 or more.
    switch
        Cap of `switch_dr`, 0 or more.
    shrink
        Strength of `dros`, 0 or more, in squared weights.
    """

    clip: float | None = None
    switch: float | None = None
    shrink: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """A target policy's weights and models, row by row.

    Attributes
    ----------
    batch
        The rounds.
    target
        `(n, K)` probabilities.
    weight
        `(n,)`: target probability of the logged arm over its propensity, times 1/P(observed); None where
        propensities are null.
    modelled
        Modelled reward of the logged arm and of the target policy, `(n,)` each, or None.
    robust
        The same by a model fitted with MRDR's weights for this target, or None.
    share
        `(n,)` how much each row counts, mean 1, or None for all alike.
    """

    batch: LoggedBatch
    target: FloatArray
    weight: FloatArray | None
    modelled: tuple[FloatArray, FloatArray] | None
    robust: tuple[FloatArray, FloatArray] | None
    share: FloatArray | None

    @classmethod
    def of(
        cls,
        batch: LoggedBatch,
        target: FloatArray,
        model: FloatArray | None,
        share: FloatArray | None,
        robust_model: FloatArray | None = None,
    ) -> "Side":
        """Weights and modelled rewards of a target, from `(n, K)` models."""
        rows = np.arange(batch.n)
        weight = target[rows, batch.action] / batch.propensity * batch.observed if batch.known else None
        modelled, robust = (
            None if q is None else (q[rows, batch.action], np.add.reduce(target * q, axis=1))
            for q in (model, robust_model)
        )
        return cls(batch, target, weight, modelled, robust, share)

    @property
    def weights(self) -> FloatArray:
        """`weight`, or the refusal of rounds that have none."""
        if self.weight is None:
            _ = self.batch.propensity  # raises, and says why
            raise AssertionError
        return self.weight

    def can(self, name: Name) -> bool:
        """Whether what the estimator needs beside weights was given."""
        if name == "mrdr":
            return self.robust is not None
        return name in ("ips", "snips", "clipped_ips") or self.modelled is not None

    def fit(self, name: Name, bends: Bends | None = None) -> tuple[Fit, float | None]:
        """The estimate, and the cap or strength it was made with.

        Raises
        ------
        ValueError
            It needs a model that was not given.
        NoPropensity
            It needs propensities, which are null.
        """
        bends = bends or Bends()
        reward, share = self.batch.reward, self.share
        if name == "ips":
            return ips(reward, self.weights, share), None
        if name == "snips":
            return snips(reward, self.weights, share), None
        if name == "clipped_ips":
            return self._bent(lambda cap: clipped_ips(reward, self.weights, cap, share), bends.clip, caps_for)
        q_logged, q_target = self.models(name)
        if name == "dm":
            return dm(q_target, share), None
        if name == "switch_dr":
            return self._bent(
                lambda cap: switch_dr(reward, self.weights, q_logged, q_target, cap, share),
                bends.switch,
                caps_for,
            )
        if name == "dros":
            return self._bent(
                lambda strength: dros(reward, self.weights, q_logged, q_target, strength, share),
                bends.shrink,
                strengths_for,
            )
        robust = sndr if name == "sndr" else dr
        return robust(reward, self.weights, q_logged, q_target, share), None

    def _bent(
        self,
        fit: Callable[[float], Fit],
        given: float | None,
        candidates: Callable[[FloatArray], tuple[float, ...]],
    ) -> tuple[Fit, float]:
        if given is not None:
            return fit(given), given
        bend, found = chosen(fit, candidates(self.weights), self.batch.session)
        return found, bend

    def models(self, name: Name) -> tuple[FloatArray, FloatArray]:
        """Modelled reward of the logged arm and of the target, `(n,)` each.

        Raises
        ------
        ValueError
            The model that the estimator needs was not given.
        """
        found = self.robust if name == "mrdr" else self.modelled
        if found is None:
            raise ValueError(
                f"{name} needs modelled rewards: found none; pass "
                + (
                    "q_mrdr, fitted with mrdr_weight"
                    if name == "mrdr"
                    else "q_hat, such as cross_fitted(batch)"
                )
            )
        return found
