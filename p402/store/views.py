"""Which views the log shows, as SQL.

    decisions, attempts, outcomes, refusals, live   events of one kind, each key once, first come
    rewards                                         the last of each (tenant, id, source)
    imported                                        calls of other systems' logs; `propensity` is null
    cache_hits                                      requests that the cache answered; they are no rounds
    rounds                                          a decision with its outcome and its rewards
    calls                                           rounds and imported calls in the columns they share
    skipped_lines                                   lines of uncompacted segments that were no event

It knows nothing of files but their paths.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from p402.store.schema import DEFAULTS, SCHEMAS

KEYS: Final = {
    "decision": "id",
    "attempt": "id, attempt",
    "outcome": "id",
    "reward": "tenant, id, source",
    "refusal": "id",
    "live": "worker, seq, ts_ms",
    "imported": "id",
    "cache_hit": "id",
}
"""What names one event of a kind."""

VIEW_OF: Final = {
    "decision": "decisions",
    "attempt": "attempts",
    "outcome": "outcomes",
    "reward": "rewards",
    "refusal": "refusals",
    "live": "live",
    "imported": "imported",
    "cache_hit": "cache_hits",
}
"""The view of each kind."""

_ORDER = {
    "reward": "ts_ms DESC, occurred_at_ms DESC NULLS LAST, status, quality DESC NULLS LAST",
}

_REWARDED: Final = """
WITH rewarded AS (
    SELECT tenant, id,
           list_avg(list(quality ORDER BY source) FILTER (quality IS NOT NULL)) AS quality,
           arg_max(status, (ts_ms, source)) AS reward_status,
           count(*) AS n_rewards,
           max(ts_ms) AS reward_ts_ms
    FROM rewards GROUP BY tenant, id
)
"""

ROUNDS: Final = f"""
CREATE VIEW rounds AS {_REWARDED}
SELECT d.id, d.ts_ms, d.tenant, d.session, d.worker, d.snapshot, d.live_seq,
       d.inputs.mode AS mode, d.inputs.policy AS policy, d.inputs.variant AS variant, d.inputs,
       d.arm, d."count", d."count" / 16777216.0::DOUBLE AS propensity, d.n_eligible, d.n_explored,
       d.task, d.baseline, d.observe, d.simulated, d.tags,
       o.ts_ms AS outcome_ts_ms, o.status, o.code, o.arm AS served_arm,
       o.attempts[1].status AS first_status, len(o.attempts) AS n_attempts, o.attempts,
       o.cost_nano, o.direct_nano, o.fee_nano, o.direct_nano - o.cost_nano AS saving_nano,
       o.prompt_tokens, o.output_tokens, o.cached_tokens, o.cache_write_tokens, o.reasoning_tokens,
       o.usage_estimated,
       o.latency_ms, o.provider_latency_ms, o.ttfb_ms, o.overhead_ms, o.stream, o.anomaly_z,
       o.hold_nano, o.bound_nano,
       r.quality, r.reward_status, coalesce(r.n_rewards, 0) AS n_rewards, r.reward_ts_ms
FROM decisions d
LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN rewarded r ON r.id = d.id AND r.tenant = d.tenant
"""  # noqa: S608 - our own words
"""A round: `quality` is the mean over sources of their last word, added up in a fixed order;
`first_status` is how the chosen arm's own attempt ended; without an outcome, those columns are null."""

CALLS: Final = f"""
CREATE VIEW calls AS {_REWARDED}
SELECT id, ts_ms, tenant, session, task, served_arm AS called, propensity, status, prompt_tokens,
       output_tokens, cached_tokens, cost_nano, latency_ms, ttfb_ms, quality, NULL::VARCHAR AS imported_from
FROM rounds
UNION ALL
SELECT i.id, i.ts_ms, i.tenant, i.session, i.task, concat_ws('/', i.provider, i.model), i.propensity,
       i.status, i.prompt_tokens, i.output_tokens, i.cached_tokens, i.cost_nano, i.latency_ms, i.ttfb_ms,
       r.quality, i.source
FROM imported i LEFT JOIN rewarded r ON r.id = i.id AND r.tenant = i.tenant
"""  # noqa: S608 - our own words
"""`called` is an arm of P402, or the provider and model that another system's log names."""

_UNCHOSEN: Final = {"imported": ", NULL::DOUBLE AS propensity"}
"""What a view adds to a kind's own columns: nobody chose such a call by chance."""


def view_statements(files: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Statements that make every view over `tail_<kind>` tables and Parquet `files` of each kind."""
    for kind, view in VIEW_OF.items():
        yield _kind_view(kind, view, files.get(kind, ()))
    yield ROUNDS
    yield CALLS


def _kind_view(kind: str, view: str, files: Sequence[str]) -> str:
    source = f"SELECT * FROM tail_{kind}"  # noqa: S608 - our own kinds
    if files:
        paths = ", ".join(literal(path) for path in files)
        source += (
            f" UNION ALL BY NAME SELECT * FROM read_parquet([{paths}], "  # noqa: S608 - paths are quoted
            f"union_by_name = true, hive_partitioning = false)"
        )
    columns = ", ".join(_column(kind, name) for name in SCHEMAS[kind].names) + _UNCHOSEN.get(kind, "")
    order = _ORDER.get(kind, "ts_ms")
    return (
        f"CREATE VIEW {view} AS SELECT {columns} FROM ({source}) "  # noqa: S608 - nothing from outside
        f"QUALIFY row_number() OVER (PARTITION BY {KEYS[kind]} ORDER BY {order}) = 1"
    )


def _column(kind: str, name: str) -> str:
    default = _default(DEFAULTS[kind].get(name))
    quoted = f'"{name}"'
    return f"coalesce({quoted}, {default}) AS {quoted}" if default else quoted


def _default(value: Any) -> str:
    """SQL of a default that an old file's absent column reads as; nothing where that is null."""
    match value:
        case None:
            return ""
        case bool() | int():
            return str(value).lower()
        case dict():
            return "MAP {}"
        case _:
            return literal(str(value))


def literal(text: str) -> str:
    """SQL string literal of any text."""
    return "'" + text.replace("'", "''") + "'"
