"""A session stays where its prompt is warm and its transcript is at home; sessions are bounded and apart."""

import pytest

from p402.events import Decision
from p402.flow import state as state_module
from p402.flow.plan import session_of
from p402.flow.state import WorkerState
from p402.ports import WARM_MS, Usage, Warmth
from p402.store.task_head import load_head
from tests.p402.flow.world import (
    ARMS,
    REFERENCE,
    Play,
    Row,
    World,
    a_request,
    a_spec,
    a_tenant,
    a_transcript,
    broke,
)

NEAR = (
    Row("a/one", 1_000_000, 2_000_000, 0.60, family="lab"),
    Row("b/two", 1_000_000, 2_000_000, 0.61, family="other"),
)
NEAR_SPEC = a_spec(NEAR, denied={"default": ()})
PLAIN = a_tenant(baseline_model=None)


def served(world, **kw):
    return world.ask(a_request(mode="quality", **kw), PLAIN).metadata.provider


def test_a_session_stays_where_its_prompt_cache_is_warm():
    world = World(Play(usage=Usage(10_000, 5)), spec=NEAR_SPEC)
    assert served(world) == "b"
    assert served(world, session_id="s", exclude_providers=("b",)) == "a"
    assert served(world, session_id="s") == "a"
    row = world.log.of(Decision)[-1]
    assert row.inputs.previous_arm == "a/one"
    assert row.inputs.warm_tokens == row.inputs.prompt_tokens  # no more than this prompt can use


def test_it_leaves_once_the_cache_is_cold():
    world = World(Play(usage=Usage(10_000, 5)), spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    world.clock.ms += WARM_MS + 1
    assert served(world, session_id="s") == "b"


def test_another_session_and_another_tenant_are_not_drawn_along():
    world = World(Play(usage=Usage(10_000, 5)), spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    assert served(world, session_id="t") == "b"
    other = a_tenant(baseline_model=None, name="other")
    assert world.ask(a_request(mode="quality", session_id="s"), other).metadata.provider == "b"


def test_a_failed_exchange_warms_nothing():
    world = World(Play(failure=broke()), Play(), spec=NEAR_SPEC)
    world.ask(a_request(session_id="s", exclude_providers=("b",), failover=False), PLAIN)
    assert world.state.last_served("default", "s") is None


BOUND = a_transcript(binds_family=True)


def test_a_bound_transcript_stays_in_the_family_that_made_it():
    world = World(spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    assert served(world, session_id="s", transcript=BOUND) == "a"
    elsewhere = a_request(session_id="s", transcript=BOUND, exclude_providers=("a",))
    answer = world.ask(elsewhere, PLAIN)
    assert answer.refusal.code == "NO_PROVIDER_AVAILABLE"
    assert answer.reasons == {"a/one": "provider_excluded", "b/two": "other_family"}


def test_a_seal_binds_to_its_lab_though_this_worker_never_saw_the_session():
    for lab, provider in (("lab", "a"), ("other", "b")):
        world = World(spec=NEAR_SPEC)
        sealed = a_transcript(binds_family=True, sealed_by=lab)
        assert served(world, session_id="s", transcript=sealed) == provider
        assert world.log.of(Decision)[-1].inputs.family == lab


def test_a_seal_of_a_lab_that_nobody_offers_leaves_the_word_to_the_session():
    world = World(spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    sealed = a_transcript(binds_family=True, sealed_by="gone")
    assert served(world, session_id="s", transcript=sealed) == "a"
    assert World(spec=NEAR_SPEC).ask(a_request(transcript=sealed), PLAIN).metadata is not None


def test_a_bound_transcript_is_at_home_even_when_the_cache_is_cold():
    world = World(spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    world.clock.ms += 100 * WARM_MS  # a person was asked, and took the night
    assert served(world, session_id="s", transcript=BOUND) == "a"
    assert served(world, session_id="s") == "a"  # warm again


def test_failover_does_not_leave_the_family_of_a_bound_transcript():
    world = World(spec=NEAR_SPEC)
    served(world, session_id="s", exclude_providers=("b",))
    world.upstream.script = [Play(failure=broke())]
    answer = world.ask(a_request(session_id="s", transcript=BOUND), PLAIN)
    assert [a.arm for a in answer.attempts] == ["a/one"]


def test_an_unknown_session_has_no_home_and_is_served():
    assert served(World(spec=NEAR_SPEC), session_id="new", transcript=BOUND) == "b"


def test_an_arm_that_is_gone_is_no_ones_home():
    world = World()
    world.ask(a_request(session_id="s", mode="quality"))
    rest = World(spec=a_spec([r for r in ARMS if r.arm in ("gamma/tiny", REFERENCE)]))
    world.state.swap(rest.snapshot)
    told = world.ask(a_request(session_id="s", transcript=BOUND)).metadata
    assert told.model == "tiny"


def test_a_derived_session_is_the_same_for_the_same_opening_and_no_other():
    one = session_of(a_request(), a_tenant())
    assert one.startswith("auto_")
    later = a_request(transcript=a_transcript("go on", first_user=a_transcript().first_user, turns=3))
    assert session_of(later, a_tenant()) == one
    assert session_of(a_request(transcript=a_transcript("Another start")), a_tenant()) != one
    assert session_of(a_request(transcript=a_transcript(system="Be brief.")), a_tenant()) != one
    assert session_of(a_request(), a_tenant(name="other")) != one
    assert session_of(a_request(session_id="mine"), a_tenant()) == "mine"


def test_a_lone_surrogate_in_a_prompt_still_has_a_session():
    assert session_of(a_request(transcript=a_transcript("x", first_user="\ud800")), a_tenant())


def test_the_longest_unseen_sessions_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(state_module, "MAX_SESSIONS", 3)
    state = WorkerState("w", World().snapshot, load_head())
    for k in range(3):
        state.note("t", f"s{k}", Warmth("gamma/tiny", 1, k))
    state.note("t", "s0", Warmth("gamma/tiny", 1, 3))
    state.note("t", "s3", Warmth("gamma/tiny", 1, 4))
    known = [k for k in range(4) if state.last_served("t", f"s{k}") is not None]
    assert known == [0, 2, 3]


@pytest.mark.parametrize("stream", [False, True])
def test_metadata_names_the_session(stream):
    answer = World().ask(a_request(session_id="s-1", stream=stream))
    assert (answer[-1] if stream else answer).metadata.session_id == "s-1"
