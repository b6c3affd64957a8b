"""Arrow columns of the log to those that `p402.routing.columns` decides by, without a Python value a row.

Names become codes by Arrow's dictionaries; lists become matrices. What no column can tell, such as a row
without features or with a list of a thousand providers, is marked odd and left to be read row by row.
"""

import hashlib
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.routing.columns import InputColumns, Names
from p402.routing.keys import ID_BYTES, keys_of

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]

MOST_NAMES: Final = 64
"""Names in a list up to which a row's are a row of a matrix: a snapshot has no more providers."""

MOST_FEATURES: Final = 4_096

_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


def keys(ids: pa.Array) -> tuple[NDArray[np.uint64], Bool]:
    """Keys of a column of request ids, (n, 2), and which of them are ids of ours."""
    ids = ids.cast(pa.string())
    start = _offsets(ids)
    data = ids.buffers()[2]
    text = np.frombuffer(data if data is not None else b"", np.uint8)
    length = np.diff(start)
    if len(ids) and ids.null_count == 0 and (length == ID_BYTES).all():
        return keys_of(text[start[0] : start[-1]].reshape(-1, ID_BYTES))
    found = np.zeros((len(ids), ID_BYTES), np.uint8)
    rows = np.flatnonzero(length == ID_BYTES)
    found[rows] = text[start[rows][:, None] + np.arange(ID_BYTES)]
    key, ours = keys_of(found)
    return key, ours & _told(ids)


def identities(ids: pa.Array) -> NDArray[np.uint64]:
    """128 bits that tell ids apart, (n, 2): of ours their key, of any other text a hash of it."""
    key, ours = keys(ids)
    for row in np.flatnonzero(~ours | _loud(ids)).tolist():
        digest = hashlib.blake2b((ids[row].as_py() or "").encode(), digest_size=16).digest()
        key[row] = np.frombuffer(digest, ">u8")
    return key


def _loud(ids: pa.Array) -> Bool:
    """Ids with capitals, which have the key of another text."""
    capital = pc.not_equal(ids, pc.utf8_lower(ids)).fill_null(fill_value=False)
    found: Bool = capital.to_numpy(zero_copy_only=False)
    return found


def mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 bits of 128, to sort by."""
    found: NDArray[np.uint64] = key[:, 0] * _MIX ^ key[:, 1]
    return found


def names(column: pa.ChunkedArray) -> Names:
    """Names of a column; -1 for null."""
    return _coded(column.combine_chunks())


def inputs(given: pa.StructArray) -> InputColumns:
    """Columns of logged row inputs; null and a field that an old file lacks are the field's default."""
    reader = _Reader(given)
    features, n_features = reader.features()
    weights, weighted = reader.weights()
    columns: dict[str, Any] = {
        "mode": reader.names("mode", required=True),
        "policy": reader.names("policy", default="default"),
        "features": features,
        "n_features": n_features,
        "weights": weights,
        "weighted": weighted,
        "capped": _told(reader.column("max_output", pa.int64())),
        "explore": reader.claims("explore", default=True),
        "budget_price": _or_none(reader.whole("budget_price", 0)),
        "warm_tokens": _or_none(reader.whole("warm_tokens", 0)),
        "n": reader.whole("n", 1),
    }
    for name in ("task", "prompt_tokens", "prompt_bound", "expected_output", "ceiling_pico"):
        columns[name] = reader.whole(name, None)
    for name in ("max_output", "needs", "variant"):
        columns[name] = reader.whole(name, 0)
    for name in ("previous_arm", "model", "family"):
        columns[name] = reader.optional(name)
    for name in ("exclude_providers", "prefer_providers", "tried", "probed"):
        columns[name] = reader.lists(name)
    return InputColumns(odd=reader.odd, **columns)


