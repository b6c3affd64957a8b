"""A history and the snapshot it ended under to a world that is like it at its end.

What is fitted is the state that the window ended in: last prices, quality after the last change, so that a
world begins where the log left off. Models and providers that the log says little of are as routing believed
them, and are named. It knows nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import numpy as np

from p402.routing.compiled import Snapshot
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import CAPABILITIES
from sim.fit.history import Float, History, Int, NoHistory
from sim.fit.laws import spread_of, two_way
from sim.fit.quality import Change, Worths, before_clipping, judges_of, worths_of
from sim.fit.service import Service, services_of
from sim.fit.traffic import arrivals_of, sessions_of, tasks_of, tenants_of
from sim.shown import minute_of
from sim.world.spec import Drift, ModelSpec, PriceChange, ProviderSpec, Spread, TenantSpec, WorldSpec, Worth

PICO_PER_USD_MTOK: Final = 1_000_000
"""A price in pico-USD per token over the same in USD per million tokens."""

LIKE: Final = 0.01
"""Relative difference of two prices that is none."""

UNSEEN_QUALITY: Final = 20
"""Judged rounds of a model below which its quality is mostly belief."""

SLASH: Final = "~"
"""Stands for the slash in a model's name, which a world's names cannot hold."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A world and what to know of it.

    Attributes
    ----------
    spec
        It begins when the window ends.
    arms
        The log's arm of each of the world's.
    changes
        Silent changes of quality within the window; the world has their end.
    believed
        Models whose quality is mostly what routing believed, for lack of judgements.
    assumed
        Providers with too few calls for laws of their own.
    """

    spec: WorldSpec
    arms: dict[str, str]
    changes: tuple[Change, ...]
    believed: tuple[str, ...]
    assumed: tuple[str, ...]
    prices_off: tuple[str, ...]
    """Arms whose input and output prices differ from their model's by two factors: the input's is off."""
    baselines_off: tuple[str, ...] = ()
    """Baselines that tenants of the log are held to and that are no model of the world."""


@dataclass(frozen=True, slots=True)
class _Offered:
    """Arms of the snapshot that can be called and priced, as the world names them."""

    column: Int
    arm: tuple[str, ...]
    provider: tuple[str, ...]
    model: tuple[str, ...]
    models: tuple[str, ...]
    providers: tuple[str, ...]
    model_of: Int
    provider_of: Int


def fit(history: History, snapshot: Snapshot, hours: float, name: str = "fitted") -> Fitted:
    """Fit a world.

    Parameters
    ----------
    history
        The window that is fitted to.
    snapshot
        That its last round was decided under.
    hours
        How long the world is to be.

    Raises
    ------
    NoHistory
        None of the arms that answered is in the snapshot, or the log is of what no world has.
    """
    offered = _offered(history, snapshot)
    known = {arm: k for k, arm in enumerate(offered.arm)}
    arm_of = np.array([known.get(arm, -1) for arm in history.arms], np.int64)
    model_of_arm = np.where(arm_of >= 0, offered.model_of[arm_of], len(offered.models))
    provider_of_arm = np.where(arm_of >= 0, offered.provider_of[arm_of], -1)
    belief = _belief(history, snapshot, offered)
    gone = np.full((1, belief.shape[1]), 0.5)
    worths = worths_of(history, model_of_arm, np.concatenate([belief, gone]))
    services = services_of(history.attempts, offered.providers, provider_of_arm.tolist())
    verbosity, outputs = _lengths(history, model_of_arm, len(offered.models))
    models, providers, off = _offer(history, snapshot, offered, worths, arm_of, services, verbosity)
    told = tenants_of(history)
    tenants = tuple(_held_to(tenant, offered.models) for tenant in told)
    spec = _world(
        name=name,
        about=(
            f"Fitted to {len(history):,} rounds of {minute_of(history.from_ms)} to "
            f"{minute_of(history.until_ms)} UTC by `p402 sim fit`; it begins where they end."
        ),
        start=datetime.fromtimestamp(history.until_ms / 1000, UTC),
        hours=hours,
        arrivals=arrivals_of(history),
        sessions=sessions_of(history),
        tenants=tenants,
        tasks=tasks_of(history, outputs),
        models=models,
        providers=providers,
        judges=judges_of(history),
        worth=Worth(half_usd_per_ktok=snapshot.spec.policy.cost_half_pico / 1e12),
        salt=snapshot.spec.policy.salt,
    )
    judged = worths.judged.sum(axis=1)[:-1]
    return Fitted(
        spec=spec,
        arms={
            f"{p}/{_plain(m)}": a
            for a, p, m in zip(offered.arm, offered.provider, offered.model, strict=True)
        },
        changes=worths.changes,
        believed=tuple(m for m, n in zip(offered.models, judged.tolist(), strict=True) if n < UNSEEN_QUALITY),
        assumed=tuple(p for p in offered.providers if services[p].calls < UNSEEN_QUALITY),
        prices_off=off,
        baselines_off=tuple(
            sorted(
                {
                    before.baseline_model
                    for before, now in zip(told, tenants, strict=True)
                    if before.baseline_model is not None and now.baseline_model is None
                }
            )
        ),
    )


def _world(**tables: Any) -> WorldSpec:
    """The spec, held to all that one that is read from a file is held to; or why there is none."""
    try:
        return msgspec.convert(msgspec.to_builtins(WorldSpec(**tables)), WorldSpec)
    except (ValueError, msgspec.ValidationError) as error:
        raise NoHistory(f"the log fits no world: {error}") from error


def _held_to(tenant: TenantSpec, models: Sequence[str]) -> TenantSpec:
    """The tenant with its baseline as the world names it; without one that the world has not."""
    known = tenant.baseline_model
    here = None if known is None or known not in models else _plain(known)
    return msgspec.structs.replace(tenant, baseline_model=here)


def _offered(history: History, snapshot: Snapshot) -> _Offered:
    arms = snapshot.spec.arms
    usable = snapshot.price_known & snapshot.allowed.any(axis=0)
    column = np.flatnonzero(usable)
    chosen = [arms.arm[k] for k in column.tolist()]
    if not set(chosen) & set(history.arms):
        raise NoHistory(
            f"none of the {len(history.arms)} arms that answered is in the log's last snapshot "
            f"({snapshot.id[:12]}); pass the store that belongs to the log"
        )
    provider = tuple(arms.provider[k] for k in column.tolist())
    model = tuple(arms.model[k] for k in column.tolist())
    models, providers = tuple(sorted(set(model))), tuple(sorted(set(provider)))
    return _Offered(
        column=column,
        arm=tuple(chosen),
        provider=provider,
        model=model,
        models=models,
        providers=providers,
        model_of=np.array([models.index(name) for name in model], np.int64),
        provider_of=np.array([providers.index(name) for name in provider], np.int64),
    )


def _belief(history: History, snapshot: Snapshot, offered: _Offered) -> Float:
    """(models, tasks) quality that the snapshot expects in the log's contexts, mean over a model's arms."""
    theta = np.array(snapshot.spec.posterior.theta, np.float64)[offered.column] / PARAM_ONE
    width = min(theta.shape[1], history.features.shape[1])
    means = np.zeros((len(history.tasks), width))
    for task in range(len(history.tasks)):
        means[task] = history.features[history.task == task, :width].mean(axis=0)
    by_arm = np.clip(np.einsum("ad,td->at", theta[:, :width], means), 0.0, 1.0)
    total = np.zeros((len(offered.models), len(history.tasks)))
    np.add.at(total, offered.model_of, by_arm)
    return total / np.bincount(offered.model_of)[:, None]


def _lengths(history: History, model_of_arm: Int, models: int) -> tuple[Float, dict[str, Spread]]:
    """(models,) verbosity, and each task's law of an answer of verbosity 1."""
    told = (history.served >= 0) & (history.output > 0)
    logs = np.log(np.where(told, history.output, 1.0))[told]
    task, model = history.task[told], model_of_arm[history.served[told]]
    _, of_model = two_way(logs, task, model, (len(history.tasks), models + 1))
    plain = np.exp(logs - of_model[model])
    everyone = spread_of(plain) or Spread(median=250.0, sigma=0.6)
    outputs = {name: spread_of(plain[task == code]) or everyone for code, name in enumerate(history.tasks)}
    return np.exp(of_model[:models]), outputs


