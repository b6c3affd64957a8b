"""Calls that another system logged are re-priced at the configured providers, and valued by nothing else."""

import json

import pytest

from p402.errors import ConfigError
from p402.events import Imported
from p402.store.catalog import load_catalog
from p402.store.compactor import compact
from p402.store.imported.write import import_files
from p402.store.reader import read_events
from p402.store.task_head import load_head
from sim.observe.command import main
from sim.observe.imported import NOT_OFFERED, UNSERVABLE, observe
from sim.observe.offered import offered
from sim.observe.rounds import NothingObserved, Window
from sim.replay.target import Logged
from sim.replay.value import value
from sim.replay.verify import verify
from sim.replay.window import NoRounds

CONFIG = """
[providers.house]
base_url = "http://127.0.0.1:1/v1"
[[providers.house.models]]
id = "small"
input_usd_per_mtok = "0.5"
output_usd_per_mtok = "2"
context_window = 100000
"""
CATALOG, HEAD = load_catalog(), load_head()
PROMPT, OUTPUT, CALLS = 1_000, 500, 240
SMALL_USD = (PROMPT * 0.5 + OUTPUT * 2) / 1e6


def row(i, **changed):
    return {
        "request_id": f"c-{i}", "call_type": "acompletion", "spend": "0.01", "prompt_tokens": PROMPT,
        "completion_tokens": OUTPUT, "startTime": f"2025-11-{20 + i // 120:02d}T{i // 5 % 24:02d}:00:00Z",
        "model": "gpt-4o", "custom_llm_provider": "openai", "session_id": f"s{i // 2}", **changed,
    }  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """Imports rows into a log and observes them under a configuration."""
    (tmp_path / "p402.toml").write_text(CONFIG)

    class Place:
        log, store, config = tmp_path / "log", tmp_path / "store", tmp_path / "p402.toml"

        def imports(self, rows, tenant="imported"):
            (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
            files = [tmp_path / "a.jsonl"]
            return import_files(files, "litellm", self.log, tenant, CATALOG, HEAD, lambda: 0)

        def observes(self, window=None, **options):
            return observe(self.log, offered(self.config, {}), window, ("cost",), **options)

    return Place()


def test_a_call_costs_what_its_tokens_cost_at_the_arm_that_would_have_had_it(place):
    place.imports([row(i) for i in range(CALLS)])
    found = place.observes()
    (line,) = found.lines
    assert (found.valued, found.sessions, found.called) == (CALLS, CALLS // 2, {"gpt-4o": CALLS})
    assert (line.paid_usd, line.changed) == (pytest.approx(2.4, abs=1e-9), 1.0)
    assert line.cost_usd == pytest.approx(CALLS * SMALL_USD, abs=1e-9)
    assert line.models == {"small": 1.0}


def test_how_long_other_answers_would_have_been_is_what_is_unsure(place):
    place.imports([row(i) for i in range(CALLS)])
    (line,) = place.observes().lines
    assert line.assumed_lengths == 1.0
    assert line.saving_by_requests_usd == pytest.approx(0.0, abs=1e-9)
    # the prior's sd of ln(length) is 1: exp(N(0, 1)) has a standard deviation of 2.16 about a mean of 1.65
    assert line.saving_by_lengths_usd == pytest.approx(CALLS * OUTPUT * 2e-6 * 2.16, rel=0.2)
    assert line.saving_lower_usd < line.saving_usd < line.saving_upper_usd
    assert any(w.startswith("assumed_lengths") for w in line.warnings)


def test_where_both_models_were_called_their_lengths_are_measured(place):
    both = [row(i) for i in range(CALLS)]
    both += [
        row(1000 + i, model="small", custom_llm_provider="house", completion_tokens=2 * OUTPUT,
            startTime="2025-11-20T10:00:00Z", session_id=f"t{i}")
        for i in range(60)
    ]  # fmt: skip
    place.imports(both)
    (line,) = place.observes().lines
    assert line.assumed_lengths < 0.1
    # of 300 calls 60 are kept as billed; the others' answers are taken nearly twice as long
    at_small = (line.cost_usd - 60 * 0.01) / CALLS
    assert SMALL_USD < at_small < (PROMPT * 0.5 + 2 * OUTPUT * 2) / 1e6


def test_a_call_that_stays_where_it_was_keeps_its_bill_to_the_nano(place):
    place.imports([row(i, model="small", custom_llm_provider="house", spend="0.000000123") for i in range(9)])
    (line,) = place.observes().lines
    assert (line.cost_usd, line.paid_usd, line.saving_usd, line.changed) == (1.107e-06, 1.107e-06, 0.0, 0.0)


def test_what_cannot_be_valued_is_counted_by_why(place):
    seen = [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,A"}}]}
    ]
    rows = [
        row(0), row(1, model="house-llm", custom_llm_provider="mystery", spend="0.1"),
        row(2, cache_hit="True"),
        row(3, status="failure"), row(4, spend=0, model="house-llm"), row(5, completion_tokens=None),
        row(6, messages=seen), row(7, prompt_tokens=1 << 22),
    ]  # fmt: skip
    place.imports(rows)
    found = place.observes()
    assert found.valued == 1
    assert found.excluded == {
        "cached": 1, "failed": 1, "unmeasured": 2, "unpriced": 1, NOT_OFFERED: 1, UNSERVABLE: 1
    }  # fmt: skip
    assert found.rounds == len(rows)


def test_the_window_and_the_tenant_are_what_is_asked_for(place):
    place.imports([row(i) for i in range(CALLS)])
    place.imports([row(i) for i in range(10)], tenant="acme")
    assert place.observes(Window("acme")).valued == 10
    assert place.observes(Window("imported", until_ms=1_763_683_200_000)).valued == 120
    with pytest.raises(NothingObserved, match="widen it"):
        place.observes(Window("nobody"))


def test_the_doubts_say_that_this_is_no_off_policy_estimate(place):
    place.imports([row(0), row(1, spend=0)])
    said = " ".join(place.observes().warnings)
    for word in ("no propensity", "few_rounds", "task_unknown: 2", "list_price", "1 calls"):
        assert word in said


def test_no_import_and_no_provider_are_errors_that_say_what_to_do(place, tmp_path):
    place.log.mkdir()
    with pytest.raises(NothingObserved, match="p402 log import"):
        place.observes()
    (tmp_path / "none.toml").write_text("[server]\n")
    with pytest.raises(ConfigError, match="found no provider"):
        offered(tmp_path / "none.toml", {})


def test_imported_calls_are_no_rounds_to_any_estimator_and_no_mismatch_to_verify(place):
    place.imports([row(i) for i in range(3)])
    place.store.mkdir()
    assert sum(isinstance(event, Imported) for event in read_events(place.log)) == 3
    for _ in ("in a segment", "in Parquet"):
        result = verify(place.log, place.store, lambda _done, _total: None)
        assert (result.ok, result.rows, result.mismatched, result.unverified) == (True, 0, 0, 0)
        assert (result.imported, result.bytes_per_million) == (3, None)
        compact(place.log)
    with pytest.raises(NoRounds, match="3 imported calls, whose propensity is null"):
        value(place.log, place.store, "logged", Logged())


def test_the_command_shows_them_and_points_to_them(place, capsys):
    place.imports([row(i) for i in range(9)])
    place.store.mkdir()
    asked = ["--log", str(place.log), "--config", str(place.config), "--imported"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "9 imported calls" in said
    assert "model-based" in said
    assert main([*asked, "--json", "--by", "task"]) == 0
    assert json.loads(capsys.readouterr().out)["imported"] is True
    assert main(["--log", str(place.log), "--store", str(place.store)]) == 2
    assert "pass --imported" in capsys.readouterr().err
    assert main([*asked, "--store", str(place.store)]) == 2
