"""A request that the cache answers: nobody is called, nothing is held or paid, and it is no round."""

import orjson
import pytest

from p402.answer import Completed, Rejected, StreamEnd
from p402.cache.contract import MISS
from p402.events import CacheHit, Decision, Outcome, Refused
from p402.flow.hit import PROVIDER
from p402.limits import CacheRules, Limits, Rate
from tests.p402.flow.world import (
    ARMS,
    DOLLAR,
    PROMPT,
    Play,
    World,
    a_request,
    a_spec,
    a_tenant,
    a_transcript,
    broke,
    finish,
)

SAID = "The sea is wide, and the wind is its own master."


def a_question(text=PROMPT, *, stream=False, turns=(), **options):
    options = {"mode": "cost"} | options
    body = {"messages": [*turns, {"role": "user", "content": text}]}
    return a_request(stream=stream, transcript=a_transcript(text), body=body, **options)


def a_world(*script, **kw):
    return World(*(script or (Play(says=SAID),)), cached=True, **kw)


def text_of(answer):
    """What was said, whole or streamed."""
    if isinstance(answer, Completed):
        return orjson.loads(answer.body)["choices"][0]["message"]["content"]
    events = [orjson.loads(event[6:]) for event in answer[:-1]]
    return "".join(c["delta"].get("content", "") for event in events for c in event["choices"])


def told(answer):
    return answer.metadata if isinstance(answer, Completed) else answer[-1].metadata


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_p11_a_repeat_is_answered_without_a_call_and_costs_nothing(first, second):
    world, tenant = a_world(), a_tenant(fee_bps=500)
    before = told(world.ask(a_question(stream=first), tenant))
    spent = world.books()
    answer = world.ask(a_question(stream=second), tenant)
    metadata = told(answer)
    assert len(world.upstream.calls) == 1
    assert text_of(answer) == SAID
    assert (metadata.cached, metadata.provider, metadata.model) == (True, PROVIDER, before.model)
    assert (metadata.cost_nano, metadata.fee_nano, metadata.provider_latency_ms) == (0, 0, 0.0)
    assert (metadata.attempts, metadata.propensity) == ((), None)
    assert (metadata.cache_similarity, metadata.cache_entry) == (1.0, before.request_id)
    assert (metadata.input_tokens, metadata.output_tokens) == (before.input_tokens, before.output_tokens)
    assert metadata.direct_nano == before.direct_nano > before.cost_nano > 0
    assert metadata.task == before.task
    assert metadata.request_id != before.request_id
    assert world.books() == spent
    if not second and first:
        used = orjson.loads(answer.body)["usage"]
        assert (used["prompt_tokens"], used["completion_tokens"]) == (20, 10), "nobody asked the stream"
    if second:
        assert isinstance(answer[-1], StreamEnd)
        assert answer[-1].failure is None


def test_a_hit_is_one_line_of_the_log_and_no_round():
    world = a_world()
    world.ask(a_question())
    world.clock.ms += 5_000
    answer = world.ask(a_question(stream=True, session_id="s-1", tags={"team": "a"}))
    row, metadata = world.one(CacheHit), told(answer)
    assert len(world.log.of(Decision)) == len(world.log.of(Outcome)) == 1
    assert world.kinds()[-1] == "CacheHit"
    assert (row.id, row.entry) == (metadata.request_id, world.decision.id)
    assert (row.session, row.tags, row.mode, row.stream) == ("s-1", {"team": "a"}, "cost", True)
    assert (row.tier, row.similarity, row.arm) == ("exact", 1.0, world.outcome.arm)
    assert (row.direct_nano, row.baseline) == (metadata.direct_nano, metadata.baseline_model)
    assert row.age_ms == 5_000
    assert (row.worker, row.snapshot) == ("w", world.snapshot.id)


def test_a_hit_takes_one_request_from_the_rate_and_a_spent_rate_refuses_it():
    world = a_world()
    tenant = a_tenant(limits=Limits(daily_cap_nano=DOLLAR, rate=Rate(2, 2)))
    world.guard._limits = lambda name: tenant.limits
    answers = [world.ask(a_question(), tenant) for _ in range(3)]
    assert [type(answer) for answer in answers] == [Completed, Completed, Rejected]
    assert answers[1].metadata.cached
    assert answers[2].refusal.code == "RATE_LIMIT_EXCEEDED"
    assert answers[2].refusal.retry_after_ms > 0
    assert world.one(Refused).id == answers[2].request_id
    assert len(world.log.of(CacheHit)) == 1


def test_a_hit_that_the_log_does_not_take_is_given_with_a_warning():
    world = a_world()
    world.ask(a_question())
    world.log.full = lambda event, number: True
    metadata = told(world.ask(a_question()))
    assert metadata.cached
    assert any(warning.startswith("log_full") for warning in metadata.warnings)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"cache": False}),
        ({"cache": False}, {}),
        ({}, {"mode": "quality", "cache": True}),
        ({"mode": "balanced"}, {"mode": "balanced"}),
        ({}, {"exclude_providers": ("gamma",)}),
        ({"max_cost_pico": 10**12}, {}),
    ],
)
def test_p11_what_is_asked_otherwise_or_without_the_cache_is_sent_on(first, second):
    world = a_world()
    for options in (first, second):
        assert not told(world.ask(a_question(**options))).cached
    assert len(world.upstream.calls) == 2


