"""Which outcomes are surely borne out by the choices of their rounds, told by column.

It says of most outcomes that nothing is wrong, and of the others nothing: `sim.replay.outcomes` looks at
those again, in full. Ids are compared by 128 bits of theirs, arms and tenants by code. Long logs are gone
through in turns by id, so that the choices held at once stay few. It names no fault.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sim.replay.columns import identities, mixed, names
from sim.replay.pieces import Partition, rows_of
from sim.replay.source import CHUNK_ROWS

MOST_ROWS: Final = 1 << 21
"""Choices held at once, about 40 bytes each; a longer log takes more than one turn."""

MOST_TOKENS: Final = 1 << 24
MOST_PRICE: Final = 1 << 34
"""Tokens and pico-USD a token up to which their products and the sum of these are whole in 64 bits."""

KINDS: Final = ("decision", "attempt", "outcome")
"""Kinds of events that it reads."""

_OUTCOME: Final = ("id", "tenant", "arm", "attempts", "cost_nano")
_NO_ARM: Final = -1
_PICO_PER_NANO: Final = 1_000

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]
Bits = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Borne:
    """What was found.

    Attributes
    ----------
    rows
        Outcomes in the log.
    unended
        Decisions without an outcome.
    suspects
        Ids of the outcomes that may not be borne out.
    """

    rows: int
    unended: int
    suspects: tuple[str, ...]


class _Codes:
    """Names as numbers that are the same in every table."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, column: pa.ChunkedArray) -> Int:
        found = names(column)
        for name in found.values:
            self._known.setdefault(name, len(self._known))
        return found.onto(self._known)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Choices by identity, sorted by `short`, which with `low` is the whole of it; `columns` are theirs."""

    short: Bits
    low: Bits
    columns: Mapping[str, NDArray[Any]]

    def find(self, key: Bits) -> tuple[Int, Bool]:
        """Place of each identity, and whether it is there; of two that share `short`, one is not found."""
        short = mixed(key)
        order = np.argsort(short)  # neighbours are looked for together
        place = np.empty(len(short), np.int64)
        place[order] = np.searchsorted(self.short, short[order])
        place[place == len(self.short)] = 0
        if not len(self.short):
            return place, np.zeros(len(short), np.bool_)
        return place, (self.short[place] == short) & (self.low[place] == key[:, 1])


def borne(pieces: Sequence[Partition], progress: Callable[[], None] = lambda: None) -> Borne:
    """Go through a log's outcomes.

    Parameters
    ----------
    pieces
        All of the log's, of `KINDS`.
    progress
        Called after every chunk.

    Raises
    ------
    StoreError
        The log is damaged, or was compacted meanwhile.
    """
    of_kind = {kind: [piece for piece in pieces if piece.kind == kind] for kind in KINDS}
    choices = sum(piece.rows for piece in (*of_kind["decision"], *of_kind["attempt"]))
    turns = max(1, -(-choices // MOST_ROWS))
    arms, tenants = _Codes(), _Codes()
    rows = unended = 0
    suspects: list[str] = []
    for turn in range(turns):
        decided = _table(
            of_kind["decision"], turn, turns, {"arm": arms, "tenant": tenants, "observe": _claims}
        )
        tried = _table(of_kind["attempt"], turn, turns, {"arm": arms})
        ended = np.zeros(len(decided.short), np.bool_)
        for table, key, within in _chunks(of_kind["outcome"], _OUTCOME, turn, turns):
            rows += int(np.count_nonzero(within))
            place, there = decided.find(key)
            if len(decided.short):
                there &= decided.columns["tenant"][place] == tenants(table.column("tenant"))
            ended[place[there]] = True
            sound = there & _paid(table, arms) & _called(table, key, place, there, decided, tried, arms)
            doubtful = np.flatnonzero(within & ~sound)
            suspects += table.column("id").take(pa.array(doubtful)).to_pylist()
            progress()
        unended += int(np.count_nonzero(~ended))
    return Borne(rows, unended, tuple(suspects))


def _claims(column: pa.ChunkedArray) -> Bool:
    found: Bool = column.fill_null(fill_value=False).to_numpy()
    return found


def _chunks(
    pieces: Sequence[Partition], columns: tuple[str, ...], turn: int, turns: int
) -> Iterator[tuple[pa.Table, Bits, Bool]]:
    """Chunks of rows with their identities, and which rows are of this turn."""
    for piece in pieces:
        for table in rows_of(piece, columns, CHUNK_ROWS):
            key = identities(table.column("id").combine_chunks())
            within = np.ones(len(key), np.bool_) if turns == 1 else key[:, 1] % np.uint64(turns) == turn
            yield table, key, within


def _table(
    pieces: Sequence[Partition],
    turn: int,
    turns: int,
    readers: Mapping[str, Callable[[pa.ChunkedArray], NDArray[Any]]],
) -> _Table:
    attempted = any(piece.kind == "attempt" for piece in pieces)
    wanted = ("id", *(("attempt",) if attempted else ()), *readers)
    found: dict[str, list[NDArray[Any]]] = {
        "short": [np.zeros(0, np.uint64)],
        "low": [np.zeros(0, np.uint64)],
        **{name: [np.zeros(0, np.int32)] for name in readers},
    }
    for table, key, within in _chunks(pieces, wanted, turn, turns):
        if attempted:
            key[:, 1] += _of_attempt(table.column("attempt").to_numpy())
        found["short"].append(mixed(key)[within])
        found["low"].append(key[within, 1])
        for name, reader in readers.items():
            found[name].append(reader(table.column(name))[within].astype(np.int32))
    columns: dict[str, NDArray[Any]] = {}
    order = np.argsort(np.concatenate(found["short"]))
    for name in list(found):
        columns[name] = np.concatenate(found.pop(name))[order]
    return _Table(columns.pop("short"), columns.pop("low"), columns)


def _of_attempt(number: NDArray[Any]) -> Bits:
    """What an attempt adds to its round's identity."""
    return number.astype(np.uint64) * np.uint64(0xD1B5_4A32_D192_ED03)


