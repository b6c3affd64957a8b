"""P1, the one-line switch: with a key that is routed, a client that names a model is routed and saves."""

from decimal import Decimal

import openai
import pytest

from p402.events import Decision
from tests.serve.gateway import KEY, OTHER_KEY, Gateway

MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]
ROUTED, WATCHED = "p402_live_routed", "p402_live_watched"
TABLES = """
[[keys]]
name = "routed"
key_env = "ROUTED"
mode = "balanced"
[[keys]]
name = "watched"
tenant = "narrow"
key_env = "WATCHED"
mode = "cost"
route_named_models = "observe"
"""
PROMPT, OUTPUT = 9, 1
LARGE = Decimal(PROMPT * 5 + OUTPUT * 20) / 1_000_000
"""USD that the played answer costs at `large`."""


@pytest.fixture
def gateway():
    return Gateway(more=TABLES, more_keys={"routed": ROUTED, "watched": WATCHED})


@pytest.fixture
def ask(gateway):
    """The application: nothing but `base_url` and key is not as it was."""
    with gateway.served() as port:

        def ask(key, **extra):
            with openai.OpenAI(
                base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0, timeout=20
            ) as client:
                return client.chat.completions.create(model="large", messages=MESSAGES, **extra)

        yield ask


def test_p1_under_a_balanced_key_a_named_model_is_routed_and_is_the_baseline_of_its_savings(ask, gateway):
    told = ask(ROUTED).p402_metadata
    assert (told["routing_mode"], told["model"], told["baseline_model"]) == ("balanced", "small", "large")
    assert gateway.upstream.calls[0].model == "small"
    assert told["direct_cost"] == pytest.approx(float(LARGE))
    assert told["savings"] == pytest.approx(told["direct_cost"] - told["cost_usd"])
    assert told["savings"] > 0
    (row,) = gateway.log.of(Decision)
    assert (row.inputs.mode, row.inputs.model, row.observe, row.baseline) == (
        "balanced",
        None,
        False,
        "large",
    )


def test_p1_a_streamed_call_under_a_balanced_key_is_routed_alike(ask):
    told = list(ask(ROUTED, stream=True))[-1].p402_metadata
    assert (told["model"], told["baseline_model"]) == ("small", "large")
    assert told["savings"] == pytest.approx(told["direct_cost"] - told["cost_usd"])


def test_a_mode_in_the_request_wins_over_the_keys(ask):
    told = ask(ROUTED, extra_body={"p402": {"mode": "cost"}}).p402_metadata
    assert (told["routing_mode"], told["baseline_model"]) == ("cost", "large")


def test_another_key_of_the_same_tenant_is_called_by_name_and_watched(ask, gateway):
    told = ask(KEY).p402_metadata
    assert (told["routing_mode"], told["model"]) == ("named", "large")
    assert (told["direct_cost"], told["savings"]) == (told["cost_usd"], 0)
    (row,) = gateway.log.of(Decision)
    assert (row.inputs.mode, row.observe) == ("balanced", True)


def test_a_key_may_be_watched_in_a_mode_of_its_own(ask, gateway):
    assert ask(WATCHED).p402_metadata["model"] == "large"
    assert ask(OTHER_KEY).p402_metadata["model"] == "large"
    watched, usual = gateway.log.of(Decision)
    assert (watched.tenant, watched.inputs.mode, watched.observe) == ("narrow", "cost", True)
    assert (usual.tenant, usual.inputs.mode, usual.observe) == ("narrow", "balanced", True)
