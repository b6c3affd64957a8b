"""One hour's step: log to evidence to proposal to record, and to the live weights if the gate says so.

Everything that could be lost by dying between two effects is found again by the next step: looks are
counted before anything is published, nothing is published that is not recorded, and what is in force
is what MLflow is made to call champion. One step runs at a time. Time is an argument.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from experiments.learning.evidence import NoRounds, Window, read_window
from experiments.learning.places import Places
from experiments.learning.publication import weights_of
from experiments.learning.record import run_of
from experiments.learning.ticks import HOUR_MS
from p402.errors import StoreError
from p402.evaluation.gate import enough, verdict_of
from p402.evaluation.logged import FloatArray
from p402.learner.reweight import Proposal, Settings, reweight
from p402.learner.weights import Weights
from p402.registry.tracking import Recorded, Tracking
from p402.registry.weights import Candidate, Published, WeightsRegistry
from p402.store.atomic import store_error, write_atomic
from p402.store.compactor import Compaction, compact
from p402.store.reader import dataset_digest
from p402.store.settled import require_log


@dataclass(frozen=True, slots=True)
class Plan:
    """How a step is taken.

    Attributes
    ----------
    window_hours
        How far back evidence may lie.
    settings
        Of the learner; its look is set by the step.
    max_rounds
        About how many rounds to learn from at most.
    seal_wait_s
        How long to wait for running gateways to seal what they have; 0 takes what is sealed.
    dry_run
        Record, and publish nothing.
    """

    window_hours: int = 24
    settings: Settings = field(default_factory=Settings)
    max_rounds: int = 100_000
    seal_wait_s: float = 5.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did.

    Attributes
    ----------
    window
        The evidence; None if the log had none.
    before, after
        What was in force and what is; None is the start's 50/50.
    published
        Whether the step put `after` in force.
    """

    compaction: Compaction
    window: Window | None
    proposal: Proposal
    recorded: Recorded
    before: Published | None
    after: Published | None
    published: bool


class Busy(StoreError):
    """Another step is at work on the same weights."""


def take_step(
    places: Places,
    plan: Plan,
    now_ms: Callable[[], int],
    *,
    beat: Callable[[], None] = lambda: None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Step:
    """Take one step.

    Parameters
    ----------
    now_ms
        Wall time in ms since 1970 UTC; the window ends at its first reading.
    beat
        Called often, last just before publishing; what it raises ends the step with nothing published.
    progress
        Told rounds read and rounds to read.

    Raises
    ------
    Busy
        Another step is at work.
    StaleWeights
        Someone published meanwhile; the run is recorded, nothing was published.
    StoreError
        Log, snapshots, weights or MLflow cannot be used.
    """
    started_ms = now_ms()
    require_log(places.log)  # before anything is made: a wrong path leaves no folders behind
    with _one_step(places.registry):
        compaction = compact(places.log, include_live=plan.seal_wait_s > 0, live_wait_s=plan.seal_wait_s)
        beat()
        registry = WeightsRegistry(places.registry, now_ms)
        tracking = Tracking(places.tracking)
        before = registry.current()
        if before is not None:
            tracking.align(before)  # a step or a rollback may have died between publishing and this
        span_ms = started_ms - plan.window_hours * HOUR_MS, started_ms
        looks = Looks(places.registry)
        settings = replace(plan.settings, look=looks.taken + 1)
        window = _window(places, span_ms, plan.max_rounds, progress)
        proposal = _proposed(window, weights_of(before), settings, beat)
        if proposal.alpha > 0.0:
            looks.spend(settings.look)
        run = run_of(
            proposal,
            settings,
            window,
            digest=dataset_digest(places.log) if window is None else window.digest,
            log=places.log,
            span_ms=span_ms,
            ended_ms=now_ms(),
            history=[registry.version(number) for number in registry.versions()[-200:]],
            in_force=before,
            dry_run=plan.dry_run,
        )
        beat()
        recorded = tracking.record(run)
        beat()
        after = before
        promoted = proposal.verdict.action == "promote" and not plan.dry_run
        if promoted:
            after = registry.publish(_candidate(proposal, recorded), 0 if before is None else before.version)
            tracking.align(after)
            tracking.tag_run(recorded.run_id, published_version=str(after.version))
    return Step(compaction, window, proposal, recorded, before, after, promoted)


class Looks:
    """How often candidates were compared since the start: what the error rate is spent over.

    A look that compared nothing is none. Only the holder of the step's lock may spend.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "looks.json"

    @property
    def taken(self) -> int:
        """Looks so far; `StoreError` if the file cannot be read: guessing low would overspend."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=int)
        except FileNotFoundError:
            return 0
        except msgspec.DecodeError as reason:
            raise StoreError(
                f"{self._path}: {reason}; expected the number of looks so far; write it there, at least the "
                f"number of MLflow runs that compared candidates"
            ) from reason
        except OSError as reason:
            raise store_error(self._path, reason) from reason

    def spend(self, look: int) -> None:
        """Count a look that was taken."""
        write_atomic(self._path, msgspec.json.encode(look) + b"\n")


def _window(
    places: Places, span_ms: tuple[int, int], max_rounds: int, progress: Callable[[int, int], None]
) -> Window | None:
    """The evidence of a span of time; None if the log has none."""
    try:
        return read_window(
            places.log,
            places.store,
            since_ms=span_ms[0],
            until_ms=span_ms[1],
            max_rounds=max_rounds,
            progress=progress,
        )
    except NoRounds:
        return None


def _proposed(
    window: Window | None, current: Weights, settings: Settings, beat: Callable[[], None]
) -> Proposal:
    """What the evidence says; where there is none, to stay."""
    if window is None:
        return _nothing(current, settings)

    def probabilities_of(weights: Weights) -> FloatArray:
        beat()
        return window.probabilities_of(weights)

    return reweight(window.evidence, current, probabilities_of, settings)


def _nothing(current: Weights, settings: Settings) -> Proposal:
    """What is proposed where the window holds no round: to stay."""
    return Proposal(
        current=current,
        candidate=None,
        weights=current,
        verdict=verdict_of(enough(settings.gate, matured=0, quality_outcomes=0)),
        candidates=(),
        difference=None,
        current_value=(),
        candidate_value=(),
        left_out=(),
        matured=0,
        quality_outcomes=0,
        look=settings.look,
        alpha=0.0,
    )


def _candidate(proposal: Proposal, recorded: Recorded) -> Candidate:
    assert proposal.difference is not None, "a promotion rests on a comparison"
    gained, least = proposal.difference.value, proposal.difference.pessimistic
    return Candidate(
        quality=proposal.weights.quality,
        cost=proposal.weights.cost,
        speed=proposal.weights.speed,
        reason=f"{', '.join(proposal.verdict.reasons)}: {gained:+.4f} a round, at least {least:+.4f}",
        run_id=recorded.run_id,
        model_version=recorded.model_version,
    )


@contextmanager
def _one_step(root: Path) -> Iterator[None]:
    """Hold the right to take a step; it ends with the process, however that ends."""
    path = root / "learner.lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as reason:
        raise store_error(path, reason) from reason
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(
                f"{path} is held: another learner takes a step; expected none; try again later"
            ) from None
        yield
    finally:
        os.close(fd)
