"""What rows of the log are as evidence: the one reading that the learner and replay share.

A row is a decision with its first attempt's end and every source's last word, as plain values. The
reward is the first arm's, under the fixed objective; quality is what clients and judges last said.
It knows nothing of queries, snapshots or weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any

import msgspec
import numpy as np

from p402.evaluation.logged import FloatArray, IntArray, hash_of
from p402.events import Reward
from p402.learner.evidence import Evidence, gather
from p402.learner.reward import Judgement, Objective, Parts, judgement_of
from p402.routing.spec import TASKS

Row = Mapping[str, Any]
"""`id`, `tenant`, `session`, `task`, `arm`, `count`, `direct_nano`, `first` (an `AttemptResult` as a mapping,
None while it is under way) and `said` (source, status, quality and `ts_ms` of each reward, or None)."""


def evidence_of(
    rows: Sequence[Row], arms: Sequence[str], behaviour: FloatArray, objective: Objective
) -> Evidence:
    """Rows as evidence.

    Parameters
    ----------
    rows
        n rounds that chance took part in.
    arms
        The K arms that may be taken; every row's arm is among them.
    behaviour
        `(n, K)`: the probabilities over `arms` that the rows were logged with.
    objective
        What a round is worth.
    """
    column = {arm: k for k, arm in enumerate(arms)}
    judged = [_judged(row) for row in rows]
    return gather(
        _parts(rows, judged),
        objective,
        action=np.array([column[row["arm"]] for row in rows], np.int64),
        count=np.array([row["count"] for row in rows], np.int64),
        eligible=behaviour > 0.0,
        session=np.array([hash_of(f"{row['tenant']}\x1f{row['session']}") for row in rows], np.int64),
        task=_tasks([row["task"] for row in rows]),
        tenant=[row["tenant"] for row in rows],
        source=[judgement.source for judgement in judged],
    )


def _judged(row: Row) -> Judgement:
    """What was said of a round: the last word of every source."""
    round_ = {"id": row["id"], "tenant": row["tenant"]}
    return judgement_of(msgspec.convert(round_ | word, Reward) for word in row["said"] or ())


def _parts(rows: Sequence[Row], judged: Iterable[Judgement]) -> Parts:
    """What is known of each first attempt; a round that is under way or was cancelled has not matured."""
    first = [row["first"] or {} for row in rows]
    return Parts(
        failed=np.array([attempt.get("status") == "failed" for attempt in first], np.bool_),
        quality=_known(judgement.quality for judgement in judged),
        cost_nano=_known(attempt.get("cost_nano") for attempt in first),
        direct_nano=_known(row["direct_nano"] for row in rows),
        latency_ms=_known(attempt.get("latency_ms") for attempt in first),
    )


def _known(values: Iterable[float | None]) -> FloatArray:
    return np.array([nan if value is None else value for value in values], np.float64)


def _tasks(names: Sequence[str]) -> IntArray:
    """Tasks by name, as snapshots may number them differently; the known ones first."""
    known = [*TASKS, *sorted(set(names) - set(TASKS))]
    code = {name: k for k, name in enumerate(known)}
    return np.array([code[name] for name in names], np.int64)
