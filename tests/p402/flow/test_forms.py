"""A request goes to a provider whose language can say it, as long as there is one."""

import pytest

from p402.answer import Completed, Rejected
from p402.events import Decision
from p402.ports import Failure
from tests.p402.flow.world import Play, World, a_request, a_tenant, a_transcript

MUTE = {"gamma": frozenset({"n", "json_object"}), "beta": frozenset({"n"})}


def served(world: World, request, **tenant) -> str:
    answer = world.ask(request, a_tenant(**tenant))
    assert isinstance(answer, Completed), answer
    return answer.metadata.provider


def asking(*forms: str, **over):
    return a_request(transcript=a_transcript(forms=frozenset(forms)), **over)


def test_who_cannot_say_it_is_not_asked() -> None:
    assert served(World(lacks=MUTE), asking(mode="cost")) == "gamma", "the cheapest"
    assert served(World(lacks=MUTE), asking("json_object", mode="cost")) == "beta", "the cheapest that can"
    world = World(lacks=MUTE)
    assert served(world, asking("n", mode="cost", exclude_providers=("beta",))) == "alpha"
    assert world.one(Decision).inputs.exclude_providers == ["beta", "gamma"], "and replay knows why"


def test_what_nobody_lacks_excludes_nobody() -> None:
    world = World(lacks=MUTE)
    served(world, asking("logprobs", mode="cost"))
    assert world.one(Decision).inputs.exclude_providers == []


@pytest.mark.parametrize("routed", ["on", "observe"])
def test_a_named_model_is_asked_where_its_provider_can_say_it(routed: str) -> None:
    world = World(lacks=MUTE)
    provider = served(world, asking("n", model="large"), route_named_models=routed)
    assert provider not in MUTE


def test_where_nobody_can_say_it_the_attempt_tells_which_form_it_was() -> None:
    failure = Failure("INVALID_INPUT", 400, "cannot be asked for n", fail_over=True, counts=False)
    world = World(
        Play(failure=failure), lacks={p: frozenset({"n"}) for p in ("alpha", "beta", "gamma", "lab")}
    )
    answer = world.ask(asking("n", mode="cost"))
    assert isinstance(answer, Rejected)
    assert (answer.refusal.code, answer.refusal.status) == ("INVALID_INPUT", 400)
