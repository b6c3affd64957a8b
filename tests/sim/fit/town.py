"""A world of four days whose laws are known, and its log."""

from pathlib import Path

from sim.world.gateway import Gateway
from sim.world.play import run
from sim.world.spec import (
    Arrivals,
    Bernoulli,
    Drift,
    Gaussian,
    Graded,
    Judge,
    ModelSpec,
    PriceChange,
    ProviderSpec,
    Sessions,
    Spread,
    TaskSpec,
    TenantSpec,
    WorldSpec,
)

BUSY = (0.3,) * 7 + (1.8,) * 12 + (0.6,) * 5


def town(hours: float = 96.0, per_hour: float = 40.0, mode: str = "balanced") -> WorldSpec:
    """Two providers of three models; one model quietly gets worse on the second day."""
    return WorldSpec(
        name="town",
        hours=hours,
        arrivals=Arrivals(per_hour=per_hour, hourly=BUSY),
        sessions=Sessions(
            mean_turns=2.5, pause_s=Spread(median=45.0, sigma=0.8, least=2.0), answer_tokens=150
        ),
        tenants=(
            TenantSpec(
                name="shop",
                share=3.0,
                modes={mode: 1.0},
                stream=0.6,
                tasks={"chat": 0.7, "code": 0.3},
                baseline_model="large",
            ),
            TenantSpec(
                name="lab",
                share=1.0,
                modes={mode: 1.0},
                stream=0.6,
                tasks={"code": 0.4, "math": 0.6},
                baseline_model="large",
                fee_bps=100,
            ),
        ),
        tasks=(
            TaskSpec(
                name="chat",
                prompt=Spread(median=200.0, sigma=0.7, least=8.0),
                output=Spread(median=150.0, sigma=0.5, least=1.0),
            ),
            TaskSpec(
                name="code",
                prompt=Spread(median=900.0, sigma=0.9, least=8.0),
                output=Spread(median=450.0, sigma=0.6, least=1.0),
            ),
            TaskSpec(
                name="math",
                prompt=Spread(median=120.0, sigma=0.4, least=8.0),
                output=Spread(median=350.0, sigma=0.5, least=1.0),
            ),
        ),
        models=(
            ModelSpec(
                id="large",
                input_usd_per_mtok=0.8,
                output_usd_per_mtok=3.2,
                quality={"chat": 0.86, "code": 0.85, "math": 0.9},
                benchmark={"chat": 0.86, "code": 0.8, "math": 0.9},
                benchmark_n=400,
                reward=Gaussian(sd=0.15),
            ),
            ModelSpec(
                id="medium",
                input_usd_per_mtok=0.5,
                output_usd_per_mtok=1.8,
                verbosity=1.6,
                quality={"chat": 0.8, "code": 0.72, "math": 0.55},
                benchmark={"chat": 0.75, "code": 0.75, "math": 0.7},
                benchmark_n=400,
                reward=Bernoulli(),
            ),
            ModelSpec(
                id="small",
                input_usd_per_mtok=0.3,
                output_usd_per_mtok=1.0,
                verbosity=0.7,
                quality={"chat": 0.7, "code": 0.5, "math": 0.4},
                benchmark={"chat": 0.62, "code": 0.55, "math": 0.45},
                benchmark_n=400,
                reward=Graded(sd=0.2),
            ),
        ),
        providers=(
            ProviderSpec(
                name="near",
                models=("large", "medium", "small"),
                ttft_ms=Spread(median=250.0, sigma=0.3),
                tokens_per_s=120.0,
                failures={"error": 0.01},
                drifts=(Drift(at_h=30.0, quality=-0.3, model="medium"),),
            ),
            ProviderSpec(
                name="far",
                models=("medium", "small"),
                price_factor=0.8,
                ttft_ms=Spread(median=700.0, sigma=0.5),
                tokens_per_s=60.0,
                failures={"error": 0.04, "overloaded": 0.02},
                prices=(PriceChange(at_h=20.0, factor=1.25, model="small"),),
            ),
        ),
        judges=(Judge(name="user", share=0.5, delay_s=Spread(median=90.0, sigma=0.6)),),
    )


def write(folder: Path, spec: WorldSpec, seed: int = 11) -> tuple[Path, Path]:
    """The log of a play, and the snapshots it cites."""
    log, store = folder / "log", folder / "store"
    run(spec, Gateway(), seed, log, store)
    return log, store
