"""A batch seen so that the laws are written once for one row and for a million.

Laws work on the last axis, which is the arms. For many rows a row's value is an (n, 1) column
and matrices are (n, n_arms); for one row it is a plain number and matrices are (n_arms,),
which spares the live path half of numpy's overhead. Arithmetic is the same IEEE operation
per element either way, so the bits are the same; the parity tests hold the two together.

Most rules bite on few rows. `some` finds the rows a rule could concern, and `cut` and plain
indexing with what it returns work on those alone: none, some of many, or the one there is.
"""

from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.live import LiveState
from p402.routing.modes import RULES
from p402.routing.spec import CUSTOM

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Cell = Any
"""A number, or an (n, 1) column of numbers."""
Rows = Int | EllipsisType
"""Numbers of rows, or `ALL`."""

ALL: Final = ...
"""Every row: an index that takes all of a matrix, and so the one row of a batch of one."""

_ALONE_MATRIX: Final = 65_536 * 4
_ALONE_VECTOR: Final = 2_304 * 4
"""Multiplications up to which OpenBLAS keeps to one thread: interface/gemm.c and gemv.c of its 0.3."""


@dataclass(slots=True, init=False)
class Lens:
    """Columns of a batch as cells; `None` where no row uses a rare one.

    `rule` is the row of the snapshot's mode tables, and `rules` its seven numbers as cells, with
    custom weights in the place of the mode's own. A prompt counts as one token at least. `output`
    is the expected output of all choices together and `tokens` it and the prompt, (n, 2) or (2,).
    `bound` is the most prompt tokens, `room` those and the output that one choice needs a window
    for; `bill` is the output of all choices that must be affordable: the named cap where there is
    one, else the expectation. `custom` are the rows of custom mode. One is
    made for every request, so it is filled name by name, which takes a third of the time of a call
    with as many arguments; after `look` it does not change.
    """

    n: int
    features: Float
    task: Any
    rule: Any
    rules: tuple[Cell, ...]
    policy: Any
    prompt: Cell
    output: Cell
    tokens: Float
    bound: Cell
    room: Cell
    bill: Cell
    max_output: Cell
    needs: Any
    ceiling: Cell
    explore: Cell
    lives: tuple[LiveState, ...]
    live_row: Any
    custom: Rows | None
    budget_price: Cell | None
    previous: Any | None
    warm: Cell | None
    excluded: Cell | None
    preferred: tuple[Cell, ...] | None
    model: Cell | None
    family: Cell | None
    tried: tuple[Any, ...] | None


