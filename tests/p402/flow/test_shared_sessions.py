"""Workers that share sessions: each goes on where another left off, and asks only where that matters."""

from dataclasses import replace

import pytest

from p402.events import Decision
from p402.flow.sessions import CACHED_TOKENS, is_known, is_worth_sharing, may_ask
from p402.ports import SESSION_MS, WARM_MS, Usage, Warmth
from p402.routing.features import BYTES_PER_TOKEN
from sim.memory import MemorySessions
from tests.p402.flow.test_sessions import BOUND, NEAR_SPEC, PLAIN
from tests.p402.flow.world import NOON, Play, World, a_request, a_transcript, broke, finish

LONG = {"text_bytes": CACHED_TOKENS * BYTES_PER_TOKEN}
TOOLS = {"has_tools": True}


class Counting(MemorySessions):
    """The memory hand, which also tells what it was asked and told."""

    def __init__(self, now_ms) -> None:
        super().__init__(now_ms)
        self.asked: list = []
        self.told: list = []

    async def recall(self, tenant, session, answers):
        self.asked.append((tenant, session, answers))
        return await super().recall(tenant, session, answers)

    def note(self, tenant, session, warmth) -> None:
        self.told.append((tenant, session, warmth))
        super().note(tenant, session, warmth)


class Workers:
    """Worlds that share sessions and the time."""

    def __init__(self, count=2, spec=NEAR_SPEC):
        self.ms = World(spec=spec).clock.ms
        self.sessions = Counting(lambda: NOON + int(self.ms))
        self.worlds = [
            World(Play(usage=Usage(10_000, 5)), spec=spec, worker=f"w{n}", sessions=self.sessions)
            for n in range(count)
        ]

    def elapse(self, ms):
        self.ms += ms
        for world in self.worlds:
            world.clock.ms = self.ms

    def ask(self, worker, answers=0, away=None, session="s", tenant=PLAIN, **transcript):
        """A turn of a session; `away` is a provider that this one must not go to."""
        request = a_request(
            mode="quality",
            session_id=session,
            transcript=a_transcript(turns=1 + 2 * answers, answers=answers, **transcript),
            exclude_providers=() if away is None else (away,),
        )
        self.elapse(1_000)
        return self.worlds[worker].ask(request, tenant)

    def inputs(self, worker):
        return self.worlds[worker].log.of(Decision)[-1].inputs


def test_another_worker_goes_on_where_the_prompt_is_warm():
    workers = Workers()
    workers.ask(0, away="b", **LONG)
    assert workers.ask(1, 1, **LONG).metadata.provider == "a"
    row = workers.inputs(1)
    assert (row.previous_arm, row.warm_tokens) == ("a/one", row.prompt_tokens)
    assert workers.ask(1, session="other", **LONG).metadata.provider == "b"


def test_open_tool_calls_without_a_seal_stay_in_their_family_at_every_worker():
    workers = Workers(3)
    workers.ask(0, away="b", **TOOLS)
    for turn in range(1, 9):
        assert workers.ask(turn % 3, turn, binds_family=True, **TOOLS).metadata.provider == "a"
        assert workers.inputs(turn % 3).family == "lab"
    answer = workers.ask(1, 9, away="a", binds_family=True, **TOOLS)
    assert answer.reasons == {"a/one": "provider_excluded", "b/two": "other_family"}


def test_without_sharing_another_worker_would_have_left_the_family():
    workers = Workers()
    for world in workers.worlds:
        world.flow.ports = replace(world.flow.ports, sessions=None)
    workers.ask(0, away="b", **TOOLS)
    assert workers.ask(1, 1, binds_family=True, **TOOLS).metadata.provider == "b"
    assert workers.sessions.asked == workers.sessions.told == []


def test_the_later_of_what_is_known_here_and_there_counts():
    workers = Workers()
    workers.ask(0, away="b", **LONG)
    workers.ask(1, 1, away="a", **LONG)
    assert workers.ask(0, 2, **LONG).metadata.provider == "b"  # though it knew of a
    workers.ask(0, 3, away="b", **LONG)
    workers.sessions._left["default", "s"] = (NOON + int(workers.ms) - 5_000, Warmth("b/two", 5, 0, 9))
    assert workers.ask(0, 9, **LONG).metadata.provider == "a"  # the other's word is older
    assert workers.sessions.asked[-1] == ("default", "s", 0)


