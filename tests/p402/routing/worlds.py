"""Seeded snapshots and batches for the routing tests and benchmarks: every column used."""

from dataclasses import replace

import numpy as np
from msgspec import structs

from p402.ids import key_of, request_id
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.live import RATIO_ONE, LiveState
from p402.routing.scale import PARAM_ONE, param
from p402.routing.spec import (
    MODES,
    TASKS,
    Arms,
    Mode,
    Policy,
    Posterior,
    Prices,
    SnapshotSpec,
    TenantPolicy,
    Tenants,
)

N_FEATURES = 15


def a_mode(quality=0.5, cost=0.5, speed=0.0, **changes):
    given = {
        "tolerance": param(0.3),
        "explore": True,
        "loss_cap": param(0.02),
        "floor": param(0.01),
        "cost_ratio": param(3.0),
        "chain": (),
    } | changes
    return Mode(quality=param(quality), cost=param(cost), speed=param(speed), **given)


def a_policy(**changes):
    modes = (
        a_mode(0.0, 1.0, 0.0, tolerance=param(0.02)),
        a_mode(1.0, 0.001, 0.0, tolerance=param(0.02)),
        a_mode(0.0, 0.001, 1.0, tolerance=param(0.02)),
        a_mode(),
    )
    trial = (*modes[:3], a_mode(0.6, 0.4))
    given = {
        "salt": 0x5EED_0402_5EED_0402,
        "beta": param(0.5),
        "cost_half_pico": 2_000_000_000,
        "ttft_half_ms": 300,
        "switch_cost": param(0.05),
        "prefer_bonus": param(0.1),
        "set_size": 32,
        "default_max_output": 4096,
        "variants": (modes, trial),
    } | changes
    return Policy(**given)


