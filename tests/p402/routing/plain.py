"""The law of `decide` a second time: one row, one arm after another, plain integers, no numpy.

Slow and short, to be read beside DESIGN section 4. It shares nothing with `p402.routing` but the
spec and the names of reasons; its Philox is the one of the paper, word by word. It starts
from the spec, so what compiling a snapshot does is checked as well. Division of two floats and the
floor of it is the only thing that is not whole-number arithmetic, as in the law.
"""

from fractions import Fraction
from math import floor
from typing import NamedTuple

from p402.routing.eligibility import REASONS
from p402.routing.spec import CUSTOM, MODES

ONE = 1 << 20
FULL = 1 << 24
FEATURE = 1 << 12
CHAIN_STEP, CHAIN_MOST = 1 << 49, 15
UNKNOWN_CONTEXT = 16_384
DEAREST = 1 << 30


class Plain(NamedTuple):
    arm: int
    count: int
    incumbent: int
    n_eligible: int
    n_explored: int
    counts: list[int]
    score: list[int]
    cost: list[int]
    reason: list[str]
    draw: int

    @property
    def decision(self):
        return self.arm, self.count, self.incumbent, self.n_eligible, self.n_explored


class Row:
    """One row of a batch with every column as a plain number, absent columns at their default."""

    def __init__(self, batch, i):
        def one(name, default=0):
            column = getattr(batch, name)
            return default if column is None else int(column[i])

        def many(name):
            column = getattr(batch, name)
            return [] if column is None else [int(v) for v in column[i]]

        self.high, self.low = (int(v) for v in batch.key[i])
        self.features = many("features")
        self.task, self.mode, self.variant, self.policy = (
            one(name) for name in ("task", "mode", "variant", "policy")
        )
        self.prompt, self.bound = max(one("prompt_tokens"), 1), one("prompt_bound")
        self.choices, self.max_output = one("n_choices"), one("max_output")
        self.expected = one("expected_output")
        self.needs, self.ceiling, self.explore = one("needs"), one("ceiling_pico"), one("explore")
        self.live = batch.lives[one("live_row")]
        self.weights = many("weights") or None
        self.budget_price = one("budget_price")
        self.previous = one("previous_arm", -1)
        self.warm = None if batch.warm_tokens is None else one("warm_tokens")
        self.excluded = one("excluded")
        self.preferred = many("preferred")
        self.model, self.family = one("model", -1), one("family", -1)
        self.tried = many("tried")
        self.probed = one("probed")


def plain(spec, batch, i):
    """Everything about row i."""
    row = Row(batch, i)
    arms = range(len(spec.arms.arm))
    reason = _reasons(spec, row, arms)
    cost = [_cost(spec, row, k) for k in arms]
    score = [_score(spec, row, k, cost[k]) for k in arms]
    able = [k for k in arms if reason[k] == "eligible"]
    draw = _draw(spec, row)
    if not able:
        return Plain(-1, 0, -1, 0, 0, [0 for _ in arms], score, cost, reason, draw)
    incumbent = min(able, key=lambda k: (-score[k], k))
    inside = _inside(spec, row, able, incumbent, score, cost)
    counts = _counts(spec, row, inside, incumbent, score, len(score))
    reach, chosen = 0, -1
    while reach <= draw:
        chosen += 1
        reach += counts[chosen]
    return Plain(chosen, counts[chosen], incumbent, len(able), len(inside), counts, score, cost, reason, draw)


def words(counter, key):
    """One block of Philox4x32-10: four words from four words and two of key."""
    low32 = (1 << 32) - 1
    for r in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        k0, k1 = (key[0] + r * 0x9E3779B9) & low32, (key[1] + r * 0xBB67AE85) & low32
        counter = (
            second >> 32 ^ counter[1] ^ k0,
            second & low32,
            first >> 32 ^ counter[3] ^ k1,
            first & low32,
        )
    return counter


def _draw(spec, row):
    low32 = (1 << 32) - 1
    counter = (row.low & low32, row.low >> 32, row.high & low32, row.high >> 32)
    salt = spec.policy.salt
    return words(counter, (salt & low32, salt >> 32))[0] >> 8


def _rules(spec, row):
    variant = spec.policy.variants[row.variant]
    return variant[MODES.index("balanced") if row.mode == CUSTOM else row.mode]


def _tier(spec, k, tokens):
    """Input, cache read and output price of a call with this many prompt tokens; None is unknown."""
    p = spec.prices
    price = [p.input[k], p.cache_read[k], p.output[k]]
    if p.threshold[k] is not None and tokens > p.threshold[k]:
        above = (p.input_above[k], p.cache_read_above[k], p.output_above[k])
        price = [u if a is None else a for a, u in zip(above, price, strict=True)]
    if price[1] is None:
        price[1] = price[0]
    return price


def _dearest_token(spec, k, tokens):
    """The dearest class that a token of so long a prompt may be billed at: input, or a cache write."""
    p = spec.prices
    into = _tier(spec, k, tokens)[0] or 0
    classes = [into]
    for name in ("cache_write", "cache_write_1h"):
        price = (getattr(p, name) or {k: None})[k]
        if p.threshold[k] is not None and tokens > p.threshold[k]:
            above = (getattr(p, f"{name}_above") or {k: None})[k]
            price = price if above is None else above
        classes.append(into if price is None else price)
    return max(classes)


