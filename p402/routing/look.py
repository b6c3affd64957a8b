"""Requests to a lens: one row's numbers, or the columns of a batch.

What a request's numbers are worth to the laws, such as the output it needs room for, is worked out
here and nowhere else. It knows nothing of names: `p402.routing.rows` turns them into indices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.lens import ALL, Cell, Lens, Rare, pull
from p402.routing.modes import RULES
from p402.routing.spec import CUSTOM


def look(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    """See one row as numbers, several as columns."""
    if len(batch) == 1:
        return _one(snapshot, batch)
    return _many(snapshot, batch if batch.wide else batch.rows(slice(None)))


def lone(
    snapshot: Snapshot,
    mode: int,
    variant: int,
    weights: Sequence[float] | None,
    prompt_tokens: float,
    prompt_bound: float,
    expected_output: float,
    max_output: float,
    n_choices: float,
) -> Lens:
    """One row with what follows from its numbers; the caller fills in the fields that are as they came."""
    rule = RULES * variant + mode
    rules = snapshot.modes.rows[rule]
    custom = mode == CUSTOM
    need = max_output if max_output > 0 else expected_output
    prompt = max(prompt_tokens, 1.0)
    output = expected_output * n_choices
    lens = Lens()
    lens.n = 1
    lens.rule = rule
    lens.rules = (*weights, *rules[3:]) if custom and weights is not None else rules
    lens.prompt = prompt
    lens.output = output
    lens.tokens = np.array((prompt, output))
    lens.bound = prompt_bound
    lens.room = prompt_bound + need
    lens.bill = need * n_choices
    lens.max_output = max_output
    lens.live_row = 0
    lens.custom = ALL if custom else None
    return lens


def rare_of(
    budget_price: float,
    previous: int,
    warm_tokens: float,
    excluded: int,
    preferred: Sequence[int],
    model: int,
    family: int,
    tried: Sequence[int],
    probed: int,
) -> Rare | None:
    """What is rare of one row, -1 or 0 where it has none; None where it has nothing."""
    session = previous >= 0
    tried = [arm for arm in tried if arm >= 0]
    wished = max(preferred, default=-1) >= 0
    if not (budget_price or session or excluded or wished or model >= 0 or family >= 0 or tried or probed):
        return None
    return Rare(
        budget_price=budget_price or None,
        previous=previous if session else None,
        warm=warm_tokens if session else None,
        excluded=excluded or None,
        preferred=tuple(preferred) if wished else None,
        model=model if model >= 0 else None,
        family=family if family >= 0 else None,
        tried=tuple(tried) or None,
        probed=probed or None,
    )


def _one(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    lens = lone(
        snapshot,
        batch.mode.item(),
        batch.variant.item(),
        None if batch.weights is None else batch.weights[0].tolist(),
        batch.prompt_tokens.item(),
        batch.prompt_bound.item(),
        batch.expected_output.item(),
        batch.max_output.item(),
        batch.n_choices.item(),
    )
    lens.features = batch.features[0]
    lens.task = batch.task.item()
    lens.policy = batch.policy.item()
    lens.needs = batch.needs.item()
    lens.ceiling = batch.ceiling_pico.item()
    lens.explore = batch.explore.item()
    lens.lives = (batch.lives[batch.live_row.item()],)
    lens.rare = rare_of(
        0.0 if batch.budget_price is None else batch.budget_price.item(),
        -1 if batch.previous_arm is None or batch.warm_tokens is None else batch.previous_arm.item(),
        0.0 if batch.warm_tokens is None else batch.warm_tokens.item(),
        0 if batch.excluded is None else batch.excluded.item(),
        () if batch.preferred is None else batch.preferred[0].tolist(),
        -1 if batch.model is None else batch.model.item(),
        -1 if batch.family is None else batch.family.item(),
        () if batch.tried is None else batch.tried[0].tolist(),
        0 if batch.probed is None else batch.probed.item(),
    )
    return lens


def _many(snapshot: Snapshot, batch: RequestBatch) -> Lens:
    rule = RULES * batch.variant + batch.mode
    table = pull(snapshot.modes.columns, rule)
    custom = np.flatnonzero(batch.mode == CUSTOM)
    if batch.weights is not None:
        table[custom, :3] = batch.weights[custom]
    need = np.where(batch.max_output > 0, batch.max_output, batch.expected_output)
    tokens = np.empty((len(batch), 2))
    np.maximum(batch.prompt_tokens, 1.0, out=tokens[:, 0])
    np.multiply(batch.expected_output, batch.n_choices, out=tokens[:, 1])
    lives, live_row = batch.lives, batch.live_row
    if len(lives) > 1:
        there = np.zeros(len(lives), np.bool_)
        there[live_row] = True
        lives = tuple(lives[i] for i in np.flatnonzero(there).tolist())
        live_row = (np.cumsum(there) - 1)[live_row]
    lens = Lens()
    lens.n = len(batch)
    lens.features = batch.features
    lens.task = batch.task
    lens.rule = rule
    lens.rules = _cells(table)
    lens.policy = batch.policy
    lens.prompt = tokens[:, :1]
    lens.output = tokens[:, 1:]
    lens.tokens = tokens
    lens.bound = _cell(batch.prompt_bound)
    lens.room = _cell(batch.prompt_bound + need)
    lens.bill = _cell(need * batch.n_choices)
    lens.max_output = _cell(batch.max_output)
    lens.needs = batch.needs
    lens.ceiling = _cell(batch.ceiling_pico)
    lens.explore = _cell(batch.explore)
    lens.lives = lives
    lens.live_row = live_row
    lens.custom = custom if len(custom) else None
    lens.rare = _rare(batch)
    return lens


def _rare(batch: RequestBatch) -> Rare | None:
    previous = None if batch.warm_tokens is None else batch.previous_arm
    rare = (
        _cell(batch.budget_price),
        previous,
        None if previous is None else batch.warm_tokens,
        _cell(batch.excluded),
        None if batch.preferred is None else _cells(batch.preferred),
        _cell(batch.model),
        _cell(batch.family),
        None if batch.tried is None else tuple(batch.tried.T),
        _cell(batch.probed),
    )
    return None if all(column is None for column in rare) else Rare(*rare)


def _cell(column: NDArray[Any] | None) -> Cell:
    return None if column is None else column[:, None]


def _cells(columns: NDArray[Any]) -> tuple[Cell, ...]:
    return tuple(columns[:, i : i + 1] for i in range(columns.shape[1]))