def test_a_session_grows_cold_and_is_forgotten_for_another_worker_too():
    workers = Workers()
    workers.ask(0, away="b", **TOOLS)
    workers.elapse(WARM_MS)
    assert workers.ask(1, 1, **TOOLS).metadata.provider == "b"
    assert workers.inputs(1).previous_arm is None
    workers = Workers()
    workers.ask(0, away="b", **TOOLS)
    workers.elapse(SESSION_MS - 1_000)
    workers.ask(1, 1, binds_family=True, **TOOLS)
    assert workers.inputs(1).family == "lab"
    workers = Workers()
    workers.ask(0, away="b", **TOOLS)
    workers.elapse(SESSION_MS)
    workers.ask(1, 1, binds_family=True, **TOOLS)
    assert workers.inputs(1).family is None


def test_a_short_chat_without_tools_asks_nobody_and_tells_nobody():
    workers = Workers()
    for turn in range(4):
        assert workers.ask(turn % 2, turn).metadata is not None
    assert workers.sessions.asked == workers.sessions.told == []


@pytest.mark.parametrize("transcript", [LONG, TOOLS])
def test_a_session_is_told_of_at_every_answer_and_asked_for_where_another_gave_the_last(transcript):
    workers = Workers()
    for turn, worker in enumerate((0, 0, 1, 1, 0)):
        workers.ask(worker, turn, **transcript)
    assert [(session, w.answers) for _, session, w in workers.sessions.told] == [
        ("s", turn) for turn in (1, 2, 3, 4, 5)
    ]
    assert len(workers.sessions.asked) == 2  # the third turn and the fifth


def test_who_waits_for_a_later_word_is_who_may_lose_its_family():
    workers = Workers()
    workers.ask(0, 3, binds_family=True, sealed_by="lab")
    workers.ask(0, 3, **LONG)
    workers.ask(1, 3, binds_family=True)
    assert [answers for _, _, answers in workers.sessions.asked] == [0, 0, 3]


def test_a_failed_exchange_tells_nobody():
    workers = Workers()
    workers.worlds[0].upstream.script = [Play(failure=broke())] * 3
    workers.ask(0, away="b", **LONG)
    assert workers.sessions.told == []


def test_a_dry_run_and_a_route_decide_as_the_request_would_be():
    workers = Workers()
    workers.ask(0, away="b", **TOOLS)
    going_on = a_request(
        session_id="s", mode="quality", transcript=a_transcript(binds_family=True, answers=1)
    )
    world = workers.worlds[1]

    async def routed():
        await world.flow.recall(going_on, PLAIN)
        return world.flow.route(going_on, PLAIN)

    assert finish(routed()).metadata.provider == "a"
    assert (
        world.ask(a_request(dry_run=True, session_id="s", transcript=BOUND), PLAIN).metadata.provider == "a"
    )
    assert len(workers.sessions.told) == 1


def test_a_streamed_answer_tells_as_well():
    workers = Workers()
    request = a_request(session_id="s", stream=True, transcript=a_transcript(has_tools=True))
    workers.worlds[0].ask(request, PLAIN)
    ((tenant, session, warmth),) = workers.sessions.told
    assert (tenant, session, warmth.answers) == ("default", "s", 1)


def test_when_it_is_worth_it():
    short, long = a_transcript(), a_transcript(**LONG)
    assert not is_worth_sharing(short)
    assert is_worth_sharing(long)
    assert not may_ask(long)  # nothing was answered yet
    assert may_ask(a_transcript(**LONG, answers=1))
    assert not may_ask(a_transcript(answers=1))
    assert may_ask(a_transcript(binds_family=True))
    known = Warmth("a/one", 1, 0, answers=2)
    assert is_known(a_transcript(answers=2), known)
    assert not is_known(a_transcript(answers=3), known)
    assert not is_known(a_transcript(answers=1), known)
    assert not is_known(a_transcript(), Warmth("a/one", 1, 0))
    assert not is_known(a_transcript(answers=2), None)
