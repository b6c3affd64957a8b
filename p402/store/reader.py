"""What the log says, as one database, whichever of it is already Parquet.

`connect` gives an in-memory DuckDB whose views cover the manifest's Parquet files and the segments
that are not in them yet; those are parsed once, at connect, so that a connection stays as it was
when it was made while writers append and the compactor moves things. A segment that a killed
compactor committed but did not delete is left out, and every view shows a key once.
What DuckDB cannot read is a `StoreError` that names the damaged file, wherever in the `with` it
comes to light.
Sums of floats in SQL depend on thread order: compute estimates from rows, in numpy.
It knows nothing of what events are used for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from p402.events import AnyEvent, Decision
from p402.store import manifest as manifests
from p402.store.damage import damage_of
from p402.store.manifest import Manifest, Part
from p402.store.schema import SCHEMAS, events_of, tables_of
from p402.store.segments import parse, read_segment
from p402.store.settled import require_log, settled, unread
from p402.store.views import view_statements

_QUESTION: Final = duckdb.ProgrammingError, duckdb.DataError
"""What DuckDB says of a query that is wrong, and of some damaged files."""


def dataset_digest(root: Path) -> str:
    """Digest of the compacted log: it changes when, and only when, its files do."""
    require_log(root)
    return manifests.load(root).digest


@contextmanager
def connect(root: Path, *, include_live: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the log for queries, for the length of a `with`; see `p402.store.views` for the views.

    Parameters
    ----------
    include_live
        Whether events that are not compacted yet are shown. Without them, what is shown is
        exactly what `dataset_digest` names.

    Raises
    ------
    StoreError
        There is no such folder, its manifest cannot be used, or, at any query within the `with`, a
        Parquet file is damaged or DuckDB has no room. A query that is itself wrong stays DuckDB's error.
    """
    require_log(root)
    try:
        with duckdb.connect(":memory:") as con:
            manifest = _load(con, root) if include_live else _empty(con, manifests.load(root))
            files = {kind: [str(root / part.path) for part in manifest.of_kind(kind)] for kind in SCHEMAS}
            for statement in view_statements(files):
                con.execute(statement)
            yield con
    except (duckdb.Error, OSError) as reason:
        if isinstance(reason, OSError) and reason.errno is not None:
            raise  # the caller's own: an Arrow stream passes DuckDB's words on without a number
        damage = damage_of(root)
        if damage is None and isinstance(reason, _QUESTION):
            raise
        raise damage or unread(root, reason) from reason


def read_events(root: Path) -> Iterator[AnyEvent]:
    """Every event of the log as of this call, without DuckDB: Parquet by path, then segments by name.

    Segments that are not compacted are held in memory, as bytes. Lines that are no event are skipped.

    Raises
    ------
    StoreError
        There is no such folder, its manifest cannot be used, or a Parquet file cannot be read.
    """
    require_log(root)
    tail: dict[str, bytes] = {}
    manifest = settled(root, tail.__setitem__, tail.clear, read_segment)
    for part in manifest.parts:
        yield from _events_in(root, part)
    for data in tail.values():
        for parsed in parse(data):
            yield from parsed.events


def tail_bytes(root: Path) -> tuple[dict[str, int], int]:
    """Bytes of uncompacted lines by kind, and how many decisions are among them."""
    sizes: dict[str, int] = {}
    rounds: list[int] = []

    def take(_name: str, data: bytes) -> None:
        for parsed in parse(data):
            for kind, size in parsed.bytes_of.items():
                sizes[kind] = sizes.get(kind, 0) + size
            rounds.append(sum(isinstance(event, Decision) for event in parsed.events))

    def restart() -> None:
        sizes.clear()
        rounds.clear()

    settled(root, take, restart, read_segment)
    return sizes, sum(rounds)


def _events_in(root: Path, part: Part) -> Iterator[AnyEvent]:
    try:
        with pq.ParquetFile(root / part.path) as file:
            for batch in file.iter_batches():
                yield from events_of(part.kind, pa.Table.from_batches([batch]))
    except (OSError, pa.ArrowException, ValueError) as reason:  # ValueError: columns that are no event's
        raise damage_of(root) or unread(root / part.path, reason) from reason


def _empty(con: duckdb.DuckDBPyConnection, manifest: Manifest) -> Manifest:
    """Make the tables that hold what is not compacted."""
    for kind, schema in SCHEMAS.items():
        statement = f"CREATE OR REPLACE TABLE tail_{kind} AS SELECT * FROM incoming"  # noqa: S608 - our kinds
        _store(con, statement, schema.empty_table())
    con.execute("CREATE OR REPLACE TABLE skipped_lines (segment VARCHAR, torn BIGINT, malformed BIGINT)")
    return manifest


def _load(con: duckdb.DuckDBPyConnection, root: Path) -> Manifest:
    def take(name: str, data: bytes) -> None:
        torn = malformed = 0
        for parsed in parse(data):
            tables, unfit = tables_of(parsed.events)
            for kind, table in tables.items():
                _store(con, f"INSERT INTO tail_{kind} SELECT * FROM incoming", table)  # noqa: S608 - our kinds
            torn += bool(parsed.torn)
            malformed += len(parsed.malformed) + len(unfit)
        if torn or malformed:
            con.execute("INSERT INTO skipped_lines VALUES (?, ?, ?)", [name, torn, malformed])

    def restart() -> None:
        _empty(con, manifests.EMPTY)

    restart()
    return settled(root, take, restart, read_segment)


def _store(con: duckdb.DuckDBPyConnection, statement: str, rows: pa.Table) -> None:
    con.register("incoming", rows)
    con.execute(statement)
    con.unregister("incoming")
