"""What became of rounds: how the first attempt ended, and what everyone last said of its quality.

Outcomes and rewards lie in other files than the decisions they speak of. Ids sort by time, and a Parquet row
group says between which ids its rows lie, so only those that can speak of some rounds are read; what was read
lately is kept as numbers. So no join over the whole log is needed, and any process can ask for itself. It
knows nothing of policies or of what a round is worth.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from hashlib import blake2b
from math import inf, nan
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from p402.errors import StoreError
from p402.learner.reward import QUALITY_OF_STATUS, Parts
from sim.replay import columns as arrow
from sim.replay.pieces import Partition, rows_of

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Key = NDArray[np.uint64]
Span = tuple[str, str]
"""Least and greatest id."""

MOST_ROWS: Final = 1 << 19
"""Rows of outcomes and rewards kept as numbers, up to 80 bytes each; beyond, the longest unused go."""

CHUNK_ROWS: Final = 1 << 15

_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_OUTCOME: Final = ("id", "tenant", "ts_ms", "attempts", "direct_nano", "usage_estimated")
_WITHIN: Final = {"attempts": ("status", "cost_nano", "latency_ms", "output_tokens")}
_REWARD: Final = ("id", "tenant", "ts_ms", "source", "status", "quality", "occurred_at_ms")


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Ids of rows, and whose they are."""

    key: Key
    tenant: Int
    ts_ms: Int

    def __len__(self) -> int:
        """Rows."""
        return int(self.tenant.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Outcomes(Rows):
    failed: NDArray[np.bool_]
    cost_nano: Float
    direct_nano: Float
    latency_ms: Float
    tokens: Float


@dataclass(frozen=True, slots=True, eq=False)
class _Rewards(Rows):
    source: Int
    status: Int
    quality: Float
    occurred: Float


R = TypeVar("R", _Outcomes, _Rewards)


class Facts:
    """Asks the outcomes and rewards of one log, as of one instant.

    Parameters
    ----------
    outcomes, rewards
        Every piece that the log has of these kinds, from `sim.replay.pieces.pieces_of`.
    """

    def __init__(self, outcomes: Sequence[Partition], rewards: Sequence[Partition]) -> None:
        self._outcomes, self._rewards = tuple(outcomes), tuple(rewards)
        self._names: dict[str, int] = {}
        self._spans: dict[Partition, Span | None] = {}
        self._kept: OrderedDict[Partition, tuple[Any, Span]] = OrderedDict()
        self._held = 0

    def of(self, ids: pa.ChunkedArray, tenants: pa.ChunkedArray) -> Parts:
        """What is known of each round's first attempt, `(n,)`; no id comes twice.

        Raises
        ------
        StoreError
            A piece is damaged or gone.
        """
        return self.with_tokens(ids, tenants)[0]

    def with_tokens(self, ids: pa.ChunkedArray, tenants: pa.ChunkedArray) -> tuple[Parts, Float]:
        """The same, and the output tokens of each first attempt, (n,).

        Nan where it was no whole answer, or its provider did not say them.

        Raises
        ------
        StoreError
            As of `of`.
        """
        rows = Rows(key_of(ids), self._coded(tenants), np.zeros(len(ids), np.int64))
        span = _span(ids)
        n = len(rows)
        at, ends = self._found(rows, span, self._outcomes, _OUTCOME, self._ends, _Outcomes)
        failed, cost, direct, latency, tokens = np.zeros(n, np.bool_), *(np.full(n, nan) for _ in range(4))
        if len(at):
            order = np.lexsort((ends.ts_ms, at))  # of two outcomes of one id, the first logged counts
            first = order[_starts(at[order])]
            first = first[ends.tenant[first] == rows.tenant[at[first]]]
            where = at[first]
            failed[where] = ends.failed[first]
            cost[where], direct[where] = ends.cost_nano[first], ends.direct_nano[first]
            latency[where], tokens[where] = ends.latency_ms[first], ends.tokens[first]
        return Parts(failed, self._quality(rows, span), cost, direct, latency), tokens

    def _quality(self, rows: Rows, span: Span) -> Float:
        """Mean over sources of their last word on each round, nan where nobody says."""
        out = np.full(len(rows), nan)
        at, words = self._found(rows, span, self._rewards, _REWARD, self._words, _Rewards)
        mine = words.tenant == rows.tenant[at]
        at = at[mine]
        if not len(at):
            return out
        words = _taken(words, np.flatnonzero(mine))
        names = np.array(list(self._names) or [""])
        rank = np.argsort(np.argsort(names, kind="stable"), kind="stable")
        source, status = rank[words.source], rank[words.status]
        unsaid = np.where(np.isnan(words.quality), inf, -words.quality)
        order = np.lexsort((unsaid, status, -words.occurred, -words.ts_ms, source, at))
        last = order[_starts(at[order] * len(names) + source[order])]
        implied = np.array([QUALITY_OF_STATUS.get(name, nan) for name in names.tolist()])
        said = np.where(np.isnan(words.quality[last]), implied[words.status[last]], words.quality[last])
        last, said = last[~np.isnan(said)], said[~np.isnan(said)]
        begin = np.flatnonzero(_starts(at[last]))
        if len(begin):
            count = np.diff(np.append(begin, len(last)))
            out[at[last][begin]] = np.add.reduceat(said, begin) / count
        return out

    def _found(
        self,
        rows: Rows,
        span: Span,
        pieces: Sequence[Partition],
        columns: tuple[str, ...],
        read: Any,
        kind: type[R],
    ) -> tuple[Int, R]:
        """Rows of some pieces that speak of given ids, and of which."""
        lookup = Lookup(rows.key)
        at, found = [np.zeros(0, np.int64)], [kind(**_EMPTY[kind])]
        for piece in pieces:
            if not _meets(self._span_of(piece), span):
                continue
            told = self._read(piece, columns, read, kind)
            place = lookup.find(told.key)
            matched = np.flatnonzero(place >= 0)
            if len(matched):
                at.append(place[matched])
                found.append(_taken(told, matched))
        return np.concatenate(at), _joined(found)

    def _span_of(self, piece: Partition) -> Span | None:
        """Between which ids a piece lies, if that is known without reading it."""
        if piece in self._kept:
            return self._kept[piece][1]
        if piece not in self._spans:
            self._spans[piece] = _told_span(piece)
        return self._spans[piece]

    def _read(self, piece: Partition, columns: tuple[str, ...], read: Any, kind: type[R]) -> R:
        if piece in self._kept:
            self._kept.move_to_end(piece)
            kept: R = self._kept[piece][0]
            return kept
        tables, spans = [kind(**_EMPTY[kind])], [("", "")][:0]
        for table in rows_of(piece, columns, CHUNK_ROWS, _WITHIN):
            tables.append(read(table))
            spans.append(_span(table.column("id")))
        found = _joined(tables)
        span = (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else ("", "")
        self._kept[piece] = found, span
        self._held += len(found)
        while self._held > MOST_ROWS and len(self._kept) > 1:
            _, (gone, _) = self._kept.popitem(last=False)
            self._held -= len(gone)
        return found

    def _ends(self, table: pa.Table) -> _Outcomes:
        attempts = table.column("attempts").combine_chunks()
        length = np.asarray(pc.list_value_length(attempts).fill_null(0).to_numpy(zero_copy_only=False))
        begin = np.asarray(attempts.offsets)[:-1]
        some = np.flatnonzero(length > 0)
        first = attempts.values.take(pa.array(begin[some]))
        failed, cost, latency, tokens = (
            np.zeros(len(length), np.bool_),
            *(np.full(len(length), nan) for _ in "123"),
        )
        failed[some] = first.field("status").to_numpy(zero_copy_only=False) == "failed"
        cost[some], latency[some] = _real(first.field("cost_nano")), _real(first.field("latency_ms"))
        guessed = np.asarray(table.column("usage_estimated").fill_null(False).to_numpy(), np.bool_)  # noqa: FBT003
        whole = first.field("status").to_numpy(zero_copy_only=False) == "ok"
        tokens[some] = np.where(whole & ~guessed[some], _real(first.field("output_tokens")), nan)
        return _Outcomes(
            *self._rows(table), failed, cost, _real(table.column("direct_nano")), latency, tokens
        )

    def _words(self, table: pa.Table) -> _Rewards:
        occurred = _real(table.column("occurred_at_ms"))
        return _Rewards(
            *self._rows(table),
            self._coded(table.column("source")),
            self._coded(table.column("status")),
            _real(table.column("quality")),
            np.where(np.isnan(occurred), -inf, occurred),
        )

    def _rows(self, table: pa.Table) -> tuple[Key, Int, Int]:
        ts_ms = table.column("ts_ms").to_numpy()
        return key_of(table.column("id")), self._coded(table.column("tenant")), ts_ms

    def _coded(self, names: pa.ChunkedArray) -> Int:
        """Names as numbers that mean the same in every table."""
        whole = names.combine_chunks()
        if isinstance(whole, pa.ChunkedArray):
            whole = pa.concat_arrays(whole.cast(pa.string()).chunks)
        coded = whole if pa.types.is_dictionary(whole.type) else pc.dictionary_encode(whole)
        known = [
            self._names.setdefault(name or "", len(self._names)) for name in coded.dictionary.to_pylist()
        ]
        known.append(self._names.setdefault("", len(self._names)))  # null
        codes = coded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
        return np.asarray(np.array(known, np.int64)[codes])


class Lookup:
    """Finds keys among given ones, all different."""

    def __init__(self, key: Key) -> None:
        self._mix = _MIX
        self._sort(key)
        while (self._short[1:] == self._short[:-1]).any():  # two keys share 64 bits: mix them otherwise
            if len(np.unique(key, axis=0)) < len(key):
                raise StoreError(
                    "two decisions have ids that differ in capitals only; expected ids as the gateway makes "
                    "them; mend or leave out what wrote them"
                )
            self._mix += np.uint64(2)
            self._sort(key)

    def _sort(self, key: Key) -> None:
        short = _short(key, self._mix)
        self._order = np.argsort(short)
        self._short, self._key = short[self._order], key[self._order]

    def find(self, key: Key) -> Int:
        """Which of the given keys each one is, -1 for none."""
        if not len(self._short):
            return np.full(len(key), -1, np.int64)
        place = np.minimum(np.searchsorted(self._short, _short(key, self._mix)), len(self._short) - 1)
        return np.where((self._key[place] == key).all(axis=1), self._order[place], -1)


def _short(key: Key, mix: np.uint64) -> NDArray[np.uint64]:
    return np.asarray(key[:, 0] * mix ^ key[:, 1] * (mix ^ np.uint64(6)), np.uint64)


def key_of(ids: pa.ChunkedArray | pa.Array) -> Key:
    """128 bits of each id: its own if it is one of ours, else of its hash."""
    whole = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    key, ours = arrow.keys(whole)
    for row in np.flatnonzero(~ours).tolist():
        digest = blake2b((whole[row].as_py() or "").encode(), digest_size=16).digest()
        key[row] = np.frombuffer(digest, ">u8")
    return key


def _span(ids: pa.ChunkedArray) -> Span:
    found = pc.min_max(ids).as_py()
    return found["min"] or "", found["max"] or ""


def _told_span(piece: Partition) -> Span | None:
    """What a row group's footer says of its ids."""
    if not piece.path:
        return None
    with suppress(OSError, pa.ArrowException):  # reading the rows says what is wrong with the file
        group = pq.read_metadata(Path(piece.log) / piece.path).row_group(piece.row_group)
        for i in range(group.num_columns):
            column = group.column(i)
            told = column.statistics if column.path_in_schema == "id" else None
            if told is not None and told.has_min_max:
                return str(told.min), str(told.max)
    return None


def _meets(piece: Span | None, wanted: Span) -> bool:
    return piece is None or (piece[0] <= wanted[1] and wanted[0] <= piece[1])


def _starts(values: Int) -> NDArray[np.bool_]:
    """Where runs of equal values begin."""
    out = np.ones(len(values), np.bool_)
    out[1:] = values[1:] != values[:-1]
    return out


def _real(column: pa.ChunkedArray | pa.Array) -> Float:
    """Numbers, nan for null."""
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)


def _taken(rows: R, index: Int) -> R:
    return type(rows)(**{name: getattr(rows, name)[index] for name in _NAMES[type(rows)]})


def _joined(rows: Sequence[R]) -> R:
    kind = type(rows[0])
    return kind(**{name: np.concatenate([getattr(each, name) for each in rows]) for name in _NAMES[kind]})


def _nothing(kind: type[Rows]) -> Iterator[tuple[str, NDArray[Any]]]:
    for field in fields(kind):
        if field.name == "key":
            yield field.name, np.zeros((0, 2), np.uint64)
        elif field.name == "failed":
            yield field.name, np.zeros(0, np.bool_)
        elif field.name in ("tenant", "ts_ms", "source", "status"):
            yield field.name, np.zeros(0, np.int64)
        else:
            yield field.name, np.zeros(0)


_NAMES: Final[dict[type[Rows], tuple[str, ...]]] = {
    kind: tuple(field.name for field in fields(kind)) for kind in (_Outcomes, _Rewards)
}
_EMPTY: Final[dict[type[Rows], dict[str, NDArray[Any]]]] = {
    kind: dict(_nothing(kind)) for kind in (_Outcomes, _Rewards)
}
