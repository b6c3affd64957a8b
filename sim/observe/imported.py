"""What each mode would have made of calls that another system logged, at the providers that are configured.

The same re-pricing as of observed rounds, but nothing is replayed: nobody decided anything. A call is
decided as if it had come to a gateway with the configuration's arms, at the prices of the window's last call,
with nothing measured yet; the model that was called stands in as an arm that nobody may choose, where no
configured provider has it. So costs are re-priced with the uncertainty of other models' lengths, and quality
is what the model of it believes. Nothing here is an off-policy estimate: the calls have no propensity.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from p402.ids import PREFIX as REQUEST
from p402.routing.compiled import MAX_TOKENS, Snapshot
from p402.routing.decide import CHUNK_CELLS, work
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.spec import MODES, TASKS
from p402.settings import Settings
from p402.store.imported.event import PREFIX
from p402.store.reader import connect
from p402.store.schema import inputs_of
from p402.units import PICO_PER_NANO
from sim.observe.chance import Chance
from sim.observe.lengths import Lengths, Seen
from sim.observe.offered import DEFAULT_TENANT, Name, Offered, assembled
from sim.observe.reprice import Exchanges
from sim.observe.rounds import Census, NothingObserved, Window
from sim.observe.value import Observed, Pass, buckets_of, told

CHUNK_ROWS: Final = 16_384
NOT_OFFERED: Final = "of unknown model"
UNSERVABLE: Final = "that no arm can serve"

_WANTED: Final = """
($1::VARCHAR IS NULL OR tenant = $1) AND ($2::BIGINT IS NULL OR ts_ms >= $2)
AND ($3::BIGINT IS NULL OR ts_ms < $3)
"""

_FATE: Final = f"""
CASE WHEN status <> 'ok' THEN status
     WHEN prompt_tokens IS NULL OR output_tokens IS NULL OR cached_tokens > prompt_tokens
          OR greatest(prompt_tokens, output_tokens, inputs.prompt_bound) > {MAX_TOKENS} THEN 'unmeasured'
     WHEN cost_nano IS NULL THEN 'unpriced'
     ELSE 'valued' END
"""

_NAMES: Final = f"""
SELECT DISTINCT provider, model FROM imported WHERE {_WANTED} AND {_FATE} = 'valued' ORDER BY ALL
"""  # noqa: S608 - our own words

_FATES: Final = f"""
SELECT {_FATE} AS fate, count(*), max(ts_ms) FROM imported WHERE {_WANTED} GROUP BY fate ORDER BY fate
"""  # noqa: S608 - our own words

_ROWS: Final = f"""
SELECT id, ts_ms, tenant, session, provider, model, task, inputs, prompt_tokens, cached_tokens, output_tokens,
       cost_nano, price_source
FROM imported WHERE {_WANTED} AND {_FATE} = 'valued' ORDER BY ts_ms, id
"""  # noqa: S608 - our own words

_LENGTHS: Final = f"""
WITH answers AS (
    SELECT i.tenant, i.session, m.called AS model, i.inputs.task AS task, count(*) AS n,
           sum(i.output_tokens)::HUGEINT AS output,
           sum(i.inputs.expected_output * coalesce(i.inputs.n, 1))::HUGEINT AS expected
    FROM (SELECT * FROM imported WHERE {_WANTED} AND {_FATE} = 'valued') i
    JOIN models m ON m.model = i.model AND m.provider IS NOT DISTINCT FROM i.provider
    GROUP BY ALL
)
SELECT model, task, sum(n)::HUGEINT, count(*), sum(output), sum(expected), sum(output * output),
       sum(output * expected), sum(expected * expected)
