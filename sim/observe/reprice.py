"""What logged exchanges would have cost at the arms that a mode might have sent them to.

Expected over the mode's own propensities. An exchange keeps its prompt tokens and as many of them cached;
its output is scaled to the other model's length, never above the cap that the caller named. At
the arm that served, the cost is what was billed. What failed attempts were billed is added either
way. It knows nothing of the log, of sessions or of intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p402.routing.compiled import Snapshot
from p402.routing.scale import COUNT_ONE, PARAM_ONE

Float = NDArray[np.float64]
Int = NDArray[np.int64]

PRIOR: Final = "prior"
"""The `quality_source` of an arm that no benchmark was loaded for."""

Cell = tuple[str, str, str]
"""The model that was called, another one, and the task."""


@dataclass(frozen=True, slots=True, eq=False)
class Exchanges:
    """What was called and used: columns of shape (n,).

    Attributes
    ----------
    arm
        Number of the arm that served.
    task
        Number of the task among `tasks`.
    prompt, cached, output
        Tokens as billed.
    cap
        Most output tokens that the caller allowed; infinite where it named no cap.
    served_pico, failed_pico
        What the attempt that served was billed, and what those before it were.
    """

    tasks: tuple[str, ...]
    arm: Int
    task: Int
    prompt: Float
    cached: Float
    output: Float
    cap: Float
    served_pico: Float
    failed_pico: Float

    def rows(self, part: slice) -> "Exchanges":
        """Some of them."""
        columns = (getattr(self, name)[part] for name in _COLUMNS)
        return Exchanges(self.tasks, *columns)


_COLUMNS: Final = ("arm", "task", "prompt", "cached", "output", "cap", "served_pico", "failed_pico")


class Repriced(NamedTuple):
    """What a mode makes of n exchanges, each expected over its propensities.

    Attributes
    ----------
    cost_pico
        (n,) what they would have cost.
    uncached_pico
        (n,) what they would cost more if no other arm had anything cached.
    changed
        (n,) probability of another model.
    quality
        (n,) believed quality less that of the arm that served.
    scored
        (n,) probability that both believed qualities come from a benchmark.
    cells
        Pico-USD of output at other models, by cell.
    models
        Expected exchanges, by model.
    """

    cost_pico: Float
    uncached_pico: Float
    changed: Float
    quality: Float
    scored: Float
    cells: dict[Cell, float]
    models: dict[str, float]


def reprice(
    snapshot: Snapshot,
    features: Float,
    counts: Float,
    used: Exchanges,
    stretch: Callable[[str, str, str], float],
) -> Repriced:
    """Price n exchanges at the arms that a mode gives some probability.

    Parameters
    ----------
    snapshot
        What they were decided under: its prices and beliefs are taken.
    features
        (n, n_features), as `decide` reads them.
    counts
        (n, n_arms) propensities out of 2**24 under the mode.
    stretch
        How many times as long another model's answer is expected to be, by cell.
    """
    n, names = len(used.arm), sorted(snapshot.models)
    row, arm = np.nonzero(counts)
    share = counts[row, arm] / COUNT_ONE
    own, called, other = arm == used.arm[row], snapshot.model[used.arm[row]], snapshot.model[arm]
    code = (called * len(names) + other) * len(used.tasks) + used.task[row]
    known, place = np.unique(code, return_inverse=True)
    cells = [_cell(c, names, used.tasks) for c in known.tolist()]
    longer = np.array([1.0 if a == b else stretch(a, b, task) for a, b, task in cells])[place]
    into, read, out = _prices(snapshot, arm, used.prompt[row])
    produced = np.minimum(used.output[row] * longer, np.maximum(used.cap[row], used.output[row]))
    made = share * out * produced
    prompt = share * ((used.prompt - used.cached)[row] * into + used.cached[row] * read)
    cost = np.where(own, share * used.served_pico[row], prompt + made)
    uncached = np.where(own, 0.0, share * used.cached[row] * (into - read))
    moved = called != other
    of_cell = _summed(place, np.where(moved, made, 0.0), len(cells))
    return Repriced(
        cost_pico=_summed(row, cost, n) + used.failed_pico,
        uncached_pico=_summed(row, uncached, n),
        changed=_summed(row, share * moved, n),
        quality=_summed(row, share * _better(snapshot, features, row, arm, used.arm), n),
        scored=_summed(row, share * _scored(snapshot, arm, used.arm[row]), n),
        cells={c: v for c, v in zip(cells, of_cell.tolist(), strict=True) if c[0] != c[1]},
        models={names[k]: v for k, v in enumerate(_summed(other, share, len(names)).tolist()) if v > 0.0},
    )


def _summed(place: Int, values: Float, size: int) -> Float:
    """Sum of the values of each place, in their order."""
    return np.bincount(place, values, size).astype(np.float64, copy=False)


def _cell(code: int, names: list[str], tasks: tuple[str, ...]) -> Cell:
    models, task = divmod(code, len(tasks))
    called, other = divmod(models, len(names))
    return names[called], names[other], tasks[task]


def _prices(snapshot: Snapshot, arm: Int, prompt: Float) -> tuple[Float, Float, Float]:
    """Pico-USD per token of input, cache read and output, in the tier of the prompt."""
    base, above, threshold = snapshot.prices[:3]
    into, read, out = base.input[arm], base.cache_read[arm], base.output[arm]
    if above is None:
        return into, read, out
    over = prompt > threshold[arm]
    return (
        np.where(over, above.input[arm], into),
        np.where(over, above.cache_read[arm], read),
        np.where(over, above.output[arm], out),
    )


def _better(snapshot: Snapshot, features: Float, row: Int, arm: Int, served: Int) -> Float:
    """Believed quality of each arm less that of the row's own, by the compiled scores without optimism."""
    return (_believed(snapshot, features[row], arm) - _believed(snapshot, features, served)[row]) / PARAM_ONE


def _believed(snapshot: Snapshot, features: Float, arm: Int) -> Float:
    believed: Float = np.floor(np.einsum("nf,fn->n", features, snapshot.theta[:, arm]))
    return believed


def _scored(snapshot: Snapshot, arm: Int, served: Int) -> NDArray[np.bool_]:
    measured = np.array([source != PRIOR for source in snapshot.spec.posterior.quality_source])
    both: NDArray[np.bool_] = measured[arm] & measured[served]
    return both
