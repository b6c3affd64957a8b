"""What a cache saves and what it gets wrong in a world, without it, exact, guarded, and by the cosine alone.

    python -m experiments.cache_world [--preset repeats] [--seeds 10] [--rounds N]

The same requests are played under each setting, with the gateway as it is configured. What the cosine alone
would give is an injected hand of the cache's port, not a setting of the product: nobody should want it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from p402.cache.contract import MISS, SEMANTIC, Embedder, Entry, Hit, Miss, Query, Tally
from p402.cache.index import Index
from p402.cache.local import LocalCache
from sim.compare.numbers import interval, written
from sim.compare.paired import Bounded, difference, over_seeds
from sim.world import run
from sim.world.gateway import Gateway
from sim.world.play import MakeCache
from sim.world.preset import preset
from sim.world.spec import WorldSpec

CANDIDATES: Final = 4
"""Prompts above the cosine that are looked at, as in the product."""


class Unguarded:
    """A cache that gives the nearest prompt's answer, whatever its words say.

    Parameters
    ----------
    now_ms, embedder, max_entries
        As of `LocalCache`.
    """

    def __init__(self, now_ms: Callable[[], int], embedder: Embedder | None, max_entries: int) -> None:
        self._kept, self._embedder = LocalCache(now_ms, None, max_entries), embedder
        self._near: dict[bytes, Index] = {}
        self._asked: dict[bytes, Query] = {}

    async def find(self, query: Query) -> Hit | Miss:
        """An exact repeat's answer, else that of the nearest prompt of the scope above the cosine."""
        found = await self._kept.find(query)
        if isinstance(found, Hit) or query.text is None or self._embedder is None:
            return found
        vector = await self._embedder.embed(query.text)
        if vector is None:
            return MISS
        near = self._near.get(query.scope, Index()).above(vector, query.similarity, CANDIDATES)
        for key, cosine in near:
            kept = await self._kept.find(self._asked[key])
            if isinstance(kept, Hit):
                return Hit(kept.entry, SEMANTIC, min(cosine, 1.0))
        return Miss(vector)

    def keep(self, query: Query, miss: Miss, entry: Entry) -> None:
        """Keep an answer."""
        self._kept.keep(query, MISS, entry)
        if miss.vector is not None:
            self._near.setdefault(query.scope, Index()).put(query.exact, miss.vector)
            self._asked[query.exact] = query

    async def tally(self, tenant: str) -> Tally:
        """What there is of a tenant."""
        return await self._kept.tally(tenant)

    async def clear(self, tenant: str) -> int:
        """Forget everything of a tenant."""
        return await self._kept.clear(tenant)

    async def evict(self, tenant: str, entry: str) -> bool:
        """Forget one entry."""
        return await self._kept.evict(tenant, entry)

    async def close(self) -> None:
        """Forget all."""
        await self._kept.close()


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to play the world."""

    name: str
    spec: WorldSpec
    cache: MakeCache = LocalCache


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run came to: shares of requests, USD and qualities."""

    hits: float
    wrong: float
    cost_usd: float
    quality: float


def settings_of(spec: WorldSpec) -> tuple[Setting, ...]:
    """The world without its cache, and with more and more of it."""
    away = tuple(
        replace(tenant, cache=replace(tenant.cache, in_cost_mode=False, asks=0.0)) for tenant in spec.tenants
    )
    return (
        Setting("no cache", replace(spec, tenants=away)),
        Setting("exact repeats", replace(spec, cache=replace(spec.cache, compares=False))),
        Setting("cosine and guards", spec),
        Setting("cosine alone", spec, Unguarded),
    )


def figures_of(table: pa.Table) -> Figures:
    """A run's sums."""
    cached, wrong = (pc.sum(table.column(name)).as_py() or 0 for name in ("cached", "wrong"))
    return Figures(
        hits=cached / table.num_rows,
        wrong=wrong / table.num_rows,
        cost_usd=(pc.sum(table.column("cost_nano")).as_py() or 0) / 1e9,
        quality=float(np.nanmean(table.column("quality").to_numpy())),
    )


def study(spec: WorldSpec, seeds: int, rounds: int | None) -> Mapping[str, list[Figures]]:
    """Play every setting on every seed."""
    return {
        setting.name: [
            figures_of(run(setting.spec, Gateway(), seed, rounds=rounds, cache=setting.cache))
            for seed in range(1, seeds + 1)
        ]
        for setting in settings_of(spec)
    }


def rows_of(found: Mapping[str, list[Figures]]) -> Iterator[tuple[str, ...]]:
    """Means over seeds with intervals; cost and quality beside no cache, on the same requests."""
    base = next(iter(found.values()))
    for name, runs in found.items():
        saved = [1.0 - r.cost_usd / b.cost_usd for r, b in zip(runs, base, strict=True)]
        gap = difference([r.quality for r in runs], [b.quality for b in base])
        yield (
            name,
            _said(over_seeds([r.hits for r in runs])),
            _said(over_seeds([r.wrong for r in runs])),
            _said(over_seeds([r.wrong / r.hits if r.hits else 0.0 for r in runs])),
            _said(over_seeds(saved)),
            f"{written(gap.value, 'score', signed=True)} {interval(gap, 'score', signed=True)}",
        )


def main(
    preset_name: Annotated[str, typer.Option("--preset", help="A world that repeats something.")] = "repeats",
    seeds: Annotated[int, typer.Option(help="Runs of each setting.", min=2)] = 10,
    rounds: Annotated[int | None, typer.Option(help="Requests of a run; else its hours.", min=1)] = None,
) -> None:
    """Print what a cache saves and gets wrong in a world."""
    table = Table(title=f"world {preset_name}, {seeds} seeds; means and 95 % intervals")
    for name in ("setting", "cached", "wrong", "wrong of cached", "cost saved", "quality gained"):
        table.add_column(name, no_wrap=True)
    for row in rows_of(study(preset(preset_name), seeds, rounds)):
        table.add_row(*row)
    Console(width=180).print(table)


def _said(at: Bounded) -> str:
    return f"{at.value:.2%} [{at.lower:.2%}, {at.upper:.2%}]"


if __name__ == "__main__":
    typer.run(main)
