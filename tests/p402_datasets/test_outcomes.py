"""The common table has no holes, no repeats, and splits without loss."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402_datasets.errors import DatasetError, MissingOutcome
from p402_datasets.outcomes import OutcomeTable, Prompt, prompt_id, task_means


def table(n: int = 4, **changes: object) -> OutcomeTable:
    fields: dict[str, object] = {
        "source": "made up",
        "licence": "CC0-1.0",
        "read_on": "2026-11-22",
        "prompts": tuple(
            Prompt(
                prompt_id(f"p{i}"), f"p{i}", "made", "math" if i % 2 else "code", "val" if i < 3 else "test"
            )
            for i in range(n)
        ),
        "models": ("a", "b"),
        "quality": np.linspace(0, 1, 2 * n).reshape(n, 2),
        "cost_usd": np.full((n, 2), 0.001),
        "prompt_tokens": np.full((n, 2), 3),
        "output_tokens": np.full((n, 2), 5),
    }
    return OutcomeTable(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("column", ["quality", "cost_usd"])
def test_a_missing_outcome_is_an_error_that_names_model_and_prompt(column: str) -> None:
    hole = np.full((4, 2), 0.5)
    hole[2, 1] = np.nan
    with pytest.raises(MissingOutcome, match=rf"1 {column} missing, first of b on prompt {prompt_id('p2')}"):
        table(**{column: hole})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"quality": np.full((4, 2), 1.01)}, "outside"),
        ({"quality": np.full((3, 2), 0.5)}, "shape"),
        ({"cost_usd": np.zeros((4, 2))}, "not a positive"),
        ({"output_tokens": np.zeros((4, 2), np.int64)}, "below 1"),
        ({"prompts": (Prompt("x", "same", "b", "math", "val"),) * 4}, "repeated"),
    ],
)
def test_a_table_that_could_mislead_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        table(**changes)


def test_outcomes_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        table().quality[0, 0] = 1.0


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(DatasetError, match="test, val"):
        table().split("train")


@given(st.integers(4, 40))
def test_splits_are_parts_of_the_whole(n: int) -> None:
    whole = table(n)
    parts = [whole.split("val"), whole.split("test")]
    assert sum(len(p.prompts) for p in parts) == n
    assert np.array_equal(np.vstack([p.quality for p in parts]), whole.quality)


@given(st.integers(2, 40))
def test_task_means_weighted_by_their_counts_give_the_overall_mean(n: int) -> None:
    whole = table(n)
    for column, model in enumerate(whole.models):
        means = [m for m in task_means(whole) if m.model == model]
        assert sum(m.n for m in means) == n
        assert sum(m.score * m.n for m in means) / n == pytest.approx(whole.quality[:, column].mean())
