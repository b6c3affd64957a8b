"""P402 as a strategy: the real `decide` under snapshots that are its own, and the posterior tick.

`Fixed` is a mode, weights or the starting benchmark: it learns nothing. `Ours` learns: judgements go into
`p402.learner.posterior`, and a tick compiles what is believed into the next snapshot. Both choose by
`p402.routing.decide` and nothing else.
"""

from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.learner.drift import Drift
from p402.learner.lengths import Lengths
from p402.learner.observed import Observed
from p402.learner.posterior import Beliefs
from p402.learner.prior import Spread, prior_of
from p402.learner.weights import Weights
from p402.learner.words import Words
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.decide import Decided, decide, decide_one, work
from p402.routing.live import LiveState
from p402.routing.rows import MODE_CODES
from p402.routing.scale import COUNT_ONE, FEATURE_ONE, param
from p402.routing.spec import Mode, Policy, Posterior, SnapshotSpec
from sim.strategies.contract import Int, Rounds
from sim.strategies.drawn import Drawn
from sim.strategies.seen import Start, contexts_of

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Tuning:
    """How `p402` learns and explores; what was tuned where is in this folder's README.

    Attributes
    ----------
    spread
        Prior standard deviations and noise.
    half_life_ms
        After which half of the evidence is forgotten; 0 forgets nothing.
    drift_sd
        How far a provider's level is believed to have moved at an alarm of the change detector; 0 has none.
    alarm
        The detector's.
    tick_ms
        Least time between two snapshots.
    closes_ms
        Age at which a round takes no further word.
    beta, switch_cost
        Of the policy; None leaves the snapshot's.
    loss_cap, floor, tolerance
        The same, of every mode that explores.
    """

    spread: Spread = field(
        default_factory=lambda: Spread(
            bias=0.05, task=0.12, length=0.12, other=0.03, noise=0.22, shared=0.98, level=0.05
        )
    )
    half_life_ms: int = 7 * DAY_MS
    drift_sd: float = 0.15
    alarm: float = 8.0
    tick_ms: int = MINUTE_MS
    closes_ms: int = 48 * HOUR_MS
    beta: float | None = 1.0
    switch_cost: float | None = 0.0
    loss_cap: float | None = 0.0003
    floor: float | None = 0.003
    tolerance: float | None = 0.08


class Fixed:
    """A mode, weights, or the promoted modes as they are, under the operator's snapshot: nothing is learned.

    Parameters
    ----------
    name
        As it was asked for.
    mode, weights
        What every request is taken to ask for; None leaves each request's own.
    explore
        Whether chance may choose where the snapshot and the tenant let it.
    benchmark
        Go by the benchmark's mean alone, without optimism.
    """

    def __init__(
        self,
        name: str,
        mode: str | None = None,
        weights: Weights | None = None,
        *,
        explore: bool = True,
        benchmark: bool = False,
    ) -> None:
        self.name = name
        self._mode = mode
        self._weights = None if weights is None else [weights.quality, weights.cost, weights.speed]
        self._explore = explore
        self._benchmark = benchmark
        self._start: Start | None = None

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The operator's snapshot, without optimism where the benchmark alone should speak."""
        if self._start is None:
            self._start = Start.of(snapshot)
        if not self._benchmark:
            return snapshot
        spec = snapshot.spec
        return compile_snapshot(replace(spec, policy=replace(spec.policy, beta=0)))

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:  # noqa: ARG002 - the contract's
        """Nothing."""
        return None

    def decide(self, snapshot: Snapshot, request_id: str, inputs: RowInputs, live: LiveState) -> Decided:
        """What `decide_one` chooses for the request as if it had asked for this."""
        asked = inputs if self._explore else replace(inputs, explore=False)
        if self._mode is not None:
            asked = replace(asked, mode=self._mode, weights=self._weights)
        return decide_one(snapshot, request_id, asked, live)

    def choose(
        self, snapshot: Snapshot, batch: RequestBatch, prompts: tuple[str, ...] | None = None
    ) -> Drawn:
        """The same for a batch."""
        return drawn(snapshot, self._asked(batch), self._start or Start.of(snapshot), prompts)

    def _asked(self, batch: RequestBatch) -> RequestBatch:
        n = len(batch)
        changes: dict[str, Any] = {}
        if not self._explore:
            changes["explore"] = np.zeros(n, np.bool_)
        if self._mode is not None:
            changes["mode"] = np.full(n, MODE_CODES[self._mode], np.int64)
            if self._weights is not None:
                changes["weights"] = np.tile(np.array(self._weights, np.float64), (n, 1))
        return changed(batch, **changes)


