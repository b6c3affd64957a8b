"""P1 and P9: what every client reads in an answer, and what of its request reaches the provider.

The same whatever wire the provider speaks.
"""

import json
import uuid
from dataclasses import replace

import pytest

from tests.clients.client import heard
from tests.clients.place import routed_key
from tests.clients.seats import SEATS, THOROUGH
from tests.upstreams.catalogue import CITY, CITY_PIECES, SCENARIOS

FINISH = {
    "stop": {"stop"},
    "length": {"length"},
    "tool_calls": {"tool_calls", "tool-calls"},
    "content_filter": {"content_filter", "content-filter"},
}
THOROUGHLY = [seat.id for seat in SEATS.values() if seat.client == THOROUGH]
CALLS = [["weather", {"city": "Paris"}], ["weather", {"city": "Oslo"}]]
KEYS = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}
PRICE = (11 * 1 + 5 * 2) / 1e6
"""USD of a plain answer: 11 tokens at $1 and 5 at $2 a million."""


@pytest.mark.needs("chat")
@pytest.mark.parametrize("base", [pytest.param("/v1", marks=pytest.mark.wires), "/api/v2"])
def test_p1_a_completion_is_the_providers_under_either_base_url(client, base):
    found = client.ask("complete", "plain", base=base)
    assert found["text"] == "Four"
    assert found["finish"] in FINISH["stop"]
    assert found["usage"] == [11, 5]
    assert client.heard.turns == (("user", (("text", "What is 2 + 2?"),)),)
    key = client.asked[-1].headers[KEYS[client.seat.wire]]
    assert key.removeprefix("Bearer ") == f"sk-{client.seat.provider('acme')}"


@pytest.mark.needs("chat")
@pytest.mark.parametrize("scenario", [pytest.param("plain", marks=pytest.mark.wires), "unicode", "slow"])
def test_p1_a_stream_is_read_piece_by_piece_to_its_end(client, scenario):
    found = client.ask("stream", scenario)
    assert tuple(found["pieces"]) == SCENARIOS[scenario].answer.text
    assert found["text"] == "".join(found["pieces"])
    assert found["finish"] in FINISH["stop"]


@pytest.mark.needs("chat")
@pytest.mark.parametrize("do", ["complete", "stream"])
@pytest.mark.parametrize(("scenario", "finish"), [("short", "length"), ("filtered", "content_filter")])
def test_p1_an_answer_that_was_cut_by_its_length_or_a_filter_says_so(client, do, scenario, finish):
    assert client.ask(do, scenario)["finish"] in FINISH[finish]


@pytest.mark.needs("chat")
def test_p1_usage_of_a_stream_comes_once_and_only_if_it_is_asked_for(client):
    assert client.ask("stream", "plain", usage=True)["usage"] == [11, 5]
    if client.name != "ai-sdk-openai":  # which always asks
        assert client.ask("stream", "plain", usage=False)["usage"] is None


@pytest.mark.needs("chat")
def test_p1_usage_that_a_provider_leaves_out_is_estimated_for_whoever_asked(client):
    prompt, output = client.ask("stream", "silent-usage", usage=True)["usage"]
    assert prompt > 0
    assert output > 0


def test_p1_system_prompt_stop_and_image_reach_the_provider(client):
    client.ask(
        "complete", "plain" if client.has("chat") else "json", system="Be brief", stop="END", image=True
    )
    heard = client.heard
    assert "Be brief" in str(heard.system)
    assert heard.stop == ("END",)
    (turn,) = heard.turns
    assert [part[0] for part in turn[1]] == ["text", "image"]
    assert turn[1][1][1] == "image/png"
    assert turn[1][1][2].startswith("iVBOR")


@pytest.mark.needs("image_url")
@pytest.mark.parametrize("client", THOROUGHLY, indirect=True)
def test_p1_an_image_may_stand_at_a_url(client):
    client.ask("complete", "plain", image="https://images.test/a.png")
    assert "https://images.test/a.png" in str(client.asked[-1].body)


