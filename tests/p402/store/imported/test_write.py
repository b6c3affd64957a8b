"""Files of others' logs are in ours once, whole, priced exactly, and never as rounds."""

import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.errors import ConfigError, DiskFull
from p402.events import Imported
from p402.store.catalog import load_catalog
from p402.store.compactor import compact
from p402.store.imported.write import import_files
from p402.store.reader import connect, read_events
from p402.store.task_head import load_head
from p402.store.writer import LogWriter

NOON = 1_763_640_000_000  # 2025-11-20 12:00 UTC
CATALOG, HEAD = load_catalog(), load_head()
SECRET = "my mother's maiden name is Quux"


def lite(i, **changed):
    return {
        "request_id": f"chatcmpl-{i}", "call_type": "acompletion", "api_key": "k", "spend": 0.0001,
        "prompt_tokens": 10, "completion_tokens": 20, "startTime": f"2025-11-20T10:00:{i % 60:02d}Z",
        "endTime": "2025-11-20T10:05:00Z", "model": "gpt-4o", "custom_llm_provider": "openai",
        "user": "ann", "messages": [{"role": "user", "content": SECRET}], **changed,
    }  # fmt: skip


def run(files, log, source="litellm", tenant="acme", **options):
    return import_files(files, source, log, tenant, CATALOG, HEAD, lambda: NOON, **options)


