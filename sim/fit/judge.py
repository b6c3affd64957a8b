"""Is a fitted world like what it has not seen: later days, and another policy? Beside "same as yesterday".

The fit sees the log up to a moment. The world is then played over the days after it, under the log's own
strategy, some times over; each metric's error is that of the mean over plays, beside the error of saying that
the days to come will be as the last ones were. Under another policy (a mode whose rounds the fit was not
given, or another log) yesterday is the policy that was fitted on: all that is known without a model.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from sim.fit.as_logged import AsLogged
from sim.fit.history import History, NoHistory, Span, read_history, span_of
from sim.fit.metrics import Day, day_of, errors
from sim.fit.traffic import tenants_of
from sim.fit.whole import Fitted, fit
from sim.replay.snapshots import Snapshots
from sim.strategies.contract import Strategy
from sim.world.play import run
from sim.world.spec import WorldSpec

HOUR_MS: Final = 3_600_000
LEAST_ROUNDS: Final = 200
"""Rounds that a window must have before a fit, or a judgement of one, says anything."""

WARM_UP_H: Final = 24.0
WARM_UP_ROUNDS: Final = 4_000
"""A play begins so long before the window, or by so many rounds where that is sooner: its live state is
that of a gateway that has run for a while."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One trial of a world.

    Attributes
    ----------
    trial
        `held-out` or `another policy`.
    seen
        What the log's window came to.
    plays
        What each play of the world came to.
    yesterday
        What the guess without a model is.
    world_errors, yesterday_errors
        By metric, `sim.fit.metrics.errors`; the world's are of the mean over plays.
    rounds
        Of the log's window.
    """

    trial: str
    seen: Day
    plays: tuple[Day, ...]
    yesterday: Day
    world_errors: dict[str, float]
    yesterday_errors: dict[str, float]
    rounds: int

    @property
    def better(self) -> tuple[int, int]:
        """In how many metrics the world is nearer than yesterday, and of how many that can be told."""
        told = [
            (ours, self.yesterday_errors[name])
            for name, ours in self.world_errors.items()
            if np.isfinite(ours) and np.isfinite(self.yesterday_errors[name])
        ]
        return sum(ours < theirs for ours, theirs in told), len(told)


@dataclass(frozen=True, slots=True)
class Other:
    """A policy that the fit has not seen: the same log's rounds of a mode, or another log's of any."""

    log: Path
    store: Path
    mode: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """A fit, and how it stood its trials."""

    fitted: Fitted
    rounds: int
    simulated: int
    custom: int
    """Rounds with weights of their own, which were left out."""
    hits: int
    """Requests that a cache answered, which are no rounds: the world has only those that were sent on."""
    fit_from_ms: int
    fit_until_ms: int
    until_ms: int
    verdicts: tuple[Verdict, ...]


def fit_and_judge(
    log: Path,
    store: Path,
    *,
    holdout_h: float,
    mode: str | None = None,
    other: Other | None = None,
    seeds: Sequence[int] = (1, 2, 3),
    progress: Progress = lambda _done, _total: None,
) -> Result:
    """Fit to a log's beginning, and judge on its end.

    Parameters
    ----------
    holdout_h
        Hours at the log's end that the fit does not see; 0 fits all of it and judges no days.
    mode
        Fit to this mode's rounds alone, None for all.
    other
        A policy to be judged under besides.
    seeds
        Of the plays of each trial.
    progress
        Told plays done, and how many there will be.

    Raises
    ------
    NoHistory
        The log is too short or too thin on either side.
    """
    span = span_of(log)
    until_ms = span.last_ms + 1
    split_ms = until_ms - round(holdout_h * HOUR_MS)
    _check(span, split_ms, holdout_h)
    history = _enough(read_history(log, span.first_ms, split_ms, mode), "fitted")
    snapshot = Snapshots(store).get(history.last_snapshot)
    fitted = fit(history, snapshot, max(holdout_h, 24.0))
    strategy = AsLogged(snapshot, fitted.arms)
    last_ms = max(span.first_ms, split_ms - round((holdout_h or 24.0) * HOUR_MS))
    yesterday = day_of(read_history(log, last_ms, split_ms, mode))
    total = len(seeds) * ((holdout_h > 0) + (other is not None))
    plays = _Plays(fitted.arms, seeds, progress, total)
    verdicts = []
    if holdout_h > 0:
        seen = _enough(read_history(log, split_ms, until_ms, mode), "held-out")
        verdicts.append(_verdict("held-out", seen, plays.of(fitted.spec, strategy, seen), yesterday))
    if other is not None:
        verdicts.append(_under_another(other, fitted, plays, yesterday, split_ms, holdout_h))
    return Result(
        fitted=fitted,
        rounds=len(history),
        simulated=span.simulated,
        custom=span.custom,
        hits=span.hits,
        fit_from_ms=span.first_ms,
        fit_until_ms=split_ms,
        until_ms=until_ms,
        verdicts=tuple(verdicts),
    )


def _check(span: Span, split_ms: int, holdout_h: float) -> None:
    if split_ms - span.first_ms < holdout_h * HOUR_MS or split_ms <= span.first_ms:
        hours = (span.last_ms - span.first_ms) / HOUR_MS
        raise NoHistory(
            f"the log covers {hours:.3g} h; expected at least twice the {holdout_h:g} h held out, so that "
            f"there is a yesterday: pass a smaller --holdout-hours, 0 for none, or a longer log"
        )


def _enough(history: History, what: str) -> History:
    if len(history) < LEAST_ROUNDS:
        raise NoHistory(
            f"the {what} window has {len(history)} routed rounds; expected at least {LEAST_ROUNDS}: use a "
            f"longer log, or another --holdout-hours"
        )
    return history


def _under_another(
    other: Other, fitted: Fitted, plays: "_Plays", yesterday: Day, split_ms: int, holdout_h: float
) -> Verdict:
    """The world under a policy it was not fitted on, over that policy's own window."""
    span = span_of(other.log)
    from_ms = split_ms if span.first_ms < split_ms < span.last_ms and holdout_h > 0 else span.first_ms
    seen = _enough(read_history(other.log, from_ms, span.last_ms + 1, other.mode), "other policy's")
    logged = Snapshots(other.store).get(_first_snapshot(other.log, from_ms, span, other.mode))
    asked = {tenant.name: tenant for tenant in tenants_of(seen)}
    tenants = tuple(
        msgspec.structs.replace(tenant, modes=asked[tenant.name].modes, explores=asked[tenant.name].explores)
        for tenant in fitted.spec.tenants
        if tenant.name in asked
    )
    if not tenants:
        raise NoHistory(
            f"the other policy's tenants are {', '.join(asked)}; expected one of those fitted to: "
            f"{', '.join(tenant.name for tenant in fitted.spec.tenants)}"
        )
    spec = msgspec.structs.replace(fitted.spec, tenants=tenants)
    return _verdict("another policy", seen, plays.of(spec, AsLogged(logged, fitted.arms), seen), yesterday)


