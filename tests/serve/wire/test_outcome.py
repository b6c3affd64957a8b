"""Outcomes: read as scores and labels, never as text."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput, MissingField, RequestError
from p402.events import Reward
from serve.wire import parse_outcome

ID = "req_" + "0" * 31 + "a"
SOUND = {"request_id": ID, "status": "accepted"}


def parsed(**fields) -> Reward:
    return parse_outcome(orjson.dumps(fields), tenant="t", now_ms=123)


def test_a_full_outcome_becomes_a_reward():
    found = parsed(
        **SOUND,
        quality_score=0.75,
        outcome_type="thumb",
        source="judge",
        occurred_at="2026-11-22T10:00:00Z",
        metadata={"reviewer": "7"},
    )
    assert found == Reward(
        ts_ms=123,
        id=ID,
        tenant="t",
        source="judge",
        status="accepted",
        quality=0.75,
        outcome_type="thumb",
        occurred_at_ms=1_795_341_600_000,
        metadata={"reviewer": "7"},
    )


def test_a_status_without_a_score_stays_without_one():
    found = parsed(**SOUND)
    assert (found.quality, found.source) == (None, "client")


@pytest.mark.parametrize(("given_at", "ms"), [(5, 5), ("1970-01-01T00:00:01+00:00", 1000), (None, None)])
def test_the_time_of_an_outcome_is_ms_or_a_date_with_an_offset(given_at, ms):
    assert parsed(**SOUND, occurred_at=given_at).occurred_at_ms == ms


@pytest.mark.parametrize(
    ("fields", "error", "param"),
    [
        ({"status": "accepted"}, MissingField, "request_id"),
        ({"request_id": ID}, MissingField, "status"),
        ({**SOUND, "request_id": "req_1"}, InvalidInput, "request_id"),
        ({**SOUND, "request_id": "req_" + "_" * 32}, InvalidInput, "request_id"),
        ({**SOUND, "request_id": 5}, InvalidInput, "request_id"),
        ({**SOUND, "status": "good"}, InvalidInput, "status"),
        ({**SOUND, "status": ["accepted"]}, InvalidInput, "status"),
        ({**SOUND, "quality_score": 1.01}, InvalidInput, "quality_score"),
        ({**SOUND, "quality_score": -0.1}, InvalidInput, "quality_score"),
        ({**SOUND, "quality_score": "1"}, InvalidInput, "quality_score"),
        ({**SOUND, "quality_score": True}, InvalidInput, "quality_score"),
        ({**SOUND, "occurred_at": "yesterday"}, InvalidInput, "occurred_at"),
        ({**SOUND, "occurred_at": "2026-11-22T10:00:00"}, InvalidInput, "occurred_at"),
        ({**SOUND, "occurred_at": "0001-01-01T00:00:00+14:00"}, InvalidInput, "occurred_at"),
        ({**SOUND, "occurred_at": -1}, InvalidInput, "occurred_at"),
        ({**SOUND, "source": "x" * 65}, InvalidInput, "source"),
        ({**SOUND, "metadata": {"k": "x" * 201}}, InvalidInput, "metadata.k"),
        ({**SOUND, "metadata": {str(i): "" for i in range(17)}}, InvalidInput, "metadata"),
        ({**SOUND, "metadata": 3}, InvalidInput, "metadata"),
        ({**SOUND, "prompt": "the words"}, InvalidInput, "prompt"),
        ({**SOUND, "Answer": "the words"}, InvalidInput, "Answer"),
        ({**SOUND, "metadata": {"completion": "the words"}}, InvalidInput, "metadata.completion"),
        ({**SOUND, "scor": 1}, InvalidInput, "scor"),
    ],
)
def test_a_bad_outcome_is_told_where_and_what(fields, error, param):
    with pytest.raises(error) as caught:
        parsed(**fields)
    assert caught.value.param == param
    assert "the words" not in caught.value.message


@given(
    field=st.sampled_from(
        ["request_id", "status", "quality_score", "occurred_at", "source", "metadata", "x"]
    ),
    value=st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=40)
    | st.datetimes().map(str)
    | st.datetimes().map(lambda d: d.isoformat() + "-14:00")
    | st.floats(allow_nan=False)
    | st.lists(st.text(), max_size=2)
    | st.dictionaries(st.text(), st.text() | st.integers(0, 5), max_size=2),
)
def test_a_field_replaced_by_anything_is_never_a_server_error(field, value):
    status = 200
    try:
        parsed(**{**SOUND, field: value})
    except RequestError as error:
        status = error.status
    assert 200 <= status < 500
