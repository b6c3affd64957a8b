"""Files of another system's log into ours, each call once however often it is imported.

A call's id follows from tenant, source and the source's id, so what the log has already is passed over.
Rows go into a segment of their own. Every line of a file is counted: as a call, known, repeated, skipped
(and why) or damaged (and where).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from p402.catalog.model import Catalog
from p402.errors import ConfigError, nearest
from p402.routing.head import TaskHead
from p402.store.imported import langfuse, litellm, openai
from p402.store.imported.event import PREFIX, Maker, id_of
from p402.store.imported.lines import Bad, rows_of
from p402.store.imported.price import ListPrices
from p402.store.imported.record import Record, Score, Skipped
from p402.store.imported.values import Unreadable
from p402.store.reader import connect
from p402.store.writer import LogWriter

Read = Callable[[Mapping[str, Any]], Iterable[Record | Score | Skipped]]

FORMATS: Final[dict[str, Read]] = {"openai": openai.read, "litellm": litellm.read, "langfuse": langfuse.read}
"""How to read a row, by the name of its source."""

KEPT: Final = 100
"""Damaged lines described in full; all are counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that could not be read."""

    path: str
    line: int
    why: str


@dataclass(slots=True)
class Imports:
    """What was in the files and what became of it.

    Attributes
    ----------
    rows
        Lines that were not blank, or elements of an array.
    imported, known, repeated
        Calls that are new to the log; that it had; that the files have more than once.
    rewards, rewards_known, unplaced
        Scores that are new to the log; that it had; that are of no one call that is known.
    skipped
        Sound rows that are no chat call, by what they are.
    damaged
        Lines that could not be read; `damages` describes the first of them.
    cost_nano, unpriced
        Of the new calls: what they cost together, and how many have no known price.
    models
        New calls by the model they name, most first.
    """

    source: str
    tenant: str
    dry_run: bool
    rows: int = 0
    imported: int = 0
    known: int = 0
    repeated: int = 0
    rewards: int = 0
    rewards_known: int = 0
    unplaced: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    damaged: int = 0
    damages: list[Damage] = field(default_factory=list)
    cost_nano: int = 0
    unpriced: int = 0
    unpriced_models: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    first_ms: int | None = None
    last_ms: int | None = None


def import_files(
    paths: Sequence[Path],
    source: str,
    log: Path,
    tenant: str,
    catalog: Catalog,
    head: TaskHead,
    now_ms: Callable[[], int],
    *,
    keep_prompts: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Imports:
    """Read files and write what is new in them.

    Parameters
    ----------
    source
        A name of `FORMATS`.
    log
        Folder of the log; made where it is absent, unless this is a dry run.
    catalog
        Prices of calls whose own log tells none.
    progress
        Called with the rows read so far.

    Raises
    ------
    ConfigError
        There is no such format.
    StoreError
        A file cannot be read, or the log cannot be read or written. What was written stays, and the same
        import goes on from there.
    """
    read = FORMATS.get(source)
    if read is None:
        raise ConfigError(
            f"--format: found {source!r}{nearest(source, tuple(FORMATS))}, expected one of "
            f"{', '.join(FORMATS)}"
        )
    maker = Maker(tenant, source, ListPrices(catalog), head, keep_prompts=keep_prompts)
    run = _Run(maker, Imports(source, tenant, dry_run), *_known(log, tenant))
    if dry_run:
        run.take(paths, read, None, progress)
        return run.found
    with LogWriter(log, f"import-{source}", now_ms) as writer:
        run.take(paths, read, writer, progress)
    return run.found


def _known(log: Path, tenant: str) -> tuple[set[str], set[tuple[Any, ...]]]:
    """Ids of the calls, and the scores, that the log has of a tenant."""
    if not log.is_dir():
        return set(), set()
    with connect(log) as con:
        calls = con.execute("SELECT id FROM imported WHERE tenant = ?", [tenant]).fetchall()
        said = con.execute(
            "SELECT id, source, ts_ms, quality FROM rewards WHERE tenant = ? AND starts_with(id, ?)",
            [tenant, PREFIX],
        ).fetchall()
    return {row[0] for row in calls}, set(said)


class _Run:
    def __init__(self, maker: Maker, found: Imports, known: set[str], said: set[tuple[Any, ...]]) -> None:
        self.maker, self.found, self.known, self.said = maker, found, known, said
        self.seen: set[str] = set()
        self.of_trace: dict[str, str | None] = {}
        """The call of each trace; None where it has several."""
        self.scores: list[Score] = []

    def take(
        self, paths: Iterable[Path], read: Read, writer: LogWriter | None, progress: Callable[[int], None]
    ) -> None:
        for path in paths:
            for row in rows_of(path):
                self.found.rows += 1
                progress(self.found.rows)
                if isinstance(row, Bad):
                    self._damage(path, row.line, row.why)
                    continue
                try:
                    for part in read(row.fields):
                        self._part(part, row.fields, writer)
                except Unreadable as error:
                    self._damage(path, row.line, str(error))
        for score in self.scores:  # they may stand before the calls that they are of
            self._score(score, writer)

    def _part(self, part: Record | Score | Skipped, row: Mapping[str, Any], writer: LogWriter | None) -> None:
        match part:
            case Skipped(what):
                self.found.skipped[what] += 1
            case Score():
                self.scores.append(part)
            case Record():
                self._call(part, self.maker.id(part, row), writer)

    def _call(self, record: Record, event_id: str, writer: LogWriter | None) -> None:
        found = self.found
        if event_id in self.seen:
            found.repeated += 1
            return
        self.seen.add(event_id)
        if record.trace is not None:
            self.of_trace[record.trace] = None if record.trace in self.of_trace else event_id
        if event_id in self.known:
            found.known += 1
            return
        event = self.maker.call(record, event_id)
        found.imported += 1
        found.models[event.model] += 1
        if event.cost_nano is None:
            found.unpriced += 1
            found.unpriced_models[event.model] += 1
        else:
            found.cost_nano += event.cost_nano
        found.first_ms = event.ts_ms if found.first_ms is None else min(found.first_ms, event.ts_ms)
        found.last_ms = event.ts_ms if found.last_ms is None else max(found.last_ms, event.ts_ms)
        if writer is not None:
            writer.append(event)

    def _score(self, score: Score, writer: LogWriter | None) -> None:
        call = self._call_of(score)
        if call is None:
            self.found.unplaced += 1
            return
        event = self.maker.reward(score, call)
        key = (event.id, event.source, event.ts_ms, event.quality)
        if key in self.said:
            self.found.rewards_known += 1
            return
        self.said.add(key)
        self.found.rewards += 1
        if writer is not None:
            writer.append(event)

    def _call_of(self, score: Score) -> str | None:
        """The call that a score is of: its own, or the only one of its trace in these files."""
        if score.observation is not None:
            call = id_of(self.maker.tenant, self.maker.source, score.observation)
            return call if call in self.seen or call in self.known else None
        return None if score.trace is None else self.of_trace.get(score.trace)

    def _damage(self, path: Path, line: int, why: str) -> None:
        self.found.damaged += 1
        if len(self.found.damages) < KEPT:
            self.found.damages.append(Damage(str(path), line, why))
