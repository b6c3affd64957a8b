"""`p402 datasets` lists, fetches and shows, and downloads nothing that was not asked for."""

import json

import polars as pl
import pytest

from p402_datasets import registry
from p402_datasets.command import main
from p402_datasets.errors import CorruptData, DatasetError, MissingData
from p402_datasets.fetch import LOCK
from p402_datasets.registry import DATASETS, load
from tests.p402_datasets.test_fetch import Server, serving

CSV = b"prompt_id,model_id,category_id,label,category,model_name,prompt\n0,0,0,1,gsm8k,qwen,one\n"


@pytest.fixture
def server():
    state = Server()
    state.body = CSV
    with serving(state) as url:
        state.url = url
        yield state


def test_every_entry_says_where_it_is_from_and_under_which_licence(capsys, tmp_path):
    assert main(["list", "--cache", str(tmp_path), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in listed} == set(DATASETS)
    for entry in listed:
        assert all(
            entry[name] for name in ("title", "home", "licence", "read_on", "columns", "tidied", "by_hand")
        )
        assert all(file["url"].startswith("https://") for file in entry["files"])
    assert main(["list", "--cache", str(tmp_path)]) == 0
    assert "NOASSERTION" in capsys.readouterr().out


def test_what_is_fetched_can_be_shown_and_loaded(server, tmp_path, capsys):
    asked = ["fetch", "embedllm", "--cache", str(tmp_path), "--url", f"{server.url}/"]
    assert main(asked) == 0
    assert "3 of 3 files fetched" in capsys.readouterr().out
    assert [path for path, _ in server.asked] == ["/train.csv", "/val.csv", "/test.csv"]
    assert main(asked) == 0
    assert "0 of 3 files fetched" in capsys.readouterr().out
    assert main(["show", "embedllm", "--cache", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["contents"]["prompts"], shown["contents"]["tasks"]) == (1, {"math": 1})
    assert main(["list", "--cache", str(tmp_path), "--json"]) == 0
    here = {entry["name"]: entry["here"] for entry in json.loads(capsys.readouterr().out)}
    assert (here["embedllm"], here["sprout"]) == ("yes", "no")
    (tmp_path / "embedllm" / "val.csv").write_bytes(CSV + b"1,0,0,1,gsm8k,qwen,two\n")
    with pytest.raises(CorruptData, match="fetch it again"):
        load("embedllm", cache=tmp_path)
    assert (tmp_path / "embedllm" / LOCK).exists()


def test_a_dead_url_is_one_line_that_says_where_to_put_it_by_hand(server, tmp_path, capsys):
    server.how = "404"
    assert main(["fetch", "llmrouterbench", "--cache", str(tmp_path), "--url", f"{server.url}/x.tar.gz"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("p402 datasets fetch: ")
    assert "answered 404" in said
    assert f"into the folder, which is {tmp_path / 'llmrouterbench'}" in said


@pytest.mark.parametrize(("name", "said"), [
    ("routerbench", "pickles"), ("paretobandit", "install the wheel"), ("open-bandit", "pip download"),
    ("tidy", "--path"),
])  # fmt: skip
def test_what_is_not_for_download_says_how_it_is_had(tmp_path, capsys, name, said):
    assert main(["fetch", name, "--cache", str(tmp_path)]) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_url_is_not_enough_for_several_files(tmp_path, capsys):
    assert main(["fetch", "embedllm", "--cache", str(tmp_path), "--url", "http://127.0.0.1:1/a.csv"]) == 1
    assert "ends with /" in capsys.readouterr().err


def test_showing_what_is_not_here_says_how_to_get_it_and_fetches_nothing(tmp_path, capsys):
    assert main(["show", "sprout", "--cache", str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "p402 datasets fetch sprout" in said
    assert not list(tmp_path.iterdir())
    assert main(["show", "routerbench", "--cache", str(tmp_path)]) == 0
    assert "to_parquet" in capsys.readouterr().out
    assert main(["show", "sprout", "--path", str(tmp_path / "nowhere")]) == 1


def test_the_tidy_rows_can_be_written_and_are_not_written_over(tmp_path, capsys):
    (tmp_path / "train.csv").write_bytes(CSV)
    out = tmp_path / "tidy.parquet"
    asked = ["show", "embedllm", "--path", str(tmp_path / "train.csv"), "--out", str(out)]
    assert main(asked) == 0
    assert "costs are unknown" in capsys.readouterr().out
    assert pl.read_parquet(out)["prompt"].to_list() == ["one"]
    assert main(asked) == 1
    assert "exists" in capsys.readouterr().err
    assert load("tidy", out).models == ("qwen",)


def test_an_unknown_name_names_the_nearest(capsys):
    assert main(["show", "routerbnch"]) == 1
    assert "did you mean `routerbench`" in capsys.readouterr().err
    assert main(["shwo"]) == 2


def test_the_wheels_table_comes_by_the_same_door():
    table = load("paretobandit")
    assert len(table.prompts) == 3_609
    assert load("paretobandit", models=table.models[:1]).quality.shape == (3_609, 1)


def test_logged_data_and_wheels_have_no_tidy_rows():
    for name in ("open-bandit", "paretobandit"):
        with pytest.raises(DatasetError, match="not read from files of the cache"):
            registry.tidy(name)
    with pytest.raises(MissingData, match="as --path"):
        registry.tidy("tidy")
