"""Errors on the wire: OpenAI's shape, our codes, and no word of what happened inside."""

import orjson
import pytest

from p402.answer import Rejected
from p402.errors import (
    DiskFull,
    Forbidden,
    InvalidApiKey,
    InvalidInput,
    ModelNotFound,
    Refusal,
    StoreError,
    TooLarge,
)
from p402.events import AttemptResult
from serve.errors import exception_reply, refusal_reply, rejected_reply


def error_of(reply) -> dict:
    return orjson.loads(reply.body)["error"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "INVALID_INPUT", "invalid_request_error"),
        (401, "invalid_api_key", "authentication_error"),
        (402, "DAILY_SPEND_LIMIT_EXCEEDED", "insufficient_quota"),
        (403, "MODEL_NOT_ALLOWED", "permission_error"),
        (404, "model_not_found", "invalid_request_error"),
        (413, "INVALID_INPUT", "invalid_request_error"),
        (429, "RATE_LIMIT_EXCEEDED", "rate_limit_error"),
        (429, "insufficient_quota", "insufficient_quota"),
        (500, "INTERNAL_ERROR", "api_error"),
        (502, "PROVIDER_ERROR", "api_error"),
        (503, "NO_PROVIDER_AVAILABLE", "api_error"),
        (504, "PROVIDER_TIMEOUT", "api_error"),
    ],
)
def test_every_status_has_the_type_that_openai_clients_raise_by(status, code, kind):
    reply = refusal_reply(Refusal(code, status, "words"), "req_1")
    assert reply.status == status
    assert error_of(reply) == {
        "message": "words",
        "type": kind,
        "code": code,
        "param": None,
        "retry_after_ms": None,
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("ms", "seconds"), [(1, b"1"), (1000, b"1"), (1001, b"2"), (0, b"1"), (59_000, b"59")]
)
@pytest.mark.parametrize("status", [409, 429, 503])
def test_p19_retry_after_is_whole_seconds_rounded_up(status, ms, seconds):
    reply = refusal_reply(Refusal("X", status, "m", ms), "req_1")
    assert dict(reply.headers)[b"retry-after"] == seconds
    assert error_of(reply)["retry_after_ms"] == ms


def test_p19_retry_after_is_left_out_where_waiting_does_not_help():
    assert b"retry-after" not in dict(refusal_reply(Refusal("X", 429, "m"), "r").headers)
    assert b"retry-after" not in dict(refusal_reply(Refusal("X", 402, "m", 5), "r").headers)


def test_answers_are_never_to_be_stored():
    assert dict(refusal_reply(Refusal("X", 400, "m"), "r").headers)[b"cache-control"] == b"no-store"


def test_a_rejection_tells_why_each_arm_was_turned_away_and_what_was_tried():
    attempt = AttemptResult(arm="a/b", status="failed", code="PROVIDER_ERROR", latency_ms=1.0)
    reply = rejected_reply(
        Rejected("req_2", Refusal("NO_PROVIDER_AVAILABLE", 503, "m"), (attempt,), {"c/d": "no price"})
    )
    error = error_of(reply)
    assert error["reasons"] == {"c/d": "no price"}
    assert error["attempts"][0]["provider"] == "a"
    assert error["request_id"] == "req_2"


@pytest.mark.parametrize(
    ("error", "status", "code", "param"),
    [
        (InvalidInput("bad n", param="n"), 400, "INVALID_INPUT", "n"),
        (ModelNotFound("no x", param="model"), 404, "model_not_found", "model"),
        (InvalidApiKey("no key"), 401, "invalid_api_key", None),
        (Forbidden("not you"), 403, "FORBIDDEN", None),
    ],
)
def test_a_clients_error_keeps_its_code_message_and_param(error, status, code, param):
    reply = exception_reply(error, "req_3")
    assert reply.status == status
    assert (error_of(reply)["code"], error_of(reply)["param"], error_of(reply)["message"]) == (
        code,
        param,
        error.message,
    )


def test_a_body_that_was_not_read_ends_its_connection():
    reply = exception_reply(TooLarge("too large"), "req_3")
    assert reply.status == 413
    assert dict(reply.headers)[b"connection"] == b"close"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DiskFull("the disk at /secret"), 503),
        (StoreError("/secret is gone"), 503),
        (KeyError("/secret"), 500),
    ],
)
def test_a_fault_of_ours_says_nothing_of_it_to_the_client_and_all_to_the_operator(error, status, capsys):
    reply = exception_reply(error, "req_4")
    assert reply.status == status
    assert error_of(reply)["code"] == "INTERNAL_ERROR"
    assert b"secret" not in reply.body
    said = capsys.readouterr().err
    assert "req_4" in said
    assert "/secret" in said
