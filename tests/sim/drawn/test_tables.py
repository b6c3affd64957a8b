"""Tidy Parquet files are full-information tables, or are refused with what to do."""

import polars as pl
import pytest

from p402_datasets.errors import CorruptData, DatasetError, MissingData, MissingOutcome
from p402_datasets.paretobandit import VAL
from sim.drawn.offers import Rules, names_of
from sim.drawn.tables import open_table
from sim.drawn.world import world_of


def tidy(prompts=40, models=("lab/large", "lab/small")):
    rows = [
        {
            "prompt": f"What is {i} times {i + 1}?",
            "task": ("gsm8k", "mmlu/history")[i % 2],
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
        split=pl.when(pl.col("task") == "gsm8k").then(pl.lit(VAL)).otherwise(pl.lit("test"))
    )
    priced = open_table(file(frame))
    assert {(p.benchmark, p.split) for p in priced.table.prompts} == {
        ("gsm8k", VAL),
        ("mmlu/history", "test"),
    }


def test_tokens_that_a_file_lacks_are_made_of_its_texts_and_costs(file):
    frame = tidy().with_columns(input_tokens=pl.lit(7), output_tokens=pl.lit(9))
    some = pl.when(pl.col("quality") > 0).then(pl.lit(9))
    for given, known in ((frame, True), (tidy(), False), (frame.with_columns(output_tokens=some), True)):
        table = open_table(file(given)).table
        assert table.has_tokens
        assert (table.prompt_tokens == 7).all() == known
    share = table.output_tokens[table.quality == 0.0]
    mean = tidy().group_by("model").agg(pl.col("cost_usd").mean()).sort("model")["cost_usd"].to_numpy()
    assert share.tolist() == (256 * table.cost_usd / mean).round()[table.quality == 0.0].tolist()
    assert (table.output_tokens[table.quality > 0.0] == 9).all()


def test_a_missing_outcome_is_refused_or_its_prompt_left_out_when_asked(file):
    path = file(tidy()[1:])
    with pytest.raises(MissingOutcome, match="1 of 40 prompts lack"):
        open_table(path)
    priced = open_table(path, complete=True)
    assert (len(priced.table.prompts), priced.dropped) == (39, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("model"), "expected model as well"),
        (lambda f: f.drop("cost_usd"), "no outcome has a cost"),
        (lambda f: f.with_columns(quality=pl.lit("good")), "expected the tidy columns"),
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


@pytest.mark.parametrize(("change", "said"), [
    (lambda f: f.with_columns(split=pl.lit("val")), "are of split .val."),
    (lambda f: f.with_columns(quality=pl.lit("good")), "expected the tidy columns"),
    (lambda f: f.clear(), "found no row"),
])  # fmt: skip
def test_what_is_no_table_is_refused_in_words(file, change, said):
    with pytest.raises(DatasetError, match=said):
        open_table(file(change(tidy())))


def test_a_file_that_is_no_parquet_is_refused_in_words(tmp_path):
    path = tmp_path / "mine.parquet"
    path.write_text("prompt,model\n")
    with pytest.raises(CorruptData, match=r"mine\.parquet.*expected a Parquet file"):
        open_table(str(path))
