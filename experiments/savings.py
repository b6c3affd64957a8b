"""What routing saved, by any grouping of rounds, from the log alone.

The figures of `notebooks/savings.ipynb`, and the same as the answers' `p402_metadata` gave round by
round: `cost_usd`, `direct_cost`, `savings`, `baseline_model`, `platform_fee_usd`. Sums are of whole
nano-USD. A round that failed counts what its billed attempts cost and saves nothing; an answered
round without a baseline or a price has no saving, is left out of the sums, and is counted.
It knows nothing of how the log came about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import polars as pl

from p402.evaluation.intervals import Interval, bootstrap, clustered_stderr, normal
from p402.evaluation.logged import FloatArray, IntArray
from p402.units import NANO_PER_USD

PROBE: Final = "probe"
"""Value of the tag `demo` on the demonstration's own requests, which are no traffic."""

Bounds = tuple[float | None, float | None]
"""Lower and upper; None where no spread can be known."""

_ROUNDS: Final = """
SELECT id AS request_id, tenant AS tenant_id, session AS session_id,
       CASE WHEN inputs.model IS NULL OR observe THEN mode ELSE 'named' END AS mode,
       epoch_ms(ts_ms) AS at, date_trunc('hour', epoch_ms(ts_ms)) AS hour,
       served_arm AS arm, status, coalesce(n_attempts, 0) AS attempts, baseline AS baseline_model,
       cost_nano, direct_nano, saving_nano, fee_nano, quality
FROM rounds WHERE tags['demo'] IS DISTINCT FROM $probe AND status IS NOT NULL ORDER BY id
"""
_HITS: Final = """
SELECT id AS request_id, tenant AS tenant_id, session AS session_id, mode, epoch_ms(ts_ms) AS at,
       date_trunc('hour', epoch_ms(ts_ms)) AS hour, arm, tier, similarity, baseline AS baseline_model,
       direct_nano AS saving_nano
FROM cache_hits WHERE tags['demo'] IS DISTINCT FROM $probe ORDER BY id
"""
_BILLED: Final = """
SELECT a.arm AS arm, coalesce(a.code, a.status) AS what, count(*) AS attempts,
       sum(a.cost_nano)::BIGINT AS cost_nano, count(DISTINCT id) AS rounds
FROM (SELECT id, unnest(attempts) AS a FROM rounds WHERE tags['demo'] IS DISTINCT FROM $probe)
WHERE a.status <> 'ok' AND a.cost_nano > 0 GROUP BY ALL ORDER BY cost_nano DESC, arm, what
"""


