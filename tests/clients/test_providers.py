"""What the labs' own clients read of the providers of the tests, without a gateway in between.

Else a test through the gateway would not know whose fault it has found. OpenAI's own client, which is at hand
everywhere, reads them in `tests/upstreams`.
"""

import pytest

from tests.clients.drivers import Driver, lab
from tests.upstreams.catalogue import SCENARIOS
from tests.upstreams.scenario import Cut, Finish, Refuse, Stall

LABS = {
    "anthropic": (
        "anthropic_sdk",
        "anthropic",
        {Finish.LENGTH: "max_tokens", Finish.TOOLS: "tool_use", Finish.FILTER: "refusal"},
        "end_turn",
    ),
    "gemini": ("genai_sdk", "google/genai", {Finish.LENGTH: "MAX_TOKENS", Finish.FILTER: "SAFETY"}, "STOP"),
}
PATIENCE_S = 0.5


@pytest.fixture(scope="module", params=LABS)
def own(request):
    """The lab's client, and its words for why an answer ends."""
    adapter, package, ends, usual = LABS[request.param]
    driver = Driver(lab(adapter, package))
    yield driver, ends, usual
    driver.close()


def task(providers, do, name):
    patience = {"timeout": PATIENCE_S} if isinstance(SCENARIOS[name].fault, Stall) else {}
    return {
        "do": do,
        "model": f"{name}.lab",
        "url": f"{providers.root}/acme",
        "key": "k",
        **patience,
    }


@pytest.mark.parametrize("do", ["complete", "stream"])
@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.fault is None])
def test_a_labs_own_client_reads_what_the_scenario_says(own, providers, do, name):
    driver, ends, usual = own
    answer = SCENARIOS[name].answer
    found = driver.ask(task(providers, do, name))
    assert "error" not in found, found
    assert (found["text"], found["reasoning"]) == ("".join(answer.text), "".join(answer.reasoning))
    assert found["calls"] == [[call.name, call.arguments] for call in answer.calls]
    assert found["finish"] == ends.get(answer.finish, usual)


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.fault is not None])
def test_a_labs_own_client_sees_a_stream_fail_or_never_finish(own, providers, name):
    driver, _, _ = own
    found = driver.ask(task(providers, "stream", name))
    match SCENARIOS[name].fault:
        case Cut(clean=True):
            assert found["finish"] is None, "the client alone does not see this one"
        case Refuse(body=None):
            assert 400 <= (found["error"]["status"] or found["error"]["code"]) < 600
        case _:
            assert "error" in found
