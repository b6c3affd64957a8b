"""A small world on paper: 24 arms at 6 providers, 6 tasks, late and half missing judgements, and drift.

In the style of the study that the design's figures come from. Qualities are linear in what a policy sees
but for a clip to [0, 1]; the benchmark that everyone starts from is off by arm and by task. Half way the
provider of the best arm becomes worse and one price falls to a sixth; at three quarters an arm of the middle
becomes better, and nobody says so.
"""

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from p402.ids import key_of, request_id
from p402.routing.batch import RequestBatch
from p402.routing.compiled import compile_snapshot
from p402.routing.features import FEATURES
from p402.routing.live import LiveState
from p402.routing.scale import FEATURE_ONE, PARAM_ONE, param
from p402.routing.spec import (
    MODES,
    TASKS,
    Arms,
    Posterior,
    Prices,
    SnapshotSpec,
    TenantPolicy,
    Tenants,
)
from sim.table.play import Course
from tests.p402.routing.worlds import a_policy

N_ARMS, N_PROVIDERS, N_TASKS = 24, 6, 6
NOISE = 0.2
DAY_MS = 86_400_000
NOON_MS = 20_700 * DAY_MS + DAY_MS // 2


@dataclass(frozen=True)
class Toy:
    """A course, and the expected value of every arm at every round."""

    course: Course
    value: np.ndarray


