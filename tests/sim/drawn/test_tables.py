"""Tidy Parquet files are full-information tables, or are refused with what to do."""

import polars as pl
import pytest

from p402_datasets.errors import CorruptData, MissingData, MissingOutcome
from p402_datasets.paretobandit import VAL
from sim.drawn.offers import Rules, names_of
from sim.drawn.tables import open_table
from sim.drawn.tidy import task_of
from sim.drawn.world import world_of


def tidy(prompts=40, models=("lab/large", "lab/small")):
    rows = [
        {
            "prompt": f"What is {i} times {i + 1}?",
            "task": ("algebra", "history")[i % 2],
            "model": model,
            "quality": float((i + k) % 2),
            "cost_usd": (0.01, 0.0001)[k] * (1 + i % 3),
        }
        for i in range(prompts)
        for k, model in enumerate(models)
    ]
    return pl.DataFrame(rows)


@pytest.fixture
def file(tmp_path):
    def file(frame):
        path = tmp_path / "mine.parquet"
        frame.write_parquet(path)
        return str(path)

    return file


def test_a_tidy_file_becomes_a_world_of_its_models(file):
    priced = open_table(file(tidy()))
    assert (priced.name, priced.table.models, priced.billed) == ("mine", ("lab/large", "lab/small"), False)
    assert {prompt.task for prompt in priced.table.prompts} == {"math", "knowledge"}
    assert {prompt.split for prompt in priced.table.prompts} == {VAL, "test"}
    made = world_of(priced, Rules(), ("balanced",))
    assert made.offered.snapshot.n_arms == 6
    listed = [k for k, arm in enumerate(made.offered.snapshot.spec.arms.arm) if arm.startswith("x100/")]
    nano = made.traffic.cost_usd * 1e9
    assert abs(made.outcomes.cost_nano[:, listed] - nano).max() <= 1.0


def test_a_split_of_the_file_is_kept(file):
    frame = tidy().with_columns(
        split=pl.when(pl.col("task") == "algebra").then(pl.lit(VAL)).otherwise(pl.lit("test"))
    )
    priced = open_table(file(frame))
    assert {(p.benchmark, p.split) for p in priced.table.prompts} == {("algebra", VAL), ("history", "test")}


def test_a_missing_outcome_is_refused_or_its_prompt_left_out_when_asked(file):
    path = file(tidy()[1:])
    with pytest.raises(MissingOutcome, match="1 of 40 prompts lack"):
        open_table(path)
    priced = open_table(path, complete=True)
    assert (len(priced.table.prompts), priced.dropped) == (39, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("cost_usd"), "no column cost_usd"),
        (lambda f: f.with_columns(quality=None), "is null"),
    ],
)
def test_a_file_that_is_no_table_is_refused(file, change, said):
    with pytest.raises(CorruptData, match=said):
        open_table(file(change(tidy())))


def test_no_such_table_says_what_is_expected():
    with pytest.raises(MissingData, match="expected 'paretobandit', or the path"):
        open_table("paretobandits")


def test_names_lose_their_maker_only_where_that_leaves_them_different():
    assert names_of(("a/x", "b/y")) == ("x", "y")
    assert names_of(("a/x", "b/x")) == ("a_x", "b_x")


def test_tasks_are_guessed_by_words_and_else_knowledge():
    assert [task_of(name) for name in ("GSM8K", "mbpp", "law", "bbh/snarks")] == [
        "math", "code", "knowledge", "reasoning",
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), [
    (lambda f: f.with_columns(split=pl.lit("val")), "all 40 prompts are of split 'val'"),
    (lambda f: f.with_columns(quality=pl.lit("good")), "numbers in quality, cost_usd"),
    (lambda f: f.clear(), "found no row"),
])  # fmt: skip
def test_what_is_no_table_is_refused_in_words(file, change, said):
    with pytest.raises(CorruptData, match=said):
        open_table(file(change(tidy())))


def test_a_file_that_is_no_parquet_is_refused_in_words(tmp_path):
    path = tmp_path / "mine.parquet"
    path.write_text("prompt,model\n")
    with pytest.raises(CorruptData, match=r"mine\.parquet.*expected a Parquet file"):
        open_table(str(path))
