"""What is on offer: deployments, what each can do, and where each value comes from.

Models, providers and deployments are three things: a deployment is one model at one provider,
its id is exact (`provider/model`), and nothing is ever found by prefix. What no source says is
None, never 0 and never False.
It knows nothing of files, configuration or routing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal

import msgspec

from p402.catalog.price import PricePeriod

Tokens = Annotated[int, msgspec.Meta(gt=0)]
Status = Literal["active", "deprecated", "removed"]


class Source(msgspec.Struct, frozen=True):
    """Where values come from.

    Attributes
    ----------
    name
        Package and version, or the file of corrections.
    date
        Day the source speaks of, YYYY-MM-DD.
    licence
        SPDX expression of the data.
    url
        Where the source lives.
    """

    name: str
    date: str
    licence: str
    url: str


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Origin of one value.

    Attributes
    ----------
    source
        Key into `Catalog.sources`, whose date is the value's date.
    inherited_from
        `provider/model` in that source when the value was read from the same model at its own
        lab; None when it was read from this very deployment.
    """

    source: str
    inherited_from: str | None = None


class Marks(msgspec.Struct, frozen=True, array_like=True):
    """Origin of each value of a deployment; None where the value itself is unknown."""

    price: Mark | None = None
    context: Mark | None = None
    output_limit: Mark | None = None
    capabilities: Mark | None = None
    status: Mark | None = None


class Capabilities(msgspec.Struct, frozen=True, array_like=True):
    """What a deployment accepts and does; None where no source says."""

    function_calling: bool | None = None
    vision: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None


UNKNOWN_CAPABILITIES = Capabilities()


class Deployment(msgspec.Struct, frozen=True, array_like=True):
    """One model at one provider.

    Attributes
    ----------
    provider, model
        Who serves it, and the id it has there.
    model_family
        Canonical model name, the same at every provider that serves the model.
    family
        Lab whose transcripts it continues (`anthropic`, `openai`, ...); a hard filter while a
        transcript holds thinking signatures or encrypted reasoning.
    context_window, output_limit
        Tokens.
    prices
        In the source's order: the last period in force wins. Empty when unpriced.
    released
        Release day, YYYY-MM-DD or shorter, as the source gives it.
    price_rounded
        A price of the source was not a whole number of pico-USD and was rounded half up.
    """

    provider: str
    model: str
    model_family: str
    family: str
    name: str
    context_window: Tokens | None = None
    output_limit: Tokens | None = None
    capabilities: Capabilities = UNKNOWN_CAPABILITIES
    prices: tuple[PricePeriod, ...] = ()
    status: Status = "active"
    released: str | None = None
    open_weights: bool | None = None
    price_rounded: bool = False
    sources: Marks = Marks()

    @property
    def id(self) -> str:
        """`provider/model`; the model id may itself hold slashes."""
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every deployment, found by exact id.

    Attributes
    ----------
    version
        Hash of the contents.
    built_on
        Day the sources were compiled, YYYY-MM-DD.
    aliases
        The explicit table of other names of deployment ids; there is no other way to resolve one.

    Raises
    ------
    ValueError
        Two deployments share an id, or an alias names none or hides one.
    """

    version: str
    built_on: str
    sources: Mapping[str, Source]
    aliases: Mapping[str, str]
    deployments: tuple[Deployment, ...]
    by_id: Mapping[str, Deployment] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {deployment.id: deployment for deployment in self.deployments}
        if len(index) != len(self.deployments):
            raise ValueError(
                f"{len(self.deployments) - len(index)} deployment ids occur twice; ids are unique"
            )
        for alias, target in self.aliases.items():
            if target not in index:
                raise ValueError(f"alias {alias!r} names {target!r}, which is no deployment")
            if alias in index:
                raise ValueError(f"alias {alias!r} hides the deployment of that id")
        object.__setattr__(self, "by_id", MappingProxyType(index))

    def find(self, name: str) -> Deployment | None:
        """Return the deployment with this exact id or explicit alias."""
        return self.by_id.get(self.aliases.get(name, name))

    def named(self, model: str) -> tuple[Deployment, ...]:
        """Return all deployments of a model, by canonical name or by its exact id at a provider."""
        return tuple(d for d in self.deployments if model in (d.model_family, d.model))


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a catalogue holds, models, providers and deployments apart.

    `priced` deployments have an input and an output price in some period; `priced_models` are the
    models with at least one such deployment.
    """

    providers: int
    models: int
    deployments: int
    priced_models: int
    priced: int
    active_priced: int
    with_context: int
    with_output_limit: int
    with_capabilities: int
    price_context_capabilities: int


def is_priced(deployment: Deployment) -> bool:
    """Whether some period gives both an input and an output price."""
    return any(
        p.prices.base.input is not None and p.prices.base.output is not None for p in deployment.prices
    )


def counts(deployments: Iterable[Deployment]) -> Counts:
    """Count models, providers and deployments, and how many have each kind of value."""
    rows = tuple(deployments)
    priced = [d for d in rows if is_priced(d)]
    known = [d for d in rows if d.capabilities != UNKNOWN_CAPABILITIES]
    return Counts(
        providers=len({d.provider for d in rows}),
        models=len({d.model_family for d in rows}),
        deployments=len(rows),
        priced_models=len({d.model_family for d in priced}),
        priced=len(priced),
        active_priced=sum(d.status == "active" for d in priced),
        with_context=sum(d.context_window is not None for d in rows),
        with_output_limit=sum(d.output_limit is not None for d in rows),
        with_capabilities=len(known),
        price_context_capabilities=sum(d.context_window is not None and is_priced(d) for d in known),
    )
