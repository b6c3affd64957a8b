"""What a run of a world leaves: one row for each request, in the order of arrival.

The schema that comparisons, fits and plots read. It knows nothing of how rows come about.
"""

from typing import Final

import pyarrow as pa

SCHEMA: Final = pa.schema(
    [
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("strategy", pa.string(), nullable=False),
        pa.field("t_ms", pa.int64(), nullable=False),  # arrival, ms since 1970 UTC
        pa.field("id", pa.string(), nullable=False),  # the same under every strategy
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("session", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),  # the true one, which the router may not know
        pa.field("mode", pa.string(), nullable=False),
        pa.field("arm", pa.string()),  # first choice; null where refused or cached
        pa.field("served", pa.string()),  # who made the answer, kept or not; null where nobody did
        pa.field("propensity", pa.float64()),  # of the first choice, in (0, 1]; null where `arm` is
        pa.field("status", pa.string(), nullable=False),  # ok, failed, refused
        pa.field("code", pa.string()),  # of a failure or refusal
        pa.field("attempts", pa.int64(), nullable=False),  # calls that were made
        pa.field("cost_nano", pa.int64(), nullable=False),  # all attempts, without fee; 0 where none was made
        pa.field("direct_nano", pa.int64()),  # at the tenant's baseline; null without one or without answer
        pa.field("latency_ms", pa.float64()),  # arrival to last byte; null where refused
        pa.field("ttfb_ms", pa.float64()),  # arrival to first byte; null where nobody answered
        pa.field("quality", pa.float64()),  # true quality of the answer; 0 failed or wrong; null refused
        pa.field("value", pa.float64()),  # expected worth of the first choice then; null where `arm` is
        pa.field("best", pa.float64()),  # the same of the best arm that was eligible; null where `arm` is
        pa.field("regret", pa.float64(), nullable=False),  # best - value; 0 where `arm` is null
        pa.field("cached", pa.bool_(), nullable=False),  # whether a kept answer was given: no round
        pa.field("similarity", pa.float64()),  # of both prompts, 1 for an exact repeat; null unless cached
        pa.field("entry", pa.string()),  # id of the row whose answer was given; null unless cached
        pa.field("wrong", pa.bool_(), nullable=False),  # whether that row asked another question
        pa.field("question", pa.string()),  # what is asked, by name; null for what nobody else asks
    ]
)
"""Columns, units in the comments; `value`, `best` and `quality` are defined in the README of this folder."""
