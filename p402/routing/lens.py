"""A batch seen so that the laws are written once for one row and for a million.

Laws work on the last axis, which is the arms. For many rows a row's value is an (n, 1) column
and matrices are (n, n_arms); for one row it is a plain number and matrices are (n_arms,),
which spares the live path half of numpy's overhead. Arithmetic is the same IEEE operation
per element either way, so the bits are the same; the parity tests hold the two together.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.live import LiveState
from p402.routing.modes import RULES
from p402.routing.spec import CUSTOM

Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Cell = Any
"""A number, or an (n, 1) column of numbers."""


class Lens(NamedTuple):
    """Columns of a batch as cells; `None` where no row uses a rare one.

    `rule` is the row of the snapshot's mode tables; a prompt counts as one token at least.
    `output` is the expected output of all choices together; `bound` is the
    most prompt tokens, `room` those and the output that one
    choice needs a window for; `bill` is the output of all choices that must be affordable: the
    named cap where there is one, else the expectation. `weights` is (quality, cost, speed) as
    three cells, or None for the mode's own. A named tuple, since one is made for every request.
    """

    n: int
    features: Float
    task: Any
    rule: Any
    policy: Any
    prompt: Cell
    bound: Cell
    output: Cell
    room: Cell
    bill: Cell
    max_output: Cell
    needs: Cell
    ceiling: Cell
    explore: Cell
    lives: tuple[LiveState, ...]
    live_row: Any
    weights: tuple[Cell, Cell, Cell] | None
    custom: Cell
    budget_price: Cell | None
    previous: Any | None
    warm: Cell | None
    excluded: Cell | None
    preferred: tuple[Cell, ...] | None
    model: Cell | None
    family: Cell | None
    tried: tuple[Any, ...] | None


def look(batch: RequestBatch) -> Lens:
    """See one row as numbers, several as columns."""
    return _one(batch) if len(batch) == 1 else _many(batch)


def _one(batch: RequestBatch) -> Lens:
    mode = batch.mode.item()
    max_output = batch.max_output.item()
    output = batch.expected_output.item()
    choices = batch.n_choices.item()
    bound = batch.prompt_bound.item()
    need = max_output if max_output > 0 else output
    custom = mode == CUSTOM
    previous = _named(batch.previous_arm)
    budget = None if batch.budget_price is None else batch.budget_price.item()
    preferred = None if batch.preferred is None else tuple(batch.preferred[0].tolist())
    tried = None if batch.tried is None else tuple(t for t in batch.tried[0].tolist() if t >= 0)
    return Lens(
        n=1,
        features=batch.features[0],
        task=batch.task.item(),
        rule=RULES * batch.variant.item() + mode,
        policy=batch.policy.item(),
        prompt=max(batch.prompt_tokens.item(), 1.0),
        bound=bound,
        output=output * choices,
        room=bound + need,
        bill=need * choices,
        max_output=max_output,
        needs=batch.needs.item(),
        ceiling=batch.ceiling_pico.item(),
        explore=batch.explore.item(),
        lives=(batch.lives[batch.live_row.item()],),
        live_row=0,
        weights=tuple(batch.weights[0].tolist()) if custom and batch.weights is not None else None,
        custom=custom,
        budget_price=budget or None,
        previous=previous,
        warm=None if previous is None or batch.warm_tokens is None else batch.warm_tokens.item(),
        excluded=None if batch.excluded is None else (batch.excluded[0] or None),
        preferred=preferred if preferred and max(preferred) >= 0 else None,
        model=_named(batch.model),
        family=_named(batch.family),
        tried=tried or None,
    )


def _named(column: NDArray[np.int64] | None) -> int | None:
    if column is None:
        return None
    value: int = column.item()
    return value if value >= 0 else None


def _many(batch: RequestBatch) -> Lens:
    def cell(column: NDArray[Any] | None) -> Any:
        return None if column is None else column[:, None]

    custom = batch.mode == CUSTOM
    need = np.where(batch.max_output > 0, batch.max_output, batch.expected_output)
    weights = None
    if batch.weights is not None and custom.any():
        weights = tuple(batch.weights[:, i : i + 1] for i in range(3))
    preferred = None
    if batch.preferred is not None:
        preferred = tuple(batch.preferred[:, i : i + 1] for i in range(batch.preferred.shape[1]))
    return Lens(
        n=len(batch),
        features=batch.features,
        task=batch.task,
        rule=RULES * batch.variant.astype(np.int64) + batch.mode,
        policy=batch.policy,
        prompt=cell(np.maximum(batch.prompt_tokens, 1.0)),
        bound=cell(batch.prompt_bound),
        output=cell(batch.expected_output * batch.n_choices),
        room=cell(batch.prompt_bound + need),
        bill=cell(need * batch.n_choices),
        max_output=cell(batch.max_output),
        needs=cell(batch.needs),
        ceiling=cell(batch.ceiling_pico),
        explore=cell(batch.explore),
        lives=batch.lives,
        live_row=batch.live_row,
        weights=weights,
        custom=cell(custom),
        budget_price=cell(batch.budget_price),
        previous=batch.previous_arm,
        warm=batch.warm_tokens,
        excluded=cell(batch.excluded),
        preferred=preferred,
        model=cell(batch.model),
        family=cell(batch.family),
        tried=None if batch.tried is None else tuple(batch.tried.T),
    )


def mode_cells(snapshot: Snapshot, lens: Lens) -> tuple[Cell, ...]:
    """The seven columns of the rows' rules (`ModeTable`), as cells."""
    if lens.n == 1:
        return snapshot.modes.rows[lens.rule]
    table = snapshot.modes.columns[lens.rule]
    return tuple(table[:, i : i + 1] for i in range(table.shape[1]))


def at(matrix: NDArray[Any], arm: Any) -> Cell:
    """Each row's value at its arm, as a cell."""
    if matrix.ndim == 1:
        return matrix.item(arm)
    return np.take_along_axis(matrix, arm[:, None], axis=1)


def put(matrix: NDArray[Any], arm: Any, value: Cell) -> None:
    """Set each row's value at its arm from a cell."""
    if matrix.ndim == 1:
        matrix[arm] = value
    else:
        np.put_along_axis(matrix, arm[:, None], value, axis=1)


def count(mask: Bool) -> Cell:
    """How many arms of each row are set, as a cell of float64 or a number."""
    if mask.ndim == 1:
        return float(np.count_nonzero(mask))
    return np.add.reduce(mask, axis=1, dtype=np.int32, keepdims=True).astype(np.float64)
