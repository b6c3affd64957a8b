"""What was written of a drawn log, and its README.md: what it is, where it is from, how it is read.

Text only: it knows nothing of files.
"""

from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.routing.scale import PARAM_ONE
from sim.drawn.feedback import Feedback
from sim.drawn.truth import Value
from sim.drawn.world import DrawnWorld


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    judged
        Rounds with a reward event.
    log_digest
        Of the log's manifest.
    sha256
        Of the other files, by name.
    """

    out: str
    table: str
    rounds: int
    seed: int
    sessions: int
    judged: int
    arms: int
    snapshot: str
    log_digest: str
    sha256: dict[str, str]
    values: tuple[Value, ...]


TEXT: Final = """\
# A log that P402 drew from {source}

{rounds:,} rounds in {sessions:,} sessions over {arms} arms, with the exact propensity of every choice,
every arm's real outcome, and the exact value of some strategies. For judging off-policy estimators of LLM
routers: estimate from `log/`, then look up what is true in `truth.json`.

| | |
|---|---|
{facts}

## Files

- `log/`, `store/`: as the gateway writes them. `p402 replay --verify --log log --store store` decides every
  round again; `p402 replay --policy quality --behaviour balanced --log log --store store` values a strategy.
- `outcomes.parquet`: one row for each round and arm.
- `truth.json`: `on_rounds` is the mean reward that a strategy would have had on the rounds of a mode,
  `on_table` that over all prompts alike; `unsupported` is its probability on arms that the log could not
  take. Sums, not estimates.

| column of outcomes.parquet | what |
|---|---|
| `id` | request id, as in the log; ascending in time |
| `arm`, `provider`, `model` | `xNNN/model`: the model at NNN % of its list price |
| `prompt_id`, `benchmark` | BLAKE2b of the text, 16 hex digits; the source's name of the task |
| `session`, `mode`, `task` | as logged; the task is inferred from the text |
| `count` | propensity of the arm times 2^24; 0 where it could not be taken |
| `chosen`, `judged` | whether the round took this arm; whether its quality is in the log |
| `quality` | [0, 1], of the source |
| `cost_nano`, `direct_nano` | 1e-9 USD: of the call; of the same tokens at the baseline model |
| `prompt_tokens`, `output_tokens` | tokens |
| `reward` | [0, 1]: half quality, half saving, the objective in `truth.json` |

Latencies are in no source: they are logged as 0 and are no part of any reward. Providers are invented: they
ask a multiple of the list price and answer as the model does.

| arm | rounds | mean quality | mean cost, nano-USD | mean reward |
|---|---|---|---|---|
{outcomes}
"""


def datasheet(
    world: DrawnWorld, arm: NDArray[np.int32], found: Written, feedback: Feedback, command: str
) -> str:
    """README.md of a drawn log; `arm` is the one that each round took."""
    priced, arms = world.offered.priced, world.offered.snapshot.spec.arms
    taken = Counter(arm.tolist())
    rule = world.offered.snapshot.spec.policy.variants[0][0]
    facts = {
        "source": f"{priced.table.source}, read {priced.table.read_on}",
        "licence": f"{priced.table.licence}, of the outcomes; no prompt's text is in this folder",
        "made by": f"`{command}` with p402 {version('p402')}",
        "seed": f"{found.seed}; the same command and versions write the same bytes",
        "traffic": f"{len(world.traffic.prompts):,} prompts that are not `val`, all alike, with replacement",
        "sessions": "each of one benchmark and one mode",
        "left out": f"{priced.dropped:,} prompts that lack a model's outcome",
        "modes": f"{', '.join(world.contexts)}, by session in turn",
        "exploration": f"on; floor {rule.floor / PARAM_ONE:g}, cost mode's tolerance "
        f"{rule.tolerance / PARAM_ONE:g} and cost ratio {rule.cost_ratio / PARAM_ONE:g}",
        "prior": "mean quality by model and task on `val` alone",
        "judged": f"{found.judged:,} rounds (`{feedback}`)",
        "snapshot": f"`{found.snapshot}`",
        "log digest": f"`{found.log_digest}` (`log/manifest.json`)",
    } | {f"sha256 of {name}": f"`{digest}`" for name, digest in found.sha256.items()}
    outcomes = []
    for k, name in enumerate(arms.arm):
        quality, cost, reward = (
            float(getattr(world.outcomes, column)[:, k].mean())
            for column in ("quality", "cost_nano", "reward")
        )
        outcomes.append(f"| {name} | {taken[k]:,} | {quality:.4f} | {cost:,.0f} | {reward:.4f} |")
    return TEXT.format(
        source=priced.table.source,
        rounds=found.rounds,
        sessions=found.sessions,
        arms=found.arms,
        facts="\n".join(f"| {name} | {said} |" for name, said in facts.items()),
        outcomes="\n".join(outcomes),
    )