def _attempts(table: pa.Table) -> tuple[Int, pa.StructArray]:
    """How many attempts each outcome has, and all of them."""
    column = table.column("attempts").combine_chunks()
    count = np.asarray(pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False))
    return count.astype(np.int64), column.flatten()


def _numbers(column: pa.Array) -> tuple[Int, Bool]:
    """Whole numbers and whether each is there; 0 where not."""
    told: Bool = column.is_valid().to_numpy(zero_copy_only=False)
    return np.asarray(column.fill_null(0).to_numpy(zero_copy_only=False), np.int64), told


def _field(attempts: pa.StructArray, name: str) -> pa.Array:
    if name in {field.name for field in attempts.type}:
        return attempts.field(name)
    return pa.nulls(len(attempts), pa.int64())


def _paid(table: pa.Table, arms: _Codes) -> Bool:
    """Where the money surely follows from the attempts, and who served was the last of them."""
    count, attempts = _attempts(table)
    cost, told = _numbers(_field(attempts, "cost_nano"))
    whole, said = _numbers(table.column("cost_nano").combine_chunks())
    end = np.cumsum(count)
    began = end - count
    total = np.concatenate([[0], np.cumsum(cost)])
    unknown = np.concatenate([[0], np.cumsum(~told)])
    known = unknown[end] == unknown[began]
    sound: Bool = np.where(known, said & (whole == total[end] - total[began]), ~said)
    arm, called = arms(table.column("arm")), arms(pa.chunked_array([_field(attempts, "arm")]))
    last = np.full(len(count), _NO_ARM, np.int64)
    last[count > 0] = called[end[count > 0] - 1]
    sound &= (arm == _NO_ARM) | (arm == last)
    billed = np.concatenate([[0], np.cumsum(~_billed(attempts, cost, told))])
    sound &= billed[end] == billed[began]
    return sound


def _billed(attempts: pa.StructArray, cost: Int, told: Bool) -> Bool:
    """Attempts whose cost is surely what their tokens make of their prices, or which have none."""
    prices = _field(attempts, "price_pico")
    priced = prices.is_valid().to_numpy(zero_copy_only=False)
    prompt, asked = _numbers(_field(attempts, "prompt_tokens"))
    output, answered = _numbers(_field(attempts, "output_tokens"))
    read, wrote, hour = (
        _numbers(_field(attempts, name))[0]
        for name in ("cached_tokens", "cache_write_tokens", "cache_write_1h_tokens")
    )
    free: Bool = ~(priced & asked)
    if free.all():
        return free
    length = np.asarray(pc.list_value_length(prices).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    flat, each = _numbers(prices.flatten())
    place = np.arange(len(flat)) - np.repeat(np.cumsum(length) - length, length)
    row = np.repeat(np.arange(len(length)), length)
    sound = told & answered & np.isin(length, (3, 5))
    sound[row[~each]] = False
    price = np.zeros((5, len(length)), np.int64)
    within = place < len(price)
    price[place[within], row[within]] = flat[within]
    for tokens in (prompt, output, read, wrote, hour):
        sound &= (tokens >= 0) & (tokens <= MOST_TOKENS)
    sound &= ((price >= 0) & (price <= MOST_PRICE)).all(axis=0)
    tokens = np.where(sound, np.stack([prompt - read - wrote, read, output, wrote - hour, hour]), 0)
    pico = np.add.reduce(tokens * np.where(sound, price, 0), axis=0) + _PICO_PER_NANO - 1
    sound &= (pico >= 0) & (cost == pico // _PICO_PER_NANO)
    found: Bool = free | sound
    return found


def _called(
    table: pa.Table, key: Bits, place: Int, there: Bool, decided: _Table, tried: _Table, arms: _Codes
) -> Bool:
    """Where every attempt surely went to the arm that was logged for it."""
    count, attempts = _attempts(table)
    called = arms(pa.chunked_array([_field(attempts, "arm")]))
    row = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(called)) - np.repeat(np.cumsum(count) - count, count)
    sound = np.zeros(len(called), np.bool_)
    own = there[row] & (number == 0)
    if len(decided.short):
        own &= ~decided.columns["observe"][place[row]].astype(np.bool_)
        sound[own] = decided.columns["arm"][place[row[own]]] == called[own]
    others = np.flatnonzero(~own)
    if len(others) and len(tried.short):
        identity = key[row[others]]
        identity[:, 1] += _of_attempt(number[others])
        found, logged = tried.find(identity)
        sound[others] = logged & (tried.columns["arm"][found] == called[others])
    sound &= called != _NO_ARM
    borne_out = np.ones(len(count), np.bool_)
    borne_out[row[~sound]] = False
    return borne_out
