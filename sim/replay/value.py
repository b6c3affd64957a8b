"""What a strategy that did not write the log would have earned on it, beside what the log earned.

Estimators, intervals and warnings are those of `p402.evaluation`; what the log itself gives reason to
doubt is said beside them. It decides nothing and promotes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p402.evaluation.diagnostics import Calibration, RatioTest, propensity_calibration, sample_ratio
from p402.evaluation.estimate import ESTIMAND, Estimate
from p402.evaluation.estimators import compare, evaluate
from p402.evaluation.fits import Name
from p402.evaluation.gate import Gate
from p402.evaluation.reward_model import cross_fitted
from p402.learner.evidence import Evidence
from sim.replay.target import Target
from sim.replay.window import NoRounds, read_window

ESTIMATORS: Final[tuple[Name, ...]] = ("snips", "dr", "ips")
"""In the order they are shown: `ips` last, as it is the least exact."""

MIN_JUDGED: Final = Gate().min_quality
MAX_Z: Final = 4.0
MIN_P: Final = 1e-4
"""When a log's own propensities are doubted: a sound log does so once in ten thousand."""

BEHAVIOURS: Final = ("cost", "quality", "speed", "balanced", "custom")


@dataclass(frozen=True, slots=True)
class Line:
    """One estimator: the strategy, the log's own behaviour, and their paired difference."""

    name: str
    target: Estimate
    behaviour: Estimate
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Valuation:
    """A strategy's value.

    Attributes
    ----------
    policy, behaviour
        What was asked for; the mode whose rounds were used.
    rounds, matured, judged, sessions
        How many; a round has matured once its reward is known: someone judged it, or it failed.
    arms, snapshots
        Arms that either could take; snapshots the rounds were decided under.
    estimand
        What every value is a value of.
    calibration, ratio
        Whether the logged propensities are those the arms were drawn from.
    warnings
        Why not to believe any of it, in the form of `Estimate.warnings`, which speak of one estimate.
    """

    policy: str
    behaviour: str
    rounds: int
    matured: int
    judged: int
    sessions: int
    arms: int
    snapshots: int
    estimand: str
    lines: tuple[Line, ...]
    calibration: Calibration
    ratio: RatioTest
    warnings: tuple[str, ...]


def value(
    log: Path,
    store: Path,
    policy: str,
    target: Target,
    behaviour: str = "balanced",
    *,
    alpha: float = 0.05,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Valuation:
    """Value a strategy on the rounds logged in one mode.

    Parameters
    ----------
    policy
        How to call the strategy.
    behaviour
        Mode whose rounds are used.
    alpha
        Error rate of the two-sided intervals.

    Raises
    ------
    NoRounds
        There are none with chance in them, or none whose reward is known.
    Unfaithful
        A propensity does not replay: verify the log first.
    StoreError
        A snapshot or delta that the rounds need is missing or corrupt.
    """
    window = read_window(log, store, target, behaviour, progress)
    batch = window.batch
    if window.evidence.matured == 0:
        raise NoRounds(
            f"none of {batch.n} {behaviour} rounds has a known reward; expected outcomes: "
            f"POST /v1/outcomes with a quality, then replay again"
        )
    model = cross_fitted(batch)
    ours = evaluate(batch, window.target, model, names=ESTIMATORS, alpha=alpha)
    theirs = evaluate(batch, window.behaviour, model, names=ESTIMATORS, alpha=alpha)
    paired = {
        "snips": compare(batch, window.target, window.behaviour, alpha=alpha),
        "dr": compare(batch, window.target, window.behaviour, model, alpha=alpha),
    }
    calibration, ratio = propensity_calibration(batch), sample_ratio(batch, window.behaviour)
    return Valuation(
        policy=policy,
        behaviour=behaviour,
        rounds=batch.n,
        matured=window.evidence.matured,
        judged=window.evidence.quality_outcomes,
        sessions=ours[0].n_sessions,
        arms=len(window.arms),
        snapshots=window.snapshots,
        estimand=ESTIMAND,
        lines=tuple(Line(a.name, a, b, paired.get(a.name)) for a, b in zip(ours, theirs, strict=True)),
        calibration=calibration,
        ratio=ratio,
        warnings=_warnings(window.evidence, calibration, ratio),
    )


def _warnings(evidence: Evidence, calibration: Calibration, ratio: RatioTest) -> tuple[str, ...]:
    found = []
    if evidence.quality_outcomes < MIN_JUDGED:
        found.append(
            f"no_quality_evidence: {evidence.quality_outcomes} rounds with a quality outcome; expected "
            f"at least {MIN_JUDGED}; the rest of what matured are failures, worth 0"
        )
    if abs(calibration.z) > MAX_Z:
        found.append(
            f"propensities: mean 1/p is {calibration.z:.1f} standard errors off; expected at most {MAX_Z:g}; "
            f"rounds were lost or replaced after the draw"
        )
    if ratio.p_value < MIN_P:
        found.append(
            f"sample_ratio: arms were taken unlike their propensities (p {ratio.p_value:.1g}); expected "
            f"at least {MIN_P:g}; rounds are missing from the log, or chance was not what was logged"
        )
    return tuple(found)
