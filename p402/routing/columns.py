"""Row inputs as columns of a log, and what `decide` reads of them: `p402.routing.rows` for a million at once.

`batch_of` gives the batch that `to_batch` makes of the same rows, and `misfits` finds the rows that
`to_batch` would refuse, which only it has the words for. Names stay codes into the few that occur, so that
a snapshot's tables are asked once for each name and not once for each row.
It knows nothing of Arrow or of the log's files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.routing.batch import RequestBatch
from p402.routing.compiled import MAX_FEATURE, MAX_TOKENS, Snapshot
from p402.routing.live import LiveState
from p402.routing.rows import MAX_BUDGET_PRICE, MAX_CEILING_PICO, MAX_WEIGHTS, MODE_CODES, PREFERRED

Bool = NDArray[np.bool_]
Whole = NDArray[Any]
"""Whole numbers of any width."""
Index = slice | NDArray[np.int64]

NONE: Final = -1
_MODES: Final = tuple(MODE_CODES)
_UNKNOWN: Final = -2


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """A name in each cell.

    Attributes
    ----------
    codes
        (n,), or (n, w) where a row has up to w names in order: into `values`; -1 for none.
    values
        Names that occur, each once.
    """

    codes: Whole
    values: tuple[str, ...]

    def rows(self, index: Index) -> "Names":
        """Some of the rows."""
        return Names(self.codes[index], self.values)

    def onto(self, known: Mapping[str, int], unknown: int = NONE) -> NDArray[np.int64]:
        """Each name's number; -1 for none."""
        table = np.array([*(known.get(name, unknown) for name in self.values), NONE], np.int64)
        return table[self.codes]  # a code of -1 is the table's last


@dataclass(frozen=True, slots=True, eq=False)
class InputColumns:
    """`p402.events.RowInputs` of n rows, columns of shape (n,) unless said otherwise.

    A column that few rows use is None where none does.

    Attributes
    ----------
    odd
        Rows that these columns do not tell the whole of: they must be read one by one.
    mode, policy
        Names; never none but in odd rows.
    features
        (n, w); a row's own are its first `n_features`, all where that is None.
    capped, max_output
        Whether an output cap was named, and it; 0 where not.
    weighted, weights
        Whether weights were logged, and they, (n, 3); 0 where not.
    exclude_providers, prefer_providers, tried, probed
        (n, w) names.
    """

    odd: Bool
    mode: Names
    policy: Names
    features: Whole
    n_features: Whole | None
    task: Whole
    prompt_tokens: Whole
    prompt_bound: Whole
    expected_output: Whole
    max_output: Whole
    capped: Bool
    n: Whole
    needs: Whole
    ceiling_pico: Whole
    variant: Whole
    explore: Bool
    weights: Whole | None = None
    weighted: Bool | None = None
    budget_price: Whole | None = None
    previous_arm: Names | None = None
    warm_tokens: Whole | None = None
    exclude_providers: Names | None = None
    prefer_providers: Names | None = None
    model: Names | None = None
    family: Names | None = None
    tried: Names | None = None
    probed: Names | None = None

    def __len__(self) -> int:
        """Rows."""
        return len(self.odd)

    def rows(self, index: Index) -> "InputColumns":
        """Some of the rows."""
        cut: dict[str, Any] = {name: _cut(getattr(self, name), index) for name in _COLUMNS}
        return InputColumns(**cut)


_COLUMNS: Final = tuple(field.name for field in fields(InputColumns))


