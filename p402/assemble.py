"""Settings, catalogue, benchmarks and published weights to one snapshot.

The one place where what is on offer, what was configured and what was learned meet. Pure: the
same inputs at the same instant give the same bytes. It knows no files, keys or URLs.

Reference arms are priced but belong to no configured provider: they stand in the snapshot so
that a baseline can be priced, and every tenant policy denies them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import sqrt
from typing import Final

from p402.catalog.benchmarks import Benchmark, Prior, priors
from p402.catalog.defaults import BASELINE, COST_CHAIN, FAST_HARDWARE
from p402.catalog.model import Capabilities, Catalog, Deployment
from p402.catalog.price import PricePeriod, PriceRow, TokenPrices, next_price_change, prices_at
from p402.errors import ConfigError, nearest
from p402.request import Tenant
from p402.routing.features import FEATURES
from p402.routing.scale import FEATURE_ONE, param
from p402.routing.spec import (
    LONG_CONTEXT_TOKENS,
    TASKS,
    Arms,
    Mode,
    Policy,
    Posterior,
    Prices,
    SnapshotSpec,
    TenantPolicy,
    Tenants,
    capability_mask,
)
from p402.settings import ModelSettings, ProviderSettings, Settings, TenantSettings
from p402.units import pico_per_token

START_WEIGHTS: Final = (param(0.5), param(0.5), 0)
"""Quality, cost, speed of balanced mode before anything was learned (promise P7)."""

FAST_TTFT_MS: Final = 150
USUAL_TTFT_MS: Final = 600
"""Prior time to first token with and without dedicated inference hardware: an order, no measurement."""

BENCHMARK_SD: Final = 0.05
"""How far a model's worth here may lie from its benchmark, beside the benchmark's sampling error."""

BORROWED_SD: Final = 0.15
"""The same for a task without a score of its own, taken at the mean of the model's other tasks."""

