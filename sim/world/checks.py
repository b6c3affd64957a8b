"""Whether the tables of a world's spec fit each other: names, shares and times that no field can check alone.

The first thing that does not fit is a `ValueError` with what was seen, what was expected and what to do.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, NoReturn, Protocol

from p402.errors import nearest
from p402.limits import HOLD_PREDICTED, HOLD_STRICT
from p402.routing.spec import CAPABILITIES, MODES, TASKS
from sim.world.parts import (
    Arrivals,
    Graded,
    Judge,
    ModelSpec,
    ProviderSpec,
    Rows,
    Sessions,
    Spread,
    TaskSpec,
    TenantSpec,
    Worth,
)
from sim.world.questions import capacity

FAILURES: Final = ("error", "overloaded", "hang", "cut")
"""Kinds of failed calls that have a share; outages and rate limits have laws of their own."""

TABLES: Final = ("paretobandit",)
"""Outcome tables that a world may draw from."""


class Whole(Protocol):
    """A world's tables, as `WorldSpec` has them."""

    @property
    def start(self) -> datetime: ...  # noqa: D102 - as `WorldSpec` says, here and below
    @property
    def arrivals(self) -> Arrivals: ...  # noqa: D102
    @property
    def sessions(self) -> Sessions: ...  # noqa: D102
    @property
    def tenants(self) -> tuple[TenantSpec, ...]: ...  # noqa: D102
    @property
    def tasks(self) -> tuple[TaskSpec, ...]: ...  # noqa: D102
    @property
    def models(self) -> tuple[ModelSpec, ...]: ...  # noqa: D102
    @property
    def providers(self) -> tuple[ProviderSpec, ...]: ...  # noqa: D102
    @property
    def judges(self) -> tuple[Judge, ...]: ...  # noqa: D102
    @property
    def worth(self) -> Worth: ...  # noqa: D102
    @property
    def table(self) -> str | None: ...  # noqa: D102


def check(spec: Whole) -> None:
    """Hold the tables of a spec to each other.

    Raises
    ------
    ValueError
        The first thing that does not fit.
    """
    if spec.start.utcoffset() != timedelta(0):
        _no(f"start is {spec.start.isoformat()}; expected a moment in UTC, such as 2026-11-23T00:00:00Z")
    for what, names in (
        ("tenants", [t.name for t in spec.tenants]),
        ("tasks", [t.name for t in spec.tasks]),
        ("models", [m.id for m in spec.models]),
        ("providers", [p.name for p in spec.providers]),
        ("judges", [j.name for j in spec.judges]),
    ):
        _unlike(what, names)
    _known("tasks", (t.name for t in spec.tasks), TASKS)
    if sum(spec.arrivals.hourly) <= 0 or sum(spec.arrivals.weekday) <= 0:
        _no("arrivals: every hourly or weekday rate is 0; expected at least one above 0")
    for path, law in _spreads(spec):
        if not law.least <= law.median <= law.most:
            _no(f"{path}: median {law.median:g} is outside {law.least:g} to {law.most:g}; move one of them")
    _check_table(spec)
    for tenant in spec.tenants:
        _check_tenant(spec, tenant)
    for model in spec.models:
        _check_model(spec, model)
    for provider in spec.providers:
        _check_provider(spec, provider)
    served = {model for provider in spec.providers for model in provider.models}
    if unserved := [m.id for m in spec.models if m.id not in served]:
        _no(f"models {', '.join(unserved)} are at no provider; list them in some `providers.models`")
    if spec.worth.quality + spec.worth.cost > 1:
        _no(f"worth: its weights sum to {spec.worth.quality + spec.worth.cost:g}; expected at most 1")


def _check_table(spec: Whole) -> None:
    rows = [m.id for m in spec.models if isinstance(m.reward, Rows)]
    if spec.table is None:
        if rows:
            _no(f"models {', '.join(rows)} read outcomes but the world has no `table`; name one: {TABLES[0]}")
        if not spec.tasks:
            _no("the world has no tasks and no `table`; expected one of them: add [[tasks]]")
        return
    _known("table", (spec.table,), TABLES)
    if len(rows) != len(spec.models):
        others = [m.id for m in spec.models if m.id not in rows]
        _no(
            f"models {', '.join(others)} have no real outcomes; with `table`, give each a reward of kind rows"
        )
    if spec.tasks:
        _no("a world with `table` takes its prompts from there; leave [[tasks]] out")
    if spec.sessions.mean_turns != 1:
        _no("sessions.mean_turns must be 1 with `table`: its outcomes are of single prompts")