def _reasons(spec, row, arms):
    a, tenant = spec.arms, spec.tenants.policies[row.policy]
    need = row.max_output or row.expected
    models, families, providers = (sorted(set(names)) for names in (a.model, a.family, a.provider))

    def first(k):
        into, out = _dearest_token(spec, k, row.bound), _tier(spec, k, row.bound)[2]
        window = UNKNOWN_CONTEXT if a.context_window[k] is None else a.context_window[k]
        limit = a.output_limit[k]
        rules = {
            "price_unknown": spec.prices.input[k] is None or spec.prices.output[k] is None,
            "not_allowed": a.arm[k] in tenant.denied,
            "other_model": row.model >= 0 and a.model[k] != models[row.model],
            "other_family": row.family >= 0 and a.family[k] != families[row.family],
            "provider_excluded": row.excluded >> providers.index(a.provider[k]) & 1,
            "already_tried": k in row.tried,
            "capability_missing": row.needs & ~a.capabilities[k],
            "context_too_long": row.bound + need > window,
            "output_too_long": limit is not None and row.max_output > limit,
            "cost_over_ceiling": row.bound * into + need * row.choices * (out or 0) > row.ceiling,
        }
        return next((name for name, no in rules.items() if no), "eligible")

    found = [first(k) for k in arms]
    shut = [_shut(row, k, providers.index(a.provider[k])) for k in arms]
    if any(r == "eligible" and not s for r, s in zip(found, shut, strict=True)):
        found = ["circuit_open" if r == "eligible" and s else r for r, s in zip(found, shut, strict=True)]
    assert set(found) <= set(REASONS)
    return found


def _shut(row, k, provider):
    """Whether an open breaker stands between row and arm; a half-open one does if another tries."""
    half = row.live.half_open is not None and row.live.half_open[k]
    return bool(row.live.open_circuit[k]) and not (half and not row.probed >> provider & 1)


def _cost(spec, row, k):
    into, read, out = _tier(spec, k, row.prompt)
    into, read, out = into or 0, read or 0, out or 0
    expected = out * spec.posterior.output_ratio[k] // FEATURE
    if row.live.output_ratio is not None:
        expected = min(expected * int(row.live.output_ratio[k]) // 16, DEAREST)
    cost = row.prompt * into + row.expected * row.choices * expected
    if k == row.previous and row.warm is not None:
        cost -= min(row.warm, row.prompt) * max(into - read, 0)
    return cost


def _score(spec, row, k, cost):
    policy, posterior, rules = spec.policy, spec.posterior, _rules(spec, row)
    weights = (rules.quality, rules.cost, rules.speed)
    if row.mode == CUSTOM and row.weights is not None:
        weights = row.weights
    quality = sum(f * t for f, t in zip(row.features, posterior.theta[k], strict=True)) // FEATURE
    quality += posterior.sd[k][row.task] * policy.beta // ONE
    half = (row.prompt + row.expected * row.choices) * (policy.cost_half_pico // 1000)
    cost_score = floor(float(half * ONE) / float(cost + half))
    ttft = int(row.live.ttft_ms[k]) or posterior.ttft_ms[k]
    speed = floor(float(policy.ttft_half_ms * ONE) / float(policy.ttft_half_ms + ttft))
    total = weights[0] * quality + weights[1] * cost_score + weights[2] * speed
    total -= row.budget_price * (ONE - cost_score)
    total -= int(row.live.error_rate[k]) << 28
    known = [arm for arm in rules.chain if arm in spec.arms.arm][:CHAIN_MOST]
    if spec.arms.arm[k] in known:
        total += (CHAIN_MOST - known.index(spec.arms.arm[k])) * CHAIN_STEP
    if k == row.previous and row.warm is not None:
        share = min(row.warm / row.prompt, 1.0)
        total += floor(policy.switch_cost * share) * ONE
    providers = sorted(set(spec.arms.provider))
    for place, provider in enumerate(row.preferred):
        if provider >= 0 and spec.arms.provider[k] == providers[provider]:
            total += (policy.prefer_bonus >> place) * ONE
    return total


def _inside(spec, row, able, incumbent, score, cost):
    rules, policy = _rules(spec, row), spec.policy
    if not (rules.explore and row.explore):
        return [incumbent]
    close = [
        k
        for k in able
        if score[incumbent] - score[k] <= rules.tolerance * ONE
        and cost[k] * ONE <= rules.cost_ratio * cost[incumbent]
    ]
    return sorted(sorted(close, key=lambda k: (-score[k], k))[: policy.set_size])


def _counts(spec, row, inside, incumbent, score, n_arms):
    rules, m = _rules(spec, row), float(len(inside))
    floor_count = floor(rules.floor * 16 / m)
    gamma = (m - 1) / rules.loss_cap * (1 / ONE)
    counts = [0] * n_arms
    for k in inside:
        gap = float(score[incumbent] - score[k])
        counts[k] = floor((FULL - m * floor_count) / (gap * gamma + m)) + floor_count
    counts[incumbent] = 0
    counts[incumbent] = FULL - sum(counts)
    return counts


def expected_loss(found, spec, row):
    """Score that exploration gives up on average, and the most it may: exact fractions of a score unit."""
    rules, m = _rules(spec, row), found.n_explored
    best = found.score[found.incumbent]
    gaps = [best - s if c else 0 for s, c in zip(found.score, found.counts, strict=True)]
    loss = sum(Fraction(c, FULL) * Fraction(g, ONE * ONE) for c, g in zip(found.counts, gaps, strict=True))
    most = Fraction(rules.loss_cap, ONE) + Fraction(rules.floor, ONE) * Fraction(max(gaps), ONE * ONE)
    return loss, most, m