@pytest.mark.needs("json_object")
@pytest.mark.parametrize("client", THOROUGHLY, indirect=True)
def test_p1_any_json_object_can_be_asked_for(client):
    found = client.ask("complete", "json", response_format={"type": "json_object"})
    assert json.loads(found["text"]) == CITY
    body = client.asked[-1].body
    if client.seat.wire == "openai":
        assert body["response_format"] == {"type": "json_object"}
    else:
        assert body["generationConfig"]["responseMimeType"] == "application/json"


@pytest.mark.needs("chat", "n")
def test_p1_several_answers_come(client):
    assert client.ask("complete", "plain", n=2)["texts"] == ["Four", "Four"]
    assert client.heard.n == 2


@pytest.mark.needs("chat", "n", "streamed_n")
def test_p1_several_answers_are_streamed(client):
    assert client.ask("stream", "plain", n=2)["texts"] == ["Four", "Four"]
    assert client.heard.n == 2


@pytest.mark.needs("chat", "logprobs")
def test_p1_log_probabilities_come_with_their_tokens(client):
    assert client.ask("complete", "plain", logprobs=True)["logprobs"] == ["Fo", "ur"]
    if client.seat.wire == "openai":
        assert client.asked[-1].body["logprobs"] is True


@pytest.mark.needs("chat", "reasoning")
@pytest.mark.parametrize("do", ["complete", "stream"])
def test_p1_reasoning_of_a_model_passes(client, do):
    found = client.ask(do, "reasoning")
    assert (found["reasoning"], found["text"]) == ("2 and 2 is 4", "Four")
    told = found["metadata"]
    assert (told["input_tokens"], told["cached_tokens"], told["output_tokens"]) == (11, 4, 9)
    if client.has("reasoning_tokens"):
        assert told["reasoning_tokens"] == 6


@pytest.mark.wires
@pytest.mark.needs("chat")
@pytest.mark.parametrize("do", ["complete", "stream"])
def test_p1_parallel_tool_calls_come_with_their_arguments(client, do):
    called(client, client.ask(do, "tools", tools=True))


@pytest.mark.needs("chat")
@pytest.mark.parametrize("do", ["complete", "stream"])
def test_p1_tool_calls_may_follow_words(client, do):
    found = client.ask(do, "look", tools=True)
    assert found["text"] == "Let me look"
    called(client, found)


def called(client, found):
    """Both calls came, of the tool that was on offer."""
    assert found["calls"] == CALLS
    assert found["finish"] in FINISH["tool_calls"]
    assert [(name, fields) for name, _, fields in client.heard.tools] == [("weather", ("city",))]


@pytest.mark.wires
@pytest.mark.needs("chat")
def test_p1_results_of_tools_go_back_to_the_model_that_asked_for_them(client):
    with client.played("tools", SCENARIOS["tools"], SCENARIOS["plain"]):
        found = client.ask("tools", "tools")
    assert [ran["city"] for ran in found["ran"]] == ["Paris", "Oslo"]
    assert found["text"] == "Four"
    first, second = (heard(client.seat.wire, entry) for entry in client.asked)
    assert [role for role, _ in first.turns] == ["user"]
    (_, question), (_, called), (_, answered) = second.turns
    assert first.turns == (("user", question),)
    assert called == tuple(("call", *call) for call in CALLS)
    assert [part[:2] for part in answered] == [("result", "weather")] * 2
    assert ["Paris: sunny" in answered[0][2], "Oslo: sunny" in answered[1][2]] == [True, True]
    if client.seat.wire == "openai":
        *_, call, paris, oslo = client.asked[-1].body["messages"]
        assert [c["id"] for c in call["tool_calls"]] == ["call_1", "call_2"]
        assert [m["tool_call_id"] for m in (paris, oslo)] == ["call_1", "call_2"]


@pytest.mark.wires
def test_p1_a_structured_answer_is_an_object_of_the_clients_own(client):
    scenario = client.kind.structured
    assert client.ask("structured", scenario)["value"] == CITY
    asked = client.heard.schema if scenario == "json" else client.heard.tools
    assert "people" in str(asked)


@pytest.mark.wires
@pytest.mark.parametrize("client", ["instructor", "instructor@anthropic", "instructor@gemini"], indirect=True)
def test_p1_an_object_asked_for_by_a_function_comes_too(client):
    assert client.ask("structured", "form")["value"] == CITY
    assert client.heard.choice == "City"