FROM answers GROUP BY model, task ORDER BY model, task
"""  # noqa: S608 - our own words


def observe(
    log: Path,
    options: Offered,
    window: Window | None = None,
    modes: Sequence[str] = MODES,
    *,
    by_task: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Observed:
    """Value modes on the imported calls of a log; memory hangs on arms, a chunk and the sessions' names.

    Raises
    ------
    NothingObserved
        There is no imported call that can be valued.
    StoreError, ConfigError
        The log, or the configuration, cannot be used.
    """
    window = window or Window()
    with connect(log) as con:
        fates = con.execute(_FATES, window.params).fetchall()
        counts = {fate: count for fate, count, _ in fates}
        valued = counts.pop("valued", 0)
        if not valued:
            raise NothingObserved(_why_none(con, counts))
        last_ms = next(last for fate, _, last in fates if fate == "valued")
        names: list[Name] = con.execute(_NAMES, window.params).fetchall()
        snapshot, called = assembled(options, names, last_ms)
        lengths = Lengths(_lengths_seen(con, window, snapshot, called))
        run = _Run(snapshot, called, options.settings, Pass(None, lengths, modes))
        reader = con.cursor().sql(_ROWS, params=window.params).to_arrow_reader(CHUNK_ROWS)
        done = 0
        for batch in reader:
            run.take(batch.to_pylist())
            done += batch.num_rows
            progress(done, valued)
    if not run.rows:
        raise NothingObserved(_why_none_of(counts | run.excluded, names))
    result = told(window, run.census(counts), run.pass_, Chance(), by_task=by_task)
    return replace(result, imported=True, warnings=(*result.warnings, *run.doubts()))


def _lengths_seen(
    con: duckdb.DuckDBPyConnection, window: Window, snapshot: Snapshot, called: Mapping[Name, int]
) -> dict[tuple[str, str], Seen]:
    models = snapshot.spec.arms.model
    columns = {
        "provider": pa.array([provider for provider, _ in called], pa.string()),
        "model": pa.array([model for _, model in called], pa.string()),
        "called": pa.array([models[arm] for arm in called.values()], pa.string()),
    }
    con.register("models", pa.table(columns))
    rows = con.execute(_LENGTHS, window.params).fetchall()
    con.unregister("models")
    return {(model, TASKS[task]): Seen(*map(int, sums)) for model, task, *sums in rows}


class _Run:
    """One pass over the calls."""

    def __init__(
        self, snapshot: Snapshot, called: Mapping[Name, int], settings: Settings, pass_: Pass
    ) -> None:
        self.snapshot, self.called, self.settings, self.pass_ = snapshot, called, settings, pass_
        self.lives = (LiveState.at_start(snapshot.n_arms),)
        self.rows = self.prompt = self.cached = self.taskless = self.listed = 0
        self.first_ms = self.last_ms = 0
        self.sessions: set[tuple[str, str]] = set()
        self.excluded: dict[str, int] = {}

    def take(self, rows: list[dict[str, Any]]) -> None:
        """Add calls; those of unknown models, and those that no arm can serve, are counted apart."""
        known = [row for row in rows if (row["provider"], row["model"]) in self.called]
        self._exclude(NOT_OFFERED, len(rows) - len(known))
        for start in range(0, len(known), step := max(1, CHUNK_CELLS // self.snapshot.n_arms)):
            self._add(known[start : start + step])

    def census(self, excluded: Mapping[str, int]) -> Census:
        """What calls there were."""
        return Census(
            valued=self.rows,
            excluded={**excluded, **self.excluded},
            estimated=0,
            simulated=0,
            sessions=len(self.sessions),
            first_ms=self.first_ms,
            last_ms=self.last_ms,
            prompt_tokens=self.prompt,
            cached_tokens=self.cached,
        )

    def doubts(self) -> tuple[str, ...]:
        """What speaks against figures of imported calls."""
        found = ["imported: these calls have no propensity; nothing here is an off-policy estimate"]
        if self.taskless:
            found.append(
                f"task_unknown: {self.taskless:,} calls came without their prompt; every task was taken to "
                "be as likely, so that their quality says little"
            )
        if self.listed:
            found.append(
                f"list_price: the cost of {self.listed:,} calls is the catalogue's list price, since their "
                "log told none"
            )
        return tuple(found)

    def _exclude(self, why: str, count: int) -> None:
        if count:
            self.excluded[why] = self.excluded.get(why, 0) + count

    def _add(self, rows: list[dict[str, Any]]) -> None:
        inputs = [self._inputs(row) for row in rows]
        ids = [REQUEST + row["id"].removeprefix(PREFIX) for row in rows]
        batch = to_batch(self.snapshot, ids, inputs, self.lives, [0] * len(rows))
        servable = np.atleast_2d(work(self.snapshot, batch.rows(slice(None))).eligible).any(axis=1)
        kept = np.flatnonzero(servable)
        self._exclude(UNSERVABLE, len(rows) - len(kept))
        if len(kept) == 0:
            return
        rows = [rows[i] for i in kept.tolist()]
        self._count(rows)
        bucket = buckets_of([row["tenant"] for row in rows], [row["session"] for row in rows])
        self.pass_.add(self.snapshot, batch.rows(kept), self._exchanges(rows), bucket)

    def _inputs(self, row: dict[str, Any]) -> Any:
        tenant = row["tenant"] if row["tenant"] in self.settings.tenants else DEFAULT_TENANT
        explore = self.settings.tenants[tenant].tenant().exploration
        return msgspec.structs.replace(inputs_of(row["inputs"]), policy=tenant, explore=explore)

    def _exchanges(self, rows: list[dict[str, Any]]) -> Exchanges:
        caps = [row["inputs"]["max_output"] for row in rows]
        choices = [row["inputs"]["n"] or 1 for row in rows]
        paid = _column(rows, "cost_nano") * PICO_PER_NANO
        return Exchanges(
            tasks=TASKS,
            arm=np.array([self.called[row["provider"], row["model"]] for row in rows], np.int64),
            task=np.array([row["inputs"]["task"] for row in rows], np.int64),
            prompt=_column(rows, "prompt_tokens"),
            cached=_column(rows, "cached_tokens"),
            output=_column(rows, "output_tokens"),
            cap=np.array([np.inf if c is None else c * n for c, n in zip(caps, choices, strict=True)]),
            served_pico=paid,
            failed_pico=np.zeros_like(paid),
        )

    def _count(self, rows: list[dict[str, Any]]) -> None:
        if not self.rows:
            self.first_ms = rows[0]["ts_ms"]
        self.last_ms = rows[-1]["ts_ms"]
        self.rows += len(rows)
        self.prompt += sum(row["prompt_tokens"] for row in rows)
        self.cached += sum(row["cached_tokens"] for row in rows)
        self.taskless += sum(row["task"] is None for row in rows)
        self.listed += sum(row["price_source"] == "list" for row in rows)
        self.sessions.update((row["tenant"], row["session"]) for row in rows)


def _column(rows: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], np.float64)


def _why_none(con: duckdb.DuckDBPyConnection, excluded: Mapping[str, int]) -> str:
    total = con.execute("SELECT count(*) FROM imported").fetchall()[0][0]
    if not total:
        return "the log has no imported call; expected some: `p402 log import FILE --format litellm`"
    if not excluded:
        return f"none of {total:,} imported calls is in the window; expected one: widen it"
    counted = ", ".join(f"{count:,} {fate}" for fate, count in excluded.items())
    return f"no imported call can be valued: found {counted}; expected answered ones of known price"


def _why_none_of(excluded: Mapping[str, int], names: Sequence[Name]) -> str:
    counted = ", ".join(f"{count:,} {why}" for why, count in excluded.items())
    shown = ", ".join("/".join(filter(None, name)) for name in names[:5])
    return (
        f"no imported call can be valued: found {counted}; the calls name {shown}; expected models of the "
        "catalogue or of the configured providers"
    )
