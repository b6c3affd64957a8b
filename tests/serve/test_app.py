"""Everything beside the hot path: routes, models, outcomes, health, and what does not exist."""

import orjson
import pytest

from p402.events import Decision, Outcome, Reward
from tests.serve.gateway import KEY, OTHER_KEY, Gateway, exchange

ID = "req_" + "0" * 32
NO_KEY = {"authorization": ""}


@pytest.fixture(scope="module")
def served():
    gateway = Gateway()
    with gateway.served() as port:
        yield gateway, port


def got(reply) -> dict:
    assert reply.header("content-type") == "application/json"
    assert reply.header("cache-control") == "no-store"
    return orjson.loads(reply.body)


@pytest.mark.parametrize("base", ["/v1", "/api/v2"])
def test_models_are_listed_once_each_with_their_deployments(served, base):
    listed = got(exchange(served[1], "GET", f"{base}/models"))
    by_id = {entry["id"]: entry for entry in listed["data"]}
    assert listed["object"] == "list"
    assert list(by_id)[:5] == ["p402/auto", "p402/cost", "p402/quality", "p402/speed", "p402/balanced"]
    assert set(by_id) == {*list(by_id)[:5], "small", "large"}
    assert by_id["small"]["owned_by"] == "acme"
    assert [d["arm"] for d in by_id["small"]["deployments"]] == ["acme/small", "zeta/small"]
    assert by_id["large"]["deployments"][0] == {
        "arm": "acme/large",
        "provider": "acme",
        "context_window": 100_000,
        "output_limit": 4000,
        "capabilities": ["chat", "code", "vision", "reasoning", "function_calling"],
        "simulated": False,
    }


def test_a_tenant_sees_only_what_its_policy_allows(served):
    headers = {"authorization": f"Bearer {OTHER_KEY}"}
    by_id = {e["id"]: e for e in got(exchange(served[1], "GET", "/v1/models", headers=headers))["data"]}
    assert [d["arm"] for d in by_id["small"]["deployments"]] == ["acme/small"]
    assert exchange(served[1], "GET", "/v1/models/zeta/small", headers=headers).status == 404


@pytest.mark.parametrize("name", ["large", "acme/large", "p402/auto"])
def test_one_model_is_found_by_its_name_or_by_its_arm(served, name):
    assert got(exchange(served[1], "GET", f"/v1/models/{name}"))["id"] == name


def test_an_unknown_model_is_404_with_the_nearest(served):
    reply = exchange(served[1], "GET", "/v1/models/lagre")
    assert reply.status == 404
    assert got(reply)["error"]["code"] == "model_not_found"
    assert "`large`" in got(reply)["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/large", "/v1/route", "/v1/outcomes", "/v1/chat/completions"]
)
def test_everything_but_health_needs_a_key(served, path):
    method = "GET" if "models" in path else "POST"
    reply = exchange(served[1], method, path, b"{}" if method == "POST" else b"", NO_KEY)
    assert reply.status == 401
    assert got(reply)["error"]["code"] == "invalid_api_key"


def test_health_needs_no_key_and_readiness_follows_the_worker(served):
    gateway, port = served
    assert got(exchange(port, "GET", "/healthz", headers=NO_KEY)) == {"status": "ok"}
    assert exchange(port, "GET", "/readyz", headers=NO_KEY).status == 200
    gateway.ready = False
    reply = exchange(port, "GET", "/readyz", headers=NO_KEY)
    gateway.ready = True
    assert (reply.status, reply.header("retry-after")) == (503, "1")


@pytest.mark.parametrize("base", ["/v1", "/api/v2"])
def test_an_outcome_is_in_the_log_when_it_is_acknowledged(base):
    gateway = Gateway()
    with gateway.served() as port:
        body = orjson.dumps({"request_id": ID, "status": "accepted", "quality_score": 1, "source": "judge"})
        reply = exchange(port, "POST", f"{base}/outcomes", body)
        assert reply.status == 200
        assert got(reply) == {
            "object": "p402.outcome",
            "request_id": ID,
            "source": "judge",
            "status": "accepted",
        }
        (reward,) = gateway.log.of(Reward)
        assert (reward.id, reward.tenant, reward.quality) == (ID, "default", 1.0)


def test_an_outcome_that_the_disk_does_not_take_is_not_acknowledged(capsys):
    gateway = Gateway()
    gateway.log.full = True
    with gateway.served() as port:
        reply = exchange(port, "POST", "/v1/outcomes", orjson.dumps({"request_id": ID, "status": "failed"}))
    assert reply.status == 503
    assert got(reply)["error"]["code"] == "INTERNAL_ERROR"
    assert "DiskFull" in capsys.readouterr().err


def test_a_bad_outcome_is_400(served):
    reply = exchange(served[1], "POST", "/v1/outcomes", b'{"request_id": "x"}')
    assert (reply.status, got(reply)["error"]["param"]) == (400, "request_id")


def test_route_decides_and_calls_nobody():
    gateway = Gateway()
    with gateway.served() as port:
        body = orjson.dumps({"model": "p402/cost", "messages": [{"role": "user", "content": "Hi"}]})
        found = got(exchange(port, "POST", "/v1/route", body))
    assert (found["object"], found["choices"]) == ("p402.decision", [])
    assert found["model"] == "small"
    assert found["p402_metadata"]["provider"] == "zeta"
    assert {view["arm"] for view in found["p402_metadata"]["decision"]} == {
        "acme/small",
        "acme/large",
        "zeta/small",
    }
    assert gateway.upstream.calls == []
    assert gateway.log.of(Decision) == gateway.log.of(Outcome) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("POST", "/v1/chat/completions/", 404, "NOT_FOUND"),
        ("POST", "/v2/chat/completions", 404, "NOT_FOUND"),
        ("GET", "/static/x", 404, "NOT_FOUND"),
        ("GET", "/v1/chat/completions", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/models", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/v1/route", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_does_not_exist_is_told_in_json(served, method, path, status, code):
    reply = exchange(served[1], method, path, b"{}" if method == "POST" else b"")
    assert reply.status == status
    assert got(reply)["error"]["code"] == code
    assert (reply.header("allow") is not None) == (status == 405)


def test_the_key_of_one_tenant_never_names_another(served):
    gateway, port = served
    body = orjson.dumps(
        {"messages": [{"role": "user", "content": "Hi"}], "user": "narrow", "tenant": "narrow"}
    )
    found = got(exchange(port, "POST", "/v1/chat/completions", body, {"x-tenant": "narrow"}))
    assert found["p402_metadata"]["tenant_id"] == "default"
    assert KEY not in repr(gateway.log.events)
