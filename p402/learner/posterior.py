"""What is believed of each arm's quality given context, and how sure that is: Bayesian linear regression.

Per arm, with x the features of a round in [0, 1], r its quality, w its weight and s the noise:

    A = A0 + sum w x x' / s^2        b = A0 mu0 + sum w x r / s^2
    theta = A^-1 b                   sd(x) = sqrt(x' A^-1 x)

Deployments of one model may have a part of their prior variance in common, so that what one shows is believed
in part of the others; then A and b are those of all of a model's arms together, and A0 has blocks off its
diagonal. Arms of one provider have its level in common (`p402.learner.levels`), which may be said to have
moved (`moved`): what was learned before then speaks of its arms as they are beside each other, and less of
its level now.

The prior mean mu0 is the benchmark's (`p402.assemble`), its precision A0 a diagonal in blocks: the bias,
the tasks, everything else. What is held is the evidence beyond the prior, E = A - A0 and
v = b - A mu0, so that forgetting is a product, and forgetting everything is the prior to the bit.

Forgetting goes by the clock, not by pulls: an arm that nobody takes drifts back to its benchmark with
growing uncertainty, and is tried again. A word on a round that has been taken in replaces the earlier
word, with the evidence that is left of it. It knows no clock, no log, and neither cost nor speed.

Source: Bishop, "Pattern Recognition and Machine Learning", 2006, 3.3 for the regression; West and Harrison,
"Bayesian Forecasting and Dynamic Models", 1997, 6.3 for discounting evidence; Kulhavy and Zarrop, Int. J.
Control 58(4), 1993, for discounting towards a prior rather than towards nothing.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.learner.joint import model_precisions, moments
from p402.learner.ledgers import Ledgers
from p402.learner.levels import NONE, Levels
from p402.learner.prior import BIAS, Prior, groups_of, usual_contexts
from p402.learner.words import Words
from p402.routing.compiled import MAX_THETA
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import Posterior

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_SPENT: Final = 1e-12
"""Share of its evidence below which a round has nothing left to correct."""


class _Heard(NamedTuple):
    """A word that was taken in, under the level of then.

    Precision is w / s^2 then, `left` and `age` those of its arm then.
    """

    arm: str
    level: int
    features: Float
    precision: float
    quality: float
    left: float
    age: int


class Beliefs:
    """Evidence on every arm beyond the prior, and what it makes of the prior.

    Parameters
    ----------
    prior
        What to start from, and to return to.
    noise
        Standard deviation of one judgement about its expected quality.
    tasks
        (T,) names, in the order of `sd`; a task's typical request is learned, by name of feature.
    features
        (D,) names.

    Notes
    -----
    The order of words between two moves does not matter beyond rounding, except that of two words on one
    round the later counts. The sd of any context is never above the prior's, unless a provider has moved.
    """

    def __init__(self, prior: Prior, noise: float, tasks: Sequence[str], features: Sequence[str]) -> None:
        k, d = prior.mean.shape
        if prior.precision.shape != (d,) or len(features) != d or len(prior.arms) != k:
            raise ValueError(
                f"prior has {len(prior.arms)} arms, means of {prior.mean.shape} and a precision of "
                f"{prior.precision.shape} for {len(features)} features: expected (K, D) and (D,)"
            )
        if not prior.precision.min() > 0.0:
            raise ValueError("a prior precision is not above 0: nothing would be believed before evidence")
        if not 0.0 < noise < np.inf:
            raise ValueError(f"noise is {noise}: expected a standard deviation above 0, such as 0.25")
        if prior.level > 0.0 and BIAS not in features:
            raise ValueError(
                f"providers have a level of sd {prior.level}: expected a feature {BIAS!r} for it"
            )
        self.prior = prior
        self.noise = noise
        self.n_words = 0
        self._levels = Levels(prior.providers, prior.level)
        self._ledgers = Ledgers(d)
        self._begin()
        self._groups = groups_of(prior)
        self._column = {arm: i for i, arm in enumerate(prior.arms)}
        self._bias = list(features).index(BIAS) if BIAS in features else NONE
        self._left = np.ones(k)
        self._age = np.zeros(k, np.int64)
        self._heard: dict[tuple[int, int], _Heard] = {}
        self._forgotten_before = 0
        self._typical = usual_contexts(tasks, features)
        self._seen = np.ones(len(tasks))

    @property
    def evidence(self) -> Float:
        """(L, D, D) E of each arm, or of each arm and level of its provider that it was heard under."""
        return self._ledgers.precision

    @property
    def vector(self) -> Float:
        """(L, D) v of the same."""
        return self._ledgers.residual

    @property
    def precision(self) -> Float:
        """(K, D, D) A0 + E of each arm by itself."""
        a: Float = self._ledgers.evidence({}).of_arms(len(self._left))[0] + np.diag(self.prior.precision)
        return a

    @property
    def mean(self) -> Float:
        """(K, D) theta = mu0 + A^-1 v, which is A^-1 b; a provider's level is in the bias."""
        return self._moments()[0]

    @property
    def contexts(self) -> Float:
        """(T, D) what a request of each task is like: a mean of those learned from."""
        return self._typical / self._seen[:, None]

    def _moments(self) -> tuple[Float, Float]:
        """(K, D) theta and (K, D, D) each arm's own covariance."""
        places = self._levels.places()
        current = np.array([places.get(self._level(k), -1) for k in range(len(self._left))], np.int64)
        evidence = self._ledgers.evidence(places)
        return moments(self.prior, self._groups, evidence, self._levels.precision(), current, self._bias)

    def _level(self, arm: int) -> int:
        """Id of the level that an arm's provider has now."""
        return self._levels.current(self._provider(arm))

    def _provider(self, arm: int) -> str:
        return self.prior.providers[arm] if self.prior.providers else ""

    def _begin(self) -> None:
        """A ledger for every arm under its provider's level, where there is none."""
        for arm in range(len(self.prior.arms)):
            self._ledgers.open(arm, self._level(arm))

    def sd(self, contexts: Float) -> Float:
        """(K, m) standard deviation of the expected quality at each of (m, D) contexts."""
        variance: Float = np.einsum("md,kde,me->km", contexts, self._moments()[1], contexts)
        return np.sqrt(np.maximum(variance, 0.0))

    def expected(self, arm: Sequence[str], features: Float) -> tuple[Float, Float]:
        """(n,) expected quality of one arm a row, and its sd; nan where the arm is unknown."""
        place = self._places(arm)
        known = np.maximum(place, 0)
        theta, covariance = self._moments()
        mean = np.einsum("nd,nd->n", features, theta[known])
        variance = np.einsum("nd,nde,ne->n", features, covariance[known], features)
        sd = np.sqrt(np.maximum(variance, 0.0))
        return np.where(place < 0, np.nan, mean), np.where(place < 0, np.nan, sd)

    def learn(self, words: Words) -> int:
        """Take in words in their order; how many counted. Taking the same in again changes nothing.

        Words of unknown arms do not count, nor do those on rounds that `expire` closed.
        """
        place = self._places(words.arm)
        pairs: list[tuple[int, int]] = [(high, low) for high, low in words.key.tolist()]
        last = {pair: i for i, pair in enumerate(pairs)}
        taken = []
        for i, pair in enumerate(pairs):
            if last[pair] != i or place[i] < 0 or pair[0] >> 16 < self._forgotten_before:
                continue
            precision = float(words.weight[i]) / self.noise**2
            if not self._again(pair, words.arm[i], words.features[i], float(words.quality[i]), precision):
                taken.append(i)
                k = int(place[i])
                self._heard[pair] = _Heard(
                    words.arm[i],
                    self._level(k),
                    words.features[i].copy(),
                    precision,
                    float(words.quality[i]),
                    float(self._left[k]),
                    int(self._age[k]),
                )
        rows = np.array(taken, np.int64)
        precision_of = words.weight[rows] / self.noise**2
        for k in np.unique(place[rows]).tolist():
            mine = rows[place[rows] == k]
            weight = precision_of[place[rows] == k]
            self._add(k, self._level(k), words.features[mine], words.quality[mine], weight)
        np.add.at(self._typical, words.task[rows], words.features[rows])
        np.add.at(self._seen, words.task[rows], 1.0)
        self.n_words += len(rows)
        return len(rows)

    def forget(self, rho: float, arms: Sequence[str] | None = None, *, keep_mean: bool = False) -> None:
        """Keep a share of the evidence: A <- rho A + (1 - rho) A0, and b with it towards A0 mu0.

        Where it is of all arms, of the moves of providers as well.

        Parameters
        ----------
        rho
            In [0, 1]; 0 leaves the prior.
        arms
            Which; all where None.
        keep_mean
            Widen the uncertainty and leave theta in place, instead of drawing it back to the prior mean:
            b <- A theta. A later word on an older round then corrects by what its own evidence has
            left, which is no longer exact.
        """
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"rho is {rho}: expected the share of evidence to keep, in [0, 1]")
        if arms is None:
            which = np.arange(len(self._left))
        else:
            places = self._places(arms)
            which = places[places >= 0]
        moved = None
        if keep_mean:
            if len(self._levels):
                raise ValueError("keep_mean is not for providers that have levels: forget towards the prior")
            moved = self.mean - self.prior.mean
        self._ledgers.scale(which, rho)
        if moved is not None:
            ledger = np.array([self._ledgers.open(k, NONE) for k in range(len(self._left))])
            precision, _ = self._ledgers.evidence({}).of_arms(len(self._left))
            for places, a in model_precisions(self.prior, self._groups, precision):
                self.vector[ledger[places]] = np.einsum("gidje,gje->gid", a, moved[places])
        if arms is None:
            self._levels.forget(rho)
        self._left[which] *= rho
        spent = which[self._left[which] < _SPENT]
        self._left[spent] = 1.0
        self._age[spent] += 1

    def moved(self, provider: str, sd: float) -> None:
        """Believe that the level of a provider's arms has moved, by so much up or down.

        Parameters
        ----------
        provider
            One that the prior names; of others nothing happens.
        sd
            Above 0.
        """
        if self._bias == NONE or not 0.0 < sd < np.inf:
            raise ValueError(f"sd is {sd}: expected one above 0, and a feature {BIAS!r}")
        if provider not in self.prior.providers:
            return
        merged = self._levels.open(provider, sd)
        if merged is not None:
            self._ledgers.merge(*merged)
        self._begin()

    def expire(self, before_ms: int) -> None:
        """Close rounds older than an instant: their words stay, and no further word on them counts.

        What was kept to recognise them goes in the order that they were heard of.
        """
        self._forgotten_before = max(self._forgotten_before, before_ms)
        while self._heard:
            oldest = next(iter(self._heard))
            if oldest[0] >> 16 >= self._forgotten_before:
                return
            del self._heard[oldest]

    def rebase(self, prior: Prior) -> None:
        """Go on from another prior: evidence stays with the arms of its name, others start without.

        Evidence is held relative to the prior mean, so what was observed is what stays.
        """
        if prior.precision.shape != self.prior.precision.shape:
            raise ValueError(
                f"the new prior has {prior.precision.shape} features: expected {self.prior.precision.shape}; "
                f"start anew where features change"
            )
        if prior.level != self.prior.level:
            raise ValueError(
                f"the new prior has a level of {prior.level}: expected {self.prior.level}, as before"
            )
        k = len(prior.arms)
        left, age = np.ones(k), np.full(k, int(self._age.max(initial=0)) + 1)
        kept, shift = {}, np.zeros_like(self.prior.mean)
        for new, arm in enumerate(prior.arms):
            old = self._column.get(arm)
            if old is not None:
                kept[old] = new
                shift[old] = self.prior.mean[old] - prior.mean[new]
                left[new], age[new] = self._left[old], self._age[old]
        self._ledgers = self._ledgers.moved(kept, shift)
        self.prior = prior
        self._levels.begin(prior.providers)
        self._begin()
        self._left, self._age = left, age
        self._groups = groups_of(prior)
        self._column = {arm: i for i, arm in enumerate(prior.arms)}

    def compile(self, base: Posterior) -> Posterior:
        """The snapshot's component: coefficients and sd per (arm, task), multiples of 2**-20.

        An arm whose coefficients would add up to more than exact sums allow is drawn towards its prior
        mean as far as it takes. What else the component holds is the base's.

        Parameters
        ----------
        base
            Of the same arms, in the prior's order.
        """
        contexts, prior = self.contexts, self.prior.mean
        theta, covariance = self._moments()
        variance = np.einsum("td,kde,te->kt", contexts, covariance, contexts)
        sd = np.sqrt(np.maximum(variance, 0.0))
        most = (MAX_THETA - theta.shape[1]) / PARAM_ONE
        for k in np.flatnonzero(np.abs(theta).sum(axis=1) > most).tolist():
            theta[k] = _within(prior[k], theta[k], most)
        return msgspec.structs.replace(
            base,
            theta=tuple(tuple(row) for row in np.rint(theta * PARAM_ONE).astype(np.int64).tolist()),
            sd=tuple(tuple(row) for row in np.rint(sd * PARAM_ONE).astype(np.int64).tolist()),
        )

    def _places(self, arm: Sequence[str]) -> Int:
        return np.array([self._column.get(name, -1) for name in arm], np.int64)

    def _add(self, k: int, level: int, features: Float, quality: Float, precision: Float) -> None:
        residual = quality - np.einsum("nd,d->n", features, self.prior.mean[k])
        self._ledgers.add(self._ledgers.open(k, level), features, residual, precision)

    def _again(
        self, pair: tuple[int, int], arm: str, features: Float, quality: float, precision: float
    ) -> bool:
        """Whether the round was heard of before; if so, the new word stands in the old one's place.

        What the old word has left is what the new one gets: it is the age of the round that counts.
        """
        old = self._heard.get(pair)
        if old is None:
            return False
        k = self._column.get(old.arm)
        same = old.arm == arm and old.precision == precision and bool((old.features == features).all())
        if (same and old.quality == quality) or k is None or old.age != self._age[k]:
            return True
        heard = self._levels.standing(old.level)
        if self._ledgers.find(k, heard) is None:
            return True  # it went with its provider's levels
        share = self._left[k] / old.left
        taken = np.array([-old.precision * share])
        self._add(k, heard, old.features[None, :], np.array([old.quality]), taken)
        new = self._column[arm]
        level = heard if self._provider(new) == self._provider(k) else self._level(new)
        self._add(new, level, features[None, :], np.array([quality]), np.array([precision * share]))
        self._heard[pair] = _Heard(
            arm,
            level,
            features.copy(),
            precision,
            quality,
            float(self._left[new] / share),
            int(self._age[new]),
        )
        return True


def _within(prior: Float, theta: Float, most: float) -> Float:
    """The point on the way from the prior to theta whose absolute coefficients add up to `most`."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if np.abs(prior + middle * (theta - prior)).sum() > most:
            high = middle
        else:
            low = middle
    return prior + low * (theta - prior)
