"""What a log says of requests, attempts and judgements between two moments, as columns.

One row for each round that was routed: observed calls, refusals, rounds without an outcome and those with
weights of their own instead of a mode are left out. Texts become whole numbers that index sorted names. It
knows no law.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.errors import P402Error
from p402.store.reader import connect

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

NOBODY: Final = -1
"""Arm of a request that nobody answered."""

_WITHIN: Final = (
    "d.ts_ms >= $1 AND d.ts_ms < $2 AND d.inputs.mode <> 'custom' "
    "AND ($3::VARCHAR IS NULL OR d.inputs.mode = $3)"
)

_REQUESTS: Final = f"""
SELECT d.ts_ms, d.id, d.tenant, d.session, d.inputs.mode AS mode, d.task, d.baseline, d.snapshot,
       d.inputs.prompt_tokens AS prompt, d.inputs.max_output IS NOT NULL AS capped,
       coalesce(d.inputs.explore, true) AS explores, d.inputs.features AS features,
       d.arm AS first, o.arm AS served, o.status, o.stream, o.attempts, o.cost_nano, o.direct_nano,
       o.fee_nano, o.output_tokens AS output, o.latency_ms, o.ttfb_ms, r.quality
FROM decisions d
JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN rounds r ON r.id = d.id AND r.tenant = d.tenant
WHERE {_WITHIN} AND NOT d.observe AND d.arm IS NOT NULL AND d."count" > 0 AND o.status IN ('ok', 'failed')
ORDER BY d.ts_ms, d.id
"""  # noqa: S608 - our own words

_WORDS: Final = f"""
SELECT w.source, w.quality, w.ts_ms - o.ts_ms AS delay_ms
FROM rewards w
JOIN decisions d ON d.id = w.id AND d.tenant = w.tenant
JOIN outcomes o ON o.id = w.id AND o.tenant = w.tenant
WHERE {_WITHIN} AND NOT d.observe AND w.quality IS NOT NULL AND o.status = 'ok'
ORDER BY w.source, w.ts_ms, w.id
"""  # noqa: S608 - our own words

_HITS: Final = "SELECT count(*) FILTER (mode <> 'custom') FROM cache_hits"

_SPAN: Final = """
SELECT min(d.ts_ms) FILTER (d.inputs.mode <> 'custom'), max(d.ts_ms) FILTER (d.inputs.mode <> 'custom'),
       count(*) FILTER (d.inputs.mode <> 'custom'),
       count(*) FILTER (d.simulated AND d.inputs.mode <> 'custom'),
       count(*) FILTER (d.inputs.mode = 'custom')
