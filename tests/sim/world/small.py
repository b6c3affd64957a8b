"""A small world for tests: every table can be changed, and a run of it takes a fraction of a second."""

import msgspec

from sim.world.spec import (
    Arrivals,
    Gaussian,
    Judge,
    ModelSpec,
    ProviderSpec,
    Sessions,
    Spread,
    TaskSpec,
    TenantSpec,
    WorldSpec,
)

CHEAP = ModelSpec(
    id="cheap",
    input_usd_per_mtok=0.2,
    output_usd_per_mtok=0.8,
    quality={"chat": 0.55, "code": 0.3},
    benchmark={"chat": 0.6, "code": 0.35},
)
DEAR = ModelSpec(
    id="dear",
    input_usd_per_mtok=2.0,
    output_usd_per_mtok=8.0,
    quality={"chat": 0.9, "code": 0.85},
    benchmark={"chat": 0.85, "code": 0.8},
    reward=Gaussian(sd=0.3),
)
ALDER = ProviderSpec(name="alder", models=("cheap", "dear"))
BIRCH = ProviderSpec(name="birch", models=("cheap", "dear"), price_factor=1.1)


def a_world(**changes: object) -> WorldSpec:
    """Two models at two providers, some 120 requests in two hours; changes replace fields."""
    spec = WorldSpec(
        name="small",
        hours=2,
        arrivals=Arrivals(per_hour=60),
        sessions=Sessions(mean_turns=2, most_turns=6),
        tenants=(TenantSpec(name="shop", baseline_model="dear"),),
        tasks=(
            TaskSpec(name="chat", share=2, difficulty_sd=0.1),
            TaskSpec(name="code", output=Spread(median=400, sigma=0.5, least=1, most=4000)),
        ),
        models=(CHEAP, DEAR),
        providers=(ALDER, BIRCH),
        judges=(Judge(name="user", share=0.6, delay_s=Spread(median=120, sigma=0.3)),),
    )
    return msgspec.structs.replace(spec, **changes)


def changed(part: msgspec.Struct, **changes: object) -> msgspec.Struct:
    """The same table with other values."""
    return msgspec.structs.replace(part, **changes)