def _cut(column: Names | NDArray[Any] | None, index: Index) -> Names | NDArray[Any] | None:
    if isinstance(column, Names):
        return column.rows(index)
    return None if column is None else column[index]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What rows are asked for instead of what was logged; None leaves a column as it was.

    Attributes
    ----------
    mode
        A name for all rows, or (n,) codes of `p402.routing.rows.MODE_CODES`.
    weights
        Quality, cost and speed in 2**-20, for all rows or (n, 3); read where the mode is custom.
    explore, variant
        For all rows, or (n,).
    """

    mode: str | Whole | None = None
    weights: Sequence[int] | Whole | None = None
    explore: bool | Bool | None = None
    variant: int | Whole | None = None

    def of(self, columns: InputColumns) -> InputColumns:
        """The rows as if they had been asked for this."""
        n = len(columns)
        changed: dict[str, Any] = {}
        if isinstance(self.mode, str):
            changed["mode"] = Names(np.zeros(n, np.int8), (self.mode,))
        elif self.mode is not None:
            changed["mode"] = Names(self.mode, _MODES)
        if self.weights is not None:
            changed["weights"] = np.broadcast_to(np.asarray(self.weights, np.int64), (n, 3))
            changed["weighted"] = np.ones(n, np.bool_)
        if self.explore is not None:
            changed["explore"] = np.broadcast_to(np.asarray(self.explore, np.bool_), n)
        if self.variant is not None:
            changed["variant"] = np.broadcast_to(np.asarray(self.variant, np.int64), n)
        return replace(columns, **changed) if changed else columns

    def one(self, row: RowInputs, i: int) -> RowInputs:
        """Row i as if it had been asked for this."""
        changed: dict[str, Any] = {}
        if self.mode is not None:
            changed["mode"] = self.mode if isinstance(self.mode, str) else _MODES[self.mode[i]]
        for name, value, own in (
            ("weights", self.weights, 1),
            ("explore", self.explore, 0),
            ("variant", self.variant, 0),
        ):
            if value is not None:
                given = np.asarray(value)
                changed[name] = (given[i] if given.ndim > own else given).tolist()
        return structs.replace(row, **changed)


def misfits(snapshot: Snapshot, columns: InputColumns) -> Bool:
    """Rows that `to_batch` refuses, and those that only it can tell of."""
    bad = columns.odd.copy()
    for within, size in (
        (columns.task, len(snapshot.optimism)),
        (columns.variant, len(snapshot.spec.policy.variants)),
        (columns.needs, len(snapshot.capable)),
        (columns.prompt_tokens, MAX_TOKENS + 1),
        (columns.prompt_bound, MAX_TOKENS + 1),
    ):
        bad |= _outside(within, size)
    bad |= columns.n < 1
    bad |= _outside(columns.expected_output, MAX_TOKENS // np.maximum(columns.n, 1) + 1)
    bad |= _outside(columns.max_output, MAX_TOKENS // np.maximum(columns.n, 1) + 1)
    bad |= columns.ceiling_pico < 0
    if columns.budget_price is not None:
        bad |= _outside(columns.budget_price, MAX_BUDGET_PRICE + 1)
    if columns.warm_tokens is not None:
        bad |= _outside(columns.warm_tokens, MAX_TOKENS + 1)
    if columns.weights is not None:
        one_by_one = _outside(columns.weights, MAX_WEIGHTS + 1).any(axis=1)
        bad |= one_by_one | (columns.weights.sum(axis=1) > MAX_WEIGHTS)
    for names, known in (
        (columns.mode, MODE_CODES),
        (columns.policy, snapshot.policies),
        (columns.model, snapshot.models),
        (columns.family, snapshot.families),
    ):
        if names is not None and not all(name in known for name in names.values):
            bad |= names.onto(known, _UNKNOWN) == _UNKNOWN
    return bad | _misshapen(snapshot, columns)


def _outside(column: Whole, size: Any) -> Bool:
    """Where a whole number is not of 0 to size - 1."""
    found: Bool = (column < 0) | (column >= size)
    return found


def _misshapen(snapshot: Snapshot, columns: InputColumns) -> Bool:
    """Rows whose features are not as many as the snapshot's, or out of bounds."""
    width, found = len(snapshot.theta), columns.features
    if columns.n_features is not None:
        bad: Bool = columns.n_features != width
    elif found.shape[1] != width:
        return np.ones(len(columns), np.bool_)
    else:
        bad = np.zeros(len(columns), np.bool_)
    if found.size and (found.max() > MAX_FEATURE or found.min() < -MAX_FEATURE):
        bad |= ((found > MAX_FEATURE) | (found < -MAX_FEATURE)).any(axis=1)
    return bad


