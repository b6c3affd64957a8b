"""outcomes.parquet: every arm's propensity and real outcome in every round of a drawn log.

One row for each round and arm, rounds in order of time, arms ascending. Written in pieces, so that
memory does not grow with the log.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from p402.routing.scale import COUNT_ONE
from p402.routing.spec import TASKS
from sim.drawn.draw import Rounds
from sim.drawn.truth import policy_probabilities
from sim.drawn.world import DrawnWorld
from sim.replay.target import Logged

OUTCOMES_FILE: Final = "outcomes.parquet"

ROW_ARMS: Final = 200_000
"""Rows written at once."""

OUTCOMES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("provider", pa.string(), nullable=False),
        pa.field("prompt_id", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("session", pa.string(), nullable=False),
        pa.field("mode", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("chosen", pa.bool_(), nullable=False),
        pa.field("judged", pa.bool_(), nullable=False),
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("cost_nano", pa.int64(), nullable=False),
        pa.field("direct_nano", pa.int64(), nullable=False),
        pa.field("prompt_tokens", pa.int64(), nullable=False),
        pa.field("output_tokens", pa.int64(), nullable=False),
        pa.field("reward", pa.float64(), nullable=False),
    ]
)


def write_outcomes(
    world: DrawnWorld, rounds: Rounds, arm: NDArray[np.int32], judged: NDArray[np.bool_], path: Path
) -> None:
    """Write every arm's outcome in every round.

    Parameters
    ----------
    arm, judged
        (n,) the arm of each round, and whether its quality was told.
    """
    offered, known = world.offered, world.outcomes
    arms, k = offered.snapshot.spec.arms, offered.snapshot.n_arms
    prompts, modes = world.traffic.prompts, tuple(world.contexts)
    contexts = tuple(world.contexts.values())
    counts = np.stack([np.rint(policy_probabilities(world, mode, Logged()) * COUNT_ONE) for mode in modes])
    step = max(1, ROW_ARMS // k)
    with pq.ParquetWriter(path, OUTCOMES, compression="zstd", compression_level=6) as writer:
        for start in range(0, len(rounds.id), step):
            part = range(start, min(start + step, len(rounds.id)))
            rows, chosen = rounds.prompt[start : part.stop], arm[start : part.stop]
            of = rounds.mode[start : part.stop].tolist()
            per_round: dict[str, list[Any]] = {
                "id": [rounds.id[i] for i in part],
                "prompt_id": [prompts[row].id for row in rows.tolist()],
                "benchmark": [prompts[row].benchmark for row in rows.tolist()],
                "session": [f"s{s:07d}" for s in rounds.session[start : part.stop].tolist()],
                "mode": [modes[m] for m in of],
                "task": [TASKS[int(contexts[m].task[r])] for m, r in zip(of, rows.tolist(), strict=True)],
                "judged": judged[start : part.stop].tolist(),
            }
            columns: dict[str, Any] = {
                name: [v for v in values for _ in range(k)] for name, values in per_round.items()
            }
            columns |= {
                "arm": list(arms.arm) * len(part),
                "model": list(arms.model) * len(part),
                "provider": list(arms.provider) * len(part),
                "count": counts[of, rows].astype(np.int32).ravel(),
                "chosen": (np.arange(k) == chosen[:, None]).ravel(),
            }
            for name in ("quality", "cost_nano", "direct_nano", "prompt_tokens", "output_tokens", "reward"):
                columns[name] = getattr(known, name)[rows].ravel()
            writer.write_table(
                pa.table({field.name: columns[field.name] for field in OUTCOMES}, schema=OUTCOMES)
            )
