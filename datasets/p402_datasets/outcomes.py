"""What every model earned and cost on every prompt: the common full-information table.

A table has no holes: an arm without an outcome is an error when the table is made, never a
zero later. It knows nothing of files, providers or routing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from p402_datasets.errors import DatasetError, MissingOutcome


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt and where it is from.

    Attributes
    ----------
    id
        First 16 hex digits of the BLAKE2b digest of the text.
    benchmark
        The source's own name of the task (`gsm8k`, `bbh/snarks`, ...).
    task
        P402's task: code, math, reasoning, knowledge, translation, ...
    split
        The source's own split.
    """

    id: str
    text: str
    benchmark: str
    task: str
    split: str


def prompt_id(text: str) -> str:
    """Id of a prompt by its text: 16 hex digits."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class OutcomeTable:
    """Outcomes of all models on all prompts; arrays are read-only.

    Attributes
    ----------
    source, licence, read_on
        Where the outcomes are from, under which SPDX licence, and the day they were read.
    prompts
        Length n_prompts; texts are unique.
    models
        Length n_models; the source's own ids.
    quality
        (n_prompts, n_models) float64 in [0, 1].
    cost_usd
        (n_prompts, n_models) float64, USD above 0; NaN throughout where `has_costs` is False.
    prompt_tokens, output_tokens
        (n_prompts, n_models) int64, at least 1; output includes hidden reasoning. 0 throughout where
        `has_tokens` is False.
    has_costs, has_tokens
        Whether the source tells them, of every outcome.
    notes
        What was left out or decided on the way from the source to the table.

    Raises
    ------
    MissingOutcome
        A quality is NaN, or a cost that the source tells of others.
    DatasetError
        A shape, a range or a repeated prompt.
    """

    source: str
    licence: str
    read_on: str
    prompts: tuple[Prompt, ...]
    models: tuple[str, ...]
    quality: NDArray[np.float64]
    cost_usd: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    has_costs: bool = True
    has_tokens: bool = True
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.prompts), len(self.models))
        for name in ("quality", "cost_usd", "prompt_tokens", "output_tokens"):
            array = getattr(self, name)
            if array.shape != shape:
                raise DatasetError(f"{self.source}: {name} has shape {array.shape}; expected {shape}")
            array.setflags(write=False)
        for name in ("quality", "cost_usd") if self.has_costs else ("quality",):
            holes = np.argwhere(np.isnan(getattr(self, name)))
            if len(holes):
                row, column = holes[0]
                raise MissingOutcome(
                    f"{self.source}: {len(holes)} {name} missing, first of {self.models[column]} on prompt "
                    f"{self.prompts[row].id}; every model needs an outcome on every prompt: drop the prompt"
                )
        if not bool(np.all((self.quality >= 0) & (self.quality <= 1))):
            raise DatasetError(f"{self.source}: quality outside [0, 1]; expected judge scores in [0, 1]")
        if self.has_costs and not bool(np.all(np.isfinite(self.cost_usd) & (self.cost_usd > 0))):
            raise DatasetError(f"{self.source}: a cost is not a positive number of USD")
        if not self.has_costs and not bool(np.all(np.isnan(self.cost_usd))):
            raise DatasetError(f"{self.source}: found a cost where there are none; expected NaN throughout")
        tokens = self.prompt_tokens, self.output_tokens
        if self.has_tokens and any(bool(np.any(counts < 1)) for counts in tokens):
            raise DatasetError(f"{self.source}: a token count is below 1")
        if not self.has_tokens and any(bool(np.any(counts != 0)) for counts in tokens):
            raise DatasetError(f"{self.source}: found tokens where there are none; expected 0 throughout")
        if len({p.text for p in self.prompts}) != len(self.prompts):
            raise DatasetError(f"{self.source}: a prompt is repeated; expected unique texts")

    def only(self, models: Sequence[str]) -> "OutcomeTable":
        """Return the columns of some models, in the order given.

        Raises
        ------
        DatasetError
            The table has no such model.
        """
        unknown = [model for model in models if model not in self.models]
        if unknown or not models:
            raise DatasetError(
                f"{self.source} has no model {unknown[0] if unknown else 'of none'!r}; "
                f"expected some of {', '.join(self.models)}"
            )
        columns = [self.models.index(model) for model in models]
        return replace(
            self,
            models=tuple(models),
            quality=self.quality[:, columns],
            cost_usd=self.cost_usd[:, columns],
            prompt_tokens=self.prompt_tokens[:, columns],
            output_tokens=self.output_tokens[:, columns],
        )

    def priced(self, prices: Mapping[str, tuple[float, float]]) -> "OutcomeTable":
        """Return the table with costs made of its tokens and prices in USD per million, input and output.

        Raises
        ------
        DatasetError
            The table has no tokens, or a model no price.
        """
        if not self.has_tokens:
            raise DatasetError(f"{self.source} has no tokens; expected them: they are what a price is of")
        lacking = [model for model in self.models if model not in prices]
        if lacking:
            raise DatasetError(
                f"{self.source}: no price of {', '.join(lacking)}; expected one for every model"
            )
        into, out = (np.array([prices[model][k] for model in self.models]) for k in (0, 1))
        cost = (self.prompt_tokens * into + self.output_tokens * out) / 1e6
        return replace(self, cost_usd=cost, has_costs=True)

    def where(self, keep: Callable[[Prompt], bool]) -> "OutcomeTable":
        """Return the rows whose prompt passes `keep`, in their order."""
        rows = [i for i, prompt in enumerate(self.prompts) if keep(prompt)]
        return replace(
            self,
            prompts=tuple(self.prompts[i] for i in rows),
            quality=self.quality[rows],
            cost_usd=self.cost_usd[rows],
            prompt_tokens=self.prompt_tokens[rows],
            output_tokens=self.output_tokens[rows],
        )

    def split(self, name: str) -> "OutcomeTable":
        """Return the rows of one split.

        Raises
        ------
        DatasetError
            The table has no such split.
        """
        known = sorted({p.split for p in self.prompts})
        if name not in known:
            raise DatasetError(f"{self.source} has no split {name!r}; expected one of {', '.join(known)}")
        return self.where(lambda prompt: prompt.split == name)


@dataclass(frozen=True, slots=True)
class TaskMean:
    """Mean quality of a model over the prompts of a task, with how many there were."""

    model: str
    task: str
    score: float
    n: int


def task_means(table: OutcomeTable) -> tuple[TaskMean, ...]:
    """Mean quality per (model, task), by model in table order and task by name."""
    tasks = sorted({p.task for p in table.prompts})
    rows = {t: [i for i, p in enumerate(table.prompts) if p.task == t] for t in tasks}
    return tuple(
        TaskMean(model, task, float(table.quality[rows[task], column].mean()), len(rows[task]))
        for column, model in enumerate(table.models)
        for task in tasks
    )
