"""A provider of a world: its line, its rate, its cache and its failures, on the virtual clock."""

import numpy as np
import pytest

from p402.ports import Call, Completion, Failure
from sim.world.chance import Chance
from sim.world.clock import VirtualClock, run_all
from sim.world.rounds import Round
from sim.world.spec import Sessions, Spread
from sim.world.traffic import Traffic
from sim.world.truth import Truth
from sim.world.upstream import SimUpstream
from tests.sim.world.small import ALDER, BIRCH, a_world, changed

FLAT = Spread(median=100)


class Far:
    """One provider `alder` and calls to it, each of a request of its own."""

    def __init__(self, *, turns=1, **provider):
        alder = changed(ALDER, ttft_ms=FLAT, tokens_per_s=100.0, **provider)
        self.spec = a_world(providers=(alder, BIRCH), sessions=Sessions(mean_turns=turns))
        self.clock = VirtualClock(self.spec.start_ms)
        self.rounds, self.answers = {}, {}
        chance = Chance(1)
        self.asked = list(Traffic(self.spec, chance, rounds=60))
        self.upstream = SimUpstream(self.spec, Truth(self.spec), self.clock, chance, self.rounds)

    def call(self, number, *, prompt=100, stream=False, cap=None, provider="alder"):
        name = f"r{number}"
        self.rounds.setdefault(name, Round(number, name, self.asked[number], 0))
        return Call(name, provider, "cheap", {}, cap, stream, False, prompt)

    async def ask(self, number, **call):
        answer = await self.upstream.complete(self.call(number, **call))
        self.answers[number] = answer, self.clock.ms - self.spec.start_ms

    def run(self, *tasks):
        run_all(self.clock, tasks)
        return self.answers


def test_an_answer_takes_its_time_to_first_token_and_its_tokens():
    far = Far()
    answer, ms = far.run(far.ask(0))[0]
    assert isinstance(answer, Completion)
    assert ms == pytest.approx(100 + answer.usage.output * 10)
    assert answer.usage.prompt == 100
    assert far.rounds["r0"].quality is not None


def test_calls_beyond_the_slots_stand_in_line_first_come_first_served():
    far = Far(slots=2)
    answers = far.run(*(far.ask(i) for i in range(4)))
    alone = [100 + answers[i][0].usage.output * 10 for i in range(4)]
    free = sorted(alone[:2])
    assert answers[2][1] == pytest.approx(free[0] + alone[2])
    assert answers[3][1] == pytest.approx(min(free[1], free[0] + alone[2]) + alone[3])


def test_calls_beyond_the_rate_are_refused_until_the_minute_is_over():
    far = Far(rpm=2)
    answers = far.run(*(far.ask(i) for i in range(3)))
    refused, ms = answers[2]
    assert isinstance(refused, Failure)
    assert (refused.code, refused.status, refused.retry_after_ms) == ("RATE_LIMIT_EXCEEDED", 429, 60_000)
    assert ms < 100
    assert far.rounds["r2"].spent == ("alder",)
    far.clock.ms = far.spec.start_ms + 60_000
    assert isinstance(far.run(far.ask(3))[3][0], Completion)


def test_a_conversation_finds_its_prompt_warm_for_five_minutes():
    far = Far(turns=8, cache_read_factor=0.1)
    first = next(a for a in far.asked if a.session.turns >= 3)
    turns = [i for i, a in enumerate(far.asked) if a.session is first.session or a.session == first.session]
    usage = far.run(far.ask(turns[0], prompt=3000))[turns[0]][0].usage
    assert usage.cached == 0
    assert far.run(far.ask(turns[1], prompt=3500))[turns[1]][0].usage.cached == 3000 // 128 * 128
    far.clock.ms += 301_000
    assert far.run(far.ask(turns[2], prompt=4000))[turns[2]][0].usage.cached == 0


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("error", "PROVIDER_ERROR", 502),
        ("overloaded", "PROVIDER_ERROR", 502),
        ("hang", "PROVIDER_TIMEOUT", 504),
        ("cut", "PROVIDER_ERROR", 502),
    ],
)
def test_every_kind_of_failure_counts_and_fails_over(kind, code, status):
    far = Far(failures={kind: 1.0}, hang_ms=5_000.0)
    failure, ms = far.run(far.ask(0))[0]
    assert (failure.code, failure.status) == (code, status)
    assert failure.fail_over
    assert failure.counts
    assert (failure.usage is not None) == (kind == "cut")
    assert (ms == 5_000) == (kind == "hang")
    assert far.rounds["r0"].quality is None


def test_a_stream_that_is_cut_breaks_after_its_first_content():
    far, seen = Far(failures={"cut": 1.0}), []

    async def read():
        stream = await far.upstream.open_stream(far.call(0, stream=True))
        seen.append(far.clock.ms - far.spec.start_ms)
        assert stream.failure is None
        async for _ in stream:
            pass
        seen.append(stream.failure.code)

    far.run(read())
    assert seen == [100.0, "PROVIDER_ERROR"]


def test_an_answer_that_its_cap_cuts_short_is_worth_nothing():
    far = Far()
    answer, _ = far.run(far.ask(0, cap=3))[0]
    assert answer.usage.output == 3
    assert far.rounds["r0"].quality == 0.0


def test_another_attempt_is_another_draw_and_the_same_one_is_the_same():
    far = Far()
    first, _ = far.run(far.ask(0))[0]
    second, _ = far.run(far.ask(0))[0]
    assert first.usage != second.usage
    again = Far()
    assert again.run(again.ask(0))[0][0] == first
    other = Far()
    other.run(other.ask(5), other.ask(7))
    assert other.run(other.ask(0))[0][0] == first


def test_others_traffic_slows_an_hour():
    far = Far(hourly_load=(2.0, *(1.0,) * 23))
    answer, ms = far.run(far.ask(0))[0]
    assert ms == pytest.approx(2 * (100 + answer.usage.output * 10))


def test_what_a_capped_call_is_expected_to_cost_is_what_is_billed_on_average():
    spec = a_world()
    truth, asked = Truth(spec), list(Traffic(spec, Chance(3), rounds=1_500))
    mine = [one for one in asked if one.session.task == "code"]
    upstream = SimUpstream(spec, truth, VirtualClock(spec.start_ms), Chance(3), {})
    cap, arm = 300, truth.index["alder/dear"]
    billed = [min(upstream._length(one, arm, Chance(3).draws(3, i)[3]), cap) for i, one in enumerate(mine)]
    told = truth.billed(mine[0], cap)[arm]
    assert told < 0.75 * truth.output(mine[0])[arm]  # of the law's mean, which nobody pays under a cap
    assert abs(np.mean(billed) - told) < 4 * np.std(billed) / np.sqrt(len(billed)) + 0.5
