"""P19: budgets of keys, policies and sessions, as the official OpenAI client and a plain one meet them."""

import openai
import orjson
import pytest

from p402.ports import Completion, Usage
from serve.keys import hash_key
from tests.serve.gateway import ANSWER, KEY, OTHER_KEY, Gateway, exchange

CI, APP, CAPPED = "p402_live_ci", "p402_live_app", "p402_live_sessions"
MORE = f"""
[tenants.sessions]
session_cap_usd = 0.0002
[policies.team]
daily_cap_usd = 0.0004
[[keys]]
name = "ci"
key_sha256 = "{hash_key(CI)}"
monthly_cap_usd = 0.0002
policy = "team"
[[keys]]
name = "app"
key_sha256 = "{hash_key(APP)}"
policy = "team"
[[keys]]
name = "sessions"
tenant = "sessions"
key_sha256 = "{hash_key(CAPPED)}"
"""
ASKED = {
    "model": "p402/cost",
    "messages": [{"role": "user", "content": "What is 2 + 2?"}],
    "max_tokens": 50,
}
COST = 0.00001


@pytest.fixture
def gateway():
    return Gateway(more=MORE)


@pytest.fixture
def port(gateway):
    with gateway.served() as port:
        yield port


def client(port: int, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=20)


def until_refused(api: openai.OpenAI, **more) -> tuple[list, openai.APIStatusError]:
    answers: list = []
    while len(answers) < 50:
        try:
            answer = api.chat.completions.create(**ASKED, **more)
        except openai.APIStatusError as error:
            return answers, error
        answers.append(list(answer)[-1] if more.get("stream") else answer)
    raise AssertionError("nothing was refused")


def explained(port: int, key: str, query: str = "") -> dict:
    headers = {"authorization": f"Bearer {key}"}
    reply = exchange(port, "GET", f"/v1/budgets/explain{query}", headers=headers)
    assert reply.status == 200, reply.body
    return orjson.loads(reply.body)


def test_p19_a_key_over_its_monthly_cap_gets_402_another_key_still_works_and_explain_tells_why(port):
    with client(port, CI) as ci, client(port, APP) as app, client(port, KEY) as main:
        answers, refused = until_refused(ci)
        assert len(answers) > 2
        assert (refused.status_code, refused.code) == (402, "API_KEY_BUDGET_EXCEEDED")
        assert "budget of API key 'ci'" in refused.message
        told = explained(port, CI)
        assert told["would_refuse"] is None, "a call that asks for less would pass"
        month, day = told["scopes"]
        spent = pytest.approx(len(answers) * COST)
        assert month == {
            "scope": "key",
            "name": "ci",
            "period": "month",
            "code": "API_KEY_BUDGET_EXCEEDED",
            "spent_usd": spent,
            "held_usd": 0.0,
            "aside_usd": 0.0,
            "cap_usd": 0.0002,
            "left_usd": pytest.approx(0.0002 - len(answers) * COST),
            "refuses": False,
            "retry_after_ms": None,
            "resets_in_ms": refused.body["retry_after_ms"],
        }
        assert (day["scope"], day["name"], day["period"], day["spent_usd"]) == (
            "policy",
            "team",
            "day",
            spent,
        )
        assert app.chat.completions.create(**ASKED).choices[0].message.content == "4"
        assert main.chat.completions.create(**ASKED).choices[0].message.content == "4"


def test_p19_explain_names_the_budget_under_which_no_call_passes(gateway, port):
    gateway.upstream.whole = lambda call: Completion(ANSWER, Usage(prompt=9, output=1_000))
    with client(port, CI) as ci:
        answers, refused = until_refused(ci)
    assert (len(answers), refused.code) == (1, "API_KEY_BUDGET_EXCEEDED")
    told = explained(port, CI)
    assert told["would_refuse"] == "API_KEY_BUDGET_EXCEEDED"
    assert [(scope["refuses"], scope["left_usd"]) for scope in told["scopes"]] == [(True, 0.0), (True, 0.0)]
    assert told["scopes"][0]["retry_after_ms"] == refused.body["retry_after_ms"]
    assert not any(layer["refuses"] for layer in told["layers"])
    assert explained(port, KEY)["would_refuse"] is None


