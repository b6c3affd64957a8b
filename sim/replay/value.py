"""What a strategy that did not write the log would have earned on it, beside what the log earned.

Two passes over the log's pieces, by as many workers as there are: the first says how often rounds are judged
and what each task and arm earns, the second decides every round again and adds it up. Sums are exact, so the
workers and the order they finish in change no bit. Estimators, intervals and warnings are those of
`p402.evaluation`; what the log itself gives reason to doubt is said beside them. It decides nothing and
promotes nothing.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from p402.evaluation.diagnostics import Calibration, RatioTest
from p402.evaluation.estimate import ESTIMAND, Estimate
from p402.evaluation.fits import Name
from p402.evaluation.gate import Gate
from p402.evaluation.summed import calibration, difference, estimates
from p402.evaluation.sums import Sums
from p402.learner.tally import Model, Tally
from p402.store.imported.count import imported_in
from sim.replay.pass_one import Told, ToldCodec, first
from sim.replay.pass_two import By, Valued, ValuedCodec, second
from sim.replay.pieces import Partition
from sim.replay.target import Target
from sim.replay.window import NoRounds, Window, window_of
from sim.shown import Advance
from sim.spread.contract import Workers
from sim.spread.kept import Codec, Kept
from sim.spread.spread import spread
from sim.spread.team import Team

ESTIMATORS: Final[tuple[Name, ...]] = ("snips", "dr", "ips")
"""In the order they are shown: `ips` last, as it is the least exact."""

PAIRED: Final[tuple[Name, ...]] = ("snips", "dr")

MIN_JUDGED: Final = Gate().min_quality
MAX_Z: Final = 4.0
MIN_P: Final = 1e-4
"""When a log's own propensities are doubted: a sound log does so once in ten thousand."""

BEHAVIOURS: Final = ("cost", "quality", "speed", "balanced", "custom")

_WORTH: Final = 5
"""How many times the work of the first pass the second one is, in the progress."""


@dataclass(frozen=True, slots=True)
class Line:
    """One estimator: the strategy, the log's own behaviour, and their paired difference."""

    name: str
    target: Estimate
    behaviour: Estimate
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Part:
    """The rounds of one task or tenant: DR of both policies and their paired difference."""

    name: str
    rounds: int
    target: Estimate
    behaviour: Estimate
    difference: Estimate


@dataclass(frozen=True, slots=True)
class Valuation:
    """A strategy's value.

    Attributes
    ----------
    policy, behaviour
        What was asked for; the mode whose rounds were used.
    rounds, matured, judged
        How many; a round has matured once its reward is known: someone judged it, or it failed.
    sessions
        Units that errors are clustered by: sessions, or from 16,385 sessions on, buckets of them.
    arms, snapshots
        Arms that either could take; snapshots the rounds were decided under.
    estimand
        What every value is a value of.
    lines
        By estimator.
    by, parts
        By task or tenant, most rounds first, where that was asked for.
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
    by: By | None = None
    parts: tuple[Part, ...] = ()


def value(
    log: Path,
    store: Path,
    policy: str,
    target: Target,
    behaviour: str = "balanced",
    *,
    alpha: float = 0.05,
    by: By | None = None,
    since_ms: int | None = None,
    workers: Workers | Team | None = None,
    resume: Path | None = None,
    progress: Advance = lambda _done, _total: None,
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
    by
        Value each task, or each tenant, by itself as well.
    since_ms
        Only rounds from this instant on; None for all.
    workers
        On which the log is read; the same value to the bit on any.
    resume
        A folder in which finished pieces are kept, and found again by the same question.

    Raises
    ------
    NoRounds
        There are none with chance in them, or none whose reward is known.
    Unfaithful
        A propensity does not replay: verify the log first.
    StoreError
        A snapshot or delta that the rounds need is missing or corrupt, or the log is damaged.
    WorkerDied, WorkersAway
        As `sim.spread.spread`.
    """
    team = workers if isinstance(workers, Team) else Team(workers)
    try:
        team.warm(second)
        window = window_of(log, store, behaviour, since_ms)
        told, found = _passes(window, target, policy, by, team, resume, progress)
    finally:
        if team is not workers:
            team.close()
    sums, tally = found.sums, told.tally
    ours, theirs = (estimates(sums, side, names=ESTIMATORS, alpha=alpha) for side in ("new", "current"))
    paired: dict[str, Estimate] = {name: difference(sums, name=name, alpha=alpha) for name in PAIRED}
    doubt, ratio = calibration(sums), found.draws.test()
    return Valuation(
        policy=policy,
        behaviour=behaviour,
        rounds=tally.rounds,
        matured=tally.matured,
        judged=tally.quality_outcomes,
        sessions=ours[0].n_sessions,
        arms=len(found.arms),
        snapshots=len(found.snapshots),
        estimand=ESTIMAND,
        lines=tuple(Line(a.name, a, b, paired.get(a.name)) for a, b in zip(ours, theirs, strict=True)),
        calibration=doubt,
        ratio=ratio,
        warnings=_warnings(tally, doubt, ratio),
        by=by,
        parts=tuple(_parts(found.parts, alpha)),
    )


