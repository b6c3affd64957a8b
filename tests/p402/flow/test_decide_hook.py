"""A simulation may choose in the gateway's place: every choice of a request is asked of it."""

from msgspec.structs import replace

from p402.answer import Completed
from p402.events import Attempt
from p402.flow.chat import Flow
from p402.routing.decide import decide_one
from tests.p402.flow.world import Play, World, a_request, a_tenant, broke, finish


def test_every_choice_is_asked_of_who_decides_first_and_at_failover():
    asked = []

    def decide(snapshot, request_id, inputs, live):
        made = decide_one(snapshot, request_id, replace(inputs, mode="speed", explore=False), live)
        asked.append((request_id, tuple(inputs.tried), snapshot.spec.arms.arm[made.arm]))
        return made

    world = World(Play(failure=broke()), Play())
    world.flow = Flow(world.flow.ports, world.state, {}, decide=decide)
    answer = finish(world.client(a_request(mode="quality"), a_tenant(exploration=False)))
    assert isinstance(answer, Completed)
    first, second = asked
    assert first[0] == second[0] == world.decision.id
    assert second[1] == (first[2],)
    assert (world.decision.arm, world.one(Attempt).arm) == (first[2], second[2])
    other = World(Play(failure=broke()), Play())
    other.ask(a_request(mode="quality"))
    assert other.decision.arm != first[2]


def test_who_decides_may_find_no_arm():
    world = World(Play())
    nobody = replace(
        decide_one(world.snapshot, "req_" + "0" * 32, inputs_of(world), world.state.live), arm=-1
    )
    world.flow = Flow(world.flow.ports, world.state, {}, decide=lambda *_: nobody)
    finish(world.client(a_request(), a_tenant(exploration=False)))
    assert not world.upstream.calls


def inputs_of(world):
    other = World(Play())
    other.ask(a_request())
    return other.decision.inputs