def a_toy(
    seed, n=8_000, delay_ms=600_000, judged=0.5, span_ms=DAY_MS, noise=NOISE, benchmark_sd=0.1, rest_sd=0.05
):
    rng = np.random.default_rng([seed, 0x70_79])
    names = sorted(f"p{k % N_PROVIDERS}/m{k:02d}" for k in range(N_ARMS))
    provider = np.array([int(name[1]) for name in names])
    level = np.sort(rng.uniform(0.45, 0.9, N_ARMS))[rng.permutation(N_ARMS)]
    by_task = rng.normal(0.0, 0.1, (N_ARMS, N_TASKS))
    by_rest = rng.normal(0.0, rest_sd, (N_ARMS, 4))
    theta = np.zeros((N_ARMS, len(FEATURES)))
    theta[:, 0], theta[:, 1 : 1 + N_TASKS], theta[:, -4:] = level, by_task, by_rest
    believed = theta.copy()
    believed[:, 0] += rng.normal(0.0, benchmark_sd, N_ARMS)
    believed[:, 1 : 1 + N_TASKS] = 0.5 * by_task + rng.normal(0.0, benchmark_sd / 2, by_task.shape)
    believed[:, -4:] = 0.0
    price = np.exp(rng.normal(np.log(0.3e6) + 5.0 * (level - 0.45), 0.8)).astype(np.int64) + 1

    task = rng.integers(0, N_TASKS, n)
    features = np.zeros((n, len(FEATURES)))
    features[:, 0] = 1.0
    features[np.arange(n), 1 + task] = 1.0
    features[:, -4:] = rng.uniform(0.0, 1.0, (n, 4))
    features = np.rint(features * FEATURE_ONE)
    ts = NOON_MS + np.sort(rng.integers(0, span_ms, n))
    keys = [key_of(request_id(int(t), int(b))) for t, b in zip(ts, rng.integers(0, 2**62, n), strict=True)]

    truth = np.repeat(theta[None], 3, axis=0)
    spec = _spec(names, believed, price)
    cut = price.copy()
    start_value = theta[:, 0] * 0.5 + _cost_score(spec, np.full(1, 600.0), np.full(1, 300.0))[0] * 0.5
    order = np.argsort(-start_value)
    truth[1:, provider == provider[order[0]], 0] -= 0.15
    cut[order[N_ARMS // 3]] //= 6
    truth[2, order[N_ARMS // 2], 0] += 0.25
    later = _spec(names, believed, cut)

    prompt, output = rng.integers(100, 1_500, n).astype(float), rng.integers(50, 600, n).astype(float)
    part = np.minimum(np.arange(n) * 4 // n, 3).clip(1) - 1
    mean = np.empty((n, N_ARMS))
    for p in range(3):
        rows = part == p
        mean[rows] = features[rows] / FEATURE_ONE @ truth[p].T
    mean = np.clip(mean, 0.0, 1.0)
    quality = np.clip(mean + rng.normal(0.0, noise, mean.shape), 0.0, 1.0)
    half_way = n // 2
    cost = np.vstack([_cost(spec, prompt, output)[:half_way], _cost(later, prompt, output)[half_way:]])
    half = (prompt + output)[:, None] * 2e6
    value = 0.5 * _clipped_mean(mean, noise) + 0.5 * half / (half + cost)
    batch = RequestBatch(
        key=np.array(keys, np.uint64),
        features=features,
        task=task.astype(np.int64),
        mode=np.full(n, MODES.index("balanced")),
        variant=np.zeros(n, np.int64),
        policy=np.zeros(n, np.int64),
        prompt_tokens=prompt,
        prompt_bound=2 * prompt,
        expected_output=output,
        max_output=np.zeros(n),
        n_choices=np.ones(n),
        needs=np.ones(n, np.int64),
        ceiling_pico=np.full(n, 50e12),
        explore=np.ones(n, np.bool_),
        live_row=np.zeros(n, np.int64),
        lives=(LiveState.at_start(N_ARMS),),
    )
    course = Course(
        snapshots=((0, compile_snapshot(spec)), (half_way, compile_snapshot(later))),
        batch=batch,
        quality=quality,
        cost_usd=cost / 1e12,
        judged=rng.random(n) < judged,
        due_ms=ts + delay_ms,
    )
    return Toy(course, value)


def regret(toy, played):
    """Sum over rounds of the best arm's expected value less the chosen one's."""
    rows = np.arange(len(toy.value))
    return toy.value.max(axis=1) - toy.value[rows, played.arm]


def _clipped_mean(mean, noise):
    """Expectation of a normal about `mean` clipped to [0, 1]: what the declared truth must be of."""
    from scipy.stats import norm

    low, high = -mean / noise, (1 - mean) / noise
    inside = mean * (norm.cdf(high) - norm.cdf(low)) - noise * (norm.pdf(high) - norm.pdf(low))
    return inside + 1.0 - norm.cdf(high)


def _cost(spec, prompt, output):
    return np.outer(prompt, spec.prices.input) + np.outer(output, spec.prices.output)


def _cost_score(spec, prompt, output):
    half = (prompt + output)[:, None] * 2e6
    return half / (half + _cost(spec, prompt, output))


def _spec(names, believed, price):
    n = len(names)
    policy = a_policy()
    promoted = policy.variants[0]
    policy = replace(policy, variants=(promoted,))
    theta = tuple(tuple(round(v * PARAM_ONE) for v in row) for row in believed.tolist())
    return SnapshotSpec(
        arms=Arms(
            arm=tuple(names),
            provider=tuple(name.split("/")[0] for name in names),
            model=tuple(name.split("/")[1] for name in names),
            family=("family",) * n,
            capabilities=(1,) * n,
            context_window=(131_072,) * n,
            output_limit=(8_192,) * n,
            simulated=(True,) * n,
        ),
        prices=Prices(
            input=tuple(price.tolist()),
            cache_read=(None,) * n,
            output=tuple((3 * price).tolist()),
            threshold=(None,) * n,
            input_above=(None,) * n,
            cache_read_above=(None,) * n,
            output_above=(None,) * n,
        ),
        posterior=Posterior(
            features=FEATURES,
            tasks=TASKS,
            theta=theta,
            sd=((param(0.1),) * len(TASKS),) * n,
            output_ratio=(FEATURE_ONE,) * n,
            ttft_ms=(500,) * n,
            quality_source=("benchmark",) * n,
        ),
        policy=policy,
        tenants=Tenants(policies=(TenantPolicy(name="default", denied=()),)),
    )