def test_a_mode_that_does_not_use_the_cache_by_itself_uses_it_where_it_is_asked():
    world = a_world()
    answers = [told(world.ask(a_question(mode="quality", cache=True))) for _ in range(2)]
    assert [answer.cached for answer in answers] == [False, True]


def test_a_tenant_may_turn_the_cache_of_cost_mode_off():
    world, tenant = a_world(), a_tenant(cache=CacheRules(in_cost_mode=False))
    assert not any(told(world.ask(a_question(), tenant)).cached for _ in range(2))
    assert [told(world.ask(a_question(cache=True), tenant)).cached for _ in range(2)] == [False, True]


def test_p11_another_tenant_gets_nothing_of_it():
    world = a_world()
    world.ask(a_question())
    assert not told(world.ask(a_question(), a_tenant(name="other", policy="default"))).cached
    assert len(world.upstream.calls) == 2


def test_other_turns_before_are_another_question():
    world = a_world()
    for said in ("Yes.", "No."):
        turns = ({"role": "user", "content": "Is it?"}, {"role": "assistant", "content": said})
        assert not told(world.ask(a_question(turns=turns))).cached


@pytest.mark.parametrize(
    "play",
    [
        Play(failure=broke("PROVIDER_ERROR", fail_over=False)),
        Play(says=SAID, ended="length"),
        Play(says=SAID, broken=broke("PROVIDER_ERROR")),
        Play(),
    ],
)
def test_p11_errors_and_answers_that_are_not_whole_are_not_kept(play):
    stream = play.broken is not None
    world = a_world(play, Play(says=SAID))
    world.ask(a_question(stream=stream))
    assert not told(world.ask(a_question())).cached
    assert len(world.upstream.calls) == 2


@pytest.mark.parametrize("events", range(5))
def test_p11_a_stream_whose_reader_left_is_not_kept(events):
    world = a_world()
    finish(world.client(a_question(stream=True), a_tenant(), leave_after=events))
    assert not told(world.ask(a_question())).cached
    assert world.books()[1] == 0


def test_an_answer_is_given_as_long_as_the_request_that_made_it_said():
    world = a_world()
    world.ask(a_question(cache_ttl_s=60))
    world.clock.ms += 59_000
    assert told(world.ask(a_question())).cached
    world.clock.ms += 2_000
    assert not told(world.ask(a_question())).cached


def test_an_answer_of_an_arm_that_the_tenant_may_no_longer_use_is_not_given():
    world = a_world()
    world.ask(a_question())
    made = world.outcome.arm
    world.state.swap(type(world)(spec=a_spec(denied={"default": (made,), "narrow": (made,)})).snapshot)
    answer = told(world.ask(a_question()))
    assert not answer.cached
    assert world.log.of(Outcome)[-1].arm != made
    assert told(world.ask(a_question())).cached, "the new answer took its place"


def test_a_hit_is_told_by_the_snapshot_that_allowed_it_though_another_comes_meanwhile():
    world = a_world()
    first = told(world.ask(a_question()))
    made, found = world.outcome.arm, world.cache.find
    others = tuple(row for row in ARMS if row.arm != made)

    async def find(query):
        hit = await found(query)
        world.state.swap(World(spec=a_spec(others)).snapshot)
        return hit

    world.cache.find = find
    second = told(world.ask(a_question()))
    assert (second.cached, second.cache_entry) == (True, first.request_id)
    assert world.one(CacheHit).arm == made not in world.state.snapshot.index


def test_whoever_wants_a_decision_explained_is_told_that_there_was_none():
    world = a_world()
    first, second = (told(world.ask(a_question(explain=True))) for _ in range(2))
    assert first.considered
    assert (second.cached, second.considered) == (True, None)
    assert any(warning.startswith("no_decision") for warning in second.warnings)


def test_a_dry_run_asks_no_cache():
    world = a_world()
    world.ask(a_question())
    assert not told(world.ask(a_question(dry_run=True))).cached


@pytest.mark.parametrize(("asks", "warned"), [(True, True), (None, False)])
def test_whoever_asks_for_the_cache_is_told_why_it_is_not_used(asks, warned):
    world = a_world()
    request = a_request(mode="cost", cache=asks, body={"messages": [{"role": "tool", "content": "9"}]})
    metadata = told(world.ask(request))
    assert any(w.startswith("not_cached") and "not a user's" in w for w in metadata.warnings) is warned


def test_estimated_tokens_are_told_as_such_again():
    from p402.ports import Usage

    world = a_world(Play(says=SAID, usage=Usage(prompt=20, output=10, estimated=True)))
    for _ in range(2):
        metadata = told(world.ask(a_question()))
        assert metadata.usage_estimated
        assert any(warning.startswith("usage_estimated") for warning in metadata.warnings)
    assert world.one(CacheHit).usage_estimated


def test_a_caller_that_leaves_while_the_cache_is_asked_leaves_nothing_behind():
    class Slow:
        async def find(self, query):
            await world.guard.spent("default")
            from tests.p402.flow.world import Pause

            await Pause()
            return MISS

    world = a_world()
    object.__setattr__(world.flow.ports, "cache", Slow())
    with pytest.raises(BaseException, match=r"^$"):
        finish(world.client(a_question(), a_tenant()), cancel_at=1)
    assert world.journal == []
