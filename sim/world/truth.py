"""What every arm is truly worth to a request at a moment: the declared truth that regret is measured against.

    worth = (1 - P(fails)) * (quality weight * E[quality] + cost weight * half / (half + E[cost]))

`E[quality]` is exact under the arm's reward law after clipping, over the request's hidden difficulty and the
chance that the answer is cut short by an output cap (such an answer has quality 0). `P(fails)` is 1 in an
outage and where the provider's calls of that minute are spent, else the sum of its failure shares. `E[cost]`
is tokens at that moment's prices: the mean of the answer's law as far as its cap lets it be written, and a
cold prompt cache. It knows no flow.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import ConfigError, nearest
from p402_datasets.outcomes import OutcomeTable
from sim.world.offer import price_factor
from sim.world.rewards import expected, mean_of, share_below
from sim.world.spec import ModelSpec, ProviderSpec, Rows, WorldSpec
from sim.world.traffic import Asked

Float = NDArray[np.float64]

HOUR_MS: Final = 3_600_000
MTOK: Final = 1_000_000
SLOPE_FROM: Final = 11
"""Bits of 1,024 bytes: where `length_slope` counts from."""


@dataclass(frozen=True, slots=True, eq=False)
class Epoch:
    """What does not change for a while; columns of shape (K,) over all arms that ever are.

    Attributes
    ----------
    until_ms
        The next change, ms since 1970 UTC.
    shift
        Added to every mean of quality.
    fails
        Probability that a call fails, rate limits left out.
    out
        Whether the arm's provider has an outage.
    input, output
        USD per token.
    """

    number: int
    until_ms: float
    shift: Float
    fails: Float
    out: NDArray[np.bool_]
    input: Float
    output: Float


class Truth:
    """A world's hidden columns.

    Parameters
    ----------
    table
        The outcomes that the world's rows are of; None where it has none.

    Attributes
    ----------
    arms
        `provider/model`, ascending: the order of every snapshot's arms.

    Raises
    ------
    ConfigError
        A model reads a column that the table does not have.
    """

    def __init__(self, spec: WorldSpec, table: OutcomeTable | None = None) -> None:
        self.spec, self.table = spec, table
        models = {model.id: model for model in spec.models}
        pairs = sorted(
            ((f"{p.name}/{name}", p, models[name]) for p in spec.providers for name in p.models),
            key=lambda pair: pair[0],
        )
        self.arms: tuple[str, ...] = tuple(arm for arm, _, _ in pairs)
        self.index = {arm: k for k, arm in enumerate(self.arms)}
        self.provider: tuple[ProviderSpec, ...] = tuple(provider for _, provider, _ in pairs)
        self.model: tuple[ModelSpec, ...] = tuple(model for _, _, model in pairs)
        self._tasks = {task.name: task for task in spec.tasks}
        self._columns = _columns(self.model, table)
        self._of = {p.name: np.array([q is p for q in self.provider]) for p in spec.providers}
        self._limit = np.array([model.output_limit for model in self.model], np.float64)
        self._moments = _moments(spec)
        self._epochs: dict[int, Epoch] = {}
        self._now: Epoch = self._epoch(0)
        self._since = float("-inf")
        self._quality: dict[tuple[int, str, int], Float] = {}
        self._tokens: dict[str, Float] = {}
        self._whole: dict[tuple[str, int], Float] = {}
        self._billed: dict[tuple[str, int], Float] = {}

    def at(self, ms: float) -> Epoch:
        """The epoch of a moment."""
        if self._since <= ms < self._now.until_ms:
            return self._now
        number = bisect_right(self._moments, (ms - self.spec.start_ms) / HOUR_MS)
        self._now = self._epoch(number)
        start = self._moments[number - 1] if number else float("-inf")
        self._since = self.spec.start_ms + start * HOUR_MS
        return self._now

    def mean(self, epoch: Epoch, arm: int, asked: Asked) -> float:
        """Mean of an arm's quality for a request, its difficulty left out."""
        shift = float(epoch.shift[arm])
        if self.table is not None:
            return float(self.table.quality[asked.session.row, self._columns[arm]]) + shift
        return self._plain(arm, asked.session.task, _bits(asked)) + shift

    def difficulty(self, asked: Asked) -> float:
        """What the request itself adds."""
        return (
            0.0
            if self.table is not None
            else self._tasks[asked.session.task].difficulty_sd * asked.difficulty
        )

    def quality(self, epoch: Epoch, asked: Asked) -> Float:
        """(K,) expected quality of whole answers."""
        if self.table is not None:
            real: Float = self.table.quality[asked.session.row, self._columns]
            return np.clip(real + epoch.shift, 0.0, 1.0)
        key = (epoch.number, asked.session.task, _bits(asked))
        found = self._quality.get(key)
        if found is None:
            found = self._quality[key] = self._expected(epoch, *key[1:])
        return found

    def worths(self, epoch: Epoch, asked: Asked, prompt_tokens: int, spent: tuple[str, ...]) -> Float:
        """(K,) worth of every arm as a request's first choice.

        Parameters
        ----------
        prompt_tokens
            As the providers count them, where no real row says it.
        spent
            Providers that take no further call in this minute.
        """
        worth = self.spec.worth
        prompt: Float | int = prompt_tokens
        if self.table is not None:
            prompt = self.table.prompt_tokens[asked.session.row, self._columns].astype(np.float64)
        output = self.billed(asked, asked.request.max_output)
        half = worth.half_usd_per_ktok / 1000 * self._size(asked, prompt_tokens)
        cost = prompt * epoch.input + output * epoch.output
        gain = worth.quality * self.quality(epoch, asked) * self.whole(asked, asked.request.max_output)
        gain += worth.cost * (half / (half + cost))
        gain *= 1 - epoch.fails
        for name in spent:
            gain[self._of[name]] = 0.0
        return gain

    def output(self, asked: Asked) -> Float:
        """(K,) expected output tokens."""
        if self.table is not None:
            real: Float = self.table.output_tokens[asked.session.row, self._columns].astype(np.float64)
            return real
        task = asked.session.task
        found = self._tokens.get(task)
        if found is None:
            law = self._tasks[task].output
            found = self._tokens[task] = np.array([mean_of(law, model.verbosity) for model in self.model])
        return found

    def billed(self, asked: Asked, cap: int | None) -> Float:
        """(K,) expected output tokens that are billed: an answer is not written beyond its cap."""
        caps = self._caps(cap)
        if self.table is not None:
            return np.minimum(self.output(asked), caps)
        key = (asked.session.task, cap or 0)
        found = self._billed.get(key)
        if found is None:
            law = self._tasks[key[0]].output
            found = self._billed[key] = np.array(
                [
                    mean_of(law, model.verbosity, most)
                    for most, model in zip(caps.tolist(), self.model, strict=True)
                ]
            )
        return found

    def whole(self, asked: Asked, cap: int | None) -> Float:
        """(K,) probability that an answer is not cut short by an output cap or the model's own limit."""
        caps = self._caps(cap)
        if self.table is not None:
            return (self.output(asked) <= caps).astype(np.float64)
        key = (asked.session.task, cap or 0)
        found = self._whole.get(key)
        if found is None:
            law = self._tasks[key[0]].output
            shares = [
                share_below(law, (most + 0.5) / model.verbosity)
                for most, model in zip(caps.tolist(), self.model, strict=True)
            ]
            found = self._whole[key] = np.array(shares)
        return found

    def _caps(self, cap: int | None) -> Float:
        """(K,) most output tokens of an answer."""
        return self._limit if cap is None else np.minimum(self._limit, float(cap))

    def length_of(self, asked: Asked, arm: int) -> int | None:
        """Real tokens of the arm's answer, where the world has rows."""
        return (
            None
            if self.table is None
            else int(self.table.output_tokens[asked.session.row, self._columns[arm]])
        )

    def prompt_of(self, asked: Asked, arm: int) -> int | None:
        """Real tokens of the prompt at an arm, where the world has rows."""
        return (
            None
            if self.table is None
            else int(self.table.prompt_tokens[asked.session.row, self._columns[arm]])
        )

    def _size(self, asked: Asked, prompt_tokens: int) -> float:
        """Tokens that the half point of the cost score grows with: the same for every arm."""
        if self.table is not None:
            return prompt_tokens + float(self.table.output_tokens[asked.session.row].mean())
        return prompt_tokens + mean_of(self._tasks[asked.session.task].output)

    def _plain(self, arm: int, task: str, bits: int) -> float:
        model, provider = self.model[arm], self.provider[arm]
        return model.quality[task] + provider.quality + model.length_slope * (bits - SLOPE_FROM)

    def _expected(self, epoch: Epoch, task: str, bits: int) -> Float:
        sd = self._tasks[task].difficulty_sd
        return np.array(
            [
                expected(model.reward, self._plain(k, task, bits) + float(epoch.shift[k]), sd)
                for k, model in enumerate(self.model)
            ]
        )

    def _epoch(self, number: int) -> Epoch:
        found = self._epochs.get(number)
        if found is None:
            found = self._epochs[number] = self._make(number)
        return found

    def _make(self, number: int) -> Epoch:
        at_h = self._moments[number - 1] if number else 0.0
        until_h = self._moments[number] if number < len(self._moments) else float("inf")
        arms = list(zip(self.provider, self.model, strict=True))
        out = np.array([any(o.at_h <= at_h < o.at_h + o.hours for o in p.outages) for p, _ in arms])
        fails = np.array([min(1.0, sum(share for _, share in sorted(p.failures.items()))) for p, _ in arms])
        factors = [price_factor(p, m.id, at_h) for p, m in arms]
        return Epoch(
            number=number,
            until_ms=self.spec.start_ms + until_h * HOUR_MS,
            shift=np.array([_shift(p, m.id, at_h) for p, m in arms]),
            fails=np.where(out, 1.0, fails),
            out=out,
            input=np.array([m.input_usd_per_mtok * f for (_, m), f in zip(arms, factors, strict=True)])
            / MTOK,
            output=np.array([m.output_usd_per_mtok * f for (_, m), f in zip(arms, factors, strict=True)])
            / MTOK,
        )