def _first_snapshot(log: Path, from_ms: int, span: Span, mode: str | None) -> str:
    """The policy's own snapshot at its beginning: its end has seen what is to be foretold."""
    width = max(1, (span.last_ms - from_ms) // 50)
    for until_ms in (from_ms + width, span.last_ms + 1):
        try:
            return read_history(log, from_ms, until_ms, mode).last_snapshot
        except NoHistory:
            continue
    raise NoHistory(f"the log {log} has no answered round from {from_ms} ms on")


def _verdict(trial: str, seen: History, plays: tuple[Day, ...], yesterday: Day) -> Verdict:
    truth, mean = day_of(seen), mean_day(plays)
    return Verdict(
        trial=trial,
        seen=truth,
        plays=plays,
        yesterday=yesterday,
        world_errors=errors(mean, truth),
        yesterday_errors=errors(yesterday, truth),
        rounds=len(seen),
    )


def mean_day(days: Sequence[Day]) -> Day:
    """Means of numbers and of shares."""
    numbers = {name: float(np.mean([day.numbers[name] for day in days])) for name in days[0].numbers}
    return Day(numbers, _mean_shares([d.arms for d in days]), _mean_shares([d.providers for d in days]))


def _mean_shares(shares: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = sorted({name for one in shares for name in one})
    return {name: sum(one.get(name, 0.0) for one in shares) / len(shares) for name in names}


class _Plays:
    """Plays of worlds, each with its log, read as the log on trial is."""

    def __init__(self, arms: Mapping[str, str], seeds: Sequence[int], progress: Progress, total: int) -> None:
        self._arms, self._seeds, self._progress, self._total = arms, seeds, progress, total
        self._done = 0

    def of(self, spec: WorldSpec, strategy: Strategy, seen: History) -> tuple[Day, ...]:
        """What each play comes to over the log's window, after a while that is not counted."""
        warm_h = min(WARM_UP_H, WARM_UP_ROUNDS / spec.arrivals.per_hour)
        begin = datetime.fromtimestamp(seen.from_ms / 1000 - warm_h * 3600, UTC)
        hours = warm_h + (seen.until_ms - seen.from_ms) / HOUR_MS
        spec = msgspec.structs.replace(spec, start=begin, hours=hours)
        days = []
        for seed in self._seeds:
            with tempfile.TemporaryDirectory(prefix="p402-fit-") as folder:
                log, store = Path(folder) / "log", Path(folder) / "store"
                run(spec, strategy, seed, log, store)
                played = day_of(read_history(log, seen.from_ms, seen.until_ms))
            days.append(replace(played, arms={self._arms[arm]: share for arm, share in played.arms.items()}))
            self._done += 1
        self._progress(self._done, self._total)
        return tuple(days)