FROM decisions d WHERE NOT d.observe AND d.arm IS NOT NULL AND d."count" > 0
"""


class NoHistory(P402Error):
    """The log has too little of what a world is fitted to."""


@dataclass(frozen=True, slots=True)
class Span:
    """First and last moment of a log's routed rounds, ms since 1970 UTC, and how many there are.

    Rounds with weights of their own are counted apart, as `custom`: a world's callers ask for modes. So are
    `hits`, requests that a cache answered: they are no rounds.
    """

    first_ms: int
    last_ms: int
    rounds: int
    simulated: int
    custom: int
    hits: int


@dataclass(frozen=True, slots=True, eq=False)
class Attempts:
    """Calls that were made, `(m,)` each, in the order of their requests.

    Attributes
    ----------
    request
        Row of the request.
    arm
        Index into `History.arms`.
    failed, code
        Whether it gave no answer; its code, "" for none.
    output, latency_ms, ttfb_ms, cost_nano
        nan where it is not known.
    streamed
        Of the request.
    """

    request: Int
    arm: Int
    failed: Bool
    code: tuple[str, ...]
    output: Float
    latency_ms: Float
    ttfb_ms: Float
    cost_nano: Float
    streamed: Bool


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """What was said of answers, a row for each source's last word on a round."""

    source: tuple[str, ...]
    quality: Float
    delay_ms: Float


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Routed rounds between two moments, `(n,)` each, by time.

    Attributes
    ----------
    from_ms, until_ms
        The window, ms since 1970 UTC, the end exclusive.
    tenants, tasks, modes, arms, baselines
        Sorted names that the columns index; baseline -1 is none.
    session
        Number of the session, by first appearance; `session_named` is of each session: its caller named it.
    prompt
        Prompt tokens as routing counted them.
    first, served
        Arm of the first choice, and of who answered (`NOBODY`).
    features
        (n, D) multiples of 2**-12 as routing read them; columns that not all rows have are left out.
    quality
        Mean over sources of their last word, nan where nobody judged.
    last_snapshot
        That the window's last round was decided under.
    """

    from_ms: int
    until_ms: int
    tenants: tuple[str, ...]
    tasks: tuple[str, ...]
    modes: tuple[str, ...]
    arms: tuple[str, ...]
    baselines: tuple[str, ...]
    t_ms: Int
    tenant: Int
    session: Int
    session_named: Bool
    mode: Int
    task: Int
    baseline: Int
    prompt: Float
    capped: Bool
    explores: Bool
    features: Float
    first: Int
    served: Int
    failed: Bool
    streamed: Bool
    calls: Int
    cost_nano: Float
    direct_nano: Float
    fee_nano: Float
    output: Float
    latency_ms: Float
    ttfb_ms: Float
    quality: Float
    last_snapshot: str
    attempts: Attempts
    words: Words

    def __len__(self) -> int:
        """Rounds."""
        return len(self.t_ms)

    @property
    def hours(self) -> float:
        """Length of the window."""
        return (self.until_ms - self.from_ms) / 3_600_000


def span_of(log: Path) -> Span:
    """When the log's routed rounds are.

    Raises
    ------
    NoHistory
        There are none.
    """
    with connect(log) as con:
        first, last, rounds, simulated, custom = con.execute(_SPAN).fetchall()[0]
        hits = con.execute(_HITS).fetchall()[0][0]
    if not rounds:
        but = f" but {custom:,} with weights of their own, which no world asks for" if custom else ""
        raise NoHistory(
            f"the log {log} holds no routed round{but}; expected traffic: serve some, or `p402 sim run --log`"
        )
    return Span(int(first), int(last), int(rounds), int(simulated), int(custom), int(hits))


def read_history(log: Path, from_ms: int, until_ms: int, mode: str | None = None) -> History:
    """Read the rounds of a window, those of one mode where it is given.

    Memory: some hundred bytes a round.

    Raises
    ------
    NoHistory
        The window has no answered round.
    """
    with connect(log) as con:
        params = [from_ms, until_ms, mode]
        rows = _table(con, _REQUESTS, params)
        words = _table(con, _WORDS, params)
    if rows.num_rows == 0:
        of = "" if mode is None else f" of mode {mode}"
        raise NoHistory(f"no routed round{of} has an outcome between {from_ms} and {until_ms} ms since 1970")
    return _history(rows, words, from_ms, until_ms)


def _table(con: duckdb.DuckDBPyConnection, query: str, params: list[Any]) -> pa.Table:
    return con.sql(query, params=params).to_arrow_table()


def _history(rows: pa.Table, words: pa.Table, from_ms: int, until_ms: int) -> History:
    attempts = rows.column("attempts").combine_chunks()
    flat = attempts.flatten()
    named = [rows.column("first"), rows.column("served"), flat.field("arm")]
    arms = tuple(sorted({arm for column in named for arm in pc.unique(column).to_pylist() if arm}))
    session, session_named = _sessions(rows)
    calls = pc.list_value_length(attempts).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    tenants, tasks, modes = (_names(rows.column(name)) for name in ("tenant", "task", "mode"))
    baselines = _names(rows.column("baseline"))
    streamed = _claims(rows.column("stream"))
    return History(
        from_ms=from_ms,
        until_ms=until_ms,
        tenants=tenants,
        tasks=tasks,
        modes=modes,
        arms=arms,
        baselines=baselines,
        t_ms=rows.column("ts_ms").to_numpy().astype(np.int64),
        tenant=_coded(rows.column("tenant"), tenants),
        session=session,
        session_named=session_named,
        mode=_coded(rows.column("mode"), modes),
        task=_coded(rows.column("task"), tasks),
        baseline=_coded(rows.column("baseline"), baselines),
        prompt=_real(rows.column("prompt")),
        capped=_claims(rows.column("capped")),
        explores=_claims(rows.column("explores")),
        features=_features(rows.column("features")),
        first=_coded(rows.column("first"), arms),
        served=_coded(rows.column("served"), arms),
        failed=np.array([status == "failed" for status in rows.column("status").to_pylist()], np.bool_),
        streamed=streamed,
        calls=calls,
        cost_nano=_real(rows.column("cost_nano")),
        direct_nano=_real(rows.column("direct_nano")),
        fee_nano=_real(rows.column("fee_nano")),
        output=_real(rows.column("output")),
        latency_ms=_real(rows.column("latency_ms")),
        ttfb_ms=_real(rows.column("ttfb_ms")),
        quality=_real(rows.column("quality")),
        last_snapshot=rows.column("snapshot")[-1].as_py(),
        attempts=_attempts(flat, calls, arms, streamed),
        words=Words(
            tuple(words.column("source").to_pylist()),
            _real(words.column("quality")),
            _real(words.column("delay_ms")),
        ),
    )


def _attempts(flat: pa.StructArray, calls: Int, arms: Sequence[str], streamed: Bool) -> Attempts:
    request = np.repeat(np.arange(len(calls)), calls)
    return Attempts(
        request=request,
        arm=_coded(flat.field("arm"), arms),
        failed=np.array([status == "failed" for status in flat.field("status").to_pylist()], np.bool_),
        code=tuple(code or "" for code in flat.field("code").to_pylist()),
        output=_real(flat.field("output_tokens")),
        latency_ms=_real(flat.field("latency_ms")),
        ttfb_ms=_real(flat.field("ttfb_ms")),
        cost_nano=_real(flat.field("cost_nano")),
        streamed=streamed[request],
    )


def _sessions(rows: pa.Table) -> tuple[Int, Bool]:
    names = list(zip(rows.column("tenant").to_pylist(), rows.column("session").to_pylist(), strict=True))
    number = {name: k for k, name in enumerate(dict.fromkeys(names))}
    named = np.array([not session.startswith("auto_") for _, session in number], np.bool_)
    return np.array([number[name] for name in names], np.int64), named


def _features(column: pa.ChunkedArray) -> Float:
    """Vectors as wide as the narrowest: snapshots of another width would not line up."""
    flat = column.combine_chunks()
    width = int(pc.min(pc.list_value_length(flat)).as_py() or 0)
    taken = [pc.list_element(flat, k).to_numpy(zero_copy_only=False) for k in range(width)]
    return np.array(taken, np.float64).T.reshape(len(flat), width) / 4096.0


def _names(column: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(name for name in pc.unique(column).to_pylist() if name is not None))


def _coded(column: Any, names: Sequence[str]) -> Int:
    """Index of each name; -1 for null."""
    found = pc.index_in(column, value_set=pa.array(names, pa.string())).fill_null(-1)
    return np.asarray(
        found.to_numpy(zero_copy_only=False) if isinstance(found, pa.Array) else found.to_numpy(), np.int64
    )


def _real(column: Any) -> Float:
    found = column.cast(pa.float64())
    whole = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    return np.array(whole.to_numpy(zero_copy_only=False), np.float64)


def _claims(column: Any) -> Bool:
    return np.array(column.fill_null(False).to_numpy(), np.bool_)  # noqa: FBT003 - what null stands for
