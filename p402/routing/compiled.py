"""A snapshot ready to decide: the spec's columns as numpy arrays, its bounds asserted.

Everything here is immutable and derived from the five components alone, so two machines
that hold the same bytes hold the same arrays. It knows nothing of files: bytes come in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from p402.errors import ConfigError
from p402.routing.modes import ModeTable, mode_table
from p402.routing.pricelist import PriceList, Tier, price_list
from p402.routing.scale import FEATURE_ONE, PARAM_ONE
from p402.routing.shapes import check_shapes
from p402.routing.spec import CAPABILITIES, Arms, Policy, Posterior, Prices, SnapshotSpec, Tenants

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_TOKENS: Final = 1 << 21
"""Most prompt tokens, and most output tokens over all choices, of one request."""

MAX_FEATURE: Final = 4 * FEATURE_ONE
"""Largest absolute feature."""

MAX_THETA: Final = 16 * PARAM_ONE
"""Most that one arm's absolute coefficients may add up to, so that quality stays within 64."""

MAX_PROVIDERS: Final = 64
"""Providers that may be configured at once: exclusions are bits of one word."""

MAX_OPTIMISM: Final = 16 * PARAM_ONE
"""Most that beta * sd may add to an arm's quality."""

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
class Snapshot:
    """Columns of shape (n_arms,) unless said otherwise; whole numbers in float64.

    Attributes
    ----------
    id
        Hash of the components' hashes.
    prices
        Per token and tier, and which arms' prices are known.
    per_token, per_token_above
        (2, n_arms) pico-USD: what an input token and an expected output token cost, each with the
        half point of the cost score added; times tokens it is cost plus half point. The second
        above the threshold, None when no arm has tiers.
    least_context, least_output_limit
        Of any arm: what a request within them need not be checked for.
    capable
        (128, n_arms): whether each arm can do all of what a bit mask of capabilities needs.
    theta
        (n_features, n_arms), 2**-20 for a feature of 1, so 2**-32 for the whole numbers that features are.
    optimism
        (n_tasks, n_arms), beta * sd, 2**-20.
    ttft_prior
        Expected time to first token where nothing was measured, ms.
    allowed
        (n_policies, n_arms): not denied to the tenant and price known.
    modes
        Rules of each variant's modes, and the score that their chains add.
    base
        (n_rules * n_tasks, n_arms) score that depends on neither request nor live state: each rule's
        chain and weighted optimism for each task. Rows of custom mode are without optimism.
    memo
        Room for what the last live state adds to `base`, for the next decision.
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
    capable: NDArray[np.bool_]
    context: Float
    output_limit: Float
    least_context: float
    least_output_limit: float
    prices: PriceList
    per_token: Float
    per_token_above: Float | None
    allowed: NDArray[np.bool_]
    theta: Float
    optimism: Float
    ttft_prior: Float
    modes: ModeTable
    base: Float
    memo: list[Any] = field(default_factory=list, repr=False)

    @property
    def n_arms(self) -> int:
        """How many arms there are."""
        return len(self.provider)

    @property
    def input(self) -> Float:
        """Input prices of the lowest tier, pico-USD per token; 0 where unknown."""
        return self.prices.base.input

    @property
    def output(self) -> Float:
        """Output prices of the lowest tier, pico-USD per token; 0 where unknown."""
        return self.prices.base.output

    @property
    def price_known(self) -> NDArray[np.bool_]:
        """Whether both prices are known."""
        return self.prices.known


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
    columns = {}
    for name, kind in COMPONENTS.items():
        try:
            columns[name] = msgspec.json.decode(parts[name], type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigError(f"snapshot component `{name}` cannot be read: {error}") from error
    return _compile(SnapshotSpec(**columns), identify({name: parts[name] for name in COMPONENTS}))


def compile_snapshot(spec: SnapshotSpec) -> Snapshot:
    """Turn a spec into arrays, asserting every bound that exact arithmetic rests on.

    Raises
    ------
    ConfigError
        Columns differ in length, arms are not ascending, or a value is out of bounds.
    """
    return _compile(spec, identify(parts_of(spec)))


def _compile(spec: SnapshotSpec, snapshot_id: str) -> Snapshot:
    arms, posterior = spec.arms, spec.posterior
    check_shapes(spec)
    providers, models, families = (_codes(c) for c in (arms.provider, arms.model, arms.family))
    if len(providers) > MAX_PROVIDERS:
        raise ConfigError(
            f"{len(providers)} providers are configured; at most {MAX_PROVIDERS} fit a snapshot"
        )
    provider = _coded(arms.provider, providers)
    index = {arm: k for k, arm in enumerate(arms.arm)}
    context = [UNKNOWN_CONTEXT if c is None else c for c in arms.context_window]
    output_limit = [MAX_TOKENS if c is None else c for c in arms.output_limit]
    prices = price_list(spec.prices, posterior.output_ratio)
    optimism, modes = _optimism(posterior, spec.policy), mode_table(spec.policy, index)
    return Snapshot(
        id=snapshot_id,
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
        capable=_capable(arms),
        context=np.array(context, np.float64),
        output_limit=np.array(output_limit, np.float64),
        least_context=float(min(context)),
        least_output_limit=float(min(output_limit)),
        prices=prices,
        per_token=_per_token(prices.base, spec.policy),
        per_token_above=None if prices.above is None else _per_token(prices.above, spec.policy),
        allowed=_allowed(spec.tenants, index, prices),
        theta=_theta(spec),
        optimism=optimism,
        ttft_prior=np.array(posterior.ttft_ms, np.float64),
        modes=modes,
        base=_base(modes, optimism),
    )


def _codes(names: tuple[str, ...]) -> dict[str, int]:
    return {name: code for code, name in enumerate(sorted(set(names)))}


def _coded(names: tuple[str, ...], codes: Mapping[str, int]) -> Int:
    return np.array([codes[name] for name in names], np.int64)


def _capable(arms: Arms) -> NDArray[np.bool_]:
    needs = np.arange(1 << len(CAPABILITIES))[:, None]
    capable: NDArray[np.bool_] = (np.array(arms.capabilities, np.int64) & needs) == needs
    return capable


def _per_token(tier: Tier, policy: Policy) -> Float:
    return np.stack([tier.input, tier.expected]) + policy.cost_half_pico // 1000


def _allowed(tenants: Tenants, index: Mapping[str, int], prices: PriceList) -> NDArray[np.bool_]:
    allowed = np.repeat(prices.known[None, :], len(tenants.policies), axis=0)
    for row, tenant in enumerate(tenants.policies):
        allowed[row, [index[arm] for arm in tenant.denied if arm in index]] = False
    allowed.setflags(write=False)
    return allowed


def _theta(spec: SnapshotSpec) -> Float:
    theta = np.ascontiguousarray(np.array(spec.posterior.theta, np.float64).T)
    size = np.abs(theta).sum(axis=0)
    worst = int(size.argmax())
    if size[worst] > MAX_THETA:
        raise ConfigError(
            f"posterior.theta of {spec.arms.arm[worst]} adds up to {size[worst] / PARAM_ONE:.3g}; "
            f"exact sums need at most {MAX_THETA / PARAM_ONE:.0f}"
        )
    return theta / FEATURE_ONE


def _optimism(posterior: Posterior, policy: Policy) -> Float:
    sd = np.array(posterior.sd, np.float64).T
    optimism: Float = np.floor(sd * (policy.beta / PARAM_ONE))
    if min(sd.min(), policy.beta) < 0 or optimism.max() > MAX_OPTIMISM:
        raise ConfigError(
            f"posterior.sd (least {sd.min() / PARAM_ONE:.3g}) times policy beta "
            f"({policy.beta / PARAM_ONE:.3g}) comes to {optimism.max() / PARAM_ONE:.3g}; expected factors "
            f"of 0 or more and a product of at most {MAX_OPTIMISM / PARAM_ONE:.0f}"
        )
    return np.ascontiguousarray(optimism)


def _base(modes: ModeTable, optimism: Float) -> Float:
    base = modes.own[:, :1, None] * optimism + modes.chain[:, None, :]
    return base.reshape(-1, optimism.shape[1])