def _passes(
    window: Window,
    target: Target,
    policy: str,
    by: By | None,
    team: Team,
    resume: Path | None,
    progress: Advance,
) -> tuple[Told, Valued]:
    """Both passes.

    Raises
    ------
    NoRounds
        As `value`.
    """
    pieces = sorted(window.decisions, key=lambda piece: -piece.rows)  # a large one at the end holds all up
    sizes = [piece.rows for piece in pieces]
    total = (1 + _WORTH) * sum(sizes)

    def over(function: Callable[[Partition], Any], question: str, codec: Codec[Any], turn: int) -> Any:
        """Results of one pass, one after the other."""

        def advance(done: int, _all: int) -> None:
            progress(done if turn == 0 else sum(sizes) + _WORTH * done, total)

        digests = [piece.id for piece in pieces]
        kept = None if resume is None else Kept(resume, question, digests, codec)
        return spread(function, pieces, team, kept=kept, sizes=sizes, progress=advance)

    about = f"{window.behaviour} since {window.since_ms} {_digest((*window.outcomes, *window.rewards))}"
    told = Told(Tally.none(), {})
    for each in over(partial(first, window), f"pass one of {about}", ToldCodec(), 0):
        told = told.plus(each)
    _require(window, told)
    model = told.tally.model()
    whose = f"{policy!r} {target!r} {_code_of(target)}"
    asked = f"pass two of {about}: {whose} by {by} with {_hash_of(model)}"
    found = Valued()
    for each in over(partial(second, window, target, model, by), asked, ValuedCodec(), 1):
        found = found.plus(each)
    return told, found


def _require(window: Window, told: Told) -> None:
    behaviour = window.behaviour
    if not told.modes.get(behaviour):
        seen = ", ".join(f"{mode} {n}" for mode, n in sorted(told.modes.items())) or "none"
        raise NoRounds(
            f"the log has no {behaviour} round with exploration on; found {seen}{_imported(window)}; "
            f"pass --behaviour with one of those modes, or serve some traffic first"
        )
    if told.tally.matured == 0:
        raise NoRounds(
            f"none of {told.tally.rounds} {behaviour} rounds has a known reward; expected outcomes: "
            f"POST /v1/outcomes with a quality, then replay again"
        )


def _imported(window: Window) -> str:
    """What to say of calls that another gateway logged, if there are any."""
    rows = imported_in(Path(window.log)).calls
    if not rows:
        return ""
    return (
        f", and {rows} imported calls, whose propensity is null: nobody knows how probably their arm was "
        f"taken, so no weighted estimator takes them"
    )


def _digest(pieces: Iterable[Partition]) -> str:
    digest = blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece.id.encode())
    return digest.hexdigest()


def _code_of(target: Target) -> str:
    """Digest of the module that a policy of the user's own comes from; ours is in every part's name."""
    policy = getattr(getattr(target, "strategy", None), "policy", None)
    module = sys.modules.get(type(policy).__module__)
    path = None if policy is None else getattr(module, "__file__", None)
    return "" if path is None else blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()


def _hash_of(model: Model) -> str:
    digest = blake2b(repr((model.tasks, model.arms)).encode(), digest_size=16)
    digest.update(model.weight.tobytes() + model.tables.tobytes())
    return digest.hexdigest()


def _parts(found: Mapping[str, Sums], alpha: float) -> Iterable[Part]:
    """Parts with the most rounds first."""
    for name, sums in sorted(found.items(), key=lambda part: (-part[1].n, part[0])):
        (ours,), (theirs,) = (
            estimates(sums, side, names=("dr",), alpha=alpha) for side in ("new", "current")
        )
        yield Part(name, sums.n, ours, theirs, difference(sums, alpha=alpha))


def _warnings(tally: Tally, doubt: Calibration, ratio: RatioTest) -> tuple[str, ...]:
    found = []
    if tally.quality_outcomes < MIN_JUDGED:
        found.append(
            f"no_quality_evidence: {tally.quality_outcomes} rounds with a quality outcome; expected "
            f"at least {MIN_JUDGED}; the rest of what matured are failures, worth 0"
        )
    if abs(doubt.z) > MAX_Z:
        found.append(
            f"propensities: mean 1/p is {doubt.z:.1f} standard errors off; expected at most {MAX_Z:g}; "
            f"rounds were lost or replaced after the draw"
        )
    if ratio.p_value < MIN_P:
        found.append(
            f"sample_ratio: arms were taken unlike their propensities (p {ratio.p_value:.1g}); expected "
            f"at least {MIN_P:g}; rounds are missing from the log, or chance was not what was logged"
        )
    return tuple(found)
