"""Whether a lead survives without any one tenant or source of rewards.

A tenant that games its outcomes, or a judge that is wrong, may carry a comparison alone. So the
comparison is made again without each of them, model and shares refitted. It judges nothing:
`evaluation.gate` does.
"""

from typing import Literal

import numpy as np

from p402.evaluation.estimate import Limits
from p402.evaluation.estimators import compare
from p402.evaluation.gate import LeftOut
from p402.evaluation.logged import FloatArray, IntArray
from p402.evaluation.reward_model import cross_fitted
from p402.learner.evidence import Evidence, capped_weight


def without_each(
    test: Evidence,
    probs: tuple[FloatArray, FloatArray],
    *,
    alpha: float,
    most: int,
    cap: float,
    folds: int,
    shrinkage: float,
    limits: Limits,
) -> tuple[LeftOut, ...]:
    """The comparison without each tenant and each source, those that add most to the lead first.

    Parameters
    ----------
    test
        Rounds that chose nothing.
    probs
        Current and new probabilities in them, `(n, K)` each.
    alpha
        Two-sided error rate of each comparison.
    most
        At most so many tenants, and so many sources.
    cap, folds, shrinkage, limits
        As in `reweight.Settings`.

    Returns
    -------
    tuple
        Nothing for a kind with a single witness: what is left would be no evidence at all.
    """
    kinds: tuple[tuple[Literal["tenant", "source"], IntArray, tuple[str, ...]], ...] = (
        ("tenant", test.tenant, test.tenants),
        ("source", test.source, test.sources),
    )
    found = []
    for kind, codes, names in kinds:
        spoken = codes >= 0
        mass = np.bincount(codes[spoken], weights=test.batch.observed[spoken], minlength=len(names)).astype(
            np.float64
        )
        if np.count_nonzero(mass > 0.0) < 2:
            continue
        total = float(np.add.reduce(mass))
        for code in _heaviest(test, probs, codes, mass, most):
            kept = codes != code if kind == "tenant" else np.ones(test.batch.n, dtype=np.bool_)
            rest = test.take(kept) if kind == "tenant" else test.without_source(code)
            model = cross_fitted(rest.batch, folds=folds, shrinkage=shrinkage)
            again = compare(
                rest.batch,
                probs[1][kept],
                probs[0][kept],
                model,
                alpha=alpha,
                row_weight=capped_weight(rest, cap),
                limits=limits,
            )
            found.append(LeftOut(kind, names[code], float(mass[code]) / total, again.pessimistic))
    return tuple(found)


def _heaviest(
    test: Evidence, probs: tuple[FloatArray, FloatArray], codes: IntArray, mass: FloatArray, most: int
) -> list[int]:
    """Groups that say anything, by how much they add to the new policy's lead: those could carry it."""
    b = test.batch
    rows = np.arange(b.n)
    lead = (probs[1] - probs[0])[rows, b.action] / b.propensity * b.observed * (b.reward - 0.5)
    spoken = codes >= 0
    added = np.bincount(codes[spoken], weights=lead[spoken], minlength=len(mass))
    order = np.argsort(-added, kind="stable").tolist()
    return [code for code in order if mass[code] > 0.0][:most]
