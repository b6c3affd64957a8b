"""A snapshot ready to decide: the spec's columns as numpy arrays, its bounds asserted.

Everything here is immutable and derived from the five components alone, so two machines
that hold the same bytes hold the same arrays. It knows nothing of files: bytes come in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.errors import ConfigError
from p402.routing.scale import EXACT, FEATURE_ONE, PARAM_ONE
from p402.routing.spec import MODES, Arms, Mode, Policy, Posterior, Prices, SnapshotSpec, Tenants

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_TOKENS: Final = 1 << 21
"""Most prompt tokens, and most output tokens over all choices, of one request."""

MAX_PRICE_PICO: Final = 1 << 30
"""Dearest price that keeps every cost exact: about 1,073 USD per million tokens."""

MAX_FEATURE: Final = 4 * FEATURE_ONE
"""Largest absolute feature."""

MAX_THETA: Final = 16 * PARAM_ONE
"""Most that one arm's absolute coefficients may add up to, so that quality stays within 64."""

MAX_PROVIDERS: Final = 64
"""Providers that may be configured at once: exclusions are bits of one word."""

CHAIN_STEP: Final = 1 << 49
"""Score that one step of a fallback chain is worth: more than scores can differ otherwise."""

MAX_CHAIN: Final = 8

UNKNOWN_CONTEXT: Final = 16_384
"""Tokens trusted to an arm whose context window no source states: enough for plain chat."""

COMPONENTS: Final = {
    "arms": Arms,
    "prices": Prices,
    "posterior": Posterior,
    "policy": Policy,
    "tenants": Tenants,
}


@dataclass(frozen=True, slots=True, eq=False)
class ModeTable:
    """Rules of every (variant, mode), at row 4 * variant + mode; whole numbers in float64.

    `columns` is (n_rows, 7): quality, cost and speed weight, tolerance, loss cap and floor in
    2**-20, and 1 where the mode explores. `rows` is the same as plain numbers, for one request.
    """

    columns: Float
    rows: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Columns of shape (n_arms,) unless said otherwise; whole numbers in float64.

    Attributes
    ----------
    id
        Hash of the components' hashes.
    theta
        (n_features, n_arms), 2**-20.
    optimism
        (n_tasks, n_arms), beta * sd, 2**-20.
    input, cache_read, output, expected_output_price
        Pico-USD per token at or below the threshold; the last has the arm's verbosity in it.
    above
        The same four above `threshold`; None when no arm has tiers.
    dearest, least_threshold
        Highest input and output price of any arm, and the lowest threshold: what a row below
        them need not be checked for.
    allowed
        (n_policies, n_arms): not denied to the tenant and price known.
    modes, chain_bonus
        Rules of each (variant, mode), and (n_variants * 4, n_arms) score added by its chain.
    """

    id: str
    spec: SnapshotSpec
    index: Mapping[str, int]
    providers: Mapping[str, int]
    models: Mapping[str, int]
    families: Mapping[str, int]
    policies: Mapping[str, int]
    tasks: Mapping[str, int]
    provider: Int
    provider_bit: NDArray[np.uint64]
    model: Int
    family: Int
    capabilities: Int
    context: Float
    output_limit: Float
    input: Float
    cache_read: Float
    output: Float
    expected_output_price: Float
    threshold: Float | None
    above: tuple[Float, Float, Float, Float] | None
    dearest: tuple[float, float]
    least_threshold: float
    price_known: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    theta: Float
    optimism: Float
    ttft_prior: Float
    modes: ModeTable
    chain_bonus: Float | None

    @property
    def n_arms(self) -> int:
        """How many arms there are."""
        return len(self.provider)


def parts_of(spec: SnapshotSpec) -> dict[str, bytes]:
    """Canonical bytes of each component, by name."""
    return {name: msgspec.json.encode(getattr(spec, name)) for name in COMPONENTS}


def identify(parts: Mapping[str, bytes]) -> str:
    """Id of a snapshot: SHA-256 over the canonical JSON of its components' SHA-256, 64 hex digits."""
    record = {name: sha256(parts[name]).hexdigest() for name in sorted(parts)}
    return sha256(msgspec.json.encode(record)).hexdigest()


def from_parts(parts: Mapping[str, bytes]) -> Snapshot:
    """Compile stored components.

    Raises
    ------
    ConfigError
        A component is absent, malformed or out of bounds.
    """
    if missing := sorted(set(COMPONENTS) - set(parts)):
        raise ConfigError(f"snapshot lacks its components {missing}; found {sorted(parts)}")
    try:
        decoded = {name: msgspec.json.decode(parts[name], type=kind) for name, kind in COMPONENTS.items()}
        spec = msgspec.convert(decoded, SnapshotSpec)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"snapshot component cannot be read: {error}") from error
    return compile_snapshot(spec)


