"""What each tenant did, by its log: peaks, costs, and what its holds took or would have taken.

Reads the log through the one view; what limits follow from it is for `p402.guard.sizing`. Predicted
holds are played over again as they would have been: each worker learns from the answers that had
settled by then, with the flow's own memory of lengths.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from p402.flow.lengths import AnswerLengths
from p402.guard.daily import DAY_MS, OVER_CAP, OVER_HELD
from p402.guard.lengths import TELLING, UNBOUNDED
from p402.guard.sizing import Demand
from p402.routing.pricing import dearest_input, with_fee, without_fee
from p402.store.reader import connect
from p402.units import PICO_PER_NANO, nano_ceil

HOUR_MS: Final = 3_600_000
BLOCK: Final = 65_536

_ROUNDS: Final = """
SELECT tenant, worker, task, served_arm, ts_ms, outcome_ts_ms, latency_ms, cost_nano, fee_nano,
       hold_nano, coalesce(bound_nano, hold_nano), inputs.max_output, inputs.n, inputs.prompt_bound,
       inputs.ceiling_pico, status = 'ok' AND NOT usage_estimated, n_attempts,
       attempts[1].price_pico, attempts[1].output_tokens
FROM rounds ORDER BY tenant, ts_ms, id
"""

_REFUSALS: Final = "SELECT tenant, ts_ms, code FROM refusals ORDER BY tenant, ts_ms, id"


class Round(NamedTuple):
    """One row of the rounds; `latency_ms` and what follows may be None where it has no outcome.

    `bound_nano` is the most that it could have cost, `whole` whether its usage is that of a whole answer.
    """

    tenant: str
    worker: str
    task: str
    arm: str | None
    ts_ms: int
    ended_ms: int | None
    latency_ms: float | None
    cost_nano: int | None
    fee_nano: int | None
    hold_nano: int | None
    bound_nano: int | None
    max_output: int | None
    n: int
    prompt_bound: int
    ceiling_pico: int
    whole: bool | None
    n_attempts: int | None
    price_pico: list[int] | None
    output: int | None


@dataclass(slots=True)
class _Seen:
    """Rows of one tenant."""

    rounds: list[Round] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)


def demands(log: Path) -> dict[str, Demand]:
    """Demand of every tenant in the log, by name.

    Raises
    ------
    StoreError
        There is no such log, or it cannot be read.
    """
    seen: dict[str, _Seen] = {}
    with connect(log) as con:
        cursor = con.execute(_ROUNDS)
        while rows := cursor.fetchmany(BLOCK):
            for row in map(Round._make, rows):
                seen.setdefault(row.tenant, _Seen()).rounds.append(row)
        for tenant, ts_ms, code in con.execute(_REFUSALS).fetchall():
            seen.setdefault(tenant, _Seen()).refusals.append((ts_ms, code))
    return {tenant: _demand(rows) for tenant, rows in sorted(seen.items())}


def _demand(seen: _Seen) -> Demand:
    arrivals = np.sort([r.ts_ms for r in seen.rounds] + [ts_ms for ts_ms, _ in seen.refusals])
    charges = [
        (r.ts_ms // DAY_MS, r.cost_nano + (r.fee_nano or 0)) for r in seen.rounds if r.cost_nano is not None
    ]
    by_day: dict[int, int] = {}
    for day, nano in charges:
        by_day[day] = by_day.get(day, 0) + nano
    ordered = sorted(nano for _, nano in charges)
    ended = [r for r in seen.rounds if r.ended_ms is not None]
    held = _Played(ended)
    codes = [code for _, code in seen.refusals]
    return Demand(
        days=len(np.unique(arrivals // DAY_MS)),
        requests=len(arrivals),
        peak_day_nano=max(by_day.values(), default=0),
        peak_hour=_most_within(arrivals, HOUR_MS),
        peak_in_flight=held.in_flight,
        p99_nano=ordered[-(-99 * len(ordered) // 100) - 1] if ordered else 0,
        dearest_nano=ordered[-1] if ordered else 0,
        dearest_bound_nano=max((r.bound_nano or 0 for r in ended), default=0),
        dearest_named_nano=max((r.bound_nano or 0 for r in ended if r.max_output is not None), default=0),
        peak_held_nano=held.strict_nano,
        peak_predicted_nano=held.predicted_nano,
        predicted=held.predicted,
        overshot=held.overshot,
        overshoot_nano=held.overshoot_nano,
        refused_rate=codes.count("RATE_LIMIT_EXCEEDED"),
        refused_slots=codes.count("CONCURRENCY_LIMIT_EXCEEDED"),
        refused_money=codes.count(OVER_CAP) + codes.count(OVER_HELD),
    )


def _most_within(arrivals: "np.ndarray[tuple[int], np.dtype[np.int64]]", span_ms: int) -> int:
    """Most arrivals within any window of a length; they are sorted."""
    if len(arrivals) == 0:
        return 0
    first = np.searchsorted(arrivals, arrivals - span_ms, side="right")
    return int((np.arange(1, len(arrivals) + 1) - first).max())


class _Played:
    """A tenant's rounds in the order in which they began and ended, with both kinds of hold."""

    def __init__(self, rounds: Sequence[Round]) -> None:
        self.in_flight = self.predicted = self.overshot = self.overshoot_nano = 0
        held = all(r.bound_nano is not None for r in rounds) and len(rounds) > 0
        self.strict_nano: int | None = 0 if held else None
        self.predicted_nano: int | None = 0 if held else None
        lengths: dict[str, AnswerLengths] = {}
        amounts: dict[int, int] = {}
        now = strict = predicted = 0
        for begins, i in _turns(rounds):
            row = rounds[i]
            if row.bound_nano is None:
                now += 1 if begins else -1
                self.in_flight = max(self.in_flight, now)
                continue
            known = lengths.setdefault(row.worker, AnswerLengths())
            if begins:
                amounts[i] = self._amount(row, known)
                now, strict, predicted = now + 1, strict + row.bound_nano, predicted + amounts[i]
                self.in_flight = max(self.in_flight, now)
                if held:
                    self.strict_nano = max(self.strict_nano or 0, strict)
                    self.predicted_nano = max(self.predicted_nano or 0, predicted)
                continue
            amount = amounts.pop(i)
            now, strict, predicted = now - 1, strict - row.bound_nano, predicted - amount
            self._settle(row, amount)
            _learn(row, known)

    @staticmethod
    def _amount(row: Round, known: AnswerLengths) -> int:
        """What would have been held for a round by prediction, as far as its row tells."""
        assert row.bound_nano is not None, "rounds without a hold are passed over"
        cap = _cap(row)
        if cap is None or row.arm is None or row.price_pico is None:
            return row.bound_nano
        tokens = known.most(row.tenant, row.task, row.arm)
        if tokens is None or tokens >= cap:
            return row.bound_nano
        less = nano_ceil(row.prompt_bound * dearest_input(row.price_pico) + tokens * row.price_pico[2])
        return min(with_fee(less, _fee_bps(row)), row.bound_nano)

    def _settle(self, row: Round, amount: int) -> None:
        assert row.bound_nano is not None, "rounds without a hold are passed over"
        if amount == row.bound_nano:
            return
        self.predicted += 1
        over = (row.cost_nano or 0) + (row.fee_nano or 0) - amount
        if over > 0:
            self.overshot += 1
            self.overshoot_nano += over