class Ours:
    """P402: Bayesian linear posterior, inverse-gap weighting, a tick a minute."""

    decide = staticmethod(decide_one)

    def __init__(self, name: str = "p402", tuning: Tuning | None = None) -> None:
        self.name = name
        self.tuning = tuning or Tuning()
        self.beliefs: Beliefs | None = None
        self._base: Snapshot | None = None
        self._start: Start | None = None
        self._observed = Observed()
        self._lengths = Lengths()
        self._first_ratio: dict[str, int] = {}
        self._closed_ms = 0
        self._drift = Drift(alarm=self.tuning.alarm)
        self._known: dict[tuple[int, int], bool] = {}
        self._waiting: list[Rounds] = []
        self._last_ms: int | None = None

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The operator's snapshot with this policy and what is believed so far.

        The prior of an arm is what the first snapshot that had it believed.
        """
        spec = replace(snapshot.spec, policy=self._policy(snapshot.spec.policy))
        self._start = Start.of(snapshot) if self._start is None else self._start.with_arms_of(snapshot)
        prior = prior_of(spec.arms, spec.posterior, self.tuning.spread)
        prior = changed(prior, mean=np.ascontiguousarray(self._start.table(snapshot).T))
        if self.beliefs is None:
            posterior = spec.posterior
            self.beliefs = Beliefs(prior, self.tuning.spread.noise, posterior.tasks, posterior.features)
        else:
            self.beliefs.rebase(prior)
        self._base = compile_snapshot(replace(spec, posterior=self._expecting(spec)))
        return self._compiled()

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:
        """Keep what arrived until the tick is due; then forget, take it in and compile."""
        if len(rounds):
            self._waiting.append(rounds)
        last = self._last_ms
        if last is not None and now_ms - last < self.tuning.tick_ms:
            return None
        self._last_ms = now_ms
        if last is not None:
            self._forget(now_ms - last)
        if self.beliefs is None:
            raise RuntimeError("learn came before begin: a strategy starts under a snapshot")
        self._close(now_ms - self.tuning.closes_ms)
        news = [self._take_in(some) for some in self._waiting]
        self._waiting.clear()
        if not any(news) and self.beliefs.n_words == self._lengths.n_answers == 0:
            return None
        return self._compiled()

    def choose(
        self, snapshot: Snapshot, batch: RequestBatch, prompts: tuple[str, ...] | None = None
    ) -> Drawn:
        """What `decide` chooses for a batch."""
        return drawn(snapshot, batch, self._start or Start.of(snapshot), prompts)

    def _compiled(self) -> Snapshot:
        assert self._base is not None, "a strategy begins before it learns"
        assert self.beliefs is not None, "a strategy begins before it learns"
        spec = self._base.spec
        posterior = self.beliefs.compile(self._lengths.compile(spec.posterior, spec.arms, spec.prices))
        return compile_snapshot(replace(spec, posterior=posterior))

    def _expecting(self, spec: SnapshotSpec) -> Posterior:
        """The component with lengths as the first snapshot that had each arm expected them."""
        for arm, ratio in zip(spec.arms.arm, spec.posterior.output_ratio, strict=True):
            self._first_ratio.setdefault(arm, ratio)
        ratios = tuple(self._first_ratio[arm] for arm in spec.arms.arm)
        return replace(spec.posterior, output_ratio=ratios)

    def _policy(self, policy: Policy) -> Policy:
        tuned = self.tuning
        variants = tuple(tuple(self._mode(mode) for mode in variant) for variant in policy.variants)
        given = {"beta": tuned.beta, "switch_cost": tuned.switch_cost}
        own = {name: param(value) for name, value in given.items() if value is not None}
        return replace(policy, variants=variants, **own)

    def _mode(self, mode: Mode) -> Mode:
        if not mode.explore:
            return mode
        given = {
            "loss_cap": self.tuning.loss_cap,
            "floor": self.tuning.floor,
            "tolerance": self.tuning.tolerance,
        }
        return replace(mode, **{name: param(value) for name, value in given.items() if value is not None})

    def _forget(self, elapsed_ms: int) -> None:
        if self.tuning.half_life_ms and elapsed_ms > 0 and self.beliefs is not None:
            rho = 0.5 ** (elapsed_ms / self.tuning.half_life_ms)
            self.beliefs.forget(rho)
            self._lengths.forget(rho)

    def _close(self, before_ms: int) -> None:
        """Take no further word on rounds older than an instant, and forget that they were."""
        assert self.beliefs is not None, "a strategy begins before it learns"
        self.beliefs.expire(before_ms)
        self._closed_ms = max(self._closed_ms, before_ms)
        while self._known and next(iter(self._known))[0] >> 16 < before_ms:
            del self._known[next(iter(self._known))]

    def _take_in(self, rounds: Rounds) -> int:
        assert self.beliefs is not None, "a strategy begins before it learns"
        seen = rounds.contexts
        names = [seen.arms[k] for k in rounds.action.tolist()]
        new, first = self._count(rounds, names)
        measured = self._measure(rounds.rows(np.flatnonzero(new)))
        judged = np.flatnonzero(~np.isnan(rounds.quality))
        arm = [names[i] for i in judged.tolist()]
        words = Words(
            key=seen.key[judged],
            arm=arm,
            features=seen.features[judged],
            task=seen.task[judged],
            quality=rounds.quality[judged],
            weight=self._observed.weight(seen.task[judged], arm, rounds.failed[judged]),
        )
        if self.tuning.drift_sd and len(judged):
            self._watch(words, rounds, judged, first[judged])
        return self.beliefs.learn(words) + measured

    def _count(self, rounds: Rounds, names: list[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Note successes and judgements, each round's once, of rounds that take words.

        (n,) whether a round is first heard of, and whether its quality is.
        """
        task, known = rounds.contexts.task.tolist(), (~np.isnan(rounds.quality)).tolist()
        new, first = np.zeros(len(rounds), np.bool_), np.zeros(len(rounds), np.bool_)
        for i, ((high, low), gone) in enumerate(
            zip(rounds.contexts.key.tolist(), rounds.failed.tolist(), strict=True)
        ):
            if high >> 16 < self._closed_ms:
                continue
            before = self._known.get((high, low))
            new[i], first[i] = before is None, known[i] and not before
            if not gone and (before is None or first[i]):
                self._observed.count(task[i], names[i], new=before is None, judged=known[i])
            self._known[high, low] = known[i] or bool(before)
        return new, first

    def _measure(self, rounds: Rounds) -> int:
        """Note how long answers were, beside what the operator's snapshot makes expected of their arms."""
        seen, start = rounds.contexts, self._first_ratio
        names = [seen.arms[k] for k in rounds.action.tolist()]
        ratio = np.array([start.get(name, FEATURE_ONE) for name in names], np.float64) / FEATURE_ONE
        model = dict(zip(seen.arms, seen.models, strict=True))
        return self._lengths.learn(names, model, rounds.output_tokens, seen.expected_output * ratio)

    def _watch(self, words: Words, rounds: Rounds, judged: Int, first: NDArray[np.bool_]) -> None:
        """Believe that a provider has moved where its answers say so, before its new words are taken in."""
        assert self.beliefs is not None, "a strategy begins before it learns"
        providers = rounds.contexts.providers
        mean, sd = self.beliefs.expected(words.arm, words.features)
        z = (words.quality - mean) / np.sqrt(sd**2 + self.beliefs.noise**2)
        whose = [providers[k] for k in rounds.action[judged].tolist()]
        for name in self._drift.hear(whose, np.where(first, z, np.nan)):
            self.beliefs.moved(name, self.tuning.drift_sd)


def drawn(snapshot: Snapshot, batch: RequestBatch, start: Start, prompts: tuple[str, ...] | None) -> Drawn:
    """What `decide` chooses for a batch, with the probabilities of every arm."""
    made = decide(snapshot, batch)
    worked = np.atleast_2d(work(snapshot, batch).counts) / COUNT_ONE
    seen = contexts_of(snapshot, batch, start.table(snapshot), prompts=prompts)
    return Drawn(made.arm.astype(np.int64), made.count / COUNT_ONE, worked, seen)
