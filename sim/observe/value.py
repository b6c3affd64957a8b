"""What each mode would have made of the observed rounds, and what speaks against believing it.

Every round is decided again by the code that decided it, on what it was logged with, its snapshot and
its live state: first as it was, which must give the logged choice, then in each mode. Two inputs are not
kept: the variant (the promoted weights are on trial) and the session's warm cache, which is
where the named model was called and would have been elsewhere. It decides nothing for anyone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.evaluation.logged import hash_of
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.decide import CHUNK_CELLS, decide, work
from p402.routing.spec import MODES, TASKS
from p402.store.reader import connect
from p402.units import PICO_PER_NANO, PICO_PER_USD
from sim.observe.chance import Chance
from sim.observe.doubts import of_log, of_mode
from sim.observe.lengths import Lengths
from sim.observe.reprice import Exchanges, Repriced, reprice
from sim.observe.rounds import Census, Window, census, lengths_seen, read, snapshots
from sim.observe.saving import saving
from sim.observe.sums import BUCKETS, Sums
from sim.replay.snapshots import Snapshots
from sim.replay.source import UNFIT, Group, Lost
from sim.replay.window import Unfaithful

Float = NDArray[np.float64]

_DIGITS: Final = 9
"""Of every figure: USD to the nano, shares far below what bounds mean."""

_NEAR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Line:
    """A mode on some rounds; USD, and shares in [0, 1] but for the saving's. Bounds are at 95 %.

    Attributes
    ----------
    cost_usd
        What it would have cost, as against `paid_usd`.
    saving_by_requests_usd, saving_by_lengths_usd
        Standard errors of the saving: which requests came; how long other models' answers are.
    saving_uncached_usd
        The saving if no other arm had had any of the prompts cached.
    changed
        Share of requests that another model would have answered.
    quality_difference
        Mean believed quality less that of what served, in [-1, 1]: model-based, not measured here.
    quality_from_benchmarks
        Share of requests whose believed qualities both come from benchmarks; the others rest on priors.
    assumed_lengths
        Share of the output re-priced at other models whose length nobody measured.
    models
        Share of requests by model that would answer, largest first; for all tasks only.
    """

    mode: str
    task: str | None
    rounds: int
    paid_usd: float
    cost_usd: float
    saving_usd: float
    saving_lower_usd: float | None
    saving_upper_usd: float | None
    saving: float
    saving_lower: float | None
    saving_upper: float | None
    saving_by_requests_usd: float | None
    saving_by_lengths_usd: float
    saving_uncached_usd: float
    changed: float
    quality_difference: float
    quality_source: str
    quality_from_benchmarks: float
    assumed_lengths: float
    models: dict[str, float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed and what it says.

    Attributes
    ----------
    rounds
        Observed rounds in the window; `valued` of them are in the figures, `excluded` are not, by why.
    called
        Valued rounds by the model that was called.
    lines, by_task
        Each mode on all valued rounds; on those of each task, where asked for.
    """

    tenant: str | None
    rounds: int
    valued: int
    excluded: dict[str, int]
    sessions: int
    first_ms: int
    last_ms: int
    snapshots: int
    called: dict[str, int]
    lines: tuple[Line, ...]
    by_task: tuple[Line, ...]
    warnings: tuple[str, ...]


