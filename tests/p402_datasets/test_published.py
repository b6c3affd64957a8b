"""Each loader reads tiny files of its source's published form, and refuses what is not of it."""

import csv
import json
import pickle
import tarfile

import numpy as np
import polars as pl
import pytest

from p402_datasets import embedllm, llmrouterbench, routellm, routerbench, sprout
from p402_datasets.errors import CorruptData, DatasetError, MissingData, MissingOutcome
from p402_datasets.registry import load


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


class TestRouterBench:
    ROWS = (
        {"sample_id": "mmlu-anatomy.val.0", "prompt": "['Which bone?']", "eval_name": "mmlu-anatomy",
         "gpt-4": 1.0, "mistral": 0.0, "gpt-4|model_response": "A",
         "gpt-4|total_cost": 0.002, "mistral|total_cost": 0.0001,
         "oracle_model_to_route_to": "gpt-4"},
        {"sample_id": "mtbench.1", "prompt": "['Hi', 'and then?']", "eval_name": "mtbench", "gpt-4": 0.9,
         "mistral": 0.5, "gpt-4|model_response": "B", "gpt-4|total_cost": 0.004, "mistral|total_cost": 0.0002,
         "oracle_model_to_route_to": "gpt-4"},
    )  # fmt: skip

    @pytest.mark.parametrize("suffix", ["parquet", "csv"])
    def test_a_converted_table_is_read(self, tmp_path, suffix):
        frame = pl.DataFrame(self.ROWS)
        getattr(frame, f"write_{suffix}")(tmp_path / f"routerbench_0shot.{suffix}")
        table = load("routerbench", tmp_path)
        assert (table.models, [p.text for p in table.prompts]) == (
            ("gpt-4", "mistral"),
            ["Which bone?", "Hi\n\nand then?"],
        )
        assert [p.task for p in table.prompts] == ["knowledge", "chat"]
        assert table.quality.tolist() == [[1.0, 0.0], [0.9, 0.5]]
        assert table.cost_usd.tolist() == [[0.002, 0.0001], [0.004, 0.0002]]
        assert (table.has_tokens, table.licence) == (False, "NOASSERTION")

    def test_a_pickle_is_never_read(self, tmp_path):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("the pickle was run",))

        (tmp_path / "routerbench_0shot.pkl").write_bytes(pickle.dumps(Trap()))
        for path in (tmp_path, tmp_path / "routerbench_0shot.pkl"):
            with pytest.raises(MissingData, match=r"is a pickle, which can run any code.*to_parquet"):
                load("routerbench", path)

    def test_other_columns_are_refused(self, tmp_path):
        write_csv(tmp_path / "a.csv", [["sample_id", "gpt-4|total_cost"], ["x", 1]])
        with pytest.raises(CorruptData, match="expected prompt, eval_name, gpt-4"):
            routerbench.tidy(tmp_path)
        write_csv(tmp_path / "a.csv", [["sample_id", "prompt", "eval_name"], ["x", "y", "z"]])
        with pytest.raises(CorruptData, match=r"MODEL\|total_cost"):
            routerbench.tidy(tmp_path)

    def test_a_prompt_that_only_looks_like_a_list_stays_as_it_is(self, tmp_path):
        rows = [dict(self.ROWS[0], prompt="[unclosed")]
        pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
        assert load("routerbench", tmp_path).prompts[0].text == "[unclosed"


