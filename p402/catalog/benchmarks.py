"""What is believed of a model's quality before anything was measured here.

Scores come from the operator's `benchmarks.toml`, each with source and date; none is known to this
code. Without one, a model has a prior: wide, and so nearly neutral that a few dozen outcomes move it.
It knows nothing of files, tasks' names or routing.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median
from typing import Any, Final

from p402.catalog.model import Deployment
from p402.catalog.price import prices_at
from p402.errors import ConfigError, nearest

PRIOR_LOW: Final = 0.45
PRIOR_HIGH: Final = 0.65
PRIOR_SD: Final = 0.25
"""The prior's mean spans a fifth and its sd is wider than that span: price says a little, never much."""

_FIELDS: Final = ("model", "task", "score", "n", "source", "date", "licence")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One published or measured score of a model.

    Attributes
    ----------
    model
        Canonical model name, or a deployment id to say it of that deployment only.
    task
        Task type.
    score
        In [0, 1].
    n
        Sample size, or None if unknown.
    source, date, licence
        Where it was read, the day it speaks of (YYYY-MM-DD), and the terms of its data if known.
    """

    model: str
    task: str
    score: float
    n: int | None
    source: str
    date: str
    licence: str | None


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean in [0, 1], standard deviation, and `quality_source`: always `prior` here, no measurement."""

    mean: float
    sd: float
    quality_source: str = "prior"


def parse_benchmarks(data: Mapping[str, Any], tasks: Collection[str]) -> tuple[Benchmark, ...]:
    """Read the mapping of a `benchmarks.toml`: a list of tables `[[benchmark]]`.

    Raises
    ------
    ConfigError
        An entry is not as described in `Benchmark`, names an unknown task, or repeats another.
    """
    for key in data:
        if key != "benchmark":
            raise ConfigError(f"benchmarks.toml: unknown table `{key}`; only [[benchmark]] is known")
    entries = data.get("benchmark", [])
    if not isinstance(entries, list):
        raise ConfigError(
            "benchmarks.toml: `benchmark` is no list of tables; write [[benchmark]] above each entry"
        )
    read = tuple(_entry(entry, f"benchmark[{i}]", tasks) for i, entry in enumerate(entries))
    seen: set[tuple[str, str]] = set()
    for i, item in enumerate(read):
        if (item.model, item.task) in seen:
            raise ConfigError(
                f"benchmark[{i}]: {item.model} has a second score for task `{item.task}`; keep one"
            )
        seen.add((item.model, item.task))
    return read


def _entry(entry: Any, where: str, tasks: Collection[str]) -> Benchmark:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: found {entry!r}; expected a table")
    for key in entry:
        if key not in _FIELDS:
            raise ConfigError(f"{where}.{key} is unknown{nearest(str(key), _FIELDS)}")
    task = _text(entry, "task", where)
    if task not in tasks:
        raise ConfigError(f"{where}.task: unknown task `{task}`{nearest(task, tuple(tasks))}")
    score = entry.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float | Decimal) or not 0 <= score <= 1:
        raise ConfigError(f"{where}.score: found {score!r}; expected a number from 0 to 1")
    n = entry.get("n")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise ConfigError(f"{where}.n: found {n!r}; expected a whole number of samples, 1 or more")
    day = str(entry.get("date", ""))
    if not _DAY.fullmatch(day):
        raise ConfigError(f"{where}.date: found {day!r}; expected the day of the score, as 2026-01-31")
    return Benchmark(
        model=_text(entry, "model", where),
        task=task,
        score=float(score),
        n=n,
        source=_text(entry, "source", where),
        date=day,
        licence=_text(entry, "licence", where) if "licence" in entry else None,
    )


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{where}.{key} is missing: found {value!r}; expected a text that is not empty")
    return value


def family_prior(rank: float | None) -> Prior:
    """Return the prior of a model whose output price has this rank in [0, 1]; None when it has no price.

    Within a market, dearer models are on average the better ones: a weak and monotone relation, used
    as no more than that. An unpriced model gets the middle.
    """
    share = 0.5 if rank is None else rank
    return Prior(PRIOR_LOW + (PRIOR_HIGH - PRIOR_LOW) * share, PRIOR_SD)


def priors(deployments: Iterable[Deployment], when_ms: int) -> dict[str, Prior]:
    """Return the prior of each deployment by id, from prices in force at `when_ms`.

    Ranked by model, at the median output price of its deployments, so that a model is believed
    equally good wherever it is served. Equal prices share a rank.
    """
    rows = tuple(deployments)
    outputs: dict[str, list[int]] = {}
    for row in rows:
        price = prices_at(row, when_ms)
        if price is not None and price.base.output is not None:
            outputs.setdefault(row.model_family, []).append(price.base.output)
    typical = {model: median(found) for model, found in outputs.items()}
    ordered = sorted(typical.values())
    last = max(len(ordered) - 1, 1)

    def rank(model: str) -> float | None:
        price = typical.get(model)
        if price is None or len(ordered) < 2:
            return None
        return (bisect_left(ordered, price) + bisect_right(ordered, price) - 1) / 2 / last

    return {row.id: family_prior(rank(row.model_family)) for row in rows}
