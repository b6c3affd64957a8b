"""What has arrived of past rounds, as a strategy is handed it at a tick.

A failure is known at once and an answer's quality when a source speaks; an answer on which nobody spoke is
handed over as unjudged once it has matured. Each round comes once, and again with every later word.
"""

from collections import deque
from dataclasses import fields
from heapq import heappop, heappush
from typing import Any

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.scale import COUNT_ONE
from sim.strategies.contract import Contexts, Rounds
from sim.strategies.seen import Start, contexts_of_rows
from sim.world.alike import Alike
from sim.world.rounds import Round


class Handed:
    """Words that are on their way.

    Parameters
    ----------
    start
        The snapshot that the run began under: what `prior_quality` is of.
    alike
        Knows which snapshots see a request alike.
    """

    def __init__(self, start: Snapshot, alike: Alike) -> None:
        self._start, self._alike = Start.of(start), alike
        self._told: list[tuple[float, int, Round, float]] = []
        self._silent: deque[tuple[float, Round]] = deque()
        self._count = 0
        self._nothing: Contexts | None = None

    def tell(self, ended: Round, quality: float, at_ms: float) -> None:
        """Take a word on a round that arrives at a moment."""
        self._count += 1
        heappush(self._told, (at_ms, self._count, ended, quality))

    def wait(self, ended: Round, now_ms: float) -> None:
        """Take a round on which nobody will speak."""
        self._silent.append((now_ms, ended))

    def take(self, now_ms: float, matures_ms: float) -> Rounds | None:
        """Everything that has arrived by now, oldest round first; None before the first round of a run."""
        arrived: dict[int, tuple[Round, float]] = {}
        while self._told and self._told[0][0] <= now_ms:
            _, _, ended, quality = heappop(self._told)
            arrived[ended.seq] = ended, quality
        while self._silent and self._silent[0][0] + matures_ms <= now_ms:
            _, ended = self._silent.popleft()
            arrived[ended.seq] = ended, float("nan")
        ordered = [arrived[seq] for seq in sorted(arrived)]
        contexts = self._contexts([ended for ended, _ in ordered])
        if contexts is None:
            return None
        chosen = [ended.chosen for ended, _ in ordered if ended.chosen is not None]
        costs = [ended.first_cost_nano for ended, _ in ordered]
        return Rounds(
            contexts=contexts,
            action=np.array([c.made.arm for c in chosen], np.int64),
            propensity=np.array([c.made.count for c in chosen], np.float64) / COUNT_ONE,
            quality=np.array([quality for _, quality in ordered], np.float64),
            cost_usd=np.array([np.nan if cost is None else cost / 1e9 for cost in costs], np.float64),
            latency_ms=np.array([ended.first_latency_ms for ended, _ in ordered], np.float64),
            failed=np.array([ended.first_failed for ended, _ in ordered], np.bool_),
            output_tokens=np.array(
                [np.nan if one.first_output is None else one.first_output for one, _ in ordered], np.float64
            ),
        )

    def _contexts(self, rounds: list[Round]) -> Contexts | None:
        """What the rounds were decided by, in their order; none of them where there are none."""
        if not rounds:
            return self._nothing
        groups = self._alike.groups([one.chosen for one in rounds if one.chosen is not None])
        parts = [self._of(snapshot, [rounds[place] for place in places]) for snapshot, places in groups]
        whole = parts[0] if len(parts) == 1 else joined(parts)
        self._nothing = whole.rows(slice(0, 0))
        places = [place for _, group in groups for place in group]
        return whole if len(parts) == 1 else whole.rows(np.argsort(np.array(places, np.int64)))

    def _of(self, snapshot: Snapshot, rounds: list[Round]) -> Contexts:
        chosen = [one.chosen for one in rounds if one.chosen is not None]
        return contexts_of_rows(
            snapshot,
            [one.id for one in rounds],
            [c.inputs for c in chosen],
            [c.live for c in chosen],
            self._start,
            session=np.array([one.asked.session.number for one in rounds], np.int64),
        )


def joined(parts: list[Contexts]) -> Contexts:
    """Contexts of the same arms, one after the other."""
    columns: dict[str, Any] = {}
    for field in fields(Contexts):
        values = [getattr(part, field.name) for part in parts]
        columns[field.name] = np.concatenate(values) if isinstance(values[0], np.ndarray) else values[0]
    return Contexts(**columns)
