"""P1 and P8: one wire fails and another answers, or cannot say what another can; clients see one answer."""

import pytest

from tests.clients.client import Client, heard
from tests.clients.drivers import CLIENTS
from tests.clients.place import SEALED, able, cross, swap, weak
from tests.clients.seats import ACROSS, THOROUGH, Seat, provider_of
from tests.upstreams.catalogue import CITY, CITY_PIECES, OSLO, PARIS, SCENARIOS
from tests.upstreams.said import SEAL

CALLS = tuple(("call", call.name, call.arguments) for call in (PARIS, OSLO))
CANNOT = {
    "anthropic": [
        ("complete", {"n": 2}, "n)"),
        ("stream", {"n": 2}, "n)"),
        ("complete", {"logprobs": True}, "logprobs"),
        ("stream", {"logprobs": True}, "logprobs"),
        ("complete", {"response_format": {"type": "json_object"}}, "json_object"),
    ],
    "gemini": [
        ("stream", {"n": 2}, "n)"),
        ("complete", {"image": "https://images.test/a.png"}, "image"),
    ],
}
"""What the thorough client asks of a wire that has no word for it, and what the refusal names."""


def who(entry, first, then, client):
    """Which of two wires was asked."""
    return {weak(first, client): first, provider_of("zeta", then): then}[entry.provider]


@pytest.fixture(params=ACROSS, ids="-".join)
def pair(request):
    return request.param


def both(client, model, pair, fails, answers):
    """What the providers of two wires do with the next requests; the last of each stays."""
    play = client.place.upstreams.play
    play(weak(pair[0], client.name), model, *fails)
    play(provider_of("zeta", pair[1]), model, *answers)


@pytest.mark.parametrize(
    ("client", "do"), [*((name, "stream") for name in CLIENTS), (THOROUGH, "complete")], indirect=["client"]
)
def test_p8_a_wire_that_dies_before_content_is_followed_by_another_unseen(client, pair, do):
    model = cross(*pair, do, client.name)
    fault = "cut-first" if do == "stream" else "error-first"
    both(client, model, pair, [SCENARIOS[fault]], [SCENARIOS["json"]])
    found = client.ask(do, model, call=model, usage=True)
    assert [who(entry, *pair, client.name) for entry in client.asked] == list(pair)
    if not client.has("chat"):
        assert found["value"] == CITY
        return
    assert found["text"] == "".join(CITY_PIECES)
    assert found["finish"] == "stop"
    assert found["usage"] == [11, 5]
    if do == "stream":
        assert tuple(found["pieces"]) == CITY_PIECES
    if metadata := found.get("metadata"):
        assert [attempt["status"] for attempt in metadata["attempts"]] == ["failed", "ok"]
        assert (metadata["provider"], metadata["failover"]) == (provider_of("zeta", pair[1]), True)
        assert (metadata["output_tokens"], metadata["usage_estimated"]) == (5, False)


@pytest.mark.needs("chat")
@pytest.mark.parametrize("client", CLIENTS, indirect=True)
def test_p8_a_conversation_with_tools_that_began_on_one_wire_goes_on_on_another(client, pair):
    """The model is one lab's at both providers, and nothing is sealed."""
    model = swap(*pair, client.name)
    both(client, model, pair, [SCENARIOS["tools"], SCENARIOS["down"]], [SCENARIOS["plain"]])
    found = client.ask("tools", model, call=model)
    assert found["text"] == "Four"
    assert [ran["city"] for ran in found["ran"]] == ["Paris", "Oslo"]
    assert [who(entry, *pair, client.name) for entry in client.asked] == [pair[0], *pair]
    _, refused, answered = client.asked
    for wire, entry in ((pair[0], refused), (pair[1], answered)):
        (_, question), (_, called), (_, results) = heard(wire, entry).turns
        assert question == (
            ("text", "What is the weather?" if client.name == "langchain" else "What is 2 + 2?"),
        )
        assert called == CALLS
        assert [part[:2] for part in results] == [("result", "weather")] * 2
        assert ["Paris: sunny" in results[0][2], "Oslo: sunny" in results[1][2]] == [True, True]


@pytest.mark.parametrize(
    ("wire", "do", "fields", "word"),
    [(wire, *case) for wire, cases in CANNOT.items() for case in cases],
)
def test_p8_what_a_wire_cannot_say_goes_to_a_provider_that_can_or_is_refused_in_words(
    the_place, drivers, wire, do, fields, word
):
    client = Client(Seat(THOROUGH, wire), the_place, drivers)
    found = client.ask(do, able(client.seat), **fields)
    assert found["text"] == "Four"
    assert client.asked == [], "its own wire's provider was asked in vain"
    error = client.fail(do, "plain", **fields)["error"]
    assert "BadRequestError" in error["classes"]
    assert (error["status"], error["code"]) == (400, "INVALID_INPUT")
    assert word in error["message"]
    assert client.seat.provider("acme") in error["message"]
    assert client.asked == []


def test_p8_what_a_lab_has_sealed_is_sent_to_no_other(the_place, drivers):
    """The same conversation without the seal goes on elsewhere."""
    client, pair = Client(Seat(THOROUGH), the_place, drivers), ("anthropic", "openai")
    both(client, SEALED, pair, [SCENARIOS["down"]], [SCENARIOS["plain"]])
    thought = {"type": "thinking", "thinking": "2 and 2 is 4", "signature": SEAL}
    answer = {"role": "assistant", "content": "Four", "reasoning_content": "2 and 2 is 4"}
    before, after = {"role": "user", "content": "What is 2 + 2?"}, {"role": "user", "content": "Sure?"}

    sealed = [before, {**answer, "thinking_blocks": [thought]}, after]
    error = client.fail("complete", SEALED, call=SEALED, messages=sealed)["error"]
    assert (error["status"], error["code"]) == (502, "PROVIDER_ERROR")
    assert [entry.provider for entry in client.asked] == [weak("anthropic", THOROUGH)]
    assert ("thought", "2 and 2 is 4", SEAL) in heard("anthropic", client.asked[0]).turns[1][1]

    found = client.ask("complete", SEALED, call=SEALED, messages=[before, answer, after])
    assert found["text"] == "Four"
    assert client.asked[-1].provider == "zeta"
