"""Requests as columns: everything `decide` reads of a request.

One row live, a million offline. Every column is a row input and is logged
(`p402.events.RowInputs`); whole numbers are held in float64 where they enter arithmetic.
Rare columns are None when no row uses them, which costs nothing.
It knows nothing of messages, JSON or the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.live import LiveState

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RequestBatch:
    """Columns of shape (n,) unless said otherwise.

    Attributes
    ----------
    key
        (n, 2) uint64: high and low half of the request id; keys chance.
    features
        (n, n_features), C order, multiples of 2**-12 as whole numbers.
    task, mode, variant, policy
        Indices into the snapshot's tasks, `MODES` (4 is custom weights), variants, tenant policies.
    prompt_tokens, expected_output
        Whole tokens expected, per choice for the output.
    prompt_bound
        Most prompt tokens the text can be: what must fit the window and the ceiling.
    max_output
        The client's output cap in tokens; 0 where it named none.
    n_choices
        Completions asked for.
    needs
        Bit mask of capabilities the call cannot do without.
    ceiling_pico
        Most this call may cost, pico-USD: layer 5, `max_cost`, what remains.
    explore
        Whether chance may choose.
    live_row, lives
        `lives[live_row[i]]` is the live state of row i.
    weights
        (n, 3) quality, cost, speed in 2**-20; read where mode is custom.
    budget_price
        Lambda, 2**-20.
    previous_arm, warm_tokens
        Index of the session's last arm (-1 none) and prompt tokens warm in its cache.
    excluded
        uint64 bit mask over the snapshot's providers.
    preferred
        (n, 4) provider indices in order, -1 for none.
    model, family
        Index the arm's model or family must equal; -1 for any.
    tried
        (n, t) arm indices that already failed for this request, -1 for none.
    probed
        uint64 bit mask over the snapshot's providers: those whose half-open breakers another request tries.
    """

    key: NDArray[np.uint64]
    features: Float
    task: Int
    mode: Int
    variant: Int
    policy: Int
    prompt_tokens: Float
    prompt_bound: Float
    expected_output: Float
    max_output: Float
    n_choices: Float
    needs: Int
    ceiling_pico: Float
    explore: NDArray[np.bool_]
    live_row: Int
    lives: tuple[LiveState, ...]
    weights: Float | None = None
    budget_price: Float | None = None
    previous_arm: Int | None = None
    warm_tokens: Float | None = None
    excluded: NDArray[np.uint64] | None = None
    preferred: Int | None = None
    model: Int | None = None
    family: Int | None = None
    tried: Int | None = None
    probed: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.task)

    @property
    def wide(self) -> bool:
        """Whether every column has the type that arithmetic needs; a long batch may hold narrower ones."""
        columns = ((name, getattr(self, name)) for name in COLUMNS)
        return all(column is None or column.dtype == _wide(name, column) for name, column in columns)

    def rows(self, index: slice | Sequence[int] | Int) -> "RequestBatch":
        """The named rows as a batch of their own, widened to float64 and int64."""
        cut: dict[str, Any] = {}
        for name in COLUMNS:
            column = getattr(self, name)
            if column is not None:
                column = column[index]
                column = column.astype(_wide(name, column), copy=False)
            cut[name] = column
        return RequestBatch(lives=self.lives, **cut)


COLUMNS: Final = tuple(f.name for f in fields(RequestBatch) if f.name != "lives")
"""Names of everything that has a row per request."""

WHOLE_FLOATS: Final = frozenset(
    {
        "features",
        "prompt_tokens",
        "prompt_bound",
        "expected_output",
        "max_output",
        "n_choices",
        "ceiling_pico",
        "weights",
        "budget_price",
        "warm_tokens",
    }
)
"""Columns that enter arithmetic: whole numbers in float64, however narrow they are stored."""


def _wide(name: str, column: NDArray[Any]) -> np.dtype[Any]:
    """The type of a column in arithmetic: bits and truth values stay as they are."""
    if name in WHOLE_FLOATS:
        return _FLOAT
    return column.dtype if name in _BITS else _INT


_FLOAT: Final = np.dtype(np.float64)
_INT: Final = np.dtype(np.int64)
_BITS: Final = frozenset({"key", "excluded", "explore", "probed"})
