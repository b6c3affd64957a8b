"""What each arm is worth to each request, and what it is expected to cost.

    score = quality * (q + beta * sd) + cost * cost_score + speed * speed_score
            + chain and preference bonuses + switching - lambda * (1 - cost_score) - error_rate

in multiples of 2**-40, every term a whole number in float64. Cost and speed scores are
rational, half / (half + x): no exp, no log. It knows nothing of eligibility or chance.

The cost score divides by cost plus half point, and the half point grows with tokens as cost
does. So the half point is added to the prices, and one product of tokens and prices gives the
sum: the `bid`, which the exploration rules compare as they would compare costs.
"""

from typing import Any, NamedTuple

import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.lens import Cell, Float, Lens, Rare, blend, cut, piled, product, pull, some
from p402.routing.live import ERROR_ONE, RATIO_ONE, LiveState
from p402.routing.pricelist import MAX_PRICE_PICO
from p402.routing.scale import PARAM_ONE, SCORE_ONE

_ERROR_UNIT = float(SCORE_ONE // ERROR_ONE)


def half_point(snapshot: Snapshot, lens: Lens) -> Cell:
    """Cost in pico-USD at which the cost score of each row is one half."""
    return (lens.prompt + lens.output) * float(snapshot.spec.policy.cost_half_pico // 1000)


def bids(snapshot: Snapshot, lens: Lens) -> Float:
    """Expected cost plus half point in pico-USD at every arm, warm cache and verbosity included."""
    bid: Float = product(lens.tokens, snapshot.per_token)
    prices, upper = snapshot.prices, snapshot.per_token_above
    if upper is not None and (rows := some(lens, lens.prompt > prices.least_threshold)) is not None:
        above = product(lens.tokens[rows], upper)
        bid[rows] = np.where(cut(lens.prompt, rows) > prices.threshold, above, bid[rows])
    lives = lens.lives
    longer = _standing(snapshot, lives).longer if len(lives) == 1 else _longer(snapshot, lives)
    if longer is not None:
        more = _more(snapshot, lens, longer)
        bid += lens.output * more if lens.n == 1 else np.multiply(more, lens.output, more)
    if lens.rare is not None and (warm := _warm(lens, lens.rare)) is not None:
        bid[warm.place] -= warm.tokens * _saved(snapshot, warm)
    return bid


class _Longer(NamedTuple):
    """(n_lives, n_arms) pico-USD that an expected output token costs more or less, by measured verbosity.

    `above` is of the prompts above the threshold; None where no arm has tiers.
    """

    base: Float
    above: Float | None


def _longer(snapshot: Snapshot, lives: tuple[LiveState, ...]) -> _Longer | None:
    if all(live.output_ratio is None for live in lives):
        return None
    one = np.full(snapshot.n_arms, float(RATIO_ONE))
    ratio = piled([one if live.output_ratio is None else live.output_ratio for live in lives])
    base, above = snapshot.prices[:2]
    more = None if above is None else _lengthened(above.expected, ratio)
    return _Longer(_lengthened(base.expected, ratio), more)


def _lengthened(expected: Float, ratio: Float) -> Float:
    """No dearer than any price may be, so that costs stay exact."""
    price: Float = np.minimum(np.floor(expected * ratio / RATIO_ONE), MAX_PRICE_PICO)
    return price - expected


def _more(snapshot: Snapshot, lens: Lens, longer: _Longer) -> Float:
    """The same for each row, in the tier of its prompt; of many rows, a matrix of the caller's own."""
    more: Float = pull(longer.base, lens.live_row)
    prices = snapshot.prices
    if longer.above is None or some(lens, lens.prompt > prices.least_threshold) is None:
        return more
    chosen: Float = np.where(lens.prompt > prices.threshold, pull(longer.above, lens.live_row), more)
    return chosen


class _Warm(NamedTuple):
    """Sessions where their previous arm is: `place` in a matrix, the arm, tokens warm in its cache."""

    place: Any
    arm: Any
    tokens: Any
    prompt: Any


def _warm(lens: Lens, rare: Rare) -> _Warm | None:
    if rare.previous is None or rare.warm is None:
        return None
    if lens.n == 1:
        return _Warm(rare.previous, rare.previous, min(rare.warm, lens.prompt), lens.prompt)
    rows = np.flatnonzero(rare.previous >= 0)
    arm, prompt = rare.previous[rows], lens.tokens[rows, 0]
    return _Warm((rows, arm), arm, np.minimum(rare.warm[rows], prompt), prompt)


def _saved(snapshot: Snapshot, warm: _Warm) -> Any:
    """Pico-USD that a warm token saves, in the tier of its prompt."""
    base, above, threshold = snapshot.prices[:3]
    if above is None:
        return base.saved[warm.arm]
    return np.where(warm.prompt > threshold[warm.arm], above.saved[warm.arm], base.saved[warm.arm])


def scores(snapshot: Snapshot, lens: Lens, bid: Float, half: Cell) -> Float:
    """Score of every arm in multiples of 2**-40, given its bid and the row's half point."""
    rules, rare = lens.rules, lens.rare
    price = None if rare is None else rare.budget_price
    parts = np.empty((2, *bid.shape))
    product(lens.features, snapshot.theta, parts[0])
    np.divide(half * PARAM_ONE, bid, parts[1])
    np.floor(parts, parts)
    total = blend((rules[0], rules[1] if price is None else rules[1] + price), parts)
    standing = _standing(snapshot, lens.lives)
    total += _fixed(snapshot, lens, standing)
    if (rows := lens.custom) is not None:
        total[rows] += cut(rules[0], rows) * pull(snapshot.optimism, cut(lens.task, rows))
        total[rows] += cut(rules[2], rows) * pull(standing.speed, cut(lens.live_row, rows))
    if rare is not None:
        _lean(snapshot, lens, rare, total)
    return total


def _lean(snapshot: Snapshot, lens: Lens, rare: Rare, total: Float) -> None:
    """Add what budget price, warm cache and preferred providers are worth to scores."""
    policy = snapshot.spec.policy
    if rare.budget_price is not None:
        total -= rare.budget_price * PARAM_ONE
    if (warm := _warm(lens, rare)) is not None:
        share = policy.switch_cost * (warm.tokens / warm.prompt) // 1.0
        total[warm.place] += share * PARAM_ONE
    bonus = policy.prefer_bonus
    for provider in rare.preferred or ():
        if (rows := some(lens, provider >= 0)) is not None:
            total[rows] += (cut(provider, rows) == snapshot.provider) * float(bonus * PARAM_ONE)
        bonus //= 2


class _Standing(NamedTuple):
    """What arms are worth at each live state, whoever asks.

    `speed` is the (n_lives, n_arms) speed score in 2**-20 and `lively` the (n_lives, n_rules, n_arms)
    weighted speed less failures. For a lone live state `longer` is what measured verbosity adds to prices,
    and `whole` is `lively` added to the snapshot's `base`. In `lively` and `whole`, rows of custom mode are
    without speed.
    """

    speed: Float
    lively: Float
    whole: Float | None
    longer: _Longer | None


def _standing(snapshot: Snapshot, lives: tuple[LiveState, ...]) -> _Standing:
    """The snapshot keeps what belongs to the last live state that a batch had to itself."""
    if len(lives) > 1:
        return _stand(snapshot, lives)
    kept: tuple[LiveState, _Standing] | None = snapshot.memo[0] if snapshot.memo else None
    if kept is None or kept[0] is not lives[0]:
        standing = _stand(snapshot, lives)
        whole = snapshot.base + np.repeat(standing.lively[0], len(snapshot.optimism), axis=0)
        kept = (lives[0], standing._replace(whole=whole, longer=_longer(snapshot, lives)))
        snapshot.memo[:] = (kept,)
    return kept[1]


def _stand(snapshot: Snapshot, lives: tuple[LiveState, ...]) -> _Standing:
    half = float(snapshot.spec.policy.ttft_half_ms)
    measured = piled([live.ttft_ms for live in lives])
    ttft = np.where(measured > 0, measured, snapshot.ttft_prior)
    speed = np.floor(half * PARAM_ONE / (half + ttft))
    failures = piled([live.error_rate for live in lives]) * _ERROR_UNIT
    lively = speed[:, None, :] * snapshot.modes.own[:, 2:] - failures[:, None, :]
    return _Standing(speed, lively, None, None)


def _fixed(snapshot: Snapshot, lens: Lens, standing: _Standing) -> Float:
    """Score that each row's rule, task and live state fix for every arm."""
    place = lens.rule * len(snapshot.optimism) + lens.task
    fixed: Float
    if standing.whole is not None:
        fixed = pull(standing.whole, place)
        return fixed
    fixed = pull(snapshot.base, place)
    lively = standing.lively
    fixed += pull(lively.reshape(-1, snapshot.n_arms), lens.live_row * lively.shape[1] + lens.rule)
    return fixed