def batch_of(
    snapshot: Snapshot,
    key: NDArray[np.uint64],
    columns: InputColumns,
    lives: tuple[LiveState, ...],
    live_row: NDArray[np.int64],
) -> RequestBatch:
    """The batch that `to_batch` makes of rows without a misfit; columns may be narrower than its own.

    Parameters
    ----------
    key
        (n, 2), as of `p402.routing.keys`.
    lives, live_row
        `lives[live_row[i]]` is the live state of row i.
    """
    batch = RequestBatch(
        key=key,
        features=columns.features[:, : len(snapshot.theta)],
        task=columns.task,
        mode=columns.mode.onto(MODE_CODES),
        variant=columns.variant,
        policy=columns.policy.onto(snapshot.policies),
        prompt_tokens=columns.prompt_tokens,
        prompt_bound=columns.prompt_bound,
        expected_output=columns.expected_output,
        max_output=columns.max_output,
        n_choices=columns.n,
        needs=columns.needs,
        ceiling_pico=np.minimum(columns.ceiling_pico, MAX_CEILING_PICO),
        explore=columns.explore,
        live_row=live_row,
        lives=lives,
        **_rare(snapshot, columns),
    )
    return batch.rows(slice(None)) if len(batch) == 1 else batch


def _rare(snapshot: Snapshot, columns: InputColumns) -> dict[str, NDArray[Any]]:
    """Rare columns that at least one of these rows uses."""
    found: dict[str, NDArray[Any]] = {}
    if _has(columns.mode, "custom"):
        zeros = np.zeros((len(columns), 3), np.int64)
        found["weights"] = zeros if columns.weights is None else columns.weights
    if columns.budget_price is not None and columns.budget_price.any():
        found["budget_price"] = columns.budget_price
    if columns.previous_arm is not None and _any(columns.previous_arm):
        found["previous_arm"] = columns.previous_arm.onto(snapshot.index)
        warm = columns.warm_tokens
        found["warm_tokens"] = np.zeros(len(columns), np.int64) if warm is None else warm
    if columns.exclude_providers is not None and _any(columns.exclude_providers):
        found["excluded"] = _mask(snapshot, columns.exclude_providers)
    if columns.prefer_providers is not None and _any(columns.prefer_providers):
        found["preferred"] = _preferred(snapshot, columns.prefer_providers)
    if columns.model is not None and _any(columns.model):
        found["model"] = columns.model.onto(snapshot.models)
    if columns.family is not None and _any(columns.family):
        found["family"] = columns.family.onto(snapshot.families)
    if columns.tried is not None and _any(columns.tried):
        width = int(np.count_nonzero(columns.tried.codes >= 0, axis=1).max())
        found["tried"] = columns.tried.onto(snapshot.index)[:, :width]
    if columns.probed is not None and _any(columns.probed):
        found["probed"] = _mask(snapshot, columns.probed)
    return found


def _has(names: Names, name: str) -> bool:
    return name in names.values and bool((names.codes == names.values.index(name)).any())


def _any(names: Names) -> bool:
    return bool((names.codes >= 0).any())


def _mask(snapshot: Snapshot, names: Names) -> NDArray[np.uint64]:
    """Bit masks over the snapshot's providers; a name that it does not have is passed over."""
    known = snapshot.providers
    table = np.array([*((1 << known[p]) if p in known else 0 for p in names.values), 0], np.uint64)
    mask: NDArray[np.uint64] = np.bitwise_or.reduce(table[names.codes], axis=1)
    return mask


def _preferred(snapshot: Snapshot, names: Names) -> NDArray[np.int64]:
    """(n, 4): the first providers of each row that the snapshot has."""
    code = names.onto(snapshot.providers)
    out = np.full((len(code), PREFERRED), NONE, np.int64)
    taken = np.zeros(len(code), np.int64)
    for column in code.T:
        rows = np.flatnonzero((column >= 0) & (taken < PREFERRED))
        out[rows, taken[rows]] = column[rows]
        taken[rows] += 1
    return out
