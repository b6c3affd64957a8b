"""Which rounds are judged: all, half, or by task and arm, so that what is silent is not like what speaks.

`biased` hangs on the quality, but through task and arm alone, which is what the product's weights by
1 / P(observed) can mend. It knows nothing of rewards' use.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]

Feedback = Literal["all", "half", "biased"]
FEEDBACK: Final[tuple[Feedback, ...]] = ("all", "half", "biased")

LEAST: Final = 0.2
MOST: Final = 0.9
"""Chance of a judgement under `biased`: of the worst and of the best cell of task and arm."""


def chance_of(feedback: Feedback, quality: Float, task: Int) -> Float:
    """`(n_prompts, n_arms)`: chance that a round of that prompt and arm is judged.

    Under `biased` it falls in a line from 0.9 in the worst cell to 0.2 in the best: people complain.

    Parameters
    ----------
    quality
        `(n_prompts, n_arms)` in [0, 1].
    task
        `(n_prompts,)`.
    """
    if feedback == "all":
        return np.ones_like(quality)
    if feedback == "half":
        return np.full_like(quality, 0.5)
    out = np.empty_like(quality)
    cells = {code: quality[task == code].mean(axis=0) for code in np.unique(task).tolist()}
    low = min(float(cell.min()) for cell in cells.values())
    high = max(float(cell.max()) for cell in cells.values())
    for code, cell in cells.items():
        out[task == code] = MOST - (MOST - LEAST) * (cell - low) / max(high - low, 1e-9)
    return out
