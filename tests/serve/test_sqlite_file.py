"""A shared SQLite file's log is moved into it beside its writers."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from serve.sqlite_file import BACKSTOP_PAGES, CHECKPOINT_EVERY, Checkpointer, begin, connect, enter_wal

PAGE = 4_096


def opened(path: Path) -> sqlite3.Connection:
    db = connect(path)
    enter_wal(db)
    db.execute("CREATE TABLE IF NOT EXISTS kept (n INTEGER PRIMARY KEY, text BLOB)")
    return db


def commit(db: sqlite3.Connection, times: int) -> None:
    for _ in range(times):
        begin(db, 5.0)
        db.execute("INSERT INTO kept (text) VALUES (randomblob(2000))")
        db.execute("COMMIT")


def in_the_file_alone(path: Path, folder: Path) -> int:
    """Rows that are there without the log."""
    copy = folder / "copy.db"
    copy.write_bytes(path.read_bytes())
    try:
        with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as db:
            return db.execute("SELECT count(*) FROM kept").fetchone()[0]
    except sqlite3.DatabaseError:  # copied in the midst of it
        return 0


def test_the_log_is_moved_into_the_file_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    with closing(opened(path)) as db:
        checkpointer = Checkpointer(path)
        checkpointer.start(db)
        for _ in range(3 * CHECKPOINT_EVERY):
            commit(db, 1)
            checkpointer.committed()
        end = time.monotonic() + 20
        while in_the_file_alone(path, tmp_path) < CHECKPOINT_EVERY:
            assert time.monotonic() < end, "nothing was moved"
            time.sleep(0.02)
        checkpointer.stop()
        assert db.execute("SELECT count(*) FROM kept").fetchone()[0] == 3 * CHECKPOINT_EVERY
    assert not path.with_name("kept.db-wal").exists(), "the last to close it takes the log along"


def test_the_log_stays_small_where_nobody_keeps_up(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    with closing(opened(path)) as db:
        checkpointer = Checkpointer(path)
        checkpointer.start(db)
        commit(db, 3 * BACKSTOP_PAGES)  # nobody tells it
        assert path.with_name("kept.db-wal").stat().st_size < 1.1 * BACKSTOP_PAGES * PAGE
        checkpointer.stop()


def test_a_file_that_is_gone_is_left_to_its_writers(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "kept.db"
    path.parent.mkdir()
    with closing(opened(path)) as db:
        checkpointer = Checkpointer(tmp_path / "nowhere" / "kept.db")
        checkpointer.start(db)
        for _ in range(2 * CHECKPOINT_EVERY):
            checkpointer.committed()
        checkpointer.stop()
