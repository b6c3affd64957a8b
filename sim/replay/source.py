"""Which rows the log has for a replay, and what live state each of them saw.

Two ways in. `groups` takes a query over the log's views, and gives its rows in an order that follows from
them alone: by worker, live state, snapshot and id, which DuckDB sorts. `partitions` names pieces of the log
that `read` can read alone, in another process: a row group of a Parquet file, or segments that are not
compacted yet (`sim.replay.pieces`). Either way rows come as groups of one snapshot and few live states, ready
to be decided in one batch, and of the rows a chunk is held, however long the log is.
It knows nothing of what is done with them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sim.replay.group import UNFIT, Group, Lost, grouped
from sim.replay.lives import LiveGap, Lives
from sim.replay.pieces import CHOICE_KINDS, Partition, deltas_of, pieces_of, rows_of
from sim.replay.twice import without_doubles

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "CHOICE_KINDS",
    "CHUNK_ROWS",
    "MAX_LIVES",
    "UNFIT",
    "Group",
    "LiveGap",
    "Lives",
    "Lost",
    "Partition",
    "groups",
    "lives_of",
    "partitions",
    "read",
]

CHUNK_ROWS: Final = 32_768

MAX_LIVES: Final = 4_096
"""Live states in one batch: each is a handful of columns over the snapshot's arms."""

_NEEDED: Final = ("worker", "live_seq", "snapshot", "id", "inputs")

_DELTAS: Final = "SELECT worker, seq, ts_ms, arms FROM live WHERE worker IN (SELECT unnest($1::VARCHAR[]))"


def groups(
    con: "duckdb.DuckDBPyConnection", query: str, params: Sequence[Any] = (), chunk_rows: int = CHUNK_ROWS
) -> Iterator[Group | Lost]:
    """Rows of a query over the log's views, with their live state.

    Parameters
    ----------
    con
        From `p402.store.reader.connect`: rows and deltas are of the same instant.
    query
        Gives `worker`, `live_seq`, `snapshot`, `id`, `inputs` and what else the caller wants.
    chunk_rows
        Rows held at once.
    """

    def deltas(workers: Sequence[str]) -> list[pa.Table]:
        return [con.cursor().sql(_DELTAS, params=[list(workers)]).to_arrow_table()]

    lives = Lives(deltas)
    ordered = f"SELECT * FROM ({query}) ORDER BY worker, live_seq, snapshot, id"  # noqa: S608 - our queries
    reader = con.cursor().sql(ordered, params=list(params)).to_arrow_reader(chunk_rows)
    for batch in reader:
        yield from grouped(pa.Table.from_batches([batch]), lives, MAX_LIVES)


def partitions(log: Path, kinds: Sequence[str] = ("decision",)) -> tuple[Partition, ...]:
    """Every piece of the log as it now is: Parquet by path and row group, then segments by name.

    Together they show every row once: one that was logged twice is read in one of its places, the earlier.

    Parameters
    ----------
    kinds
        Kinds of events, in the order their pieces come: of `CHOICE_KINDS`.

    Raises
    ------
    StoreError
        There is no such folder, its manifest cannot be used, or a Parquet file is damaged.
    """
    return tuple(piece for pieces in pieces_of(log, kinds) for piece in without_doubles(pieces))


def read(
    partition: Partition,
    columns: Sequence[str] = (),
    *,
    lives: Lives | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Group | Lost]:
    """Rows of one partition in their order, with their live state.

    It can be called in any process that sees the log's folder; the same partition gives the same groups.

    Parameters
    ----------
    columns
        What else of the partition's kind is wanted in `Group.table`, by the names of `p402.store.schema`.
    lives
        From `lives_of`, where several partitions are read in one process.
    chunk_rows
        Rows held at once.

    Raises
    ------
    StoreError
        The partition is damaged or was compacted away since it was named.
    """
    known = lives_of(Path(partition.log)) if lives is None else lives
    wanted = tuple(dict.fromkeys((*_NEEDED, *columns)))
    for table in rows_of(partition, wanted, chunk_rows):
        yield from grouped(table, known, MAX_LIVES)


def lives_of(log: Path) -> Lives:
    """Live states of a log's workers, whose deltas are read when a worker is first asked for."""
    return Lives(deltas_of(log))