def a_spec(n_arms=24, seed=0, policy=None):
    rng = np.random.default_rng(seed)
    names = sorted(f"p{k % 12:02d}/m{k:03d}" for k in range(n_arms))

    def perhaps(values, share):
        return tuple(None if rng.random() < share else int(v) for v in values)

    inputs = rng.integers(20_000, 15_000_000, n_arms)
    outputs = inputs * rng.integers(2, 6, n_arms)
    tiered = rng.random(n_arms) < 0.2
    return SnapshotSpec(
        arms=Arms(
            arm=tuple(names),
            provider=tuple(n.split("/")[0] for n in names),
            model=tuple(f"model-{int(k)}" for k in rng.integers(0, max(2, n_arms // 3), n_arms)),
            family=tuple(f"family-{int(k)}" for k in rng.integers(0, 5, n_arms)),
            capabilities=tuple(int(1 | c) for c in rng.integers(0, 128, n_arms)),
            context_window=perhaps(rng.choice([8_192, 32_768, 131_072, 1_048_576], n_arms), 0.1),
            output_limit=perhaps(rng.choice([4_096, 8_192, 65_536], n_arms), 0.3),
            simulated=(False,) * n_arms,
        ),
        prices=Prices(
            input=perhaps(inputs, 0.05),
            cache_read=perhaps(inputs // 10, 0.4),
            output=perhaps(outputs, 0.05),
            threshold=tuple(100_000 if t else None for t in tiered),
            input_above=tuple(int(2 * v) if t else None for v, t in zip(inputs, tiered, strict=True)),
            cache_read_above=(None,) * n_arms,
            output_above=tuple(int(2 * v) if t else None for v, t in zip(outputs, tiered, strict=True)),
            cache_write=tuple(None if k % 2 else int(v) * 5 // 4 for k, v in enumerate(inputs)),
            cache_write_1h=tuple(None if k % 3 else int(v) * 2 for k, v in enumerate(inputs)),
            cache_write_above=tuple(
                int(v) * 5 // 2 if t and not k % 2 else None
                for k, (v, t) in enumerate(zip(inputs, tiered, strict=True))
            ),
            cache_write_1h_above=(None,) * n_arms,
        ),
        posterior=Posterior(
            features=("bias", *TASKS, "length", "code", "math", "turns"),
            tasks=TASKS,
            theta=tuple(
                tuple(int(v) for v in row) for row in rng.integers(0, PARAM_ONE // 3, (n_arms, N_FEATURES))
            ),
            sd=tuple(
                tuple(int(v) for v in row) for row in rng.integers(0, PARAM_ONE // 4, (n_arms, len(TASKS)))
            ),
            output_ratio=tuple(int(v) for v in rng.integers(2048, 8192, n_arms)),
            ttft_ms=tuple(int(v) for v in rng.integers(50, 3000, n_arms)),
            quality_source=("prior",) * n_arms,
        ),
        policy=a_policy() if policy is None else policy,
        tenants=Tenants(
            policies=(
                TenantPolicy(name="default", denied=()),
                TenantPolicy(name="strict", denied=tuple(names[::4])),
            )
        ),
    )


def a_snapshot(n_arms=24, seed=0, policy=None) -> Snapshot:
    return compile_snapshot(a_spec(n_arms, seed, policy))


def some_lives(snapshot, count, rng):
    lives = [LiveState.at_start(snapshot.n_arms)]
    for seq in range(1, count):
        measured = rng.random(snapshot.n_arms) < 0.7
        shut = rng.random(snapshot.n_arms) < 0.1
        half = shut & (np.arange(snapshot.n_arms) % 2 == 0) if seq % 2 else None
        told = 16.0 * np.exp2(np.arange(snapshot.n_arms) % 7 - 3.0) if seq % 3 == 2 else None
        lives.append(
            LiveState(
                seq,
                shut,
                np.where(measured, rng.integers(20, 4000, snapshot.n_arms), 0).astype(np.float64),
                np.where(measured, rng.integers(0, 1000, snapshot.n_arms), 0).astype(np.float64),
                half,
                told,
            )
        )
    return tuple(lives)


def a_batch(snapshot, n, seed=1, *, rare=True, lives=4) -> RequestBatch:
    rng = np.random.default_rng(seed)
    k = snapshot.n_arms
    states = some_lives(snapshot, lives, rng)
    bits = [int.from_bytes(rng.bytes(10), "big") for _ in range(n)]
    ids = [request_id(1_780_000_000_000 + i, b) for i, b in enumerate(bits)]
    features = np.zeros((n, N_FEATURES))
    task = rng.integers(0, len(TASKS), n)
    features[:, 0] = 4096
    features[np.arange(n), 1 + task] = 4096
    features[:, 11:] = rng.integers(0, 4097, (n, N_FEATURES - 11))
    prompt = np.floor(10 ** rng.uniform(1, 5.2, n))
    named = rng.random(n) < 0.4

    def rarely(values, share):
        return np.where(rng.random(n) < share, values, -1).astype(np.int64)

    extra = (
        {
            "weights": rng.multinomial(PARAM_ONE, [0.4, 0.4, 0.2], n).astype(np.float64),
            "budget_price": np.where(rng.random(n) < 0.1, rng.integers(0, PARAM_ONE, n), 0).astype(
                np.float64
            ),
            "previous_arm": rarely(rng.integers(0, k, n), 0.2),
            "warm_tokens": np.floor(prompt * rng.random(n)),
            "excluded": np.where(rng.random(n) < 0.1, rng.integers(0, 1 << 12, n), 0).astype(np.uint64),
            "preferred": np.stack(
                [rarely(rng.integers(0, len(snapshot.providers), n), 0.05) for _ in range(4)], 1
            ),
            "model": rarely(rng.integers(0, len(snapshot.models), n), 0.05),
            "family": rarely(rng.integers(0, len(snapshot.families), n), 0.05),
            "tried": np.stack([rarely(rng.integers(0, k, n), 0.05) for _ in range(2)], 1),
            "probed": _some_probed(snapshot, n, seed),
        }
        if rare
        else {}
    )
    return RequestBatch(
        key=np.array([key_of(i) for i in ids], np.uint64).reshape(n, 2),
        features=features,
        task=task,
        mode=rng.integers(0, 5 if rare else 4, n),
        variant=rng.integers(0, 2, n),
        policy=rng.integers(0, 2, n),
        prompt_tokens=prompt,
        prompt_bound=prompt * 2,
        expected_output=rng.integers(20, 2000, n).astype(np.float64),
        max_output=np.where(named, rng.integers(16, 16_384, n), 0).astype(np.float64),
        n_choices=np.where(rng.random(n) < 0.05, 2, 1).astype(np.float64),
        needs=np.where(rng.random(n) < 0.3, 1 << rng.integers(0, 7, n), 0).astype(np.int64),
        ceiling_pico=np.where(rng.random(n) < 0.2, 10 ** rng.uniform(8, 11, n), 5e13).round(),
        explore=rng.random(n) < 0.9,
        live_row=rng.integers(0, lives, n),
        lives=states,
        **extra,
    )


def _some_probed(snapshot, n, seed):
    """Masks of providers under probe, by chance of their own: the other columns stay what they were."""
    rng = np.random.default_rng((seed, 402))
    bits = rng.integers(0, 1 << len(snapshot.providers), n)
    return np.where(rng.random(n) < 0.2, bits, 0).astype(np.uint64)


def any_policy(rng, names) -> Policy:
    """A policy with every number drawn: small sets, chains, free and forbidden exploration."""

    def mode():
        weights = rng.dirichlet([1.0, 1.0, 0.5])
        chain = tuple(str(n) for n in rng.choice([*names, "gone/model"], rng.integers(0, 5)))
        return a_mode(
            *(float(w) for w in weights),
            tolerance=param(float(rng.choice([0.0, 0.05, 0.5, 3.0]))),
            loss_cap=int(rng.integers(1, param(0.1))),
            floor=int(rng.choice([0, param(0.01), param(0.3), param(1.0)])),
            explore=bool(rng.random() < 0.8),
            cost_ratio=param(float(rng.choice([1, 1.125, 3, 100]))),
            chain=tuple(dict.fromkeys(chain)) if rng.random() < 0.3 else (),
        )

    return a_policy(
        salt=int(rng.integers(0, 1 << 63)) * 2 + 1,
        beta=param(float(rng.random() * 2)),
        cost_half_pico=int(rng.integers(1_000, 20_000_000_000)),
        ttft_half_ms=int(rng.integers(1, 2_000)),
        switch_cost=param(float(rng.random())),
        prefer_bonus=param(float(rng.random())),
        set_size=int(rng.choice([1, 2, 5, 32])),
        variants=tuple(tuple(mode() for _ in range(4)) for _ in range(2)),
    )


def any_prices(rng, prices: Prices) -> Prices:
    """Prices of any size, down to a few pico-USD, with thresholds of their own."""
    scale = int(rng.choice([1, 1_000, 100_000]))
    cheap = {
        name: tuple(None if v is None else v // scale for v in getattr(prices, name))
        for name in Prices.__struct_fields__
        if name != "threshold"
    }
    thresholds = tuple(None if t is None else int(rng.choice([50, 1_000, 9_000])) for t in prices.threshold)
    return Prices(threshold=thresholds, **cheap)


def any_world(seed, n, *, rare=True, most_arms=70):
    """A snapshot of 1 to `most_arms` arms under any policy and prices, and n rows, some at thresholds."""
    rng = np.random.default_rng(seed)
    n_arms = int(rng.integers(1, most_arms + 1))
    spec = a_spec(n_arms, seed)
    spec = structs.replace(
        spec, prices=any_prices(rng, spec.prices), policy=any_policy(rng, list(spec.arms.arm))
    )
    snapshot = compile_snapshot(spec)
    batch = a_batch(snapshot, n, seed, rare=rare)
    edges = rng.choice([0, 49, 50, 51, 1_000, 9_000, 9_001], n)
    prompt = np.where(rng.random(n) < 0.3, edges, batch.prompt_tokens).astype(np.float64)
    warm = None if batch.warm_tokens is None else np.floor(batch.warm_tokens * 2)
    return snapshot, replace(batch, prompt_tokens=prompt, prompt_bound=prompt * 2, warm_tokens=warm)


def alike(n_arms=3, *, arms=None, prices=None, posterior=None, policy=None, mode=None, denied=()):
    """A spec of arms `p0/m0`, `p1/m1`, ... alike but for what is given; every mode has the same rules."""
    names = tuple(f"p{k}/m{k}" for k in range(n_arms))
    nothing = (None,) * n_arms
    rules = a_mode(**({"quality": 0.5, "cost": 0.5, "speed": 0.0} | (mode or {})))
    return SnapshotSpec(
        arms=Arms(
            **{
                "arm": names,
                "provider": tuple(n.split("/")[0] for n in names),
                "model": tuple(n.split("/")[1] for n in names),
                "family": ("family",) * n_arms,
                "capabilities": (1,) * n_arms,
                "context_window": (32_768,) * n_arms,
                "output_limit": nothing,
                "simulated": (False,) * n_arms,
            }
            | (arms or {})
        ),
        prices=Prices(
            **{
                "input": (1_000_000,) * n_arms,
                "cache_read": nothing,
                "output": (2_000_000,) * n_arms,
                "threshold": nothing,
                "input_above": nothing,
                "cache_read_above": nothing,
                "output_above": nothing,
            }
            | (prices or {})
        ),
        posterior=Posterior(
            **{
                "features": ("bias",),
                "tasks": ("chat",),
                "theta": ((PARAM_ONE // 2,),) * n_arms,
                "sd": ((0,),) * n_arms,
                "output_ratio": (4096,) * n_arms,
                "ttft_ms": (500,) * n_arms,
                "quality_source": ("prior",) * n_arms,
            }
            | (posterior or {})
        ),
        policy=a_policy(**({"variants": ((rules,) * 4,)} | (policy or {}))),
        tenants=Tenants(
            policies=(TenantPolicy(name="default", denied=()), TenantPolicy(name="strict", denied=denied))
        ),
    )


def rows_of(snapshot, n=1, *, first=0, live=None, **columns) -> RequestBatch:
    """n equal requests of ids of their own; each column given is a value, or a list for all rows."""
    whole = {
        "features": [4096] + [0] * (len(snapshot.spec.posterior.features) - 1),
        "prompt_tokens": 1000,
        "prompt_bound": 2000,
        "expected_output": 500,
        "max_output": 0,
        "n_choices": 1,
        "ceiling_pico": 50 * 10**12,
    }
    codes = {"task": 0, "mode": MODES.index("balanced"), "variant": 0, "policy": 0, "needs": 0, "live_row": 0}
    ids = [request_id(1_780_000_000_000 + i, i * 0x9E37_79B9_7F4A_7C15) for i in range(first, first + n)]

    def column(value, kind):
        array = np.asarray(value, kind)
        return array if array.ndim and len(array) == n and n > 1 else np.repeat(array[None], n, axis=0)

    made = {name: column(columns.pop(name, value), np.float64) for name, value in whole.items()}
    made |= {name: column(columns.pop(name, value), np.int64) for name, value in codes.items()}
    made["explore"] = column(columns.pop("explore", True), np.bool_)
    kinds = {"weights": np.float64, "budget_price": np.float64, "warm_tokens": np.float64}
    kinds |= {"excluded": np.uint64, "probed": np.uint64}
    made |= {name: column(value, kinds.get(name, np.int64)) for name, value in columns.items()}
    return RequestBatch(
        key=np.array([key_of(i) for i in ids], np.uint64).reshape(n, 2),
        lives=(LiveState.at_start(snapshot.n_arms) if live is None else live,),
        **made,
    )


def a_live(n_arms, *, open_circuit=(), half_open=(), ttft_ms=(), error_rate=(), output_ratio=()) -> LiveState:
    """Live state with the given arms' breakers open or half open, and {arm: value} columns."""
    shut = np.zeros(n_arms, np.bool_)
    shut[[*open_circuit, *half_open]] = True
    half = np.zeros(n_arms, np.bool_)
    half[list(half_open)] = True
    ttft, errors = np.zeros(n_arms), np.zeros(n_arms)
    ratio = np.full(n_arms, float(RATIO_ONE))
    for column, given in ((ttft, ttft_ms), (errors, error_rate), (ratio, output_ratio)):
        for arm, value in dict(given).items():
            column[arm] = value
    return LiveState(1, shut, ttft, errors, half if half_open else None, ratio if output_ratio else None)
