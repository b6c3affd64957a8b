"""What is on offer: the arms that the configured providers make of the catalogue and of their own models.

It knows nothing of tenants, benchmarks or modes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from p402.catalog.defaults import FAST_HARDWARE, searches
from p402.catalog.model import Catalog, Deployment
from p402.catalog.price import PricePeriod, PriceRow, TokenPrices, discounted
from p402.errors import ConfigError, nearest
from p402.routing.spec import LONG_CONTEXT_TOKENS, capability_mask
from p402.settings import ModelSettings, ProviderSettings
from p402.settings.model import is_spoken
from p402.units import pico_per_token


@dataclass(frozen=True, slots=True)
class Offer:
    """One arm before it becomes columns.

    Attributes
    ----------
    upstream_model
        The model's id at its provider.
    fast
        Served on dedicated inference hardware.
    prices
        What it charges here, under the operator's contract: what its `deployment` lists may be more.
    contract
        Whether these prices are the operator's word and not the catalogue's.
    reference
        Belongs to no configured provider: it is there to be priced, never to be called.
    """

    arm: str
    deployment: Deployment
    capabilities: int
    upstream_model: str
    simulated: bool
    fast: bool
    prices: tuple[PricePeriod, ...]
    contract: bool = False
    reference: bool = False

    @property
    def provider(self) -> str:
        """Name of the provider as configured; the catalogue may call it otherwise."""
        return self.arm.split("/", 1)[0]

    @property
    def model(self) -> str:
        """Canonical model name."""
        return self.deployment.model_family


def offers_of(catalog: Catalog, provider: ProviderSettings) -> Iterator[Offer]:
    """Every arm of a configured provider.

    Raises
    ------
    ConfigError
        The provider or one of its models is not in the catalogue.
    """
    listed = provider.catalog or provider.name
    if provider.models is None:
        found = [
            d
            for d in catalog.deployments
            if d.provider == listed
            and d.status == "active"
            and is_spoken(provider.dialect, d.model)
            and not searches(d.model)
        ]
        if not found:
            known = tuple({d.provider for d in catalog.deployments})
            raise ConfigError(
                f'providers.{provider.name}: the catalogue has no provider "{listed}"'
                f"{nearest(listed, known)}; set `catalog`, or list `models`"
            )
        for deployment in found:
            yield _listed(provider, deployment)
        return
    for model in provider.models:
        if isinstance(model, ModelSettings):
            yield _own(provider, model)
            continue
        # Its own list comes first: a reseller's `openai/gpt-x` is not OpenAI's deployment of that id.
        named = catalog.find(f"{listed}/{model}") or catalog.find(model)
        if named is None:
            known = tuple(d.id for d in catalog.deployments if d.provider == listed)
            raise ConfigError(
                f'providers.{provider.name}.models: "{model}" is not in the catalogue'
                f"{nearest(f'{listed}/{model}', known)}; "
                "describe a model of your own as a [[providers.NAME.models]] table"
            )
        yield _listed(provider, named)


def reference(deployment: Deployment) -> Offer:
    """An arm that stands in a snapshot only to be priced."""
    return Offer(
        arm=deployment.id,
        deployment=deployment,
        capabilities=_mask(deployment),
        upstream_model=deployment.model,
        simulated=False,
        fast=False,
        prices=deployment.prices,
        reference=True,
    )


def _listed(provider: ProviderSettings, deployment: Deployment) -> Offer:
    contract = provider.discount_percent != 0
    return Offer(
        arm=f"{provider.name}/{deployment.model}",
        deployment=deployment,
        capabilities=_mask(deployment),
        upstream_model=deployment.model,
        simulated=provider.simulated,
        fast=deployment.provider in FAST_HARDWARE,
        prices=discounted(deployment.prices, provider.discount_percent) if contract else deployment.prices,
        contract=contract,
    )


def _mask(deployment: Deployment) -> int:
    known = deployment.capabilities
    names = ["chat"]
    names += [n for n in ("function_calling", "vision", "json_schema", "reasoning") if getattr(known, n)]
    if known.function_calling or known.reasoning:
        names.append("code")  # no source states it; models that call tools or reason are sold for code
    if (deployment.context_window or 0) >= LONG_CONTEXT_TOKENS:
        names.append("long_context")
    return capability_mask(tuple(names))


def _own(provider: ProviderSettings, model: ModelSettings) -> Offer:
    prices = TokenPrices(
        input=_pico(model.input_usd_per_mtok),
        cache_read=_pico(model.cache_read_usd_per_mtok),
        output=_pico(model.output_usd_per_mtok),
        cache_write=_pico(model.cache_write_usd_per_mtok),
        cache_write_1h=_pico(model.cache_write_1h_usd_per_mtok),
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
    return Offer(
        arm=f"{provider.name}/{model.id}",
        deployment=deployment,
        capabilities=capability_mask(("chat", *model.capabilities, *long)),
        upstream_model=model.upstream_model or model.id,
        simulated=provider.simulated,
        fast=(provider.catalog or provider.name) in FAST_HARDWARE,
        prices=deployment.prices,
        contract=True,
    )


def _pico(usd_per_mtok: Decimal | None) -> int | None:
    return None if usd_per_mtok is None else int(pico_per_token(usd_per_mtok))