_TIE: Final = 1 << 10
"""Weight of cost in modes that do not ask for it: about 0.001, to order arms equal in what they do."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """A snapshot's spec and what belongs to it outside the decision.

    Attributes
    ----------
    upstream_model
        Arm id to the model's id at its provider, for every arm that can be called.
    tenants
        By name, baselines resolved.
    next_change_ms
        When a price next changes, so that the snapshot must be assembled again; None for never.
    """

    spec: SnapshotSpec
    upstream_model: Mapping[str, str]
    tenants: Mapping[str, Tenant]
    next_change_ms: int | None


@dataclass(frozen=True, slots=True)
class _Offer:
    """One arm before it becomes columns."""

    arm: str
    deployment: Deployment
    capabilities: int
    upstream_model: str
    simulated: bool
    fast: bool
    reference: bool = False


def assemble(
    catalog: Catalog,
    settings: Settings,
    benchmarks: Iterable[Benchmark],
    balanced: tuple[int, int, int],
    now_ms: int,
) -> Assembly:
    """Build the snapshot in force at an instant.

    Parameters
    ----------
    balanced
        Quality, cost and speed weight of balanced mode, multiples of 2**-20.
    now_ms
        Instant whose prices are taken.

    Raises
    ------
    ConfigError
        A configured model, baseline or tenant rule names what does not exist.
    """
    offers = {offer.arm: offer for p in settings.providers.values() for offer in _offers(catalog, p)}
    offers |= {o.arm: o for o in _references(catalog, settings, offers)}
    ordered = [offers[arm] for arm in sorted(offers)]
    if not any(not offer.reference for offer in ordered):
        raise ConfigError("no arm: the configured providers offer no model; check `models` and `catalog`")
    believed = _posterior(ordered, tuple(benchmarks), now_ms)
    names = _Names(ordered)
    spec = SnapshotSpec(
        arms=_arms(ordered),
        prices=_prices(ordered, now_ms),
        posterior=believed,
        policy=_policy(settings.server.salt, balanced),
        tenants=Tenants(
            policies=tuple(
                TenantPolicy(name=t.name, denied=_denied(t, ordered, names))
                for t in sorted(settings.tenants.values(), key=lambda t: t.name)
            )
        ),
    )
    usual = _usual_baseline(ordered)
    return Assembly(
        spec=spec,
        upstream_model={o.arm: o.upstream_model for o in ordered if not o.reference},
        tenants={name: _tenant(t, usual, names) for name, t in settings.tenants.items()},
        next_change_ms=next_price_change((o.deployment for o in ordered), now_ms),
    )


class _Names:
    """What tenant rules may name, to tell a typing error from a rule."""

    def __init__(self, offers: list[_Offer]) -> None:
        self.providers = {o.arm.split("/", 1)[0] for o in offers}
        self.models = {o.deployment.model_family for o in offers} | {o.arm for o in offers}

    def check(self, where: str, given: Iterable[str], known: set[str]) -> None:
        for name in given:
            if name not in known:
                raise ConfigError(
                    f'{where}: found "{name}", which no configured provider has{nearest(name, tuple(known))}'
                )


def _offers(catalog: Catalog, provider: ProviderSettings) -> Iterator[_Offer]:
    listed = provider.catalog or provider.name
    if provider.models is None:
        found = [d for d in catalog.deployments if d.provider == listed and d.status == "active"]
        if not found:
            known = tuple({d.provider for d in catalog.deployments})
            raise ConfigError(
                f'providers.{provider.name}: the catalogue has no provider "{listed}"'
                f"{nearest(listed, known)} Set `catalog`, or list `models`."
            )
        for deployment in found:
            yield _listed(provider, deployment)
        return
    for model in provider.models:
        if isinstance(model, ModelSettings):
            yield _own(provider, model)
            continue
        deployment_or_none = catalog.find(model) or catalog.find(f"{listed}/{model}")
        if deployment_or_none is None:
            known = tuple(d.id for d in catalog.deployments if d.provider == listed)
            raise ConfigError(
                f'providers.{provider.name}.models: "{model}" is not in the catalogue{nearest(model, known)} '
                "Describe a model of your own as a [[providers.NAME.models]] table."
            )
        yield _listed(provider, deployment_or_none)


def _listed(provider: ProviderSettings, deployment: Deployment) -> _Offer:
    return _Offer(
        arm=f"{provider.name}/{deployment.model}",
        deployment=deployment,
        capabilities=_mask(deployment),
        upstream_model=deployment.model,
        simulated=provider.simulated,
        fast=deployment.provider in FAST_HARDWARE,
    )


def _mask(deployment: Deployment) -> int:
    known: Capabilities = deployment.capabilities
    names = ["chat"]
    names += [n for n in ("function_calling", "vision", "json_schema", "reasoning") if getattr(known, n)]
    if known.function_calling or known.reasoning:
        names.append("code")  # no source states it; models that call tools or reason are sold for code
    if (deployment.context_window or 0) >= LONG_CONTEXT_TOKENS:
        names.append("long_context")
    return capability_mask(tuple(names))


def _own(provider: ProviderSettings, model: ModelSettings) -> _Offer:
    def pico(usd: Decimal | None) -> int | None:
        return None if usd is None else int(pico_per_token(usd))

    prices = TokenPrices(
        input=pico(model.input_usd_per_mtok),
        cache_read=pico(model.cache_read_usd_per_mtok),
        output=pico(model.output_usd_per_mtok),
    )
    priced = prices.input is not None or prices.output is not None
    deployment = Deployment(
        provider=provider.name,
        model=model.id,
        model_family=model.model_family or model.id,
        family=model.family or provider.name,
        name=model.id,
        context_window=model.context_window,
        output_limit=model.output_limit,
        prices=(PricePeriod(prices=PriceRow(base=prices)),) if priced else (),
    )
    long = ("long_context",) if (model.context_window or 0) >= LONG_CONTEXT_TOKENS else ()
    return _Offer(
        arm=f"{provider.name}/{model.id}",
        deployment=deployment,
        capabilities=capability_mask(("chat", *model.capabilities, *long)),
        upstream_model=model.upstream_model or model.id,
        simulated=provider.simulated,
        fast=False,
    )


def _references(catalog: Catalog, settings: Settings, offers: Mapping[str, _Offer]) -> Iterator[_Offer]:
    """A priced arm for every tenant baseline that no configured provider offers."""
    offered = {o.deployment.model_family for o in offers.values()} | set(offers)
    for tenant in settings.tenants.values():
        name = tenant.baseline_model
        if name is None or name in offered:
            continue
        found = catalog.find(name)
        candidates = (found,) if found is not None else catalog.named(name)
        if not candidates:
            known = (*offered, *(d.model_family for d in catalog.deployments))
            raise ConfigError(
                f'tenants.{tenant.name}.baseline_model: "{name}" is neither configured nor in the catalogue'
                f"{nearest(name, known)}"
            )
        lab = next((d for d in candidates if d.provider == d.family), candidates[0])
        yield _Offer(
            arm=f"{lab.provider}/{lab.model}",
            deployment=lab,
            capabilities=_mask(lab),
            upstream_model=lab.model,
            simulated=False,
            fast=False,
            reference=True,
        )


def _arms(offers: list[_Offer]) -> Arms:
    return Arms(
        arm=tuple(o.arm for o in offers),
        provider=tuple(o.arm.split("/", 1)[0] for o in offers),
        model=tuple(o.deployment.model_family for o in offers),
        family=tuple(o.deployment.family for o in offers),
        capabilities=tuple(o.capabilities for o in offers),
        context_window=tuple(o.deployment.context_window for o in offers),
        output_limit=tuple(o.deployment.output_limit for o in offers),
        simulated=tuple(o.simulated for o in offers),
    )


def _prices(offers: list[_Offer], now_ms: int) -> Prices:
    rows = [prices_at(o.deployment, now_ms) for o in offers]
    tiers = [None if row is None else row.routing_tier() for row in rows]
    return Prices(
        input=tuple(None if row is None else row.base.input for row in rows),
        cache_read=tuple(None if row is None else row.base.cache_read for row in rows),
        output=tuple(None if row is None else row.base.output for row in rows),
        threshold=tuple(None if t is None else t.threshold for t in tiers),
        input_above=tuple(None if t is None else t.prices.input for t in tiers),
        cache_read_above=tuple(None if t is None else t.prices.cache_read for t in tiers),
        output_above=tuple(None if t is None else t.prices.output for t in tiers),
    )


def _posterior(offers: list[_Offer], benchmarks: tuple[Benchmark, ...], now_ms: int) -> Posterior:
    prior = priors((o.deployment for o in offers), now_ms)
    scores: dict[str, dict[str, Benchmark]] = {}
    for benchmark in benchmarks:
        scores.setdefault(benchmark.model, {})[benchmark.task] = benchmark
    theta, sd, source = [], [], []
    for offer in offers:
        own = scores.get(offer.deployment.model_family, {}) | scores.get(offer.arm, {})
        means, sds, origin = _believed(own, prior[offer.deployment.id])
        bias = sum(means) / len(means)
        row = [param(bias), *(param(m - bias) for m in means)]
        theta.append(tuple(row + [0] * (len(FEATURES) - len(row))))
        sd.append(tuple(param(s) for s in sds))
        source.append(origin)
    return Posterior(
        features=FEATURES,
        tasks=TASKS,
        theta=tuple(theta),
        sd=tuple(sd),
        output_ratio=(FEATURE_ONE,) * len(offers),
        ttft_ms=tuple(FAST_TTFT_MS if o.fast else USUAL_TTFT_MS for o in offers),
        quality_source=tuple(source),
    )


def _believed(own: Mapping[str, Benchmark], prior: Prior) -> tuple[list[float], list[float], str]:
    """Mean and sd of an arm's quality by task, and where they come from."""
    if not own:
        return [prior.mean] * len(TASKS), [prior.sd] * len(TASKS), prior.quality_source
    mean = sum(b.score for b in own.values()) / len(own)
    means, sds = [], []
    for task in TASKS:
        benchmark = own.get(task)
        if benchmark is None:
            means.append(mean)
            sds.append(BORROWED_SD)
            continue
        sampling = benchmark.score * (1 - benchmark.score) / (benchmark.n or 100)
        means.append(benchmark.score)
        sds.append(sqrt(sampling + BENCHMARK_SD**2))
    return means, sds, next(iter(own.values())).source


