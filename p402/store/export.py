"""How the rounds leave as one file that somebody else can open.

It knows nothing of who asks.
"""

from pathlib import Path
from typing import Final

import duckdb

from p402.errors import ConfigError, StoreError
from p402.store.atomic import publish, temporary_beside
from p402.store.damage import damage_of
from p402.store.reader import connect
from p402.store.views import literal

_ROUNDS = "SELECT * FROM rounds ORDER BY ts_ms, id"
_OPTIONS: Final = {".parquet": "FORMAT parquet, COMPRESSION zstd", ".csv": "FORMAT csv, HEADER"}
STORAGE: Final = "v1.2.0"
"""DuckDB file format of exports: the 1.x and the 2.x engines open it."""


def export_rounds(root: Path, out: Path, *, force: bool = False) -> int:
    """Write the `rounds` view to `out`, whole or not at all; return how many there were.

    The suffix tells the form: `.duckdb` (a table `rounds`), `.parquet` or `.csv`.

    Raises
    ------
    ConfigError
        The suffix is another one.
    StoreError
        The file exists and `force` is not given, the log is damaged, or the file could not be written.
    """
    if out.suffix != ".duckdb" and out.suffix not in _OPTIONS:
        raise ConfigError(f"{out}: found {out.suffix or 'no suffix'!r}; expected .duckdb, .parquet or .csv")
    if out.exists() and not force:
        raise StoreError(f"{out} exists; expected a new file: choose another name or pass --force")
    if not out.parent.is_dir():
        raise StoreError(f"{out.parent} is no folder; expected one to write {out.name} into: make it first")
    temporary = temporary_beside(out)
    try:
        with connect(root) as con:
            try:
                _write(con, temporary, out.suffix)
            except duckdb.Error as reason:  # it reads the log and writes the file: ours to tell apart
                raise damage_of(root) or _unwritten(out, reason) from reason
            (rounds,) = con.execute("SELECT count(*) FROM rounds").fetchall()[0]
        publish(temporary, out)
    except OSError as reason:
        raise _unwritten(out, reason) from reason
    finally:
        temporary.unlink(missing_ok=True)
    return int(rounds)


def _unwritten(out: Path, reason: Exception) -> StoreError:
    said = str(reason).partition("\n")[0]
    return StoreError(f"{out} was not written: {said}; expected room and permission there")


def _write(con: duckdb.DuckDBPyConnection, path: Path, suffix: str) -> None:
    if suffix == ".duckdb":
        con.execute(f"ATTACH {literal(str(path))} AS exported (STORAGE_VERSION '{STORAGE}')")
        con.execute(f"CREATE TABLE exported.rounds AS {_ROUNDS}")
        con.execute("DETACH exported")
        return
    con.execute(f"COPY ({_ROUNDS}) TO {literal(str(path))} ({_OPTIONS[suffix]})")