@pytest.mark.parametrize(
    "model", ["auto", "p402/auto", "p402/cost", "p402/quality", "p402/speed", "p402/balanced"]
)
def test_p1_a_model_that_is_to_be_chosen_is_a_name_like_any_other(client, model):
    """The key's tenant may be routed to what answers everybody, for the others fail."""
    found = client.ask("complete", "json", key=routed_key(client.seat), call=model)
    assert len(client.asked) == 1
    if client.has("block"):
        metadata = found["metadata"]
        assert metadata["routing_mode"] == {"auto": "balanced"}.get(
            model, model.removeprefix("p402/")
        ).replace("auto", "balanced")


@pytest.mark.needs("models")
def test_p1_models_can_be_listed_and_read(client):
    found = client.ask("models", "plain")
    name = client.seat.model("plain")
    assert {"p402/auto", name} <= set(found["ids"])
    assert found["read"] == [name, f"{client.seat.provider('acme')}/{name}"]


def test_p1_options_of_p402_travel_in_the_body_and_stay_at_the_gateway(client):
    session = f"s-{uuid.uuid4()}"
    found = client.ask("complete", "json", p402={"session_id": session})
    assert "p402" not in client.asked[-1].body
    if client.has("block"):
        assert found["metadata"]["session_id"] == session


def test_p1_one_idempotency_key_is_billed_once(client):
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = client.ask("complete", "json", headers=headers)
    assert len(client.asked) == 1
    second = client.ask("complete", "json", headers=headers)
    assert client.asked == []
    if client.has("block"):
        assert second["metadata"] == first["metadata"]
    if found := second.get("headers"):
        assert found["x-p402-idempotent-replay"] == "true"


def check(client, metadata):
    """The block is that of the answer `json`."""
    assert (metadata["provider"], metadata["model"]) == (
        client.seat.provider("acme"), client.seat.model("json"),
    )  # fmt: skip
    assert metadata["cost_usd"] == pytest.approx(PRICE, abs=1e-12)
    assert metadata["direct_cost"] == pytest.approx(PRICE, abs=1e-12)
    assert (metadata["savings"], metadata["cached"]) == (0, False)
    assert (metadata["input_tokens"], metadata["output_tokens"]) == (11, 5)
    assert metadata["latency_ms"] >= metadata["provider_latency_ms"] > 0


@pytest.mark.needs("block")
def test_p9_the_metadata_of_an_answer_are_in_reach(client):
    check(client, client.ask("complete", "json")["metadata"])


@pytest.mark.needs("block", "chat")
def test_p9_the_metadata_of_a_stream_are_in_reach(client):
    check(client, client.ask("stream", "json")["metadata"])


@pytest.mark.needs("headers")
def test_p9_cost_and_provider_are_in_the_headers_too(client):
    found = client.ask("complete", "plain")["headers"]
    assert float(found["x-p402-cost-usd"]) == pytest.approx(PRICE, abs=1e-12)
    assert found["x-p402-provider"] == client.seat.provider("acme")
    assert found["x-p402-cached"] == "false"


def test_p9_a_stream_whose_pieces_are_cut_anywhere_is_metered_alike(client):
    with client.played("json", replace(SCENARIOS["json"], piece_bytes=3, crlf=True)):
        found = client.ask("stream", "json")
    if client.has("chat"):
        assert tuple(found["pieces"]) == CITY_PIECES
    else:
        assert found["value"] == CITY
    if client.has("block") and client.has("chat"):
        assert (found["metadata"]["output_tokens"], found["metadata"]["usage_estimated"]) == (5, False)


@pytest.mark.needs("request_id")
@pytest.mark.parametrize("do", ["complete", "stream"])
def test_p1_an_error_carries_the_request_id_where_the_client_looks_for_it(client, do):
    """OpenAI's clients read `x-request-id`, which whoever gives support asks for."""
    assert client.fail(do, "bad")["error"]["request_id"].startswith("req_")


@pytest.mark.parametrize(
    "client", ["openai", "openai-async", "openai-2", "instructor", "openai-node"], indirect=True
)
def test_p1_an_answer_carries_the_request_id_where_the_client_looks_for_it(client):
    found = client.ask("complete", "json")
    assert found["request_id"] == found["metadata"]["request_id"]
