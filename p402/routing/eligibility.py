"""Which arms may serve a request, and why the others may not.

`eligible` is the mask that `decide` uses; `reasons` names, for each arm turned away, the
first rule in `REASONS` that says no. A property test holds the two together. Both are pure
functions of snapshot and batch, so a logged row gives the same reasons a year later.

The breaker never turns away the last candidates: where every arm that may otherwise serve
has an open circuit, they all stay.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.lens import ALL, Bool, Float, Lens, Rare, Rows, cut, piled, pull, some
from p402.routing.look import look

REASONS: Final = (
    "eligible",
    "price_unknown",
    "not_allowed",
    "other_model",
    "other_family",
    "provider_excluded",
    "already_tried",
    "capability_missing",
    "context_too_long",
    "output_too_long",
    "cost_over_ceiling",
    "circuit_open",
)
"""Index is the code in the matrix that `reasons` returns; in the order the rules are asked."""

OUTSIDE_EXPLORATION: Final = "outside_exploration"
"""Why an eligible arm had propensity 0."""


def eligible(snapshot: Snapshot, lens: Lens) -> Bool:
    """Mask of the arms that may serve each row."""
    rules = _rules(snapshot, lens)
    _, _, mask = next(rules)
    for _, rows, passes in rules:
        if rows is ALL:
            mask = mask & passes  # not in place: for one row the first mask is the snapshot's own
        else:
            mask[rows] &= passes
    if (breakers := _closed(lens, snapshot.provider_bit)) is not None:
        rows, closed = breakers
        left = mask[rows] & closed
        left = np.where(left.any(axis=-1, keepdims=True), left, mask[rows])
        if rows is ALL:
            mask = left
        else:
            mask[rows] = left
    return mask


def reasons(snapshot: Snapshot, batch: RequestBatch) -> NDArray[np.uint8]:
    """(n, n_arms) code into `REASONS` of the first rule that turns each arm away; 0 where none does."""
    lens = look(snapshot, batch)
    codes = np.zeros((lens.n, snapshot.n_arms), np.uint8)

    def turn_away(reason: str, rows: Rows, where: Bool) -> None:
        part = codes[rows]
        np.copyto(part, np.uint8(REASONS.index(reason)), where=where & (part == 0))
        codes[rows] = part

    turn_away("price_unknown", ALL, ~snapshot.price_known)
    for reason, rows, passes in _rules(snapshot, lens):
        turn_away(reason, rows, ~passes)
    if (breakers := _closed(lens, snapshot.provider_bit)) is not None:
        rows, closed = breakers
        left = (codes[rows] == 0) & closed
        turn_away("circuit_open", rows, ~closed & left.any(axis=-1, keepdims=True))
    return codes


def _rules(snapshot: Snapshot, lens: Lens) -> Iterator[tuple[str, Rows, Bool]]:
    """Rules but the breaker that may turn arms away, the rows they concern, the arms they let pass there.

    The first is for all rows.
    """
    yield "not_allowed", ALL, pull(snapshot.allowed, lens.policy)
    if lens.rare is not None:
        yield from _rare_rules(snapshot, lens, lens.rare)
    if (rows := some(lens, lens.needs)) is not None:
        yield "capability_missing", rows, pull(snapshot.capable, cut(lens.needs, rows))
    if (rows := some(lens, lens.room > snapshot.least_context)) is not None:
        yield "context_too_long", rows, snapshot.context >= cut(lens.room, rows)
    if (rows := some(lens, lens.max_output > snapshot.least_output_limit)) is not None:
        yield "output_too_long", rows, snapshot.output_limit >= cut(lens.max_output, rows)
    into, out = snapshot.prices.dearest
    if (rows := some(lens, lens.bound * into + lens.bill * out > lens.ceiling)) is not None:
        yield "cost_over_ceiling", rows, _dearest(snapshot, lens, rows) <= cut(lens.ceiling, rows)


def _rare_rules(snapshot: Snapshot, lens: Lens, rare: Rare) -> Iterator[tuple[str, Rows, Bool]]:
    for reason, wanted, arms in (
        ("other_model", rare.model, snapshot.model),
        ("other_family", rare.family, snapshot.family),
    ):
        if wanted is not None and (rows := some(lens, wanted >= 0)) is not None:
            yield reason, rows, arms == cut(wanted, rows)
    if rare.excluded is not None and (rows := some(lens, rare.excluded != 0)) is not None:
        yield "provider_excluded", rows, (snapshot.provider_bit & cut(rare.excluded, rows)) == 0
    if rare.tried is not None:
        yield "already_tried", ALL, _untried(snapshot, lens, rare.tried)


def _untried(snapshot: Snapshot, lens: Lens, tried: tuple[Any, ...]) -> Bool:
    if lens.n == 1:
        mask = np.ones(snapshot.n_arms, np.bool_)
        mask[list(tried)] = False
        return mask
    mask = np.ones((lens.n, snapshot.n_arms), np.bool_)
    for column in tried:
        rows = np.flatnonzero(column >= 0)
        mask[rows, column[rows]] = False
    return mask


def _dearest(snapshot: Snapshot, lens: Lens, rows: Rows) -> Float:
    """Most that a call can cost at every arm, pico-USD: bounds at the dearest class of a prompt's tokens."""
    prompt, output, prices = cut(lens.bound, rows), cut(lens.bill, rows), snapshot.prices
    cost: Float = prompt * prices.base.most
    cost += output * prices.base.output
    if prices.above is None or some(lens, prompt > prices.least_threshold) is None:
        return cost
    above = prompt * prices.above.most + output * prices.above.output
    return np.where(prompt > prices.threshold, above, cost)


def _closed(lens: Lens, provider_bit: NDArray[np.uint64]) -> tuple[Rows, Bool] | None:
    """Rows whose live state has an open breaker, and the arms whose breakers let them through.

    A half-open breaker does, unless its provider is being tried by another request.
    """
    probed = None if lens.rare is None else lens.rare.probed
    if len(lens.lives) == 1:
        live = lens.lives[0]
        if not live.any_open:
            return None
        if probed is None or live.half_open is None:
            return ALL, live.closed
        return ALL, live.closed & ~(live.half_open & ((provider_bit & probed) != 0))
    rows = some(lens, np.array([live.any_open for live in lens.lives])[lens.live_row])
    if rows is None:
        return None
    places = lens.live_row[rows]
    closed: Bool = piled([live.closed for live in lens.lives])[places]
    if probed is not None and any(live.half_open is not None for live in lens.lives):
        none = np.zeros(len(provider_bit), np.bool_)
        half = piled([none if live.half_open is None else live.half_open for live in lens.lives])[places]
        closed &= ~(half & ((provider_bit & cut(probed, rows)) != 0))
    return rows, closed
