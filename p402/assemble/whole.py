"""Settings, catalogue, benchmarks and published weights to one snapshot.

The one place where what is on offer, what was configured and what was learned meet. Pure: the
same inputs at the same instant give the same bytes. It knows no files, keys or URLs.

Reference arms are priced but belong to no configured provider: they stand in the snapshot so
that a baseline can be priced, and every tenant policy denies them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from p402.assemble.columns import arms_of, posterior_of, prices_of
from p402.assemble.offers import offers_of
from p402.assemble.policy import policy_of
from p402.assemble.tenants import baselines, policies, tenant_of
from p402.catalog.benchmarks import Benchmark
from p402.catalog.model import Catalog
from p402.catalog.price import next_price_change
from p402.errors import ConfigError
from p402.request import Tenant
from p402.routing.spec import SnapshotSpec, Tenants
from p402.settings import Settings


@dataclass(frozen=True, slots=True)
class Assembly:
    """A snapshot's spec and what belongs to it outside the decision.

    Attributes
    ----------
    upstream_model
        Arm id to the model's id at its provider, for every arm that can be called.
    tenants
        By name, baselines resolved to canonical models.
    next_change_ms
        When a price next changes, so that the snapshot must be assembled again; None for never.
    """

    spec: SnapshotSpec
    upstream_model: Mapping[str, str]
    tenants: Mapping[str, Tenant]
    next_change_ms: int | None


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
    configured = {o.arm: o for p in settings.providers.values() for o in offers_of(catalog, p)}
    if not configured:
        raise ConfigError("no arm: the configured providers offer no model; check `models` and `catalog`")
    tenants = settings.tenants.values()
    baseline, references = baselines(catalog, tenants, configured)
    offers = sorted((configured | references).values(), key=lambda offer: offer.arm)
    spec = SnapshotSpec(
        arms=arms_of(offers),
        prices=prices_of(offers, now_ms),
        posterior=posterior_of(offers, tuple(benchmarks), now_ms),
        policy=policy_of(settings.server.salt, balanced, offers, float(settings.server.exploration_loss)),
        tenants=Tenants(policies=policies(tenants, offers)),
    )
    return Assembly(
        spec=spec,
        upstream_model={o.arm: o.upstream_model for o in offers if not o.reference},
        tenants={t.name: tenant_of(t, baseline[t.name]) for t in tenants},
        next_change_ms=next_price_change(offers, now_ms),
    )