def observe(
    log: Path,
    store: Path,
    window: Window | None = None,
    modes: Sequence[str] = MODES,
    *,
    by_task: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Observed:
    """Value modes on the observed rounds of a log.

    Memory hangs on the arms, on a chunk, and on what DuckDB sorts at once: a sixteenth of a long log.

    Raises
    ------
    NothingObserved
        There is no observed round that can be valued.
    Unfaithful
        A logged choice does not replay: verify the log first.
    StoreError
        A snapshot that the rounds need, or the log itself, is missing or corrupt.
    """
    window, chance = window or Window(), Chance()
    with connect(log) as con:
        found = Snapshots(store)
        counted = census(con, window)
        lengths = Lengths(lengths_seen(con, window, _models(found, snapshots(con, window))))
        pass_ = _Pass(found, lengths, modes)
        done = 0
        for group in read(con, window, counted.valued):
            pass_.take(group)
            done += len(group)
            progress(done, counted.valued)
    return _told(window, _but_lost(counted, pass_.lost), pass_, chance, by_task=by_task)


def _models(found: Snapshots, ids: Sequence[str]) -> dict[str, str]:
    """The model of every arm of some snapshots."""
    model_of: dict[str, str] = {}
    for snapshot_id in ids:
        arms = found.get(snapshot_id).spec.arms
        model_of.update(zip(arms.arm, arms.model, strict=True))
    return model_of


def _but_lost(counted: Census, lost: int) -> Census:
    if not lost:
        return counted
    if lost == counted.valued:
        raise Unfaithful(f"none of {lost} observed rounds can be decided again; run p402 replay --verify")
    return replace(counted, valued=counted.valued - lost, excluded={**counted.excluded, "unreplayable": lost})


class _Pass:
    """One pass over the rounds, mode after mode for each group of them."""

    def __init__(self, found: Snapshots, lengths: Lengths, modes: Sequence[str]) -> None:
        self.found, self.lengths, self.modes = found, lengths, modes
        self.sums = Sums()
        self.called: dict[str, int] = {}
        self.lost = 0

    def take(self, group: Group | Lost) -> None:
        """Add a group; rounds that have lost their live state or inputs are counted.

        Raises
        ------
        Unfaithful
            A choice of it does not replay.
        """
        if isinstance(group, Lost):
            self.lost += len(group)
            return
        snapshot = self.found.get(group.snapshot)
        try:
            batch = group.batch(snapshot)
        except UNFIT as error:
            raise Unfaithful(
                f"rounds under snapshot {group.snapshot} cannot be decided: {error}; run p402 replay --verify"
            ) from error
        _must_replay(group, snapshot, batch)
        used, bucket = _exchanges(group, snapshot), _buckets(group)
        tasks = {name: used.task == code for code, name in enumerate(used.tasks) if (used.task == code).any()}
        self.sums.pay(tasks, bucket, used.served_pico + used.failed_pico)
        for code, count in enumerate(np.bincount(snapshot.model[used.arm]).tolist()):
            if count:
                name = sorted(snapshot.models)[code]
                self.called[name] = self.called.get(name, 0) + count
        for mode in self.modes:
            asked = _asked(batch, mode)
            for part in _parts(len(group), snapshot.n_arms):
                found = self._repriced(snapshot, asked, used, part)
                within = {name: rows[part] for name, rows in tasks.items()}
                self.sums.value(mode, within, bucket[part], found)

    def _repriced(self, snapshot: Snapshot, asked: RequestBatch, used: Exchanges, part: slice) -> Repriced:
        rows = asked.rows(part)
        counts = np.atleast_2d(work(snapshot, rows).counts)
        return reprice(snapshot, rows.features, counts, used.rows(part), self._stretch)

    def _stretch(self, called: str, other: str, task: str) -> float:
        return float(np.exp(self.lengths.ratio(called, other, task).center))


def _parts(n: int, n_arms: int) -> Iterator[slice]:
    step = max(1, CHUNK_CELLS // n_arms)
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _must_replay(group: Group, snapshot: Snapshot, batch: RequestBatch) -> None:
    made = decide(snapshot, batch)
    arms = np.array([snapshot.index.get(arm, -2) for arm in group.column("arm")])
    off = (made.arm != arms) | (made.count != np.array(group.column("count")))
    if off.any():
        first = group.column("id")[int(np.flatnonzero(off)[0])]
        raise Unfaithful(
            f"{np.count_nonzero(off)} of {len(group)} rounds are decided otherwise than was logged, first "
            f"{first}; run p402 replay --verify"
        )


def _asked(batch: RequestBatch, mode: str) -> RequestBatch:
    """The rows as if asked for the promoted `mode`, by a session that is warm nowhere."""
    return replace(
        batch,
        mode=np.full_like(batch.mode, MODES.index(mode)),
        variant=np.zeros_like(batch.variant),
        weights=None,
        previous_arm=None,
        warm_tokens=None,
    )


def _exchanges(group: Group, snapshot: Snapshot) -> Exchanges:
    served = [snapshot.index.get(arm, -1) for arm in group.column("served")]
    if min(served) < 0:
        stray = group.column("served")[served.index(-1)]
        raise Unfaithful(
            f"a round was served by {stray}, which its snapshot {group.snapshot} does not have; "
            "run p402 replay --verify"
        )
    inputs = group.columns
    cap = np.where(inputs.capped, inputs.max_output * inputs.n, np.inf)
    paid, billed = _numbers(group, "cost_nano"), _numbers(group, "served_nano")
    return Exchanges(
        tasks=TASKS,
        arm=np.array(served, np.int64),
        task=np.array([TASKS.index(task) for task in group.column("task")], np.int64),
        prompt=_numbers(group, "prompt_tokens"),
        cached=_numbers(group, "cached_tokens"),
        output=_numbers(group, "output_tokens"),
        cap=cap,
        served_pico=billed * PICO_PER_NANO,
        failed_pico=(paid - billed) * PICO_PER_NANO,
    )


def _numbers(group: Group, name: str) -> Float:
    values: Float = group.table.column(name).to_numpy().astype(np.float64)
    return values


def _buckets(group: Group) -> NDArray[np.int64]:
    known: dict[tuple[str, str], int] = {}
    found = []
    for name in zip(group.column("tenant"), group.column("session"), strict=True):
        if name not in known:
            known[name] = hash_of("\x1f".join(name)) % BUCKETS
        found.append(known[name])
    return np.array(found, np.int64)


def _told(window: Window, counted: Census, done: _Pass, chance: Chance, *, by_task: bool) -> Observed:
    tasks = [task for task in TASKS if task in done.sums.paid]
    lines = tuple(_line(done, mode, None, tasks, chance) for mode in done.modes)
    each = [_line(done, mode, task, [task], chance) for mode in done.modes for task in tasks if by_task]
    return Observed(
        tenant=window.tenant,
        rounds=counted.valued + sum(counted.excluded.values()),
        valued=counted.valued,
        excluded=counted.excluded,
        sessions=counted.sessions,
        first_ms=counted.first_ms,
        last_ms=counted.last_ms,
        snapshots=len(done.found.used),
        called=dict(sorted(done.called.items(), key=lambda item: (-item[1], item[0]))),
        lines=lines,
        by_task=tuple(each),
        warnings=of_log(counted),
    )


def _line(done: _Pass, mode: str, task: str | None, tasks: Sequence[str], chance: Chance) -> Line:
    paid, would = done.sums.all_paid(tasks), done.sums.all_would(mode, tasks)
    cells = {cell: pico for cell, pico in done.sums.cells[mode].items() if cell[2] in tasks}
    value = saving(paid, would, cells, done.lengths, chance)
    n = float(paid.rounds.sum())
    models = {} if task is not None else done.sums.models[mode]
    scored = would.scored / n
    return Line(
        mode=mode,
        task=task,
        rounds=int(n),
        paid_usd=_usd(value.paid),
        cost_usd=_usd(value.cost),
        saving_usd=_usd(value.saving),
        saving_lower_usd=_bound(value.lower / PICO_PER_USD),
        saving_upper_usd=_bound(value.upper / PICO_PER_USD),
        saving=round(value.share, _DIGITS),
        saving_lower=_bound(value.share_lower),
        saving_upper=_bound(value.share_upper),
        saving_by_requests_usd=_bound(value.by_requests / PICO_PER_USD),
        saving_by_lengths_usd=_usd(value.by_lengths),
        saving_uncached_usd=_usd(value.saving - would.uncached),
        changed=round(would.changed / n, _DIGITS),
        quality_difference=round(would.quality / n, _DIGITS),
        quality_source=_source(scored),
        quality_from_benchmarks=round(scored, _DIGITS),
        assumed_lengths=round(value.assumed, _DIGITS),
        models={
            name: round(share / n, _DIGITS)
            for name, share in sorted(models.items(), key=lambda item: (-item[1], item[0]))
        },
        warnings=of_mode(value, scored),
    )


def _source(scored: float) -> str:
    return "benchmark" if scored > 1.0 - _NEAR else "prior" if scored < _NEAR else "benchmark and prior"


def _usd(pico: float) -> float:
    return round(pico / PICO_PER_USD, _DIGITS)


def _bound(value: float) -> float | None:
    return round(value, _DIGITS) if isfinite(value) else None