def _check_tenant(spec: Whole, tenant: TenantSpec) -> None:
    path = f"tenants.{tenant.name}"
    if not tenant.modes:
        _no(f"{path}.modes is empty; expected a share for at least one of {', '.join(MODES)}")
    _known(f"{path}.modes", tenant.modes, MODES)
    tasks = [t.name for t in spec.tasks]
    _known(f"{path}.tasks", tenant.tasks, tasks)
    _known(f"{path}.hold", (tenant.hold,), (HOLD_STRICT, HOLD_PREDICTED))
    if tenant.baseline_model is not None:
        _known(f"{path}.baseline_model", (tenant.baseline_model,), [m.id for m in spec.models])
    if tenant.repeats is not None:
        _check_repeats(spec, tenant)
    if tenant.names_task < 1 and spec.table is None:
        asked = tenant.tasks or tasks
        if mute := [t.name for t in spec.tasks if t.name in asked and not t.texts]:
            _no(f"{path} leaves tasks unnamed, but tasks {', '.join(mute)} have no `texts`; add some")


def _check_repeats(spec: Whole, tenant: TenantSpec) -> None:
    path, repeats = f"tenants.{tenant.name}.repeats", tenant.repeats
    assert repeats is not None, "asked of tenants that repeat themselves"
    if spec.table is not None:
        _no(f"{path}: a world with `table` takes its prompts from there; leave the repeats out")
    for task in tenant.tasks or [task.name for task in spec.tasks]:
        most = capacity(task)
        if repeats.questions > most:
            have = f"there are {most}" if most else "nobody wrote any"
            _no(
                f"{path}.questions is {repeats.questions}, but of task {task} {have}; "
                f"ask for fewer, or leave the task out of the tenant's"
            )


def _check_model(spec: Whole, model: ModelSpec) -> None:
    path = f"models.{model.id}"
    _known(f"{path}.capabilities", model.capabilities, CAPABILITIES)
    _known(f"{path}.benchmark", model.benchmark, TASKS)
    if spec.table is None:
        _known(f"{path}.quality", model.quality, TASKS)
        if lacking := [t.name for t in spec.tasks if t.name not in model.quality]:
            _no(f"{path}.quality has no mean for {', '.join(lacking)}; every task needs one")
    elif model.quality:
        _no(f"{path}.quality is given, but its outcomes are real rows; leave it out")
    if model.retires_h is not None and model.retires_h <= model.appears_h:
        _no(
            f"{path} retires at {model.retires_h:g} h and appears at {model.appears_h:g} h; expected it later"
        )
    levels = model.reward.levels if isinstance(model.reward, Graded) else (0.0, 1.0)
    if len(levels) < 2 or list(levels) != sorted(set(levels)):
        _no(f"{path}.reward.levels are {levels}; expected two or more, ascending, each once")


def _check_provider(spec: Whole, provider: ProviderSpec) -> None:
    path = f"providers.{provider.name}"
    if not provider.models:
        _no(f"{path}.models is empty; expected ids of [[models]]")
    _unlike(f"{path}.models", provider.models)
    _known(f"{path}.models", provider.models, [m.id for m in spec.models])
    _known(f"{path}.failures", provider.failures, FAILURES)
    if (total := sum(provider.failures.values())) > 1:
        _no(f"{path}.failures sum to {total:g}; expected at most 1")
    if min(provider.hourly_load) <= 0:
        _no(f"{path}.hourly_load has a factor of 0; expected all above 0")
    for name, changes in (("prices", provider.prices), ("drifts", provider.drifts)):
        of = [change.model for change in changes if change.model is not None]
        _known(f"{path}.{name}", of, provider.models)
    for drift in provider.drifts:
        if drift.until_h is not None and drift.until_h <= drift.at_h:
            _no(
                f"{path}.drifts ends at {drift.until_h:g} h and begins at {drift.at_h:g} h; expected it later"
            )


def _spreads(spec: Whole) -> Iterator[tuple[str, Spread]]:
    yield "sessions.pause_s", spec.sessions.pause_s
    for task in spec.tasks:
        yield f"tasks.{task.name}.prompt", task.prompt
        yield f"tasks.{task.name}.output", task.output
    for provider in spec.providers:
        yield f"providers.{provider.name}.ttft_ms", provider.ttft_ms
    for judge in spec.judges:
        yield f"judges.{judge.name}.delay_s", judge.delay_s


def _unlike(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            _no(f"{what}: {name!r} is there twice; names must differ")
        seen.add(name)


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            near = nearest(name, known)
            _no(f"{what}: {name!r} is unknown{near}; expected one of {', '.join(known) or 'nothing'}")


def _no(message: str) -> NoReturn:
    raise ValueError(message)