def look(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    """See one row as numbers, several as columns."""
    if len(batch) == 1:
        return _one(snapshot, batch)
    return _many(snapshot, batch if batch.wide else batch.rows(slice(None)))


def some(lens: Lens, concerned: Cell) -> Rows | None:
    """Rows where a cell is true; None where it nowhere is."""
    if lens.n == 1:
        return ALL if concerned else None
    rows = np.flatnonzero(concerned)
    return rows if len(rows) else None


def cut(cell: Cell, rows: Rows) -> Cell:
    """Only these rows of a cell."""
    return cell if rows is ALL else cell[rows]


def pull(table: NDArray[Any], index: Any) -> Any:
    """The row of a table that belongs to each row of the batch."""
    return table[index] if isinstance(index, int) else table.take(index, axis=0)


def product(left: Float, right: Float) -> Float:
    """Matrix product of a row or of many with a table, exact if its sums are.

    It is taken in pieces that BLAS computes on the calling thread: at these sizes, handing work to
    other threads multiplies the time it takes (measured: 71 us of CPU in pieces, 595 us whole).
    """
    if left.ndim == 1:
        if right.size <= _ALONE_VECTOR:
            row: Float = left.dot(right)
            return row
        pieces = -(-right.size // _ALONE_VECTOR)
        return np.concatenate([np.dot(left, part) for part in np.array_split(right, pieces, axis=1)])
    step = max(1, _ALONE_MATRIX // right.size)
    out = np.empty((len(left), right.shape[1]))
    for start in range(0, len(left), step):
        np.dot(left[start : start + step], right, out=out[start : start + step])
    return out


def top_arm(score: Float) -> Any:
    """Each row's arm of the highest score, of equals the lowest: a number, or (n,)."""
    return int(score.argmax()) if score.ndim == 1 else score.argmax(axis=1)


def at(matrix: NDArray[Any], arm: Any) -> Cell:
    """Each row's value at its arm, as a cell."""
    if matrix.ndim == 1:
        return matrix.item(arm)
    flat = np.arange(0, matrix.size, matrix.shape[1]) + arm
    return matrix.ravel()[flat][:, None]


def bar(score: Float, mask: Bool, far: float) -> Float:
    """Scores, with those outside the mask further down than any other by about `far`."""
    if mask.ndim == 1:
        return np.where(mask, score, -far)
    barred = mask.astype(np.float64)  # arithmetic, since a masked copy of many rows takes five times as long
    barred -= 1.0
    barred *= far
    score += barred
    return score


def count(mask: Bool) -> Any:
    """How many arms of each row are set: a number, or (n,)."""
    if mask.ndim == 1:
        return np.count_nonzero(mask)
    return np.einsum("ij->i", mask.view(np.uint8), dtype=np.int32)


def _one(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    mode = batch.mode.item()
    rule = RULES * batch.variant.item() + mode
    rules = snapshot.modes.rows[rule]
    if mode == CUSTOM and batch.weights is not None:
        rules = (*batch.weights[0].tolist(), *rules[3:])
    max_output = batch.max_output.item()
    expected = batch.expected_output.item()
    choices = batch.n_choices.item()
    bound = batch.prompt_bound.item()
    need = max_output if max_output > 0 else expected
    prompt = max(batch.prompt_tokens.item(), 1.0)
    output = expected * choices
    previous = None if batch.warm_tokens is None else _named(batch.previous_arm)
    preferred = None if batch.preferred is None else tuple(batch.preferred[0].tolist())
    tried = None if batch.tried is None else tuple(t for t in batch.tried[0].tolist() if t >= 0)
    lens = Lens()
    lens.n = 1
    lens.features = batch.features[0]
    lens.task = batch.task.item()
    lens.rule = rule
    lens.rules = rules
    lens.policy = batch.policy.item()
    lens.prompt = prompt
    lens.output = output
    lens.tokens = np.array((prompt, output))
    lens.bound = bound
    lens.room = bound + need
    lens.bill = need * choices
    lens.max_output = max_output
    lens.needs = batch.needs.item()
    lens.ceiling = batch.ceiling_pico.item()
    lens.explore = batch.explore.item()
    lens.lives = (batch.lives[batch.live_row.item()],)
    lens.live_row = 0
    lens.custom = ALL if mode == CUSTOM else None
    lens.budget_price = None if batch.budget_price is None else (batch.budget_price.item() or None)
    lens.previous = previous
    lens.warm = None if previous is None or batch.warm_tokens is None else batch.warm_tokens.item()
    lens.excluded = None if batch.excluded is None else (batch.excluded[0] or None)
    lens.preferred = preferred if preferred and max(preferred) >= 0 else None
    lens.model = _named(batch.model)
    lens.family = _named(batch.family)
    lens.tried = tried or None
    return lens


def _named(column: NDArray[np.int64] | None) -> int | None:
    if column is None:
        return None
    value: int = column.item()
    return value if value >= 0 else None


def _many(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    def cell(column: NDArray[Any] | None) -> Any:
        return None if column is None else column[:, None]

    def cells(columns: NDArray[Any]) -> tuple[Cell, ...]:
        return tuple(columns[:, i : i + 1] for i in range(columns.shape[1]))

    rule = RULES * batch.variant + batch.mode
    table = pull(snapshot.modes.columns, rule)
    custom = np.flatnonzero(batch.mode == CUSTOM)
    if batch.weights is not None:
        table[custom, :3] = batch.weights[custom]
    need = np.where(batch.max_output > 0, batch.max_output, batch.expected_output)
    tokens = np.empty((len(batch), 2))
    np.maximum(batch.prompt_tokens, 1.0, out=tokens[:, 0])
    np.multiply(batch.expected_output, batch.n_choices, out=tokens[:, 1])
    lives, live_row = batch.lives, batch.live_row
    if len(lives) > 1:
        used, live_row = np.unique(live_row, return_inverse=True)
        lives = tuple(lives[i] for i in used.tolist())
    previous = None if batch.warm_tokens is None else batch.previous_arm
    lens = Lens()
    lens.n = len(batch)
    lens.features = batch.features
    lens.task = batch.task
    lens.rule = rule
    lens.rules = cells(table)
    lens.policy = batch.policy
    lens.prompt = tokens[:, :1]
    lens.output = tokens[:, 1:]
    lens.tokens = tokens
    lens.bound = cell(batch.prompt_bound)
    lens.room = cell(batch.prompt_bound + need)
    lens.bill = cell(need * batch.n_choices)
    lens.max_output = cell(batch.max_output)
    lens.needs = batch.needs
    lens.ceiling = cell(batch.ceiling_pico)
    lens.explore = cell(batch.explore)
    lens.lives = lives
    lens.live_row = live_row
    lens.custom = custom if len(custom) else None
    lens.budget_price = cell(batch.budget_price)
    lens.previous = previous
    lens.warm = None if previous is None else batch.warm_tokens
    lens.excluded = cell(batch.excluded)
    lens.preferred = None if batch.preferred is None else cells(batch.preferred)
    lens.model = cell(batch.model)
    lens.family = cell(batch.family)
    lens.tried = None if batch.tried is None else tuple(batch.tried.T)
    return lens
