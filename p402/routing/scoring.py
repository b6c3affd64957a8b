"""What each arm is worth to each request, and what it is expected to cost.

    score = quality * (q + beta * sd) + cost * cost_score + speed * speed_score
            + chain and preference bonuses + switching - lambda * cost_norm - error_rate

in multiples of 2**-40, every term a whole number in float64. Cost and speed scores are
rational, half / (half + x): no exp, no log. It knows nothing of eligibility or chance.
"""

from typing import Any

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.eligibility import priced
from p402.routing.lens import Cell, Float, Lens, mode_cells
from p402.routing.live import ERROR_ONE, LiveState
from p402.routing.scale import FEATURE_ONE, PARAM_ONE, SCORE_ONE

_ERROR_UNIT = float(SCORE_ONE // ERROR_ONE)


def expected_cost(snapshot: Snapshot, lens: Lens) -> Float:
    """Expected cost in pico-USD at every arm, warm cache and the arm's verbosity included."""
    cost = priced(snapshot, lens.prompt, lens.output, 3)
    if lens.previous is None or lens.warm is None:
        return cost
    if lens.n == 1:
        cost[lens.previous] -= min(lens.warm, lens.prompt) * _saved(snapshot, lens.prompt, lens.previous)
    else:
        rows = np.flatnonzero(lens.previous >= 0)
        arms, prompt = lens.previous[rows], lens.prompt[rows, 0]
        cost[rows, arms] -= np.minimum(lens.warm[rows], prompt) * _saved(snapshot, prompt, arms)
    return cost


def _saved(snapshot: Snapshot, prompt: Any, arm: Any) -> Any:
    """Pico-USD that a warm token saves at each row's arm, in the tier of its prompt."""
    base, above, threshold = snapshot.prices[:3]
    saved = np.maximum(base.input[arm] - base.cache_read[arm], 0.0)
    if above is None or threshold is None:
        return saved
    upper = np.maximum(above.input[arm] - above.cache_read[arm], 0.0)
    return np.where(prompt > threshold[arm], upper, saved)


def _speed(snapshot: Snapshot, live: LiveState) -> Float:
    """(n_arms,) speed score in 2**-20: measured time to first token, else the prior."""
    half = float(snapshot.spec.policy.ttft_half_ms)
    ttft = np.where(live.ttft_ms > 0, live.ttft_ms, snapshot.ttft_prior)
    return np.floor(half * PARAM_ONE / (half + ttft))


def _cost_score(snapshot: Snapshot, lens: Lens, cost: Float) -> Float:
    """Cost score in 2**-20: one half where 1k tokens cost `cost_half_pico`."""
    half = (lens.prompt + lens.output) * float(snapshot.spec.policy.cost_half_pico // 1000)
    score = cost + half
    np.divide(half * PARAM_ONE, score, out=score)
    return np.floor(score, out=score)


def _weights(snapshot: Snapshot, lens: Lens) -> tuple[Cell, Cell, Cell]:
    own = mode_cells(snapshot, lens)
    if lens.weights is None:
        return own[0], own[1], own[2]
    if lens.n == 1:
        return lens.weights
    mixed = [np.where(lens.custom, w, c) for w, c in zip(lens.weights, own, strict=False)]
    return mixed[0], mixed[1], mixed[2]


def scores(snapshot: Snapshot, lens: Lens, cost: Float) -> Float:
    """Score of every arm in multiples of 2**-40, given its expected cost."""
    quality, cost_weight, speed_weight = _weights(snapshot, lens)
    total: Float = lens.features @ snapshot.theta
    total *= 1.0 / FEATURE_ONE
    np.floor(total, out=total)
    total += snapshot.optimism[lens.task]
    total *= quality
    cost_score = _cost_score(snapshot, lens, cost)
    if lens.budget_price is not None:
        total -= lens.budget_price * (PARAM_ONE - cost_score)
    cost_score *= cost_weight
    total += cost_score
    total += speed_weight * _of_rows(lens, [_speed(snapshot, live) for live in lens.lives])
    if any(live.any_errors for live in lens.lives):
        total -= _of_rows(lens, [live.error_rate for live in lens.lives]) * _ERROR_UNIT
    if snapshot.modes.chain is not None:
        total += snapshot.modes.chain[lens.rule]
    _lean(snapshot, lens, total)
    return total


def _of_rows(lens: Lens, columns: list[Float]) -> Float:
    """Each row's own live column; one column serves all rows that share it."""
    if len(columns) == 1:
        return columns[0]
    table: Float = np.stack(columns)[lens.live_row]
    return table


def _lean(snapshot: Snapshot, lens: Lens, total: Float) -> None:
    """Add what a warm cache and the caller's preferred providers are worth."""
    policy = snapshot.spec.policy
    if lens.previous is not None and lens.warm is not None:
        if lens.n == 1:
            share = min(lens.warm / max(lens.prompt, 1.0), 1.0)
            total[lens.previous] += float(np.floor(policy.switch_cost * share)) * PARAM_ONE
        else:
            rows = np.flatnonzero(lens.previous >= 0)
            shares = np.minimum(lens.warm[rows] / np.maximum(lens.prompt[rows, 0], 1.0), 1.0)
            total[rows, lens.previous[rows]] += np.floor(policy.switch_cost * shares) * PARAM_ONE
    bonus = policy.prefer_bonus
    for provider in lens.preferred or ():
        total += (provider == snapshot.provider) * float(bonus * PARAM_ONE)
        bonus //= 2
