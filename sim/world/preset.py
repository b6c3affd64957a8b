"""Worlds to begin with: `day`, `calm`, `storm`, `repeats` and `table`.

The first four are invented, as the README of this folder says: their numbers are drawn once, by keyed
chance, from the laws in `sim.world.drawn_models`. `table` has the real outcomes, prices and token counts of
the `paretobandit` table; its providers' speeds and failures are invented.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from p402.errors import ConfigError, nearest
from p402_datasets import paretobandit
from p402_datasets.outcomes import task_means
from sim.world.drawn_models import drawn_models
from sim.world.spec import (
    Arrivals,
    Bernoulli,
    Beta,
    Burst,
    Drift,
    Gaussian,
    Graded,
    Judge,
    ModelSpec,
    Outage,
    PriceChange,
    ProviderSpec,
    Repeats,
    Rows,
    Sessions,
    Spread,
    TaskSpec,
    TenantCache,
    TenantSpec,
    WorldSpec,
)
from sim.world.texts import TEXTS

NAMES: Final = ("day", "calm", "storm", "repeats", "table")

OFFICE: Final = (
    *(0.3, 0.25, 0.2, 0.2, 0.25, 0.35, 0.55, 0.9, 1.3, 1.6, 1.7, 1.7),
    *(1.6, 1.7, 1.75, 1.7, 1.6, 1.4, 1.2, 1.05, 0.9, 0.75, 0.55, 0.4),
)
"""Relative rates by UTC hour: an office day with a long evening; invented."""

TASKS: Final = (
    TaskSpec(
        name="chat", share=3, output=Spread(median=180, sigma=0.6, least=1, most=4000), difficulty_sd=0.08
    ),
    TaskSpec(
        name="code", share=2, output=Spread(median=450, sigma=0.6, least=1, most=8000), difficulty_sd=0.1
    ),
    TaskSpec(
        name="math", share=1, output=Spread(median=350, sigma=0.6, least=1, most=8000), difficulty_sd=0.12
    ),
    TaskSpec(
        name="reasoning",
        share=1,
        output=Spread(median=450, sigma=0.6, least=1, most=8000),
        difficulty_sd=0.12,
    ),
    TaskSpec(
        name="knowledge",
        share=2,
        output=Spread(median=140, sigma=0.6, least=1, most=2000),
        difficulty_sd=0.08,
    ),
    TaskSpec(
        name="extraction",
        share=1,
        output=Spread(median=130, sigma=0.6, least=1, most=2000),
        difficulty_sd=0.05,
    ),
)


def preset(name: str) -> WorldSpec:
    """The world of that name.

    Raises
    ------
    ConfigError
        There is none.
    DatasetError
        `table` needs outcomes that are not installed.
    """
    if name not in NAMES:
        raise ConfigError(f"no preset {name!r}{nearest(name, NAMES)}; expected one of {', '.join(NAMES)}")
    return _made(name)


class Presets(Mapping[str, WorldSpec]):
    """Every preset by name, made when it is asked for."""

    def __getitem__(self, name: str) -> WorldSpec:
        """As `preset`; a name of nothing is a `KeyError`, as in any mapping."""
        if name not in NAMES:
            raise KeyError(name)
        return preset(name)

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(NAMES)

    def __len__(self) -> int:
        """How many there are."""
        return len(NAMES)


presets: Final[Mapping[str, WorldSpec]] = Presets()


@lru_cache(maxsize=len(NAMES))
def _made(name: str) -> WorldSpec:
    return {"day": _day, "calm": _calm, "storm": _storm, "repeats": _repeats, "table": _table}[name]()


def _day() -> WorldSpec:
    models = drawn_models(12, [task.name for task in TASKS], key=3)
    names = [model.id for model in models]
    aspen, birch, cedar, elm, fir, hazel = (
        tuple(names[(2 * i + 3 * k) % len(names)] for k in range(4)) for i in range(6)
    )
    return WorldSpec(
        name="day",
        about="24 arms of 12 models at 6 providers over a day. At noon elm, which serves the best arm, gets "
        "worse and model-11 costs a sixth at fir; at 18:00 model-07 gets better at hazel. Only the price is "
        "told.",
        tick_s=300,
        arrivals=Arrivals(per_hour=375, hourly=OFFICE),
        sessions=Sessions(mean_turns=2, most_turns=20, pause_s=_PAUSE),
        tenants=(
            TenantSpec(name="shop", share=3, baseline_model="model-10"),
            TenantSpec(
                name="lab",
                share=2,
                baseline_model="model-10",
                tasks={"code": 2, "math": 1, "reasoning": 2},
            ),
            TenantSpec(
                name="desk",
                share=1,
                baseline_model="model-10",
                tasks={"chat": 2, "knowledge": 2, "extraction": 1},
            ),
        ),
        tasks=TASKS,
        models=models,
        providers=(
            ProviderSpec(name="aspen", models=aspen, failures={"error": 0.003}),
            ProviderSpec(
                name="birch", models=birch, price_factor=0.8, quality=-0.04, failures={"error": 0.01}
            ),
            ProviderSpec(name="cedar", models=cedar, price_factor=1.1, quality=0.01),
            ProviderSpec(
                name="elm",
                models=elm,
                price_factor=0.9,
                quality=-0.02,
                failures={"error": 0.005},
                drifts=(Drift(at_h=12, quality=-0.15),),
            ),
            ProviderSpec(
                name="fir",
                models=fir,
                price_factor=1.2,
                failures={"error": 0.002},
                prices=(PriceChange(at_h=12, factor=1 / 6, model="model-11"),),
            ),
            ProviderSpec(
                name="hazel",
                models=hazel,
                price_factor=0.95,
                quality=-0.01,
                failures={"error": 0.008},
                drifts=(Drift(at_h=18, quality=0.3, model="model-07"),),
            ),
        ),
        judges=(Judge(name="user", share=0.5, delay_s=Spread(median=900, sigma=0.5)),),
    )


_PAUSE: Final = Spread(median=45, sigma=1.0, least=5, most=1800)
_MIXED: Final = {"balanced": 4.0, "cost": 1.0, "quality": 1.0, "speed": 1.0}


def _calm() -> WorldSpec:
    models = drawn_models(6, [task.name for task in TASKS], key=5)
    names = tuple(model.id for model in models)
    return WorldSpec(
        name="calm",
        about="12 arms of 6 models at 3 providers over a day on which nothing changes and little fails.",
        tick_s=120,
        arrivals=Arrivals(per_hour=200, hourly=OFFICE),
        sessions=Sessions(mean_turns=3, most_turns=20, pause_s=_PAUSE),
        tenants=(
            TenantSpec(name="shop", share=2, modes=_MIXED, stream=0.3, baseline_model="model-05"),
            TenantSpec(
                name="lab", modes={"balanced": 1, "quality": 1}, stream=0.3, baseline_model="model-05"
            ),
        ),
        tasks=TASKS,
        models=models,
        providers=(
            ProviderSpec(name="aspen", models=names[:4], failures={"error": 0.001}),
            ProviderSpec(
                name="birch",
                models=names[2:],
                price_factor=0.9,
                ttft_ms=Spread(median=700, sigma=0.3),
                tokens_per_s=60,
            ),
            ProviderSpec(
                name="cedar",
                models=names[1:5],
                price_factor=1.3,
                ttft_ms=Spread(median=120, sigma=0.2),
                tokens_per_s=400,
                cache_read_factor=0.1,
            ),
        ),
        judges=(Judge(name="user", share=0.5, delay_s=Spread(median=600, sigma=0.5)),),
    )


def _storm() -> WorldSpec:
    tasks = tuple(
        TaskSpec(
            name=task.name,
            share=task.share,
            output=task.output,
            difficulty_sd=task.difficulty_sd,
            texts=TEXTS[task.name],
        )
        for task in TASKS
    )
    kinds = (Bernoulli(), Beta(concentration=8), Gaussian(sd=0.2), Graded())
    models = tuple(
        msgspec.structs.replace(
            model,
            reward=kinds[i % len(kinds)],
            appears_h=3.0 if i == 7 else 0.0,
            retires_h=4.0 if i == 2 else None,
        )
        for i, model in enumerate(drawn_models(8, [task.name for task in TASKS], key=6))
    )
    names = tuple(model.id for model in models)
    return WorldSpec(
        name="storm",
        about="16 arms of 8 models at 4 providers over six hours of bursts, outages, rate limits, full "
        "slots, tight budgets, prices that rise, a model that retires and one that appears; two workers.",
        hours=6,
        workers=2,
        tick_s=60,
        matures_s=1800,
        arrivals=Arrivals(
            per_hour=900,
            bursts=(Burst(at_h=1, hours=0.25, factor=6), Burst(at_h=4.5, hours=0.5, factor=4)),
        ),
        sessions=Sessions(mean_turns=3, most_turns=20, pause_s=_PAUSE, named=0.7),
        tenants=(
            TenantSpec(
                name="shop",
                share=3,
                modes=_MIXED,
                stream=0.4,
                names_task=0.3,
                baseline_model="model-07",
                max_in_flight=25,
                requests_per_hour=1_500,
                fee_bps=100,
            ),
            TenantSpec(
                name="lab",
                share=2,
                modes=_MIXED,
                stream=0.4,
                names_task=0.5,
                caps_output=0.3,
                max_output=300,
                hold="p99.9",
                daily_cap_usd=2,
                session_cap_usd=0.2,
            ),
            TenantSpec(name="desk", names_task=0.5, daily_cap_usd=0.5, max_request_usd=0.05, explores=False),
        ),
        tasks=tasks,
        models=models,
        providers=(
            ProviderSpec(
                name="aspen",
                models=names[:4],
                failures={"error": 0.01, "hang": 0.002, "cut": 0.004},
                outages=(Outage(at_h=1.5, hours=0.4), Outage(at_h=5, hours=0.1)),
                slots=12,
            ),
            ProviderSpec(
                name="birch",
                models=names[4:],
                price_factor=0.8,
                rpm=20,
                failures={"overloaded": 0.02},
                prices=(PriceChange(at_h=2, factor=1.5),),
            ),
            ProviderSpec(
                name="cedar",
                models=names[2:6],
                price_factor=1.2,
                ttft_ms=Spread(median=110, sigma=0.2),
                tokens_per_s=450,
                tail=0.02,
                failures={"error": 0.005, "cut": 0.01},
                drifts=(Drift(at_h=2.5, until_h=4, quality=-0.3),),
                cache_read_factor=0.1,
            ),
            ProviderSpec(
                name="elm",
                models=(names[0], names[1], names[6], names[7]),
                price_factor=0.9,
                slots=6,
                rpm=60,
                failures={"error": 0.03},
                outages=(Outage(at_h=3, hours=0.2),),
                hourly_load=(1.0,) * 2 + (2.5,) * 2 + (1.0,) * 20,
            ),
        ),
        judges=(
            Judge(name="user", share=0.3, slope=0.3, delay_s=Spread(median=300, sigma=1)),
            Judge(name="grader", share=0.4, bias=-0.05, noise_sd=0.1, delay_s=Spread(median=900, sigma=0.3)),
        ),
    )


def _repeats() -> WorldSpec:
    models = drawn_models(6, [task.name for task in TASKS], key=7)
    names = tuple(model.id for model in models)
    return WorldSpec(
        name="repeats",
        about="10 arms of 6 models at 3 providers over half a day in which callers ask what others asked: a "
        "help desk, mostly in cost mode, whose answers are kept for four hours, and a lab that writes code "
        "and asks for the cache now and then. Some ask in other words, some nearly the same.",
        hours=12,
        tick_s=120,
        arrivals=Arrivals(per_hour=400),
        sessions=Sessions(mean_turns=1.6, most_turns=8, pause_s=_PAUSE),
        tenants=(
            TenantSpec(
                name="desk",
                share=3,
                modes={"cost": 3, "balanced": 1},
                tasks={"chat": 3, "knowledge": 1, "extraction": 1},
                stream=0.3,
                baseline_model="model-05",
                repeats=Repeats(share=0.7, questions=40, reworded=0.35, near=0.25, follow_ups=0.3),
                cache=TenantCache(ttl_s=14_400),
            ),
            TenantSpec(
                name="lab",
                modes={"balanced": 2, "cost": 1},
                tasks={"code": 2, "math": 1, "reasoning": 1},
                baseline_model="model-05",
                repeats=Repeats(share=0.3, questions=30, zipf=0.7, reworded=0.4, near=0.3),
                cache=TenantCache(asks=0.3, asks_ttl_s=3_600),
            ),
        ),
        tasks=TASKS,
        models=models,
        providers=(
            ProviderSpec(name="aspen", models=names[:4], failures={"error": 0.003}),
            ProviderSpec(
                name="birch", models=names[2:5], price_factor=0.9, tokens_per_s=60, failures={"error": 0.01}
            ),
            ProviderSpec(
                name="cedar",
                models=names[3:],
                price_factor=1.2,
                ttft_ms=Spread(median=120, sigma=0.2),
                tokens_per_s=400,
            ),
        ),
        judges=(Judge(name="user", share=0.5, delay_s=Spread(median=600, sigma=0.5)),),
    )


_OF_ROWS: Final = {
    "meta-llama/llama-3.1-8b-instruct": "meta",
    "mistralai/mistral-large-2512": "mistral",
    "google/gemini-2.5-pro": "google",
}


def _table() -> WorldSpec:
    whole = paretobandit.load()
    means = task_means(whole.split(paretobandit.VAL))
    models = tuple(
        ModelSpec(
            id=column.rsplit("/", 1)[-1],
            family=_OF_ROWS[column],
            input_usd_per_mtok=float(price.input_usd_per_mtok),
            output_usd_per_mtok=float(price.output_usd_per_mtok),
            benchmark={mean.task: round(mean.score, 6) for mean in means if mean.model == column},
            benchmark_n=min(mean.n for mean in means if mean.model == column),
            reward=Rows(column=column),
            context_window=131_072,
            output_limit=65_536,
        )
        for column, price in paretobandit.LIST_PRICES.items()
    )
    names = tuple(model.id for model in models)
    return WorldSpec(
        name="table",
        about=f"Real outcomes: prompts of the {paretobandit.TEST} split of {whole.source} with each model's "
        f"real judged quality and tokens, at list prices; scores published from its {paretobandit.VAL} "
        "split. Speeds and failures of the four providers are invented.",
        tick_s=120,
        arrivals=Arrivals(per_hour=300, hourly=OFFICE),
        tenants=(TenantSpec(name="shop", names_task=0.0, baseline_model="gemini-2.5-pro"),),
        models=models,
        providers=(
            ProviderSpec(name="aspen", models=names, failures={"error": 0.003}),
            ProviderSpec(
                name="birch",
                models=names,
                price_factor=0.8,
                ttft_ms=Spread(median=900, sigma=0.35),
                tokens_per_s=45,
                failures={"error": 0.02},
            ),
            ProviderSpec(
                name="cedar",
                models=names,
                price_factor=1.5,
                ttft_ms=Spread(median=90, sigma=0.15),
                tokens_per_s=600,
            ),
            ProviderSpec(
                name="elm",
                models=names,
                price_factor=0.7,
                failures={"error": 0.004},
                drifts=(Drift(at_h=12, quality=-0.15),),
            ),
        ),
        judges=(Judge(name="judge", share=0.5, delay_s=Spread(median=900, sigma=0.5)),),
        table="paretobandit",
        split=paretobandit.TEST,
    )
