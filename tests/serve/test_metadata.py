"""The metadata block: every promised field, exact money, and provider bytes left as they were."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from p402.answer import ArmView, Metadata
from p402.events import AttemptResult
from serve.metadata import answer_headers, committed_headers, metadata_bytes, metadata_fields, splice

ATTEMPT = AttemptResult(
    arm="acme/large/v2",
    status="ok",
    prompt_tokens=9,
    output_tokens=1,
    cached_tokens=2,
    reasoning_tokens=0,
    cost_nano=1_500,
    price_pico=[1_000_000, 500_000, 2_000_000, 1_250_000, 2_000_001],
    price_source="contract",
    cache_write_tokens=4,
    cache_write_1h_tokens=1,
    latency_ms=12.346,
    ttfb_ms=None,
)
P9 = {
    "cost_usd",
    "direct_cost",
    "savings",
    "provider",
    "model",
    "input_tokens",
    "output_tokens",
    "latency_ms",
} | {
    "provider_latency_ms",
    "cached",
}
WIRE = P9 | {
    "request_id",
    "tenant_id",
    "session_id",
    "routing_mode",
    "task",
    "baseline_model",
    "platform_fee_usd",
    "cached_tokens",
    "reasoning_tokens",
    "usage_estimated",
    "ttfb_ms",
    "overhead_ms",
    "cache_similarity",
    "attempts",
    "failover",
    "snapshot_id",
    "propensity",
    "outcome_endpoint",
    "session_remaining_usd",
    "warnings",
}


def metadata(**over) -> Metadata:
    fields = {
        "request_id": "req_1",
        "tenant_id": "t",
        "session_id": "s",
        "provider": "acme",
        "model": "large/v2",
        "routing_mode": "cost",
        "task": "chat",
        "cost_nano": 1_500,
        "direct_nano": 4_000,
        "baseline_model": "large",
        "fee_nano": 15,
        "input_tokens": 9,
        "output_tokens": 1,
        "cached_tokens": 2,
        "reasoning_tokens": 0,
        "usage_estimated": False,
        "latency_ms": 13.0,
        "provider_latency_ms": 12.3,
        "ttfb_ms": 12.4,
        "overhead_ms": 0.7,
        "attempts": (ATTEMPT,),
        "snapshot_id": "abc",
        "propensity": 0.5,
        "warnings": ("w",),
        "simulated": True,
        "cache_write_tokens": 4,
    }
    return Metadata(**{**fields, **over})


def test_p9_every_field_of_the_wire_is_there():
    fields = metadata_fields(metadata())
    assert set(fields) == WIRE | {"simulated", "cache_write_tokens", "cache_entry_id"}
    assert fields["cache_write_tokens"] == 4
    assert fields["cost_usd"] == 0.0000015
    assert fields["direct_cost"] == 0.000004
    assert fields["savings"] == 0.0000025
    assert fields["platform_fee_usd"] == 0.000000015
    assert fields["latency_ms"] == 13.0
    assert fields["cached"] is False
    assert fields["outcome_endpoint"] == "/v1/outcomes"
    assert fields["failover"] is False
    assert fields["warnings"] == ["w"]


@pytest.mark.parametrize(("nano", "usd"), [(None, None), (0, 0.0), (1_234_567_891, 1.234567891), (-5, -5e-9)])
def test_p19_what_a_session_has_left_is_usd_and_null_where_it_has_no_budget(nano, usd):
    assert metadata_fields(metadata(session_remaining_nano=nano))["session_remaining_usd"] == usd


def test_p22_savings_are_the_baseline_less_the_cost_and_may_be_negative():
    assert metadata_fields(metadata(direct_nano=500))["savings"] == -0.000001


@pytest.mark.parametrize("unknown", ["cost_nano", "direct_nano"])
def test_what_is_unknown_is_null_and_never_zero(unknown):
    fields = metadata_fields(metadata(**{unknown: None}))
    assert fields["cost_usd" if unknown == "cost_nano" else "direct_cost"] is None
    assert fields["savings"] is None


def test_an_attempt_can_be_priced_again_from_what_it_says():
    found = metadata_fields(metadata(attempts=(ATTEMPT, ATTEMPT)))
    assert found["failover"] is True
    attempt = found["attempts"][0]
    assert (attempt["provider"], attempt["model"]) == ("acme", "large/v2")
    assert attempt["price"] == {
        "input_usd_per_mtok": 1.0,
        "cache_read_usd_per_mtok": 0.5,
        "output_usd_per_mtok": 2.0,
        "cache_write_usd_per_mtok": 1.25,
        "cache_write_1h_usd_per_mtok": 2.000001,
        "source": "contract",
    }
    assert (attempt["cache_write_tokens"], attempt["cache_write_1h_tokens"]) == (4, 1)
    assert attempt["service_tier"] is None
    assert attempt["latency_ms"] == 12.346
    assert attempt["ttfb_ms"] is None


def test_an_attempt_of_unknown_cost_has_no_price_and_says_at_which_tier_it_was_billed():
    unknown = replace(ATTEMPT, cost_nano=None, price_pico=None, price_source=None, service_tier="flex")
    attempt = metadata_fields(metadata(attempts=(unknown,)))["attempts"][0]
    assert (attempt["cost_usd"], attempt["price"], attempt["service_tier"]) == (None, None, "flex")


def test_an_explained_decision_lists_its_arms():
    views = (ArmView("a/b", None, 0.5, 1.0), ArmView("c/d", "needs vision", None, 0.0))
    found = metadata_fields(metadata(considered=views))["decision"]
    assert found[1] == {"arm": "c/d", "reason": "needs vision", "score": None, "propensity": 0.0}


def test_headers_of_a_whole_answer_are_safe_and_exact():
    headers = dict(answer_headers(metadata(cost_nano=1_234_567_890_123, model="m\r\nx-evil: 1é")))
    assert headers[b"x-p402-cost-usd"] == b"1234.567890123"
    assert headers[b"x-p402-model"] == b"m??x-evil: 1?"
    assert headers[b"x-p402-cached"] == b"false"
    assert headers[b"x-p402-request-id"] == headers[b"x-request-id"] == b"req_1"
    assert headers[b"x-p402-provider"] == b"acme"
    assert headers[b"x-p402-latency-ms"] == b"13.000"


def test_headers_leave_out_what_is_not_known():
    assert b"x-p402-cost-usd" not in dict(answer_headers(metadata(cost_nano=None)))
    assert b"x-p402-latency-ms" not in dict(committed_headers("r", "p", "m", cached=False))


BLOCK = b'{"cost_usd":1}'


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b"{}", b'{"p402_metadata":{"cost_usd":1}}'),
        (b" { \n} \n", b' {"p402_metadata":{"cost_usd":1}}'),
        (b'{"a": 1}', b'{"a": 1,"p402_metadata":{"cost_usd":1}}'),
        (b'{"a": {} }\r\n', b'{"a": {},"p402_metadata":{"cost_usd":1}}'),
        (b'{"a":"}"}', b'{"a":"}","p402_metadata":{"cost_usd":1}}'),
    ],
)
def test_a_block_is_spliced_before_the_closing_brace_and_nothing_else_changes(body, spliced):
    assert splice(body, BLOCK) == spliced


def test_a_block_that_the_provider_sent_is_replaced():
    body = b'{"p402_metadata": {"cost_usd": 99}, "id": "x"}'
    assert orjson.loads(splice(body, BLOCK)) == {"id": "x", "p402_metadata": {"cost_usd": 1}}


def test_an_answer_that_only_speaks_of_the_block_is_left_alone():
    body = orjson.dumps({"text": 'the "p402_metadata" block', "deep": {"p402_metadata": 1}})
    assert splice(body, BLOCK) == body[:-1] + b',"p402_metadata":' + BLOCK + b"}"


@pytest.mark.parametrize("body", [b"", b" ", b"[]", b"3", b"}", b'"{}"', b"[{}"])
def test_what_is_no_object_is_not_spliced(body):
    with pytest.raises(ValueError, match="not a JSON object"):
        splice(body, BLOCK)


@given(
    st.dictionaries(st.text(), st.none() | st.text() | st.dictionaries(st.text(), st.integers(0, 9))),
    st.text(" \t\r\n"),
)
def test_splicing_adds_one_member_to_any_object(document, white):
    document.pop("p402_metadata", None)
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2) + white.encode()
    assert orjson.loads(splice(body, metadata_bytes(metadata()))) == {
        **document,
        "p402_metadata": orjson.loads(metadata_bytes(metadata())),
    }