def _policy(salt: int, balanced: tuple[int, int, int]) -> Policy:
    quality, cost, speed = balanced
    modes = (
        _mode(0, param(1.0), 0, tolerance=0.02, loss_cap=0.005, chain=COST_CHAIN),
        _mode(param(1.0), _TIE, 0, tolerance=0.02, loss_cap=0.005),
        _mode(0, _TIE, param(1.0), tolerance=0.02, loss_cap=0.005),
        _mode(quality, cost, speed, tolerance=0.3, loss_cap=0.02),
    )
    return Policy(
        salt=salt,
        beta=param(0.5),
        cost_half_pico=2_000_000_000,
        ttft_half_ms=300,
        switch_cost=param(0.05),
        prefer_bonus=param(0.1),
        set_size=32,
        cost_ratio=3,
        default_max_output=4_096,
        variants=(modes,),
    )


def _mode(
    quality: int, cost: int, speed: int, *, tolerance: float, loss_cap: float, chain: tuple[str, ...] = ()
) -> Mode:
    return Mode(
        quality=quality,
        cost=cost,
        speed=speed,
        tolerance=param(tolerance),
        explore=True,
        loss_cap=param(loss_cap),
        floor=param(0.01),
        chain=chain,
    )


def _denied(tenant: TenantSettings, offers: list[_Offer], names: _Names) -> tuple[str, ...]:
    where = f"tenants.{tenant.name}"
    names.check(f"{where}.allow_providers", tenant.allow_providers, names.providers)
    names.check(f"{where}.deny_providers", tenant.deny_providers, names.providers)
    names.check(f"{where}.allow_models", tenant.allow_models, names.models)
    names.check(f"{where}.deny_models", tenant.deny_models, names.models)

    def may(offer: _Offer) -> bool:
        provider = offer.arm.split("/", 1)[0]
        labels = {offer.deployment.model_family, offer.arm}
        return (
            not offer.reference
            and (not tenant.allow_providers or provider in tenant.allow_providers)
            and provider not in tenant.deny_providers
            and (not tenant.allow_models or bool(labels & set(tenant.allow_models)))
            and not labels & set(tenant.deny_models)
        )

    return tuple(o.arm for o in offers if not may(o))


def _usual_baseline(offers: list[_Offer]) -> str | None:
    """The catalogue's baseline model, where the snapshot can price it."""
    model = BASELINE.split("/", 1)[1]
    return model if any(o.deployment.model_family == model for o in offers) else None


def _tenant(settings: TenantSettings, usual: str | None, names: _Names) -> Tenant:
    tenant = settings.tenant()
    if tenant.baseline_model is None:
        return replace(tenant, baseline_model=usual)
    names.check(f"tenants.{tenant.name}.baseline_model", (tenant.baseline_model,), names.models)
    return tenant
