"""A window of rounds as a dozen numbers, and how far two such windows lie apart.

Both the log's days and the simulated ones are read by the same reader and summed up here, so that a metric
means the same on either side. It knows nothing of fitting.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.fit.history import Float, History

SHARES: Final = frozenset({"saving", "quality", "failed", "failed over", "arms", "providers"})
"""Metrics that are shares of 1: their errors are differences. The others' are relative."""


@dataclass(frozen=True, slots=True)
class Day:
    """What a window came to.

    Attributes
    ----------
    numbers
        By name, in the order that they are shown; nan where the window says nothing of it.
    arms, providers
        Shares of rounds by who was chosen first.
    """

    numbers: Mapping[str, float]
    arms: Mapping[str, float]
    providers: Mapping[str, float]


def day_of(history: History) -> Day:
    """Sum a window up."""
    cost, direct = np.nansum(history.cost_nano), np.nansum(history.direct_nano)
    answered = ~history.failed
    numbers = {
        "requests an hour": len(history) / history.hours,
        "sessions an hour": (int(history.session.max()) + 1) / history.hours,
        "prompt tokens": float(np.mean(history.prompt)),
        "output tokens": _mean(history.output[answered]),
        "cost, USD per 1,000 requests": float(cost) / len(history) * 1e-6,
        "saving": float(1.0 - cost / direct) if direct > 0 else float("nan"),
        "quality": _mean(history.quality),
        "failed": float(np.mean(history.failed)),
        "failed over": float(np.mean(history.calls > 1)),
        "latency p50, ms": _quantile(history.latency_ms[answered], 0.5),
        "latency p95, ms": _quantile(history.latency_ms[answered], 0.95),
        "first byte p50 of streams, ms": _quantile(history.ttfb_ms[answered & history.streamed], 0.5),
    }
    arms = _shares([history.arms[k] for k in history.first.tolist()])
    providers: dict[str, float] = {}
    for arm, share in arms.items():
        provider = arm.partition("/")[0]
        providers[provider] = providers.get(provider, 0.0) + share
    return Day(numbers, arms, providers)


def errors(guess: Day, truth: Day) -> dict[str, float]:
    """How far a guess lies off, by metric: differences of shares, relative errors of all else.

    `arms` and `providers` are total variation distances: the share of rounds that would have to move.
    """
    found = {name: _error(name, guess.numbers[name], seen) for name, seen in truth.numbers.items()}
    found["arms"] = _apart(guess.arms, truth.arms)
    found["providers"] = _apart(guess.providers, truth.providers)
    return found


def _error(name: str, guess: float, seen: float) -> float:
    if name in SHARES:
        return abs(guess - seen)
    return abs(guess - seen) / abs(seen) if seen else float("nan")


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    names = sorted(set(one) | set(other))
    return 0.5 * sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in names)


def _shares(names: list[str]) -> dict[str, float]:
    seen, count = np.unique(names, return_counts=True)
    return {str(name): n / len(names) for name, n in zip(seen, count.tolist(), strict=True)}


def _mean(values: Float) -> float:
    kept = values[np.isfinite(values)]
    return float(np.mean(kept)) if kept.size else float("nan")


def _quantile(values: Float, q: float) -> float:
    kept = values[np.isfinite(values)]
    return float(np.quantile(kept, q)) if kept.size else float("nan")
