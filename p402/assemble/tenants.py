"""Which arms a tenant may use, and which model its savings are measured against.

Every name in a tenant's rules must be of something that exists: a typing error that denies nothing
costs money, or trust.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from p402.assemble.offers import Offer, reference
from p402.catalog.defaults import BASELINE
from p402.catalog.model import Catalog, Deployment, is_priced
from p402.errors import ConfigError, nearest
from p402.request import Tenant
from p402.routing.spec import TenantPolicy
from p402.settings import TenantSettings


def baselines(
    catalog: Catalog, tenants: Iterable[TenantSettings], offers: Mapping[str, Offer]
) -> tuple[dict[str, str | None], dict[str, Offer]]:
    """Each tenant's baseline model, and the reference arms that it takes to price them all.

    A tenant that names none has the catalogue's own, if the catalogue has it. A model on offer at a
    known price needs no reference arm, unless that price is of a contract which is not the tenant's.

    Raises
    ------
    ConfigError
        A baseline is neither configured nor in the catalogue.
    """
    models: dict[str, str | None] = {}
    references: dict[str, Offer] = {}
    for tenant in tenants:
        found = _baseline(catalog, tenant, offers)
        if found is None and tenant.baseline_model is not None:
            known = {o.model for o in offers.values()} | {d.model_family for d in catalog.deployments}
            raise ConfigError(
                f'tenants.{tenant.name}.baseline_model: "{tenant.baseline_model}" is neither configured '
                f"nor in the catalogue{nearest(tenant.baseline_model, tuple(known))}"
            )
        models[tenant.name], extra = found or (None, None)
        if extra is not None:
            references[extra.arm] = extra
    return models, references


def _baseline(
    catalog: Catalog, tenant: TenantSettings, offers: Mapping[str, Offer]
) -> tuple[str, Offer | None] | None:
    """The model's canonical name, and a reference arm if no configured provider can price it for them."""
    name = tenant.baseline_model or BASELINE
    named = [offer for offer in offers.values() if name in (offer.model, offer.arm)]
    if any(_prices(tenant, offer) for offer in named):
        return named[0].model, None
    found = catalog.find(name)
    candidates = sorted((found,) if found is not None else catalog.named(name), key=_rank)
    for deployment in candidates:
        model = deployment.model_family
        if any(offer.model == model and _prices(tenant, offer) for offer in offers.values()):
            return model, None
        if deployment.id not in offers and is_priced(deployment):
            return model, reference(deployment)
    if named:
        return named[0].model, None  # of unknown price everywhere: so is what it would have cost
    return (candidates[0].model_family, None) if candidates else None


def _prices(tenant: TenantSettings, offer: Offer) -> bool:
    """Whether an offer says what its model costs this tenant; another's contract does not."""
    return is_priced(offer.deployment) and (not offer.contract or _may(tenant, offer))


def _rank(deployment: Deployment) -> tuple[bool, bool, bool, str]:
    """Priced before unpriced, sold before retired, the lab's own before a reseller's."""
    return (
        not is_priced(deployment),
        deployment.status != "active",
        deployment.provider != deployment.family,
        deployment.id,
    )


def policies(tenants: Iterable[TenantSettings], offers: Sequence[Offer]) -> tuple[TenantPolicy, ...]:
    """Which arms each tenant may not use, by tenant name.

    Raises
    ------
    ConfigError
        A rule names no provider, model or arm on offer.
    """
    return tuple(
        TenantPolicy(name=tenant.name, denied=_denied(tenant, offers))
        for tenant in sorted(tenants, key=lambda t: t.name)
    )


def tenant_of(settings: TenantSettings, baseline: str | None) -> Tenant:
    """The tenant as the core sees it."""
    return replace(settings.tenant(), baseline_model=baseline)


def _denied(tenant: TenantSettings, offers: Sequence[Offer]) -> tuple[str, ...]:
    configured = [o for o in offers if not o.reference]
    providers = {o.provider for o in configured}
    models = {o.model for o in configured} | {o.arm for o in configured}
    for rule, known in (
        ("allow_providers", providers),
        ("deny_providers", providers),
        ("allow_models", models),
        ("deny_models", models),
    ):
        for name in getattr(tenant, rule):
            if name not in known:
                raise ConfigError(
                    f'tenants.{tenant.name}.{rule}: found "{name}", which no configured provider has'
                    f"{nearest(name, tuple(known))}"
                )
    return tuple(o.arm for o in offers if not _may(tenant, o))


def _may(tenant: TenantSettings, offer: Offer) -> bool:
    labels = {offer.model, offer.arm}
    return (
        not offer.reference
        and (not tenant.allow_providers or offer.provider in tenant.allow_providers)
        and offer.provider not in tenant.deny_providers
        and (not tenant.allow_models or bool(labels & set(tenant.allow_models)))
        and not labels & set(tenant.deny_models)
    )