def _turns(rounds: Sequence[Round]) -> Iterator[tuple[bool, int]]:
    """Beginnings and ends by time, beginnings first where they meet: (whether it begins, which round)."""
    turns = []
    for i, row in enumerate(rounds):
        assert row.ended_ms is not None, "rounds without an end are not played"
        ended = row.ended_ms
        began = min(row.ended_ms - int(row.latency_ms or 0.0), ended)
        turns += [(began, 0, i), (ended, 1, i)]
    for _, ends, i in sorted(turns):
        yield not ends, i


def _fee_bps(row: Round) -> int:
    """The fee's rate, nearest to what was charged; exact where the cost is not tiny."""
    return round((row.fee_nano or 0) * 10_000 / row.cost_nano) if row.cost_nano else 0


def _cap(row: Round) -> int | None:
    """The output cap that was held for; None where the caller named it, or the row does not tell."""
    if row.max_output is not None or row.n != 1 or row.n_attempts != 1 or row.bound_nano is None:
        return None
    if row.price_pico is None or not row.price_pico[2]:
        return None
    pico = without_fee(row.bound_nano, _fee_bps(row)) * PICO_PER_NANO
    return (pico - row.prompt_bound * dearest_input(row.price_pico)) // row.price_pico[2]


def _learn(row: Round, known: AnswerLengths) -> None:
    """Take an answer in as the flow would: not where money had lowered its cap."""
    cap = _cap(row)
    if cap is None or row.arm is None or row.output is None or row.price_pico is None:
        return
    dearer = row.prompt_bound * dearest_input(row.price_pico) + (cap + 1) * row.price_pico[2]
    if dearer > row.ceiling_pico and cap < TELLING:
        return
    tokens = UNBOUNDED if row.output >= cap else row.output
    known.learn(row.tenant, row.task, row.arm, tokens, whole=bool(row.whole))
