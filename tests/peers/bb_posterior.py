"""Posteriors of `bayesianbandits`, before and after it forgets; prints JSON.

Runs in `.venv/peers`: `python -m tests.peers.bb_posterior > tests/golden/peers/posterior.json` freezes them.
"""

import json

import numpy as np
from bayesianbandits import NormalRegressor, StabilizedForgetting

from tests.peers.made import uniform

ROWS, WIDTH = 40, 5
PRIOR, NOISE, KEPT = 4.0, 16.0, 0.75
"""Precision of the prior and of one observation; share of the evidence that one tick keeps."""


def observed() -> tuple[np.ndarray, np.ndarray]:
    """Features `(n, D)` and rewards `(n,)`, made of hashes."""
    x = uniform((ROWS, WIDTH), 900)
    x[:, 0] = 1.0
    return x, uniform((ROWS,), 901) * 0.5 + x[:, 1] * 0.5


def precision_of(model: NormalRegressor) -> list[list[float]]:
    """Its precision whole: it keeps the upper triangle."""
    upper = np.triu(np.asarray(model.cov_inv_))
    return (upper + upper.T - np.diag(np.diag(upper))).tolist()


def main() -> None:
    x, y = observed()
    model = NormalRegressor(alpha=PRIOR, beta=NOISE, random_state=0)
    model.fit(x, y)
    found = {"mean": model.coef_.tolist(), "precision": precision_of(model)}
    model.decay(StabilizedForgetting(KEPT))
    found |= {"mean_after": model.coef_.tolist(), "precision_after": precision_of(model)}
    model.partial_fit(x[:10], y[:10])
    found |= {"mean_again": model.coef_.tolist(), "precision_again": precision_of(model)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