class TestSprout:
    @staticmethod
    def cell(score, into=10, out=20):
        return {"num_input_tokens": into, "num_output_tokens": out, "response": "never read", "score": score}

    def write(self, folder, name, keys):
        rows = [
            {"key": key, "dataset": "math", "dataset_level": "1", "prompt": f"prompt {key}",
             "golden_answer": "4",
             "openai-gpt-4o": self.cell(1.0, 11), "aws-titan": self.cell(0.5, 12)}
            for key in keys
        ]  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows).write_parquet(folder / name)

    def test_scores_and_tokens_come_with_the_files_split(self, tmp_path):
        self.write(tmp_path / "data", sprout.NAMES[-1], ["c"])
        self.write(tmp_path / "data", sprout.NAMES[0], ["a", "b"])
        table = load("sprout", tmp_path)
        assert [(p.text, p.split) for p in table.prompts] == [
            ("prompt a", "train"), ("prompt b", "train"), ("prompt c", "test")
        ]  # fmt: skip
        assert table.models == ("openai-gpt-4o", "aws-titan")
        assert (table.has_costs, table.prompt_tokens[0].tolist()) == (False, [11, 12])
        priced = table.priced({"openai-gpt-4o": (2.5, 10.0), "aws-titan": (0.5, 1.5)})
        assert priced.cost_usd[0].tolist() == pytest.approx([227.5e-6, 36e-6])

    def test_a_null_score_is_a_hole(self, tmp_path):
        rows = [{"key": "a", "dataset": "math", "prompt": "p", "m": self.cell(None), "n": self.cell(1.0)},
                {"key": "b", "dataset": "math", "prompt": "q", "m": self.cell(0.5),
                 "n": self.cell(1.0)}]  # fmt: skip
        pl.DataFrame(rows).write_parquet(tmp_path / "test.parquet")
        with pytest.raises(MissingOutcome, match="first of m on a"):
            load("sprout", tmp_path)
        assert load("sprout", tmp_path, models=["n"]).quality.tolist() == [[1.0], [1.0]]

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(MissingData, match="train-00000-of-00003"):
            sprout.tidy(tmp_path)
        pl.DataFrame({"key": ["a"], "dataset": ["b"], "prompt": ["c"]}).write_parquet(
            tmp_path / "test.parquet"
        )
        with pytest.raises(CorruptData, match="expected models"):
            sprout.tidy(tmp_path)
        (tmp_path / "test.parquet").write_bytes(b"PAR1 no")
        with pytest.raises(CorruptData, match="expected SPROUT's Parquet"):
            sprout.tidy(tmp_path)


class TestRouteLLM:
    def test_right_and_wrong_are_1_and_0_and_responses_are_passed_over(self, tmp_path):
        write_csv(tmp_path / routellm.GSM8K, [
            ["prompt", "mixtral", "gpt-4", "mixtral_response", "gpt-4_response"],
            ["How many?\nTell.", "True", "False", "4", "5"],
        ])  # fmt: skip
        write_csv(
            tmp_path / "mmlu/responses/mmlu_formal_logic.csv",
            [["prompt", "mixtral", "gpt-4"], ["P?", False, True]],
        )
        table = load("routellm", tmp_path)
        assert (table.models, table.quality.tolist()) == (("mixtral", "gpt-4"), [[1.0, 0.0], [0.0, 1.0]])
        assert [(p.benchmark, p.task) for p in table.prompts] == [
            ("gsm8k", "math"),
            ("mmlu/formal_logic", "reasoning"),
        ]
        assert (table.has_costs, table.has_tokens) == (False, False)

    def test_what_is_neither_is_refused_with_its_row(self, tmp_path):
        path = write_csv(tmp_path / "mmlu_law.csv", [["prompt", "gpt-4"], ["a", True], ["b", "maybe"]])
        with pytest.raises(CorruptData, match="gpt-4 is 'maybe' in row 2"):
            routellm.tidy(tmp_path)
        write_csv(path, [["question", "gpt-4"], ["a", True]])
        with pytest.raises(CorruptData, match="expected prompt and models"):
            routellm.tidy(tmp_path)

    def test_there_are_58_files_to_fetch(self):
        assert len(set(routellm.NAMES)) == 58


class TestEmbedLLM:
    HEAD = ("prompt_id", "model_id", "category_id", "label", "category", "model_name", "prompt")

    def test_rows_of_every_split_are_read(self, tmp_path):
        for name, prompt in (("train.csv", "one"), ("test.csv", "two")):
            write_csv(
                tmp_path / name,
                [self.HEAD, [0, 0, 3, 1, "gsm8k", "qwen", prompt], [0, 1, 3, 0, "gsm8k", "yi", prompt]],
            )
        table = load("embedllm", tmp_path)
        assert [(p.text, p.split, p.task) for p in table.prompts] == [
            ("one", "train", "math"),
            ("two", "test", "math"),
        ]
        assert (table.models, table.quality.tolist()) == (("qwen", "yi"), [[1.0, 0.0]] * 2)

    def test_a_prompt_in_several_categories_is_averaged(self, tmp_path):
        rows = [
            [0, 0, 3, label, category, "qwen", "one"]
            for label, category in ((1, "a"), (0, "b"), (1, "c"), (1, "d"))
        ]
        write_csv(tmp_path / "val.csv", [self.HEAD, *rows])
        assert load("embedllm", tmp_path).quality.tolist() == [[0.75]]

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(MissingData, match=r"train\.csv, val\.csv, test\.csv"):
            embedllm.tidy(tmp_path)
        write_csv(tmp_path / "val.csv", [["prompt_id", "label"], [0, 1]])
        with pytest.raises(CorruptData, match="found no model_name, category, prompt"):
            embedllm.tidy(tmp_path)
        write_csv(tmp_path / "val.csv", [self.HEAD, [0, 0, 3, "yes", "a", "qwen", "one"]])
        with pytest.raises(CorruptData, match="expected EmbedLLM's CSV"):
            embedllm.tidy(tmp_path)


