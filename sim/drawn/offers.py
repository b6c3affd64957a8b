"""What is on offer in a drawn world: every model of a table at some providers, and how the log explores.

The snapshot is made by the product's own `assemble`: prices and benchmark prior go in as an operator
would configure them, and the prior knows the `val` split alone. It knows nothing of rounds.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from p402.assemble import START_WEIGHTS, Assembly, assemble
from p402.catalog.benchmarks import Benchmark
from p402.routing.compiled import Snapshot, compile_snapshot
from p402.routing.scale import param
from p402.routing.spec import Mode, SnapshotSpec
from p402.settings import read_settings
from p402.store.catalog import load_catalog
from p402_datasets.outcomes import task_means
from p402_datasets.paretobandit import VAL
from sim.drawn.tables import Priced

START_MS: Final = 1_795_132_800_000
"""2026-11-20 00:00 UTC: when the drawn day begins."""

FACTORS: Final = (Decimal("1.0"), Decimal("0.8"), Decimal("1.5"))
"""Price factors of the providers of a small table."""

FEW: Final = 6
"""Up to so many models a table is offered at every factor; a larger one at list price alone."""

WINDOW: Final = 1_000_000
"""Context window and output limit in tokens: no outcome of a table is turned away for its length."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the log explores.

    Attributes
    ----------
    floor
        Share spread evenly over the exploration set, in (0, 1]; the product ships 0.01.
    wide
        Whether tolerance and cost ratio are lifted, so that every eligible arm is explored. As shipped, arms
        that cost 3 times the incumbent's are never tried, and of most targets such a log says nothing.
    """

    floor: float = 0.01
    wide: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Offered:
    """A table's models as arms.

    Attributes
    ----------
    factor
        Price factor of each arm.
    column
        The arm's column of the table.
    """

    priced: Priced
    assembly: Assembly
    snapshot: Snapshot
    factor: tuple[Decimal, ...]
    column: tuple[int, ...]


def offer(priced: Priced, rules: Rules, factors: Sequence[Decimal] | None = None) -> Offered:
    """Every model of a table at a provider for each price factor.

    Parameters
    ----------
    factors
        Above 0; None for the usual ones.
    """
    if factors is None:
        factors = FACTORS if len(priced.table.models) <= FEW else FACTORS[:1]
    settings = read_settings(tomllib.loads(_toml(priced, factors), parse_float=Decimal), {})
    made = assemble(load_catalog(), settings, benchmarks_of(priced), START_WEIGHTS, START_MS)
    spec = ruled(made.spec, rules)
    assembly = Assembly(spec, made.upstream_model, made.tenants, made.next_change_ms)
    by_name = {provider_of(factor): factor for factor in factors}
    by_model = {name: k for k, name in enumerate(names_of(priced.table.models))}
    arms = spec.arms
    return Offered(
        priced=priced,
        assembly=assembly,
        snapshot=compile_snapshot(spec),
        factor=tuple(by_name[provider] for provider in arms.provider),
        column=tuple(by_model[model] for model in arms.model),
    )


def ruled(spec: SnapshotSpec, rules: Rules) -> SnapshotSpec:
    """The snapshot with other exploration rules in every mode; weights stay."""

    def mode(was: Mode) -> Mode:
        changed = msgspec.structs.replace(was, floor=param(rules.floor))
        if rules.wide:
            changed = msgspec.structs.replace(changed, tolerance=param(1.0), cost_ratio=param(1000.0))
        return changed

    variants = tuple(tuple(mode(was) for was in row) for row in spec.policy.variants)
    return msgspec.structs.replace(spec, policy=msgspec.structs.replace(spec.policy, variants=variants))


def provider_of(factor: Decimal) -> str:
    """Name of the provider that asks `factor` times the list price: `x100` for 1, `x080` for 0.8."""
    return f"x{int(factor * 100):03d}"


def names_of(models: Sequence[str]) -> tuple[str, ...]:
    """Canonical names: the ids without their maker where that leaves them different, else whole."""
    short = [model.rsplit("/", 1)[-1] for model in models]
    return tuple(short) if len(set(short)) == len(models) else tuple(m.replace("/", "_") for m in models)


def baseline_of(priced: Priced) -> str:
    """The model that direct costs are priced at: the one of the highest mean cost on `val`."""
    mean = priced.table.split(VAL).cost_usd.mean(axis=0)
    return names_of(priced.table.models)[int(mean.argmax())]


def benchmarks_of(priced: Priced) -> tuple[Benchmark, ...]:
    """Mean quality of every model and task on `val`: what an operator would know beforehand."""
    table = priced.table
    names = dict(zip(table.models, names_of(table.models), strict=True))
    return tuple(
        Benchmark(
            model=names[mean.model],
            task=mean.task,
            score=mean.score,
            n=mean.n,
            source=f"{table.source} {VAL} split, mean quality",
            date=table.read_on,
            licence=table.licence,
        )
        for mean in task_means(table.split(VAL))
    )


def _slug(text: str) -> str:
    """A lab's short name, as settings want it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _toml(priced: Priced, factors: Sequence[Decimal]) -> str:
    return "\n".join(
        [*_lines(priced, factors), "[tenants.default]", f"baseline_model = {json.dumps(baseline_of(priced))}"]
    )


def _lines(priced: Priced, factors: Sequence[Decimal]) -> Iterator[str]:
    names = names_of(priced.table.models)
    for factor in factors:
        yield f"[providers.{provider_of(factor)}]"
        yield 'dialect = "openai"'
        yield 'base_url = "http://127.0.0.1:1/v1"'
        yield 'api_key = "sim-drawn"'
        yield "simulated = true"
        for model, name in zip(priced.table.models, names, strict=True):
            price = priced.prices[model]
            yield f"[[providers.{provider_of(factor)}.models]]"
            yield f"id = {json.dumps(name)}"
            yield f"model_family = {json.dumps(name)}"
            yield f"family = {json.dumps(_slug(model.split('/', 1)[0]))}"
            yield f"context_window = {WINDOW}"
            yield f"output_limit = {WINDOW}"
            yield 'capabilities = ["chat", "code"]'
            yield f"input_usd_per_mtok = {price.input_usd_per_mtok * factor:f}"
            yield f"output_usd_per_mtok = {price.output_usd_per_mtok * factor:f}"