def compile_snapshot(spec: SnapshotSpec) -> Snapshot:
    """Turn a spec into arrays, asserting every bound that exact arithmetic rests on.

    Raises
    ------
    ConfigError
        Columns differ in length, arms are not ascending, or a value is out of bounds.
    """
    arms, prices, posterior, policy = spec.arms, spec.prices, spec.posterior, spec.policy
    _check_shapes(spec)
    providers, models, families = (_codes(c) for c in (arms.provider, arms.model, arms.family))
    if len(providers) > MAX_PROVIDERS:
        raise ConfigError(
            f"{len(providers)} providers are configured; at most {MAX_PROVIDERS} fit a snapshot"
        )
    provider = _coded(arms.provider, providers)
    price_known = np.array(
        [i is not None and o is not None for i, o in zip(prices.input, prices.output, strict=True)]
    )
    ratio = np.array(posterior.output_ratio, np.float64)
    base = _prices("", prices.input, prices.cache_read, prices.output, ratio)
    threshold, above = _tiers(prices, ratio, base)
    theta = np.ascontiguousarray(np.array(posterior.theta, np.float64).reshape(len(arms.arm), -1).T)
    _check_theta(theta, arms.arm)
    sd = np.array(posterior.sd, np.float64).reshape(len(arms.arm), -1).T
    modes, chain = _modes(spec)
    index = {arm: k for k, arm in enumerate(arms.arm)}
    allowed = np.repeat(price_known[None, :], len(spec.tenants.policies), axis=0)
    for row, tenant in enumerate(spec.tenants.policies):
        allowed[row, [index[arm] for arm in tenant.denied if arm in index]] = False
    return Snapshot(
        id=identify(parts_of(spec)),
        spec=spec,
        index=index,
        providers=providers,
        models=models,
        families=families,
        policies={tenant.name: row for row, tenant in enumerate(spec.tenants.policies)},
        tasks={task: row for row, task in enumerate(posterior.tasks)},
        provider=provider,
        provider_bit=np.uint64(1) << provider.astype(np.uint64),
        model=_coded(arms.model, models),
        family=_coded(arms.family, families),
        capabilities=np.array(arms.capabilities, np.int64),
        context=np.array([UNKNOWN_CONTEXT if c is None else c for c in arms.context_window], np.float64),
        output_limit=np.array([MAX_TOKENS if c is None else c for c in arms.output_limit], np.float64),
        input=base[0],
        cache_read=base[1],
        output=base[2],
        expected_output_price=base[3],
        threshold=threshold,
        above=above,
        dearest=_dearest(base, above),
        least_threshold=float(EXACT) if threshold is None else float(threshold.min()),
        price_known=price_known,
        allowed=allowed,
        theta=theta,
        optimism=np.floor(sd * (policy.beta / PARAM_ONE)),
        ttft_prior=np.array(posterior.ttft_ms, np.float64),
        modes=modes,
        chain_bonus=chain,
    )


def _codes(names: tuple[str, ...]) -> dict[str, int]:
    return {name: code for code, name in enumerate(sorted(set(names)))}


def _coded(names: tuple[str, ...], codes: Mapping[str, int]) -> Int:
    return np.array([codes[name] for name in names], np.int64)


def _check_shapes(spec: SnapshotSpec) -> None:
    n = len(spec.arms.arm)
    if n == 0:
        raise ConfigError("snapshot has no arms: configure at least one provider with one model")
    if list(spec.arms.arm) != sorted(set(spec.arms.arm)):
        raise ConfigError("snapshot arms must be unique and ascending: ties go to the lower id")
    columns = {
        f"{part}.{name}": getattr(getattr(spec, part), name)
        for part, names in {
            "arms": Arms.__struct_fields__,
            "prices": Prices.__struct_fields__,
            "posterior": ("theta", "sd", "output_ratio", "ttft_ms", "quality_source"),
        }.items()
        for name in names
    }
    for name, column in columns.items():
        if len(column) != n:
            raise ConfigError(f"{name} has {len(column)} rows; expected one for each of {n} arms")
    features, tasks = len(spec.posterior.features), len(spec.posterior.tasks)
    if any(len(row) != features for row in spec.posterior.theta):
        raise ConfigError(f"posterior.theta must have {features} columns, one for each feature")
    if any(len(row) != tasks for row in spec.posterior.sd):
        raise ConfigError(f"posterior.sd must have {tasks} columns, one for each task")
    if not spec.tenants.policies:
        raise ConfigError("snapshot has no tenant policy; expected at least `default`")


