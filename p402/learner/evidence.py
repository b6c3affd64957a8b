"""A window of logged rounds, ready to be learned from, and what it is without one witness.

Rounds with the objective's rewards, and who spoke: the tenant of each round and the source of its
quality. It knows no weights and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from p402.evaluation.logged import BoolArray, FloatArray, IntArray, LoggedBatch, claims, refuse, whole
from p402.learner.reward import Objective, Parts, observed_weight, reward_of

NO_SOURCE: Final = -1
"""Source of a round that no one judged: not matured, or failed, which the gateway itself saw."""

MAX_SHARE: Final = 0.2
"""Most of a verdict's weight that one tenant may carry, once there are enough tenants."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Rounds and witnesses.

    Attributes
    ----------
    batch
        The rounds with rewards.
    judged
        `(n,)`: the round has a quality outcome.
    tenant, source
        `(n,)`: indices into the names; `source` is -1 where nobody judged.
    tenants, sources
        Names.

    Raises
    ------
    ValueError
        A column does not fit the batch, or an index has no name.
    """

    batch: LoggedBatch
    judged: BoolArray
    tenant: IntArray
    source: IntArray
    tenants: tuple[str, ...]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "judged", claims("judged", self.judged))
        for name, names, least in (("tenant", self.tenants, 0), ("source", self.sources, NO_SOURCE)):
            codes = whole(name, getattr(self, name))
            if codes.shape != (self.batch.n,):
                raise ValueError(f"{name} has shape {codes.shape}: expected ({self.batch.n},), one a round")
            off = (codes < least) | (codes >= len(names))
            refuse(name, codes, off, f"an index in [{least}, {len(names)})", f"name every {name}")
            object.__setattr__(self, name, codes)
        if self.judged.shape != (self.batch.n,):
            raise ValueError(f"judged has shape {self.judged.shape}: expected ({self.batch.n},), one a round")

    @property
    def matured(self) -> int:
        """Number of rounds whose reward is known."""
        return int(np.count_nonzero(self.batch.observed > 0.0))

    @property
    def quality_outcomes(self) -> int:
        """Number of rounds with a quality outcome."""
        return int(np.count_nonzero(self.judged))

    def take(self, rows: BoolArray) -> "Evidence":
        """Some of the rounds; names stay, so that indices keep their meaning."""
        return Evidence(
            self.batch.take(rows),
            self.judged[rows],
            self.tenant[rows],
            self.source[rows],
            self.tenants,
            self.sources,
        )

    def without_source(self, source: int) -> "Evidence":
        """All rounds as they would be had a source not spoken: those it judged have not matured.

        What the others judged is weighted up, so that together it stands for as many rounds as all
        judgements did; otherwise silence about the rest would pass for a zero reward.
        """
        silent = self.source == source
        spoke = (self.source != NO_SOURCE) & ~silent
        before = float(np.add.reduce(self.batch.observed[self.source != NO_SOURCE]))
        after = float(np.add.reduce(self.batch.observed[spoke]))
        lift = before / after if after > 0.0 else 1.0
        observed = np.where(spoke, self.batch.observed * lift, np.where(silent, 0.0, self.batch.observed))
        b = self.batch
        return Evidence(
            LoggedBatch(b.action, b.reward, b.count, b.eligible, b.session, observed, b.task),
            self.judged & ~silent,
            self.tenant,
            np.where(silent, NO_SOURCE, self.source),
            self.tenants,
            self.sources,
        )


def gather(
    parts: Parts,
    objective: Objective,
    *,
    action: IntArray,
    count: IntArray,
    eligible: BoolArray,
    session: IntArray,
    task: IntArray,
    tenant: Sequence[str],
    source: Sequence[str | None],
) -> Evidence:
    """Evidence from a window's columns, `(n,)` each, `eligible` `(n, K)`.

    Give every round of the window, judged or not: P(observed) is estimated from them. `source` is who
    judged the round, None for nobody; a round with no tenant belongs to the tenant "".
    """
    rewards = reward_of(parts, objective)
    observed = observed_weight(rewards, parts.failed, task, action)
    batch = LoggedBatch(action, rewards.value, count, eligible, session, observed, task)
    tenants = tuple(sorted(set(tenant)))
    said = [
        (name or "unnamed") if judged else None
        for name, judged in zip(source, rewards.judged.tolist(), strict=True)
    ]
    sources = tuple(sorted({name for name in said if name is not None}))
    return Evidence(batch, rewards.judged, _codes(tenant, tenants), _codes(said, sources), tenants, sources)


def capped_weight(evidence: Evidence, cap: float = MAX_SHARE) -> FloatArray:
    """How much each row counts so that no tenant carries more than `cap` of the matured weight.

    Tenants above the cap are scaled down to it, and again until none is above, since scaling one down
    raises the others' shares. With fewer than 1 / cap tenants that speak, no weights can satisfy it:
    all are 1, and leaving each one out must do.

    Returns
    -------
    FloatArray
        `(n,)` in `(0, 1]`.
    """
    mass = np.bincount(
        evidence.tenant, weights=evidence.batch.observed, minlength=len(evidence.tenants)
    ).astype(np.float64)
    scale = np.ones_like(mass)
    if np.count_nonzero(mass > 0.0) * cap >= 1.0:
        scale = _capped_scale(mass, cap)
    return scale[evidence.tenant]


def _capped_scale(mass: FloatArray, cap: float) -> FloatArray:
    """Factor of each group: the largest m of them get equal mass, cap of the whole, the rest keep theirs."""
    order = np.argsort(-mass, kind="stable")
    scale = np.ones_like(mass)
    rest = float(np.add.reduce(mass))
    for m, group in enumerate(order.tolist()):
        # With m groups at the cap, the others hold 1 - m * cap of the whole. It ends before that is 0:
        # once cap >= 1 - m * cap, the limit is at least all that is left.
        limit = cap * rest / (1.0 - m * cap)
        if mass[group] <= limit * (1.0 + 1e-12):
            if m:
                scale[order[:m]] = limit / mass[order[:m]]
            return scale
        rest -= float(mass[group])
    return scale


def _codes(values: Sequence[Any], names: tuple[str, ...]) -> IntArray:
    index = {name: code for code, name in enumerate(names)}
    return np.asarray([index.get(value, NO_SOURCE) for value in values], dtype=np.int64)
