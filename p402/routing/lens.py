"""Requests seen so that the laws are written once for one row and for a million.

Laws work on the last axis, which is the arms. For many rows a row's value is an (n, 1) column
and matrices are (n, n_arms); for one row it is a plain number and matrices are (n_arms,),
which spares the live path half of numpy's overhead. Arithmetic is the same IEEE operation
per element either way, so the bits are the same; the parity tests hold the two together.

Most rules bite on few rows. `some` finds the rows a rule could concern, and `cut` and plain
indexing with what it returns work on those alone: none, some of many, or the one there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.live import LiveState

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


@dataclass(frozen=True, slots=True)
class Rare:
    """Cells of what few requests ask for, each None where no row does.

    `previous` is the session's last arm and `warm` the tokens in its cache; for many rows they are columns.
    """

    budget_price: Cell | None
    previous: Any | None
    warm: Any | None
    excluded: Cell | None
    preferred: tuple[Cell, ...] | None
    model: Cell | None
    family: Cell | None
    tried: tuple[Any, ...] | None
    probed: Cell | None


@dataclass(slots=True, init=False)
class Lens:
    """Columns of a batch as cells.

    `rule` is the row of the snapshot's mode tables, and `rules` its numbers as cells, with
    custom weights in the place of the mode's own. A prompt counts as one token at least. `output`
    is the expected output of all choices together and `tokens` it and the prompt, (n, 2) or (2,).
    `bound` is the most prompt tokens, `room` those and the output that one choice needs a window
    for; `bill` is the output of all choices that must be affordable: the named cap where there is
    one, else the expectation. `custom` are the rows of custom mode. `rare` is None where no row has
    anything rare.

    One is made for every request, so it is filled name by name, which takes a third of the time of a
    call with as many arguments; once filled it does not change.
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
    rare: Rare | None


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


def piled(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Rows of a matrix, one upon the other: `np.stack`, in a third of its time for many short ones."""
    return np.concatenate(rows).reshape(len(rows), -1)


def product(left: Float, right: Float, out: Float | None = None) -> Float:
    """Matrix product of a row or of many with a table, exact if its sums are.

    It is taken in pieces that BLAS computes on the calling thread: at these sizes, handing work to
    other threads multiplies the time it takes (measured: 71 us of CPU in pieces, 595 us whole).
    """
    if left.ndim == 1 and right.size <= _ALONE_VECTOR:
        row: Float = left.dot(right, out)
        return row
    if out is None:
        out = np.empty((*left.shape[:-1], right.shape[1]))
    if left.ndim == 1:
        step = _ALONE_VECTOR // len(right)
        for start in range(0, right.shape[1], step):
            np.dot(left, right[:, start : start + step], out=out[start : start + step])
        return out
    step = max(1, _ALONE_MATRIX // right.size)
    for start in range(0, len(left), step):
        np.dot(left[start : start + step], right, out=out[start : start + step])
    return out


def blend(weights: tuple[Cell, Cell], parts: Float) -> Float:
    """Sum of two matrices, each times its row's weight, exact if it stays below 2**53; `parts` is used up."""
    if parts.ndim == 2:
        total: Float = np.array(weights).dot(parts)
        return total
    first: Float = parts[0]
    second = parts[1]
    first *= weights[0]
    second *= weights[1]
    first += second
    return first


def top_arm(score: Float) -> Any:
    """Each row's arm of the highest score, of equals the lowest: a number, or (n,)."""
    return int(score.argmax()) if score.ndim == 1 else score.argmax(axis=1)


def at(matrix: NDArray[Any], arm: Any) -> Cell:
    """Each row's value at its arm, as a cell."""
    if matrix.ndim == 1:
        return matrix.item(arm)
    flat = np.arange(0, matrix.size, matrix.shape[1]) + arm
    return matrix.ravel().take(flat)[:, None]


def bar(score: Float, mask: Bool, far: float) -> Float:
    """Scores, with those outside the mask further down than any other by about `far`."""
    if mask.ndim == 1:
        return np.where(mask, score, -far)
    # arithmetic, since a masked copy of many rows takes twice as long
    barred = (mask.view(np.int8) - np.int8(1)).astype(np.float64)
    barred *= far
    score += barred
    return score


def count(mask: Bool) -> Any:
    """How many arms of each row are set: a number, or (n,)."""
    if mask.ndim == 1:
        return int(np.count_nonzero(mask))
    return np.einsum("ij->i", mask.view(np.uint8), dtype=np.int32)