class _Reader:
    """Fields of a struct, and the rows that were found odd on the way."""

    def __init__(self, given: pa.StructArray) -> None:
        self._given = given
        self._known = {field.name for field in given.type}
        self.odd = ~_told(given)

    def column(self, name: str, kind: pa.DataType) -> pa.Array:
        if name not in self._known:
            return pa.nulls(len(self._given), kind)
        return self._given.field(name)

    def whole(self, name: str, default: int | None) -> NDArray[Any]:
        """Whole numbers; without a default, a row that has none is odd."""
        column = self.column(name, pa.int64())
        if column.null_count:
            if default is None:
                self.odd |= ~_told(column)
            column = column.fill_null(default or 0)
        numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return numbers

    def claims(self, name: str, *, default: bool) -> Bool:
        found: Bool = self.column(name, pa.bool_()).fill_null(default).to_numpy(zero_copy_only=False)
        return found

    def names(self, name: str, *, default: str | None = None, required: bool = False) -> Names:
        column = self.column(name, pa.string())
        if required:
            self.odd |= ~_told(column)
        if default is not None and column.null_count:
            column = column.cast(pa.string()).fill_null(default)
        return _coded(column)

    def optional(self, name: str) -> Names | None:
        """Names of which the empty one is none; None where no row has one."""
        column = self.column(name, pa.string())
        if column.null_count == len(column):
            return None
        found = _coded(column)
        if "" in found.values:
            found.codes[found.codes == found.values.index("")] = -1
        return found

    def lists(self, name: str) -> Names | None:
        """Names of every row in order, as a matrix; None where no row has one."""
        column = self.column(name, pa.list_(pa.string()))
        length, flat = _lengths(column), column.flatten()
        if not len(flat):
            return None
        self.odd |= length > MOST_NAMES
        if flat.null_count:
            self.odd[np.repeat(np.arange(len(length)), length)[~_told(flat)]] = True
        found = _coded(flat)
        return Names(_matrix(found.codes, length, MOST_NAMES, -1), found.values)

    def features(self) -> tuple[NDArray[Any], Int | None]:
        column = self.column("features", pa.list_(pa.int32()))
        length, flat = _lengths(column), column.flatten()
        self.odd |= ~_told(column) | (length > MOST_FEATURES)
        if flat.null_count:
            self.odd[np.repeat(np.arange(len(length)), length)[~_told(flat)]] = True
            flat = flat.fill_null(0)
        numbers: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
        if len(length) and length[0] <= MOST_FEATURES and (length == length[0]).all():
            return numbers.reshape(len(length), length[0]), None
        return _matrix(numbers, length, MOST_FEATURES, 0), length

    def weights(self) -> tuple[NDArray[Any] | None, Bool | None]:
        column = self.column("weights", pa.list_(pa.int64()))
        weighted = _told(column)
        if not weighted.any():
            return None, None
        length, flat = _lengths(column), column.flatten()
        self.odd |= weighted & (length != 3)
        if flat.null_count:
            self.odd[np.repeat(np.arange(len(length)), length)[~_told(flat)]] = True
            flat = flat.fill_null(0)
        found = np.zeros((len(column), 3), np.int64)
        told = _matrix(flat.to_numpy(zero_copy_only=False), length, 3, 0)
        found[:, : told.shape[1]] = told
        return found, weighted


def _told(column: pa.Array) -> Bool:
    """Where a column is not null."""
    if not column.null_count:
        return np.ones(len(column), np.bool_)
    found: Bool = column.is_valid().to_numpy(zero_copy_only=False)
    return found


def _or_none(column: NDArray[Any]) -> NDArray[Any] | None:
    return column if column.any() else None


def _coded(column: pa.Array) -> Names:
    """Names by code, -1 for null."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    codes = column.indices.fill_null(-1) if column.indices.null_count else column.indices
    return Names(codes.to_numpy(zero_copy_only=False).copy(), tuple(column.dictionary.to_pylist()))


def _offsets(column: pa.Array) -> NDArray[np.int32]:
    """Where each row's part of a column's flat values begins, and the end."""
    buffer = column.buffers()[1]
    if buffer is None or not buffer.size:
        return np.zeros(1, np.int32)
    found: NDArray[np.int32] = np.frombuffer(buffer, np.int32)[
        column.offset : column.offset + len(column) + 1
    ]
    return found


def _lengths(column: pa.Array) -> Int:
    """Items of each row's list; 0 for null."""
    return np.asarray(pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False), np.int64)


def _matrix(flat: NDArray[Any], length: Int, most: int, empty: int) -> NDArray[Any]:
    """Rows' items side by side, `empty` where a row has no more; of a row longer than `most`, nothing."""
    place = np.arange(len(flat)) - np.repeat(np.cumsum(length) - length, length)
    row = np.repeat(np.arange(len(length)), length)
    fits = np.repeat(length <= most, length)
    width = int(length[length <= most].max(initial=0))
    found = np.full((len(length), width), empty, flat.dtype)
    found[row[fits], place[fits]] = flat[fits]
    return found