def _offer(
    history: History,
    snapshot: Snapshot,
    offered: _Offered,
    worths: Worths,
    arm_of: Int,
    services: dict[str, Service],
    verbosity: Float,
) -> tuple[tuple[ModelSpec, ...], tuple[ProviderSpec, ...], tuple[str, ...]]:
    prices, arms = snapshot.spec.prices, snapshot.spec.arms
    first = [int(np.flatnonzero(offered.model_of == m)[0]) for m in range(len(offered.models))]
    offset = np.zeros(len(offered.arm))
    offset[arm_of[arm_of >= 0]] = worths.offset[arm_of >= 0]
    models = []
    for m, name in enumerate(offered.models):
        k = int(offered.column[first[m]])
        law = worths.laws[m]
        models.append(
            ModelSpec(
                id=_plain(name),
                family=arms.family[k],
                input_usd_per_mtok=_usd(prices.input, k),
                output_usd_per_mtok=_usd(prices.output, k),
                quality={
                    task: before_clipping(law, float(worths.mean[m, t]))
                    for t, task in enumerate(history.tasks)
                },
                verbosity=float(verbosity[m]),
                reward=law,
                context_window=arms.context_window[k] or 16_384,
                output_limit=arms.output_limit[k] or 32_768,
                capabilities=tuple(
                    c for bit, c in enumerate(CAPABILITIES) if arms.capabilities[k] >> bit & 1
                ),
            )
        )
    off: list[str] = []
    providers = []
    for p, name in enumerate(offered.providers):
        own = np.flatnonzero(offered.provider_of == p)
        service = services[name]
        factors, drifts, reads = [], [], []
        for place in own.tolist():
            k, base = int(offered.column[place]), int(offered.column[first[int(offered.model_of[place])]])
            factor = _ratio(prices.output, k, base)
            if abs(_ratio(prices.input, k, base) / factor - 1.0) > LIKE:
                off.append(offered.arm[place])
            if factor != 1.0:
                factors.append(PriceChange(at_h=0.0, factor=factor, model=_plain(offered.model[place])))
            if offset[place] != 0.0:
                drifts.append(
                    Drift(at_h=0.0, quality=float(offset[place]), model=_plain(offered.model[place]))
                )
            read, paid = prices.cache_read[k], prices.input[k]
            if read is not None and paid:
                reads.append(read / paid)
        providers.append(
            ProviderSpec(
                name=name,
                models=tuple(sorted({_plain(offered.model[place]) for place in own.tolist()})),
                prices=tuple(factors),
                ttft_ms=service.ttft_ms,
                tail=service.tail,
                tail_factor=max(service.tail_factor, 1.0),
                tokens_per_s=service.tokens_per_s,
                failures=dict(service.failures),
                hang_ms=service.hang_ms,
                drifts=tuple(drifts),
                cache_read_factor=min(1.0, float(np.median(reads))) if reads else None,
            )
        )
    return tuple(models), tuple(providers), tuple(off)


def _usd(column: Sequence[int | None], k: int) -> float:
    price = column[k]
    assert price is not None, "only arms of known price are offered"
    return price / PICO_PER_USD_MTOK


def _ratio(column: Sequence[int | None], k: int, base: int) -> float:
    mine, theirs = column[k], column[base]
    return mine / theirs if mine and theirs else 1.0


def _plain(model: str) -> str:
    return model.replace("/", SLASH)