def _shift(provider: ProviderSpec, model: str, at_h: float) -> float:
    return sum(
        drift.quality
        for drift in provider.drifts
        if drift.model in (None, model)
        and drift.at_h <= at_h
        and (drift.until_h is None or at_h < drift.until_h)
    )


def _moments(spec: WorldSpec) -> list[float]:
    found: set[float] = set()
    for provider in spec.providers:
        found |= {change.at_h for change in provider.prices}
        for drift in provider.drifts:
            found |= {drift.at_h} if drift.until_h is None else {drift.at_h, drift.until_h}
        for outage in provider.outages:
            found |= {outage.at_h, outage.at_h + outage.hours}
    return sorted(moment for moment in found if moment > 0)


def _bits(asked: Asked) -> int:
    return (asked.request.transcript.text_bytes + 1).bit_length()


def _columns(models: tuple[ModelSpec, ...], table: OutcomeTable | None) -> NDArray[np.int64]:
    if table is None:
        return np.zeros(0, np.int64)
    found = []
    for model in models:
        column = model.reward.column if isinstance(model.reward, Rows) else ""
        if column not in table.models:
            raise ConfigError(
                f"models.{model.id}.reward.column is {column!r}{nearest(column, table.models)}; "
                f"the table has {', '.join(table.models)}"
            )
        found.append(table.models.index(column))
    return np.array(found, np.int64)
