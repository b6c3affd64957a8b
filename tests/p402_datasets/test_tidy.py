"""Tidy rows become a table without holes, or an error; what was left out is said."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402_datasets.errors import CorruptData, DatasetError, MissingData, MissingOutcome
from p402_datasets.outcomes import OutcomeTable, prompt_id
from p402_datasets.registry import load
from p402_datasets.tidy import COLUMNS, About, of_table, read, shaped, to_table

ABOUT = About("made up", "CC0-1.0", "2026-11-26")
MODELS = ("b", "a")


def rows(n=3, **columns):
    made = {
        "source": "made up",
        "prompt_id": [f"p{i}" for i in range(n) for _ in MODELS],
        "task": ["gsm8k" if i % 2 else "mmlu/law" for i in range(n) for _ in MODELS],
        "prompt": [f"text {i}" for i in range(n) for _ in MODELS],
        "model": list(MODELS) * n,
        "quality": [(i + k) / (n + 1) for i in range(n) for k in range(2)],
        "input_tokens": [3] * 2 * n,
        "output_tokens": [5] * 2 * n,
        "cost_usd": [0.001 * (k + 1) for _ in range(n) for k in range(2)],
    }
    return shaped(pl.DataFrame(made | columns), "made up")


def without(frame, where):
    return frame.filter(~where)


def test_rows_become_a_table_in_their_order():
    table = to_table(rows(), ABOUT)
    assert (table.models, [p.text for p in table.prompts]) == (MODELS, ["text 0", "text 1", "text 2"])
    assert [p.task for p in table.prompts] == ["knowledge", "math", "knowledge"]
    assert table.quality.tolist() == [[0.0, 0.25], [0.25, 0.5], [0.5, 0.75]]
    assert (table.cost_usd[0].tolist(), table.output_tokens[1].tolist()) == ([0.001, 0.002], [5, 5])
    assert (table.has_costs, table.has_tokens, table.notes, table.licence) == (True, True, (), "CC0-1.0")


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_no_value_to_another_cell(n, rng):
    frame = rows(n)
    order = list(range(frame.height))
    rng.shuffle(order)
    straight, shuffled = to_table(frame, ABOUT), to_table(frame[order], ABOUT)
    where = {p.text: i for i, p in enumerate(shuffled.prompts)}
    for i, prompt in enumerate(straight.prompts):
        for k, model in enumerate(straight.models):
            j = shuffled.models.index(model)
            assert straight.quality[i, k] == shuffled.quality[where[prompt.text], j]
            assert straight.cost_usd[i, k] == shuffled.cost_usd[where[prompt.text], j]


def test_a_missing_outcome_of_an_arm_is_an_error_and_never_a_zero():
    hole = without(rows(), (pl.col("prompt_id") == "p1") & (pl.col("model") == "a"))
    with pytest.raises(MissingOutcome, match=r"1 of 3 prompts lack an outcome, first of a on p1.*drop"):
        to_table(hole, ABOUT)
    table = to_table(hole, ABOUT, drop_incomplete=True)
    assert [p.text for p in table.prompts] == ["text 0", "text 2"]
    assert table.notes == ("1 of 3 prompts were left out: some model has no outcome on them",)


@pytest.mark.parametrize("cost", [None, 0.0])
def test_a_cost_that_only_some_have_is_a_hole(cost):
    costs = [0.1] * 5 + [cost]
    with pytest.raises(MissingOutcome, match="first of a on p2"):
        to_table(rows(cost_usd=costs), ABOUT)


def test_what_a_source_has_none_of_is_unknown_and_said():
    table = to_table(rows(cost_usd=[None] * 6, input_tokens=[None] * 6), ABOUT)
    assert (table.has_costs, table.has_tokens) == (False, False)
    assert np.isnan(table.cost_usd).all()
    assert not table.output_tokens.any()
    assert table.notes == ("tokens are unknown", "costs are unknown")
    assert not table.only(["a"]).has_costs


def test_of_prompts_with_one_text_the_first_is_kept_and_the_others_are_counted():
    table = to_table(rows(prompt=["same"] * 4 + ["other"] * 2), ABOUT)
    assert [p.text for p in table.prompts] == ["same", "other"]
    assert table.quality[0].tolist() == [0.0, 0.25]
    assert table.notes == ("1 prompts were left out: their text is an earlier one's",)


def test_two_outcomes_of_one_model_on_one_prompt_are_refused():
    with pytest.raises(DatasetError, match="b has two outcomes on prompt p0"):
        to_table(pl.concat([rows(), rows(1)]), ABOUT)


def test_benchmarks_of_no_known_task_are_named():
    table = to_table(rows(task=["mystery"] * 6), ABOUT)
    assert {p.task for p in table.prompts} == {"chat"}
    assert table.notes == ("benchmarks of no known task count as chat: mystery",)


@pytest.mark.parametrize(
    "frame", [rows(0), without(rows(1), pl.col("model") == "a").with_columns(quality=None)]
)
def test_nothing_to_make_a_table_of_is_an_error(frame):
    with pytest.raises(DatasetError):
        to_table(shaped(frame, "x"), ABOUT, drop_incomplete=True)


def test_a_quality_out_of_range_is_refused():
    with pytest.raises(DatasetError, match="outside"):
        to_table(rows(quality=[0.5] * 5 + [1.5]), ABOUT)


def test_a_table_written_and_read_is_the_same_table(tmp_path):
    table = to_table(rows(), ABOUT)
    of_table(table).write_parquet(tmp_path / "t.parquet")
    again = load("tidy", tmp_path / "t.parquet")
    for name in ("quality", "cost_usd", "prompt_tokens", "output_tokens"):
        assert np.array_equal(getattr(again, name), getattr(table, name))
    assert (again.models, again.prompts) == (table.models, table.prompts)
    assert load("tidy", tmp_path, models=["a"]).models == ("a",)


def test_a_price_makes_costs_of_tokens():
    table = to_table(rows(cost_usd=[None] * 6), ABOUT).priced({"a": (1.0, 2.0), "b": (0.0, 4.0)})
    assert table.has_costs
    assert table.cost_usd[0].tolist() == [20e-6, 13e-6]
    with pytest.raises(DatasetError, match="no price of b"):
        table.priced({"a": (1.0, 2.0)})
    with pytest.raises(DatasetError, match="no tokens"):
        to_table(rows(input_tokens=[None] * 6), ABOUT).priced({})


def test_unknown_models_are_named_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"no model 'c'.*b, a"):
        to_table(rows(), ABOUT).only(["c"])
    with pytest.raises(DatasetError, match="no model"):
        to_table(rows(), ABOUT).only([])


def test_rows_without_ids_of_prompts_are_told_apart_by_their_texts():
    frame = shaped(rows().drop("prompt_id", "source"), "mine")
    assert frame["source"].unique().to_list() == ["mine"]
    assert frame["prompt_id"].to_list() == [prompt_id(text) for text in frame["prompt"]]
    assert to_table(frame, ABOUT).quality.tolist() == to_table(rows(), ABOUT).quality.tolist()


def test_a_file_that_is_no_tidy_parquet_is_refused(tmp_path):
    with pytest.raises(MissingData, match="is no file"):
        read(tmp_path / "nowhere.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(CorruptData, match=r"bad\.parquet"):
        read(tmp_path / "bad.parquet")
    rows().drop("quality").write_parquet(tmp_path / "less.parquet")
    with pytest.raises(CorruptData, match="expected quality as well"):
        read(tmp_path / "less.parquet")
    rows().with_columns(quality=pl.lit("good")).write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(CorruptData, match="expected the tidy columns"):
        read(tmp_path / "odd.parquet")
    rows().drop("split", "cost_usd").write_parquet(tmp_path / "plain.parquet")
    assert read(tmp_path / "plain.parquet").columns == list(COLUMNS)


TABLES = os.environ.get("P402_TABLES")


@pytest.mark.skipif(TABLES is None, reason="P402_TABLES names no folder of tidy Parquet files")
@pytest.mark.parametrize("path", sorted(Path(TABLES or ".").glob("*.parquet")), ids=lambda path: path.name)
def test_real_tables_load(path):
    if "quality" not in pl.read_parquet_schema(path):
        pytest.skip("not a table of outcomes")
    table = load("tidy", path, drop_incomplete=True)
    assert isinstance(table, OutcomeTable)
    assert len(table.prompts) > 0
    assert {p.task for p in table.prompts} != {"chat"} or "mt_bench" in {p.benchmark for p in table.prompts}
