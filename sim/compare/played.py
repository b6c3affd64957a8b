"""A comparison's side of the simulated world: which world, which strategies, and how a run is played.

The one module of this room that knows `sim.world` and `sim.strategies`.
"""

from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa

from p402.catalog.defaults import BASELINE
from p402.errors import ConfigError, nearest
from sim.compare.job import Job
from sim.compare.setting import Happening, Setting
from sim.strategies.contract import Strategy
from sim.strategies.named import named
from sim.world import presets, run
from sim.world.files import parse_spec, read_spec
from sim.world.spec import WorldSpec

DEFAULT_PRESET: Final = "day"

HOUR_MS: Final = 3_600_000


def spec_of(preset: str | None, path: Path | None) -> WorldSpec:
    """The world of a preset's name or of a file.

    Raises
    ------
    ConfigError
        There is no such preset, or the file describes no world.
    """
    if path is not None:
        return read_spec(path)
    name = preset or DEFAULT_PRESET
    if name not in presets:
        known = tuple(presets)
        raise ConfigError(f"--preset {name}: expected one of {', '.join(known)}{nearest(name, known)}")
    return presets[name]


def strategy_of(name: str) -> Strategy:
    """A fresh strategy.

    Raises
    ------
    P402Error
        There is none of this name; the nearest one is named.
    """
    return named(name)()


def canonical(spec: WorldSpec) -> bytes:
    """The bytes that stand for a world: equal worlds have equal bytes, whatever file they came from."""
    return msgspec.json.encode(spec, order="deterministic")


def sized(spec: WorldSpec, rounds: int | None) -> WorldSpec:
    """The same hours and events with about so many requests, by its rate of arrivals."""
    if rounds is None:
        return spec
    arrivals = spec.arrivals
    per_hour = arrivals.per_hour * rounds / expected_requests(spec)
    return msgspec.structs.replace(spec, arrivals=msgspec.structs.replace(arrivals, per_hour=per_hour))


def expected_requests(spec: WorldSpec) -> float:
    """How many requests come in the world's hours, in expectation, to the minute."""
    arrivals = spec.arrivals
    hourly, weekday = (sum(rates) / len(rates) for rates in (arrivals.hourly, arrivals.weekday))
    total = 0.0
    for minute in range(max(1, round(spec.hours * 60))):
        when, at_h = spec.start + timedelta(minutes=minute), minute / 60
        bursts = prod(b.factor for b in arrivals.bursts if b.at_h <= at_h < b.at_h + b.hours)
        total += bursts * arrivals.hourly[when.hour] / hourly * arrivals.weekday[when.weekday()] / weekday
    return arrivals.per_hour * total / 60


def play(job: Job) -> pa.Table:
    """Play one run of a world."""
    return run(parse_spec(job.spec, ".json"), strategy_of(job.strategy), job.seed)


def setting_of(spec: WorldSpec) -> Setting:
    """What readers are told of a world."""
    worth = spec.worth
    return Setting(
        name=spec.name,
        about=spec.about,
        invented=(
            "Simulated: no request, price or answer here is real"
            if spec.table is None
            else f"Simulated: only prompts, qualities and lengths of answers are real, those of {spec.table}"
        ),
        sha256=sha256(canonical(spec)).hexdigest(),
        start_ms=spec.start_ms,
        hours=spec.hours,
        arms=sum(len(provider.models) for provider in spec.providers),
        providers=len(spec.providers),
        models=len(spec.models),
        tenants=len(spec.tenants),
        baseline=_baseline(spec),
        worth=(
            f"{worth.quality:g} times quality plus {worth.cost:g} times a cost score, which falls with the "
            f"cost and is one half at ${worth.half_usd_per_ktok:g} for 1,000 tokens; a failure is worth 0"
        ),
        happenings=tuple(sorted(_happenings(spec), key=lambda h: (h.at_ms, h.what))),
    )


def _baseline(spec: WorldSpec) -> str:
    models = dict.fromkeys(tenant.baseline_model or BASELINE for tenant in spec.tenants)
    if len(models) == 1:
        return next(iter(models))
    return ", ".join(f"{tenant.baseline_model or BASELINE} ({tenant.name})" for tenant in spec.tenants)


def _happenings(spec: WorldSpec) -> Iterator[Happening]:
    def at(hours: float, what: str) -> Happening:
        return Happening(spec.start_ms + round(hours * HOUR_MS), what)

    for provider in spec.providers:
        for drift in provider.drifts:
            whose = _whose(provider.name, drift.model)
            yield at(drift.at_h, f"{whose} silently {_by(drift.quality)} quality")
            if drift.until_h is not None:
                yield at(drift.until_h, f"{whose} as before")
        for price in provider.prices:
            whose = _whose(provider.name, price.model)
            yield at(price.at_h, f"{whose} costs {price.factor:.3g} times as much")
        for outage in provider.outages:
            yield at(outage.at_h, f"{provider.name} is out for {outage.hours:g} h")
    for model in spec.models:
        if model.appears_h > 0.0:
            yield at(model.appears_h, f"{model.id} appears")
        if model.retires_h is not None:
            yield at(model.retires_h, f"{model.id} retires")
    for burst in spec.arrivals.bursts:
        yield at(burst.at_h, f"{burst.factor:g} times the traffic for {burst.hours:g} h")


def _whose(provider: str, model: str | None) -> str:
    return provider if model is None else f"{provider}/{model}"


def _by(quality: float) -> str:
    return f"{'gains' if quality >= 0.0 else 'loses'} {abs(quality):g} of"
