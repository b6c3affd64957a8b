"""What a comparison is given: the table of rounds of one run, checked once at the door.

A run is one strategy on one seed of one world. Its table has a row for each request, refused ones too.
The traffic is the seed's, not the strategy's (common random numbers), which is what makes differences
paired; `same_traffic` holds two runs to it. It knows no world, no strategy and no statistics.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from p402.errors import P402Error

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

SCHEMA: Final = pa.schema(
    [
        ("t_ms", pa.int64()),  # when the request came
        ("id", pa.string()),
        ("tenant", pa.string()),
        ("session", pa.string()),  # null: a request on its own
        ("task", pa.string()),
        ("mode", pa.string()),
        ("arm", pa.string()),  # first choice; null where nothing was chosen: refused or cached
        ("status", pa.string()),  # ok, failed or refused
        ("cost_nano", pa.int64()),  # of all billed attempts
        (
            "direct_nano",
            pa.int64(),
        ),  # the same exchange at the baseline model; null where its price is unknown
        ("latency_ms", pa.float64()),
        ("quality", pa.float64()),  # in [0, 1]: realised by the answer; 0 for a failure, null for a refusal
        ("value", pa.float64()),  # expected utility of the first arm, by the world's declared truth
        ("best", pa.float64()),  # the same of the best arm that was eligible
        ("regret", pa.float64()),  # best - value; 0 for a refusal and for a hit
    ]
)
"""Columns that are read; a table may have more."""

OF_CACHE: Final = pa.schema(
    [
        ("cached", pa.bool_()),  # a kept answer was given: nothing was chosen, and nobody called
        ("wrong", pa.bool_()),  # and it was made for another question
    ]
)
"""Columns of worlds with a cache; a table without them has no hit."""

READ: Final = (*SCHEMA.names, *OF_CACHE.names)

TRAFFIC: Final = ("id", "t_ms", "tenant", "session", "task", "mode")
"""Columns that the seed alone decides."""

STATUSES: Final = ("ok", "failed", "refused")

NOBODY: Final = "(none)"
"""Stands for a task, tenant or arm that is null."""


class BadRounds(P402Error):
    """A run's table is not what a comparison can be made of."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A column of names: distinct names, ascending, and (n,) indices into them."""

    names: tuple[str, ...]
    codes: Int


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The rounds of one run, in order of (t_ms, id).

    Attributes
    ----------
    strategy, seed
        Whose rounds they are.
    traffic
        The columns of `TRAFFIC`.
    t_ms
        (n,).
    session
        (n,) cluster: one for each session, and one for each request without.
    task, tenant, arm
        Names of each round.
    ok, failed, refused
        (n,), one of them true.
    cached, wrong
        (n,), whether a kept answer was given, and whether it was to another question; such rounds are ok.
    cost_usd, direct_usd
        (n,); `direct_usd` nan where it is unknown.
    latency_ms
        (n,), nan where refused.
    quality, value
        (n,), nan where refused; `quality` nan too where nobody could have judged, `value` where cached.
    regret
        (n,), 0 or more.
    """

    strategy: str
    seed: int
    traffic: pa.Table
    t_ms: Int
    session: Int
    task: Labels
    tenant: Labels
    arm: Labels
    ok: Bool
    failed: Bool
    refused: Bool
    cached: Bool
    wrong: Bool
    cost_usd: Float
    direct_usd: Float
    latency_ms: Float
    quality: Float
    value: Float
    regret: Float

    def __len__(self) -> int:
        """Rounds."""
        return len(self.t_ms)


def run_of(table: pa.Table, strategy: str, seed: int) -> Run:
    """Read a run's table.

    Raises
    ------
    BadRounds
        A column is missing, of another type, or has a value that cannot be.
    """
    whose = f"the rounds of {strategy}, seed {seed}"
    rows = _rows(table, whose)
    status = rows["status"].to_numpy(zero_copy_only=False)
    ok, failed, refused = (status == name for name in STATUSES)
    if not (ok | failed | refused).all():
        strange = sorted(set(status.tolist()) - set(STATUSES), key=str)
        raise BadRounds(f"{whose}: found status {strange[0]!r}; expected one of {', '.join(STATUSES)}")
    made = Run(
        strategy=strategy,
        seed=seed,
        traffic=rows.select(TRAFFIC),
        t_ms=_whole(rows, "t_ms", whose),
        session=_sessions(rows["session"]),
        task=_labels(rows["task"]),
        tenant=_labels(rows["tenant"]),
        arm=_labels(rows["arm"]),
        ok=ok,
        failed=failed,
        refused=refused,
        cached=_flags(rows, "cached"),
        wrong=_flags(rows, "wrong"),
        cost_usd=_real(rows, "cost_nano") / 1e9,
        direct_usd=_real(rows, "direct_nano") / 1e9,
        latency_ms=_real(rows, "latency_ms"),
        quality=_real(rows, "quality"),
        value=_real(rows, "value"),
        regret=_real(rows, "regret"),
    )
    _hold(
        whose, "quality", made.quality, np.isnan(made.quality) | _within(made.quality, 0.0, 1.0), "in [0, 1]"
    )
    chosen = ~(refused | made.cached)
    _hold(
        whose, "value", made.value, ~chosen | np.isfinite(made.value), "a number where something was chosen"
    )
    if (made.cached & ~ok).any() or (made.wrong & ~made.cached).any():
        raise BadRounds(
            f"{whose}: found a row from the cache that is not ok, or a wrong one that is not cached"
        )
    _hold(whose, "regret", made.regret, _within(made.regret, -1e-9, np.inf), "0 or more")
    _hold(whose, "cost_nano", made.cost_usd, _within(made.cost_usd, 0.0, np.inf), "0 or more")
    _hold(whose, "latency_ms", made.latency_ms, ~ok | _within(made.latency_ms, 0.0, np.inf), "0 or more")
    return made


def same_traffic(first: Run, second: Run) -> None:
    """Hold two runs of a seed to the same requests.

    Raises
    ------
    BadRounds
        They differ; no difference of the two would be paired.
    """
    if first.traffic.equals(second.traffic):
        return
    whose = f"{first.strategy} and {second.strategy}, seed {first.seed}"
    if len(first) != len(second):
        what = f"{len(first):,} and {len(second):,} requests"
    else:
        column = next(name for name in TRAFFIC if not first.traffic[name].equals(second.traffic[name]))
        what = f"requests that differ in `{column}`"
    raise BadRounds(
        f"{whose}: found {what}; expected the same traffic for every strategy, or nothing is paired; "
        f"redo them with --force, and if it stays the world depends on the strategy"
    )


def _rows(table: pa.Table, whose: str) -> pa.Table:
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise BadRounds(f"{whose}: found no column `{missing[0]}`; expected {', '.join(SCHEMA.names)}")
    if table.num_rows == 0:
        raise BadRounds(f"{whose}: found no request; expected some; give the world more rounds")
    schema = pa.schema([*SCHEMA, *(field for field in OF_CACHE if field.name in table.column_names)])
    try:
        rows = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadRounds(
            f"{whose}: {error}; expected {schema.to_string(show_field_metadata=False)}"
        ) from error
    rows = rows.sort_by([("t_ms", "ascending"), ("id", "ascending")]).combine_chunks()
    if rows["id"].null_count or pc.count_distinct(rows["id"]).as_py() != rows.num_rows:
        raise BadRounds(f"{whose}: found an id twice, or none; expected one row for each request")
    return rows


def _real(rows: pa.Table, name: str) -> Float:
    column = rows[name].cast(pa.float64())
    return np.ascontiguousarray(pc.fill_null(column, float("nan")).to_numpy(), dtype=np.float64)


def _flags(rows: pa.Table, name: str) -> Bool:
    if name not in rows.column_names:
        return np.zeros(rows.num_rows, np.bool_)
    return np.asarray(pc.fill_null(rows[name], fill_value=False).to_numpy(zero_copy_only=False), np.bool_)


def _whole(rows: pa.Table, name: str, whose: str) -> Int:
    if rows[name].null_count:
        raise BadRounds(
            f"{whose}: `{name}` has no value in {rows[name].null_count} rows; expected one in each"
        )
    return np.ascontiguousarray(rows[name].to_numpy(), dtype=np.int64)


def _labels(column: pa.ChunkedArray) -> Labels:
    names, codes = np.unique(
        pc.fill_null(column, NOBODY).to_numpy(zero_copy_only=False).astype(np.str_), return_inverse=True
    )
    return Labels(tuple(names.tolist()), codes.astype(np.int64))


def _sessions(column: pa.ChunkedArray) -> Int:
    alone = column.is_null().to_numpy(zero_copy_only=False)
    codes = _labels(column).codes
    codes[alone] = len(codes) + np.arange(int(np.count_nonzero(alone)))
    return codes


def _within(values: Float, low: float, high: float) -> Bool:
    inside: Bool = (values >= low) & (values <= high)
    return inside


def _hold(whose: str, name: str, values: Float, good: Bool, expected: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise BadRounds(f"{whose}: `{name}` is {values[row]:g} in row {row}; expected {expected}")
