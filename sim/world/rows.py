"""Finished requests to rows of the table: in the order of arrival, valued a batch at a time.

What an arm was worth and which arms were eligible is worked out for many rows at once, by the code that
`decide` uses. It keeps no more than the rows that wait for an earlier one, and hands on whole batches.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from p402.routing.compiled import Snapshot
from p402.routing.eligibility import eligible
from p402.routing.look import look
from p402.routing.rows import to_batch
from p402.routing.scale import COUNT_ONE
from sim.world.alike import Alike
from sim.world.rounds import Round
from sim.world.table import SCHEMA
from sim.world.truth import Truth

BATCH: Final = 2_048
"""Rows that are valued and handed on at once."""

Sink = Callable[[pa.RecordBatch], None]


class Rows:
    """Takes rounds as they end, and hands on their rows.

    Parameters
    ----------
    alike
        Knows which snapshots see a request alike.
    sink
        Takes each batch of rows, in the order of arrival.
    """

    def __init__(self, seed: int, strategy: str, truth: Truth, alike: Alike, sink: Sink) -> None:
        self._seed, self._strategy, self._truth, self._sink = seed, strategy, truth, sink
        self._alike = alike
        self._waiting: dict[int, Round] = {}
        self._following = 0
        self._ready: list[Round] = []

    def add(self, ended: Round) -> None:
        """Take a round that has ended."""
        self._waiting[ended.seq] = ended
        while (found := self._waiting.pop(self._following, None)) is not None:
            self._ready.append(found)
            self._following += 1
        if len(self._ready) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand on what is in order."""
        if not self._ready:
            return
        worth: dict[int, tuple[float, float]] = {}
        called = [one for one in self._ready if one.chosen is not None and one.calls]
        for snapshot, places in self._alike.groups([one.chosen for one in called if one.chosen is not None]):
            worth.update(_worths(self._truth, snapshot, [called[place] for place in places]))
        self._sink(_batch(self._seed, self._strategy, self._ready, worth))
        self._ready = []


def _worths(truth: Truth, snapshot: Snapshot, rounds: list[Round]) -> dict[int, tuple[float, float]]:
    """Value and best of each round, by its place."""
    able = eligible_of(snapshot, rounds)
    found = {}
    for row, one in enumerate(rounds):
        chosen, epoch = one.chosen, one.epoch
        assert chosen is not None, "only rounds that chose come here"
        assert epoch is not None, "only rounds that called come here"
        inputs, arm = chosen.inputs, chosen.made.arm
        worth = truth.worths(epoch, one.asked, inputs.prompt_tokens, one.spent)
        best = float(worth[able[row]].max())
        value = float(worth[arm]) - _lost(truth, one, arm)
        found[one.seq] = value, best
    return found


def _lost(truth: Truth, one: Round, arm: int) -> float:
    """What the first arm was worth less since its output cap was lower than the others' would have been."""
    assert one.epoch is not None, "only rounds that called come here"
    if one.cap is None or one.cap == one.asked.request.max_output:
        return 0.0
    usual = truth.whole(one.asked, one.asked.request.max_output)[arm]
    own = truth.whole(one.asked, one.cap)[arm]
    if own >= usual or truth.provider[arm].name in one.spent:
        return 0.0
    quality = truth.quality(one.epoch, one.asked)[arm]
    return float((1 - one.epoch.fails[arm]) * truth.spec.worth.quality * quality * (usual - own))


def eligible_of(snapshot: Snapshot, rounds: list[Round]) -> NDArray[np.bool_]:
    """(n, K): which arms could have served rounds that chose under this snapshot, or one alike."""
    chosen = [one.chosen for one in rounds if one.chosen is not None]
    places = {id(c.live): c.live for c in chosen}
    code = {name: k for k, name in enumerate(places)}
    batch = to_batch(
        snapshot,
        [one.id for one in rounds],
        [c.inputs for c in chosen],
        tuple(places.values()),
        [code[id(c.live)] for c in chosen],
    )
    mask: NDArray[np.bool_] = np.atleast_2d(eligible(snapshot, look(snapshot, batch)))
    return mask


def _batch(
    seed: int, strategy: str, rounds: list[Round], worth: dict[int, tuple[float, float]]
) -> pa.RecordBatch:
    n = len(rounds)
    valued = [worth.get(one.seq) for one in rounds]
    columns: dict[str, list[Any]] = {
        "seed": [seed] * n,
        "strategy": [strategy] * n,
        "t_ms": [one.t_ms for one in rounds],
        "id": [one.id for one in rounds],
        "tenant": [one.asked.session.tenant.name for one in rounds],
        "session": [one.asked.session.name for one in rounds],
        "task": [one.asked.session.task for one in rounds],
        "mode": [one.asked.session.mode for one in rounds],
        "arm": [_first(one) for one in rounds],
        "served": [one.served for one in rounds],
        "propensity": [_propensity(one) for one in rounds],
        "status": [one.status for one in rounds],
        "code": [one.code for one in rounds],
        "attempts": [one.calls for one in rounds],
        "cost_nano": [one.cost_nano for one in rounds],
        "direct_nano": [one.direct_nano for one in rounds],
        "latency_ms": [one.latency_ms for one in rounds],
        "ttfb_ms": [one.ttfb_ms for one in rounds],
        "quality": [_quality(one) for one in rounds],
        "value": [None if v is None else v[0] for v in valued],
        "best": [None if v is None else v[1] for v in valued],
        "regret": [0.0 if v is None else v[1] - v[0] for v in valued],
        "cached": [one.entry is not None for one in rounds],
        "similarity": [one.similarity for one in rounds],
        "entry": [one.entry for one in rounds],
        "wrong": [one.wrong for one in rounds],
        "question": [one.asked.question for one in rounds],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _first(one: Round) -> str | None:
    if one.chosen is None or not one.calls:
        return None
    return one.chosen.snapshot.spec.arms.arm[one.chosen.made.arm]


def _quality(one: Round) -> float | None:
    return None if not one.calls and one.entry is None else one.quality or 0.0


def _propensity(one: Round) -> float | None:
    return None if one.chosen is None or not one.calls else one.chosen.made.count / COUNT_ONE
