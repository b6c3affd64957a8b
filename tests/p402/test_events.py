"""A line of the log names its kind and version first, reads back as it was, and may grow."""

import json
from typing import get_args

import msgspec
import pytest

from p402.events import (
    VERSION,
    AnyEvent,
    ArmLive,
    Attempt,
    AttemptResult,
    CacheHit,
    Decision,
    Imported,
    Live,
    Outcome,
    Refused,
    Reward,
    RowInputs,
)

INPUTS = RowInputs(
    mode="cost",
    features=[4096, 0],
    task=2,
    prompt_tokens=10,
    prompt_bound=20,
    expected_output=30,
    ceiling_pico=40,
)
ID = "req_" + "0" * 32
EVENTS = [
    Decision(
        ts_ms=1, id=ID, tenant="t", session="s", worker="w", snapshot="a", live_seq=3, inputs=INPUTS,
        arm="p/m", count=1, n_eligible=2, n_explored=1, task="math", baseline=None,
    ),
    Attempt(ts_ms=2, id=ID, attempt=1, worker="w", snapshot="a", live_seq=3, inputs=INPUTS, arm="p/m"),
    Outcome(
        ts_ms=3, id=ID, tenant="t", status="ok", arm="p/m", cost_nano=5, direct_nano=None, latency_ms=1.5,
        provider_latency_ms=1.0, overhead_ms=0.5,
        attempts=[AttemptResult(arm="p/m", status="ok", latency_ms=1.0, price_pico=[1, 2, 3], cost_nano=5)],
    ),
    Reward(ts_ms=4, id=ID, tenant="t", source="judge", status="accepted", quality=0.5, metadata={"k": "é\n"}),
    Refused(ts_ms=5, id=ID, tenant="t", code="X", status=402, message="no \u2028 more"),
    Live(ts_ms=6, worker="w", seq=1, arms={"p/m": ArmLive(open_circuit=True, ttft_ms=5, error_rate=64)}),
    Imported(
        ts_ms=7, id="imp_" + "0" * 32, tenant="t", session="s", source="openai", source_id=None,
        provider=None,
        model="gpt-4o", status="ok", inputs=INPUTS, task=None, prompt="é\n", tags={"k": "\u2028"},
    ),
    CacheHit(
        ts_ms=8, id=ID, tenant="t", session="s", worker="w", snapshot="a", entry=ID, tier="semantic",
        similarity=0.9375, arm="p/m", mode="cost", task="math", baseline=None, direct_nano=None,
        prompt_tokens=3, output_tokens=4, age_ms=5, latency_ms=0.5, tags={"k": "\u2028"},
    ),
]  # fmt: skip
DECODER = msgspec.json.Decoder(AnyEvent)


@pytest.mark.parametrize("event", EVENTS, ids=[type(e).__name__ for e in EVENTS])
class TestEachKind:
    def test_its_line_names_kind_and_version_first(self, event):
        line = msgspec.json.encode(event)
        assert list(json.loads(line))[:2] == ["kind", "v"]
        assert json.loads(line)["v"] == VERSION == 4

    def test_it_is_one_line(self, event):
        assert b"\n" not in msgspec.json.encode(event)

    def test_it_reads_back_as_it_was(self, event):
        assert DECODER.decode(msgspec.json.encode(event)) == event

    def test_a_later_versions_column_is_passed_over(self, event):
        line = json.loads(msgspec.json.encode(event)) | {"v": 2, "novelty": [1, {"x": None}]}
        read = DECODER.decode(json.dumps(line))
        assert type(read) is type(event)
        assert read.v == 2

    def test_it_cannot_be_changed(self, event):
        with pytest.raises(AttributeError):
            event.ts_ms = 0


def test_every_kind_is_in_the_list_above():
    assert {type(e) for e in EVENTS} == set(get_args(AnyEvent))


def test_a_line_of_no_kind_is_an_error():
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(b'{"v": 1, "ts_ms": 1}')
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(b'{"kind": "rumour", "v": 1, "ts_ms": 1}')


def test_row_inputs_leave_their_defaults_out_and_have_them_back():
    line = json.loads(msgspec.json.encode(INPUTS))
    assert set(line) == {
        "mode", "features", "task", "prompt_tokens", "prompt_bound", "expected_output", "ceiling_pico",
    }  # fmt: skip
    read = msgspec.json.decode(json.dumps(line), type=RowInputs)
    assert read == INPUTS
    assert (read.explore, read.policy, read.n, read.tried) == (True, "default", 1, [])


def test_no_two_rows_share_a_list():
    one, two = (msgspec.json.decode(msgspec.json.encode(INPUTS), type=RowInputs) for _ in range(2))
    one.tried.append("p/m")
    assert two.tried == []
    assert INPUTS.tried == []