def _prices(
    suffix: str,
    input_price: tuple[int | None, ...],
    cache_read: tuple[int | None, ...],
    output_price: tuple[int | None, ...],
    ratio: Float,
    fallback: tuple[Float, Float, Float, Float] | None = None,
) -> tuple[Float, Float, Float, Float]:
    def column(values: tuple[int | None, ...], default: Float) -> Float:
        return np.array(
            [d if v is None else v for v, d in zip(values, default.tolist(), strict=True)], np.float64
        )

    nothing = np.zeros(len(input_price))
    into = column(input_price, nothing if fallback is None else fallback[0])
    out = column(output_price, nothing if fallback is None else fallback[2])
    read = column(cache_read, into if fallback is None else fallback[1])
    expected = np.floor(out * ratio / FEATURE_ONE)
    for name, values in (
        ("input", into),
        ("cache_read", read),
        ("output", out),
        ("expected output", expected),
    ):
        if values.min() < 0 or values.max() > MAX_PRICE_PICO:
            raise ConfigError(
                f"prices.{name}{suffix} lie in [{values.min():.0f}, {values.max():.0f}] pico-USD per token; "
                f"exact costs need 0 to {MAX_PRICE_PICO}"
            )
    return into, read, out, expected


def _tiers(
    prices: Prices, ratio: Float, base: tuple[Float, Float, Float, Float]
) -> tuple[Float | None, tuple[Float, Float, Float, Float] | None]:
    if all(t is None for t in prices.threshold):
        return None, None
    threshold = np.array([EXACT if t is None else t for t in prices.threshold], np.float64)
    above = _prices(
        "_above", prices.input_above, prices.cache_read_above, prices.output_above, ratio, fallback=base
    )
    return threshold, above


def _dearest(base: tuple[Float, ...], above: tuple[Float, ...] | None) -> tuple[float, float]:
    tables = (base,) if above is None else (base, above)
    return max(float(t[0].max()) for t in tables), max(float(t[2].max()) for t in tables)


def _check_theta(theta: Float, arms: tuple[str, ...]) -> None:
    size = np.abs(theta).sum(axis=0)
    worst = int(size.argmax())
    if size[worst] > MAX_THETA:
        raise ConfigError(
            f"posterior.theta of {arms[worst]} adds up to {size[worst] / PARAM_ONE:.3g}; "
            f"exact sums need at most {MAX_THETA / PARAM_ONE:.0f}"
        )


def _modes(spec: SnapshotSpec) -> tuple[ModeTable, Float | None]:
    policy, n = spec.policy, len(spec.arms.arm)
    index = {arm: k for k, arm in enumerate(spec.arms.arm)}
    if not policy.variants or not 0 <= policy.salt < 1 << 64:
        raise ConfigError("policy needs at least one variant of the modes and a salt of 0 to 2**64-1")
    if min(policy.cost_half_pico // 1000, policy.ttft_half_ms, policy.set_size, policy.cost_ratio) < 1:
        raise ConfigError("policy half points, set size and cost ratio must be at least 1")
    rows: list[tuple[float, ...]] = []
    chains: list[Float] = []
    for variant in policy.variants:
        if len(variant) != len(MODES):
            raise ConfigError(f"policy variant has {len(variant)} modes; expected {', '.join(MODES)}")
        for name, mode in zip(MODES, variant, strict=True):
            rows.append(_mode_row(name, mode))
            chain = np.zeros(n)
            for step, arm in enumerate(mode.chain[:MAX_CHAIN]):
                if arm in index:
                    chain[index[arm]] = (MAX_CHAIN - step) * CHAIN_STEP
            chains.append(chain)
    bonus = np.array(chains)
    return ModeTable(np.array(rows), tuple(rows)), bonus if bonus.any() else None


def _mode_row(name: str, mode: Mode) -> tuple[float, ...]:
    weights = (mode.quality, mode.cost, mode.speed)
    if min(weights) < 0 or sum(weights) > 2 * PARAM_ONE:
        raise ConfigError(f"weights of {name} are {weights}; expected 0 or more, together at most 2")
    if mode.loss_cap < 1 or not 0 <= mode.floor <= PARAM_ONE or mode.tolerance < 0:
        raise ConfigError(f"exploration rule of {name}: loss cap must be over 0, floor within 0 and 1")
    return tuple(float(v) for v in (*weights, mode.tolerance, mode.loss_cap, mode.floor, mode.explore))
