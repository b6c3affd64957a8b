"""Which arms may serve a request, and why the others may not.

`eligible` is the mask that `decide` uses; `reasons` names, for each arm turned away, the
first rule in `REASONS` that says no. A property test holds the two together. Both are pure
functions of snapshot and batch, so a logged row gives the same reasons a year later.

The breaker never turns away the last candidates: where every arm that may otherwise serve
has an open circuit, they all stay.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.lens import Bool, Cell, Float, Lens, look

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


def priced(snapshot: Snapshot, prompt: Cell, output: Cell, column: int) -> Float:
    """Cost in pico-USD of `prompt` uncached and `output` tokens at every arm.

    `column` names the output price in `Tier`: 2 the list price, 3 with the arm's verbosity.
    """
    prices = snapshot.prices
    cost: Float = prompt * prices.base.input
    cost += output * prices.base[column]
    if prices.above is not None and prices.threshold is not None:
        over = prompt > prices.threshold
        np.copyto(cost, prompt * prices.above.input + output * prices.above[column], where=over)
    return cost


def _rules(snapshot: Snapshot, lens: Lens) -> "list[tuple[str, Bool]]":
    """Every rule but the breaker that could turn an arm away here, as a mask of those it lets pass."""
    rules: list[tuple[str, Any]] = [("not_allowed", snapshot.allowed[lens.policy])]
    if lens.model is not None:
        rules.append(("other_model", (lens.model == snapshot.model) | (lens.model < 0)))
    if lens.family is not None:
        rules.append(("other_family", (lens.family == snapshot.family) | (lens.family < 0)))
    if lens.excluded is not None:
        rules.append(("provider_excluded", (snapshot.provider_bit & lens.excluded) == 0))
    if lens.tried is not None:
        rules.append(("already_tried", _untried(snapshot, lens)))
    if lens.n > 1 or lens.needs:
        rules.append(("capability_missing", (snapshot.capabilities & lens.needs) == lens.needs))
    rules.append(("context_too_long", snapshot.context >= lens.room))
    if lens.n > 1 or lens.max_output:
        rules.append(("output_too_long", snapshot.output_limit >= lens.max_output))
    into, out = snapshot.prices.dearest
    if np.any(lens.bound * into + lens.bill * out > lens.ceiling):
        cost = priced(snapshot, lens.bound, lens.bill, 2)
        rules.append(("cost_over_ceiling", cost <= lens.ceiling))
    return rules


def _untried(snapshot: Snapshot, lens: Lens) -> Bool:
    assert lens.tried is not None
    if lens.n == 1:
        mask = np.ones(snapshot.n_arms, np.bool_)
        mask[list(lens.tried)] = False
        return mask
    mask = np.ones((lens.n, snapshot.n_arms), np.bool_)
    for column in lens.tried:
        rows = np.flatnonzero(column >= 0)
        mask[rows, column[rows]] = False
    return mask


def _closed(lens: Lens) -> Bool | None:
    if not any(live.any_open for live in lens.lives):
        return None
    if len(lens.lives) == 1:
        return ~lens.lives[0].open_circuit
    return ~np.stack([live.open_circuit for live in lens.lives])[lens.live_row]


def eligible(snapshot: Snapshot, lens: Lens) -> Bool:
    """Mask of the arms that may serve each row."""
    rules = _rules(snapshot, lens)
    mask: Bool = rules[0][1] & rules[1][1]
    for _, passes in rules[2:]:
        mask &= passes
    closed = _closed(lens)
    if closed is not None:
        left = mask & closed
        mask = np.where(left.any(axis=-1, keepdims=True), left, mask)
    return mask


def reasons(snapshot: Snapshot, batch: RequestBatch) -> NDArray[np.uint8]:
    """(n, n_arms) code into `REASONS` of the first rule that turns each arm away; 0 where none does."""
    lens = look(batch)
    codes = np.zeros((lens.n, snapshot.n_arms), np.uint8)

    def turn_away(reason: str, where: Bool) -> None:
        np.copyto(codes, np.uint8(REASONS.index(reason)), where=np.atleast_2d(where) & (codes == 0))

    turn_away("price_unknown", ~snapshot.price_known)
    for reason, passes in _rules(snapshot, lens):
        turn_away(reason, ~passes)
    closed = _closed(lens)
    if closed is not None:
        left = (codes == 0) & closed
        turn_away("circuit_open", ~closed & left.any(axis=-1, keepdims=True))
    return codes