def test_p19_a_policy_is_spent_by_all_its_keys_and_a_key_without_one_goes_on(port):
    with client(port, CI) as ci, client(port, APP) as app, client(port, KEY) as main:
        until_refused(ci)
        _, refused = until_refused(app)
        assert (refused.status_code, refused.code) == (402, "API_KEY_BUDGET_EXCEEDED")
        assert "policy 'team'" in refused.message
        assert main.chat.completions.create(**ASKED).choices[0].message.content == "4"


@pytest.mark.parametrize("stream", [False, True])
def test_p19_a_session_over_its_cap_gets_402_after_every_answer_has_told_what_was_left(port, stream):
    extra, others = ({"extra_body": {"p402": {"session_id": name}}} for name in ("s 1/\u00e9", "s2"))
    with client(port, CAPPED) as api:
        answers, refused = until_refused(api, **extra, stream=stream)
        told = [answer.p402_metadata for answer in answers]
        assert (refused.status_code, refused.code) == (402, "SESSION_BUDGET_EXCEEDED")
        assert "retry-after" not in refused.response.headers
        left_nano = 200_000
        for metadata in told:
            left_nano -= round(metadata["cost_usd"] * 1e9)
            assert metadata["session_remaining_usd"] == left_nano / 1e9
        other = api.chat.completions.create(**ASKED, **others)
        assert other.p402_metadata["session_remaining_usd"] == (200_000 - 10_000) / 1e9
        unnamed = api.chat.completions.create(**ASKED)
        assert unnamed.p402_metadata["session_remaining_usd"] is None
    (scope,) = explained(port, CAPPED, "?session_id=s%201%2F%C3%A9")["scopes"]
    assert (scope["scope"], scope["name"], scope["period"]) == ("session", None, "session")
    assert scope["left_usd"] == told[-1]["session_remaining_usd"]
    assert (scope["code"], scope["resets_in_ms"]) == ("SESSION_BUDGET_EXCEEDED", None)


def test_a_dry_run_leaves_the_session_as_it_is_and_says_null(port):
    with client(port, CAPPED) as api:
        found = api.chat.completions.create(
            **ASKED, extra_body={"p402": {"session_id": "s", "dry_run": True}}
        )
    assert found.p402_metadata["session_remaining_usd"] is None
    (scope,) = explained(port, CAPPED, "?session_id=s")["scopes"]
    assert scope["spent_usd"] == 0


def test_explain_lists_nothing_where_there_is_no_budget(port):
    assert explained(port, KEY)["scopes"] == []
    assert explained(port, KEY, "?session_id=s")["scopes"] == [], "the tenant gives its sessions none"
    assert explained(port, CAPPED)["scopes"] == []
    assert explained(port, OTHER_KEY)["tenant"] == "narrow"


@pytest.mark.parametrize(
    ("query", "param", "words"),
    [
        ("?sesion_id=s", "sesion_id", "did you mean `session_id`"),
        ("?session_id=", "session_id", "non-empty"),
        ("?session_id=a&session_id=b", "session_id", "twice"),
        ("?session_id=%00", "session_id", "control"),
        ("?session_id=" + "x" * 257, "session_id", "at most 256"),
    ],
)
def test_a_query_that_nobody_can_mean_is_400_with_what_to_send(port, query, param, words):
    reply = exchange(port, "GET", f"/v1/budgets/explain{query}")
    error = orjson.loads(reply.body)["error"]
    assert (reply.status, error["code"], error["param"]) == (400, "INVALID_INPUT", param)
    assert words in error["message"]