def load_rounds(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Rounds that have ended, one row each, names as in `p402_metadata`, money in nano-USD.

    Parameters
    ----------
    con
        From `p402.store.reader.connect`.
    """
    rounds: pl.DataFrame = con.sql(_ROUNDS, params={"probe": PROBE}).pl()
    return rounds


def load_hits(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Answers that the cache gave, one row each; they cost nothing, so each saved its direct cost.

    They are no rounds: nothing was chosen for them, and no sum of rounds holds them.
    """
    hits: pl.DataFrame = con.sql(_HITS, params={"probe": PROBE}).pl()
    return hits


def hits_by(hits: pl.DataFrame, key: str) -> pl.DataFrame:
    """Answers from the cache and what they saved, of each value of `key`: a column of `load_hits`.

    `exact` and `alike` count its tiers; `unpriced` ones have no baseline, or one without a price.
    """
    return (
        hits.group_by(key)
        .agg(
            hits=pl.len(),
            exact=(pl.col("tier") == "exact").sum(),
            alike=(pl.col("tier") == "semantic").sum(),
            unpriced=pl.col("saving_nano").is_null().sum(),
            savings_usd=pl.col("saving_nano").sum() / NANO_PER_USD,
        )
        .sort(key)
    )


def failed_but_billed(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Attempts that gave no answer and were charged all the same, by arm and reason."""
    billed: pl.DataFrame = con.sql(_BILLED, params={"probe": PROBE}).pl()
    return billed


def counted(rounds: pl.DataFrame) -> pl.DataFrame:
    """What sums may hold, with `spent_nano`, `direct` and `saved_nano`; failed ones save 0 or less."""
    failed = pl.col("status") != "ok"
    known = pl.col("cost_nano").is_not_null() & (failed | pl.col("direct_nano").is_not_null())
    direct = pl.when(failed).then(pl.col("direct_nano").fill_null(0)).otherwise(pl.col("direct_nano"))
    return rounds.filter(known).with_columns(
        direct=direct, saved_nano=direct - pl.col("cost_nano"), spent_nano=pl.col("cost_nano")
    )


def savings_by(
    rounds: pl.DataFrame,
    key: str,
    chance: np.random.Generator,
    alpha: float = 0.05,
    replicates: int = 2_000,
) -> pl.DataFrame:
    """Cost, direct cost, saving and quality of each value of `key`, with intervals at 1 - alpha.

    Sessions are what is drawn: intervals are null where a group has one session only.

    Parameters
    ----------
    rounds
        From `load_rounds`.
    key
        A column of it.
    chance
        The caller's generator.
    replicates
        Draws of each bootstrap interval.
    """
    groups = rounds.partition_by(key, maintain_order=True, as_dict=True)
    rows = [
        {key: name[0], **_group(group, _Draws(chance, alpha, replicates))} for name, group in groups.items()
    ]
    return pl.DataFrame(rows, infer_schema_length=None).sort(key)


def arm_shares(rounds: pl.DataFrame, by: Sequence[str] = ("mode",)) -> pl.DataFrame:
    """How often each arm answered within each group: `rounds` and `share`, in [0, 1]."""
    answered = rounds.filter(pl.col("arm").is_not_null())
    counts = answered.group_by([*by, "arm"]).agg(rounds=pl.len())
    share = pl.col("rounds") / pl.col("rounds").sum().over(list(by))
    return counts.with_columns(share=share).sort(
        [*by, "rounds", "arm"], descending=[*[False] * len(by), True, False]
    )


@dataclass(frozen=True, slots=True)
class _Draws:
    """How bootstrap intervals are made."""

    chance: np.random.Generator
    alpha: float
    replicates: int

    def bounds(self, values: FloatArray, session: IntArray) -> Bounds:
        """Interval of the mean of the values."""
        if len(values) == 0:
            return None, None
        return _bounds(bootstrap(values, session, self.chance, self.alpha, self.replicates))


def _group(group: pl.DataFrame, draws: _Draws) -> dict[str, object]:
    sums = counted(group)
    saved, direct = sums["saved_nano"].to_numpy().astype(np.int64), sums["direct"].to_numpy().astype(np.int64)
    session = _codes(sums["session_id"])
    total, whole = int(saved.sum()), int(direct.sum())
    mean = draws.bounds(saved / NANO_PER_USD, session)
    judged = group.filter(pl.col("quality").is_not_null())
    worth = judged["quality"].to_numpy()
    of_worth = draws.bounds(worth, _codes(judged["session_id"]))
    share = _share(saved, direct, session, draws.alpha) if whole else (None, None)
    return {
        "baseline_model": ", ".join(sorted(group["baseline_model"].drop_nulls().unique().to_list())),
        "rounds": len(group),
        "failed": int((group["status"] != "ok").sum()),
        "uncounted": len(group) - len(sums),
        "sessions": group["session_id"].n_unique(),
        "cost_usd": int(sums["spent_nano"].sum()) / NANO_PER_USD,
        "direct_usd": whole / NANO_PER_USD,
        "savings_usd": total / NANO_PER_USD,
        "savings_lower_usd": None if mean[0] is None else mean[0] * len(saved),
        "savings_upper_usd": None if mean[1] is None else mean[1] * len(saved),
        "share": total / whole if whole else None,
        "share_lower": share[0],
        "share_upper": share[1],
        "quality": float(worth.mean()) if len(worth) else None,
        "quality_lower": of_worth[0],
        "quality_upper": of_worth[1],
        "judged": len(worth),
    }


def _share(saved: IntArray, direct: IntArray, session: IntArray, alpha: float) -> Bounds:
    """Interval of sum(saved) / sum(direct): normal, by the influence of each round on the ratio."""
    ratio = float(saved.sum()) / float(direct.sum())
    influence: FloatArray = (saved - ratio * direct) / float(direct.mean())
    stderr, sessions = clustered_stderr(influence, session)
    return _bounds(normal(ratio, stderr, sessions, alpha))


def _codes(session: pl.Series) -> IntArray:
    return np.unique(session.to_numpy().astype(str), return_inverse=True)[1].astype(np.int64)


def _bounds(found: Interval) -> Bounds:
    finite = np.isfinite(found.lower) and np.isfinite(found.upper)
    return (found.lower, found.upper) if finite else (None, None)