class TestLLMRouterBench:
    @staticmethod
    def result(*scores, cost=0.001):
        return {
            "performance": 0.5, "counts": len(scores),
            "records": [
                {"index": i + 1, "origin_query": f"query {i}", "prompt": f"Question: {i}", "prediction": "4",
                 "ground_truth": "4", "score": score, "prompt_tokens": 15, "completion_tokens": 5,
                 "cost": cost,
                 "raw_output": "..."}
                for i, score in enumerate(scores)
            ],
        }  # fmt: skip

    def write(self, folder, name, **result):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.result(*result.pop("scores"), **result)))

    def files(self, folder):
        self.write(folder, "bench/aime/test/gpt-5/20250901.json", scores=(0.0, 0.0))
        self.write(folder, "bench/aime/test/gpt-5/20250902.json", scores=(1.0, 0.0))
        self.write(folder, "bench/aime/test/qwen/20250901.json", scores=(0.0, 1.0), cost=0.0002)
        self.write(folder, "bench/mbpp/test/qwen/20250901.json", scores=(1.0,), cost=0.0002)
        (folder / "bench" / "README.json").write_text("{}")

    @pytest.mark.parametrize("packed", [False, True])
    def test_results_are_read_packed_or_not_and_the_last_run_counts(self, tmp_path, packed):
        self.files(tmp_path)
        place = tmp_path
        if packed:
            place = tmp_path / "got"
            place.mkdir()
            with tarfile.open(place / llmrouterbench.ARCHIVE, "w:gz") as tar:
                tar.add(tmp_path / "bench", "results/bench")
        with pytest.raises(MissingOutcome, match="first of gpt-5 on mbpp/test-1"):
            load("llmrouterbench", place)
        table = load("llmrouterbench", place, drop_incomplete=True)
        assert (table.models, table.quality.tolist()) == (("gpt-5", "qwen"), [[1.0, 0.0], [0.0, 1.0]])
        assert [(p.text, p.benchmark, p.split) for p in table.prompts] == [
            ("query 0", "aime", "test"), ("query 1", "aime", "test")
        ]  # fmt: skip
        assert (table.cost_usd[0].tolist(), table.output_tokens[0].tolist()) == ([0.001, 0.0002], [5, 5])
        assert (
            len(load("llmrouterbench", place, models=["qwen"]).prompts) == 2
        )  # one text is on two benchmarks

    def test_a_layout_without_splits_is_read_too(self, tmp_path):
        self.write(tmp_path, "bench-release/aime/gpt-5/a.json", scores=(1.0,))
        assert load("llmrouterbench", tmp_path).prompts[0].benchmark == "aime"

    def test_models_that_cost_nothing_have_unknown_costs(self, tmp_path):
        self.write(tmp_path, "aime/gpt-5/a.json", scores=(1.0,), cost=0)
        table = load("llmrouterbench", tmp_path)
        assert not table.has_costs
        assert np.isnan(table.cost_usd).all()

    def test_other_files_are_refused(self, tmp_path):
        with pytest.raises(MissingData, match=r"bench-release\.tar\.gz"):
            llmrouterbench.tidy(tmp_path)
        (tmp_path / "aime" / "gpt-5").mkdir(parents=True)
        (tmp_path / "aime" / "gpt-5" / "a.json").write_text('{"records": [{"score": "good"}]}')
        with pytest.raises(CorruptData, match="expected an object with `records`"):
            llmrouterbench.tidy(tmp_path)
        (tmp_path / llmrouterbench.ARCHIVE).write_bytes(b"no archive")
        with pytest.raises(CorruptData, match="expected a tar archive"):
            llmrouterbench.tidy(tmp_path)


def test_an_unknown_model_names_the_nearest(tmp_path):
    write_csv(tmp_path / "mmlu_law.csv", [["prompt", "gpt-4"], ["a", True]])
    with pytest.raises(DatasetError, match="no model 'gpt4'; did you mean `gpt-4`"):
        load("routellm", tmp_path, models=["gpt4"])