def write_lines(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def imported(log):
    return [event for event in read_events(log) if isinstance(event, Imported)]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def test_a_file_that_is_imported_twice_adds_nothing_compacted_or_not(tmp_path, log):
    file = write_lines(tmp_path / "a.jsonl", [lite(i) for i in range(5)])
    assert run([file], log).imported == 5
    before = imported(log)
    again = run([file, file], log)
    assert (again.imported, again.known, again.repeated) == (0, 5, 5)
    compact(log)
    assert run([file], log).known == 5
    assert sorted(imported(log), key=lambda e: e.id) == sorted(before, key=lambda e: e.id)


def test_what_two_overlapping_files_have_is_there_once(tmp_path, log):
    one = write_lines(tmp_path / "a.jsonl", [lite(i) for i in range(4)])
    two = write_lines(tmp_path / "b.jsonl", [lite(i) for i in range(2, 7)])
    found = run([one, two], log)
    assert (found.imported, found.repeated, len(imported(log))) == (7, 2, 7)


def test_the_same_call_of_two_tenants_is_two_calls(tmp_path, log):
    file = write_lines(tmp_path / "a.jsonl", [lite(0)])
    assert [run([file], log, tenant=name).imported for name in ("acme", "other")] == [1, 1]
    assert {event.tenant for event in imported(log)} == {"acme", "other"}


def test_calls_without_an_id_are_told_apart_by_what_they_say(tmp_path, log):
    file = write_lines(
        tmp_path / "a.jsonl", [lite(0, request_id=None), lite(0, request_id=None), lite(1, request_id="")]
    )
    assert (run([file], log).imported, run([file], log).known) == (2, 2)


def test_an_import_that_was_cut_goes_on_from_there(tmp_path, log, monkeypatch):
    file = write_lines(tmp_path / "a.jsonl", [lite(i) for i in range(6)])
    real, left = LogWriter.append, iter(range(3))

    def full(self, event):
        if next(left, None) is None:
            raise DiskFull("no room")
        real(self, event)

    with monkeypatch.context() as patch:
        patch.setattr(LogWriter, "append", full)
        with pytest.raises(DiskFull):
            run([file], log)
    found = run([file], log)
    assert (found.known, found.imported, len(imported(log))) == (3, 3, 6)


rows = st.lists(
    st.sampled_from([
        lite(1), lite(2), lite(3, spend=0), lite(4, call_type="aembedding"), lite(5, spend="NaN"),
        lite(6, startTime=None), "{broken", "[1]", '"text"', lite(7, status="failure", model=""),
    ]),
    max_size=25,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(rows)
def test_every_line_is_counted_once(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("lines")
    found = run([write_lines(folder / "a.jsonl", rows)], folder / "log", dry_run=True)
    assert found.rows == len(rows)
    assert found.imported + found.repeated + found.skipped.total() + found.damaged == len(rows)
    assert found.damaged == len(found.damages)
    bad = [isinstance(row, str) or row["spend"] == "NaN" or not row["startTime"] for row in rows]
    assert [damage.line for damage in found.damages] == [n for n, is_bad in enumerate(bad, 1) if is_bad]


def test_a_dry_run_counts_the_same_and_writes_nothing(tmp_path, log):
    file = write_lines(tmp_path / "a.jsonl", [lite(0), "{", lite(1, spend=0)])
    dry = run([file], log, dry_run=True)
    assert not log.exists()
    wet = run([file], log)
    assert (dry.imported, dry.damaged, dry.cost_nano, dry.models) == (2, 1, wet.cost_nano, wet.models)


def test_a_prompt_is_kept_only_where_that_is_asked_for(tmp_path, log):
    file = write_lines(tmp_path / "a.jsonl", [lite(0)])
    run([file], log)
    compact(log)
    (event,) = imported(log)
    assert (event.prompt, len(event.prompt_hash), event.task) == (None, 16, "chat")
    for path in log.rglob("*"):
        assert path.is_dir() or not any(word in path.read_bytes() for word in (b"maiden", b'"ann"'))
    run([file], log, tenant="open", keep_prompts=True)
    kept = next(event for event in imported(log) if event.tenant == "open")
    assert json.loads(kept.prompt) == [{"role": "user", "content": SECRET}]
    assert (kept.prompt_hash, kept.inputs) == (event.prompt_hash, event.inputs)


@given(st.integers(1, 10**12))
@settings(max_examples=30, deadline=None)
def test_money_that_the_source_tells_is_exact(tmp_path_factory, amount):
    folder = tmp_path_factory.mktemp("money")
    with (folder / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, lite(0))
        writer.writeheader()
        writer.writerow(lite(0, spend=f"{amount // 10**9}.{amount % 10**9:09d}", messages=""))
    assert run([folder / "a.csv"], folder / "log", dry_run=True).cost_nano == amount


def test_a_call_without_a_cost_has_the_lists_price_and_an_unknown_model_has_none(tmp_path, log):
    told = {"usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}}
    file = write_lines(
        tmp_path / "a.jsonl",
        [
            lite(0, spend=0, metadata=told),
            lite(1, spend=0, model="house-llm"),
            lite(2, spend=0, custom_llm_provider="azure", model="mine"),
        ],
    )
    found = run([file], log)
    listed, unknown, elsewhere = sorted(imported(log), key=lambda e: e.ts_ms)
    into, read, out = listed.price_pico[:3]
    assert (listed.price_source, into, out) == ("list", 2_500_000, 10_000_000)
    assert listed.cost_nano == -(-(6 * into + 4 * read + 20 * out) // 1000)
    for event in (unknown, elsewhere):
        assert (event.cost_nano, event.price_pico, event.price_source) == (None, None, None)
    assert (found.unpriced, dict(found.unpriced_models)) == (2, {"house-llm": 1, "mine": 1})


def test_a_call_without_a_prompt_has_no_task_and_every_task_alike_in_its_features(tmp_path, log):
    run([write_lines(tmp_path / "a.jsonl", [lite(0, messages={})])], log)
    (event,) = imported(log)
    assert (event.task, event.prompt_hash, event.inputs.prompt_tokens) == (None, None, 10)
    assert sum(event.inputs.features[1:11]) == 4096
    assert max(event.inputs.features[1:11]) - min(event.inputs.features[1:11]) < 10


def test_imported_calls_are_no_rounds_and_their_propensity_is_null(tmp_path, log):
    run([write_lines(tmp_path / "a.jsonl", [lite(0)])], log)
    with connect(log) as con:
        assert con.execute("SELECT count(*) FROM rounds").fetchone() == (0,)
        assert con.execute("SELECT propensity FROM imported").fetchall() == [(None,)]
        calls = con.execute("SELECT called, propensity, cost_nano, imported_from FROM calls").fetchall()
    assert calls == [("openai/gpt-4o", None, 100_000, "litellm")]


def langfuse(i, **changed):
    return {
        "id": f"gen-{i}", "traceId": f"tr-{i // 2}", "type": "GENERATION",
        "startTime": "2025-11-20T10:00:00Z", "model": "gpt-4o",
        "usageDetails": {"input": 5, "output": 5}, "totalCost": 0.5, **changed,
    }  # fmt: skip


def score(**changed):
    return {"name": "good", "timestamp": "2025-11-20T11:00:00Z", "value": 1, "dataType": "NUMERIC", **changed}


def test_a_score_finds_its_call_before_or_after_it_and_only_if_it_is_of_one(tmp_path, log):
    scores = [
        score(observationId="gen-0"), score(traceId="tr-1", value=0.25), score(traceId="tr-0"),
        score(observationId="gen-77"), score(observationId="gen-0", name="stars", value=4),
    ]  # fmt: skip
    file = write_lines(tmp_path / "a.jsonl", [*scores, langfuse(0), langfuse(1), langfuse(2)])
    found = run([file], log, "langfuse")
    assert (found.imported, found.rewards, found.unplaced) == (3, 3, 2)
    again = run([file], log, "langfuse")
    assert (again.known, again.rewards, again.rewards_known) == (3, 0, 3)
    alone = run([write_lines(tmp_path / "s.jsonl", [score(observationId="gen-1")])], log, "langfuse")
    assert (alone.imported, alone.rewards) == (0, 1)
    with connect(log) as con:
        said = con.execute("SELECT source, quality, metadata FROM rewards ORDER BY 1, 2").fetchall()
        qualities = con.execute("SELECT quality FROM calls ORDER BY quality NULLS LAST").fetchall()
    assert said == [
        ("langfuse:good", 0.25, {}), ("langfuse:good", 1.0, {}), ("langfuse:good", 1.0, {}),
        ("langfuse:stars", None, {"value": "4"}),
    ]  # fmt: skip
    assert qualities == [(0.25,), (1.0,), (1.0,)]


def test_months_of_calls_are_a_file_a_day(tmp_path, log):
    rows = [lite(i, startTime=f"2025-10-{1 + i // 24:02d}T{i % 24:02d}:00:00Z") for i in range(72)]
    run([write_lines(tmp_path / "a.jsonl", rows)], log)
    assert compact(log).parts == 3
    assert len(imported(log)) == 72


def test_an_unknown_format_names_the_known_ones(tmp_path, log):
    with pytest.raises(
        ConfigError, match=r"found 'litelm'; did you mean `litellm`.*openai, litellm, langfuse"
    ):
        run([], log, "litelm")
