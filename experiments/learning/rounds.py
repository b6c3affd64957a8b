"""Which rounds of the log are evidence, and what each of them was worth.

Only rounds that chance took part in: balanced mode, exploration on, not merely observed. The reward
is the first arm's, under the fixed objective; quality is what clients and judges last said.
It knows nothing of snapshots or of other weights.
"""

from collections.abc import Mapping
from math import nan
from typing import Any, Final

import msgspec
import numpy as np

from p402.evaluation.logged import FloatArray, hash_of
from p402.events import Reward
from p402.learner.evidence import Evidence, gather
from p402.learner.reward import Judgement, Objective, Parts, judgement_of
from p402.routing.spec import TASKS

_USABLE: Final = """
    d.inputs.mode = 'balanced' AND d.inputs.explore IS DISTINCT FROM FALSE AND NOT d.observe
    AND d.arm IS NOT NULL AND d."count" > 0 AND d.ts_ms >= $1 AND d.ts_ms < $2
"""

COUNT: Final = f"SELECT count(*) FROM decisions d WHERE {_USABLE}"  # noqa: S608 - our own text

ROUNDS: Final = f"""
WITH said AS (
    SELECT tenant, id,
           list({{'source': source, 'status': status, 'quality': quality, 'ts_ms': ts_ms}}
                ORDER BY ts_ms, source) AS said
    FROM rewards GROUP BY tenant, id
)
SELECT d.worker, d.live_seq, d.snapshot, d.id, d.inputs, d.tenant, d.session, d.task, d.arm, d."count",
       d.simulated, o.attempts[1] AS first, o.direct_nano, r.said
FROM decisions d
LEFT JOIN outcomes o ON o.id = d.id AND o.tenant = d.tenant
LEFT JOIN said r ON r.id = d.id AND r.tenant = d.tenant
WHERE {_USABLE} AND md5(concat(d.tenant, chr(31), d.session)) < $3
"""  # noqa: S608 - our own text


def evidence_of(
    rows: list[dict[str, Any]], arms: tuple[str, ...], behaviour: FloatArray, objective: Objective
) -> Evidence:
    """Rows of `ROUNDS` as evidence; `behaviour` is `(n, K)`, the counts over `arms` they were logged with."""
    column = {arm: k for k, arm in enumerate(arms)}
    known = [
        *TASKS,
        *sorted({row["task"] for row in rows} - set(TASKS)),
    ]  # snapshots may number them otherwise
    task = {name: k for k, name in enumerate(known)}
    judged = [_judged(row) for row in rows]
    return gather(
        _parts(rows, judged),
        objective,
        action=np.array([column[row["arm"]] for row in rows], np.int64),
        count=np.array([row["count"] for row in rows], np.int64),
        eligible=behaviour > 0.0,
        session=np.array([hash_of(f"{row['tenant']}\x1f{row['session']}") for row in rows], np.int64),
        task=np.array([task[row["task"]] for row in rows], np.int64),
        tenant=[row["tenant"] for row in rows],
        source=[judgement.source for judgement in judged],
    )


def _judged(row: Mapping[str, Any]) -> Judgement:
    """The last word of every source on a round."""
    round_ = {"id": row["id"], "tenant": row["tenant"]}
    return judgement_of(msgspec.convert(round_ | word, Reward) for word in row["said"] or ())


def _parts(rows: list[dict[str, Any]], judged: list[Judgement]) -> Parts:
    """What is known of each first attempt; a round that is under way or was cancelled has not matured."""
    first = [row["first"] or {} for row in rows]

    def known(values: list[Any]) -> FloatArray:
        return np.array([nan if value is None else value for value in values], np.float64)

    return Parts(
        failed=np.array([attempt.get("status") == "failed" for attempt in first], np.bool_),
        quality=known([judgement.quality for judgement in judged]),
        cost_nano=known([attempt.get("cost_nano") for attempt in first]),
        direct_nano=known([row["direct_nano"] for row in rows]),
        latency_ms=known([attempt.get("latency_ms") for attempt in first]),
    )
