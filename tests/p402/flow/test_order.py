"""What is logged is logged in order: live state before it is decided by, a choice before it is dispatched,
an outcome on every way out. A log that takes no row refuses before anything is spent."""

import asyncio

import pytest

from p402.answer import Completed, Rejected, StreamEnd
from p402.errors import DiskFull, InvalidInput, ModelNotFound, StoreError
from p402.events import Attempt, Decision, Live, Outcome, Refused, Reward
from p402.ports import Usage
from tests.p402.flow.world import (
    BAD_REQUEST,
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


def test_the_decision_is_logged_before_the_call_and_the_outcome_after_its_settlement():
    world = World()
    world.ask()
    assert world.kinds() == ["Decision", "Call", "Settled", "Outcome"]


def test_every_failover_is_logged_before_its_call():
    world = World(Play(failure=broke()), Play(failure=broke()), Play())
    world.ask()
    assert world.kinds() == ["Decision", "Call", "Attempt", "Call", "Attempt", "Call", "Settled", "Outcome"]
    assert [a.attempt for a in world.log.of(Attempt)] == [1, 2]
    assert [a.inputs.tried for a in world.log.of(Attempt)] == [
        ["gamma/tiny"],
        ["gamma/tiny", "beta/small"],
    ]


def test_a_decision_row_holds_all_that_the_choice_was_made_of():
    world = World()
    world.ask(a_request(tags={"team": "search"}, session_id="s1", mode="quality"))
    row = world.decision
    assert (row.worker, row.snapshot, row.live_seq) == ("w", world.snapshot.id, 0)
    assert (row.session, row.tags, row.task, row.baseline) == ("s1", {"team": "search"}, "chat", "flagship")
    assert (row.inputs.mode, row.arm, row.count, row.n_explored) == ("quality", "alpha/large", 1 << 24, 1)
    assert row.n_eligible == 5  # the reference arm is none
    assert row.simulated
    assert not row.observe


@pytest.mark.parametrize("error", [DiskFull, StoreError])
def test_a_decision_that_cannot_be_logged_is_not_taken(error):
    world = World()
    world.log.full = lambda event, _: isinstance(event, Decision)
    world.log.error = error
    answer = world.ask()
    assert isinstance(answer, Rejected)
    assert (answer.refusal.code, answer.refusal.status) == ("INTERNAL_ERROR", 503)
    assert answer.refusal.retry_after_ms > 0
    assert "no space left on device" in answer.refusal.message
    assert answer.request_id.startswith("req_")
    assert world.kinds() == ["Settled"]
    assert world.books() == (0, 0)


def test_a_named_call_that_cannot_be_logged_is_not_made_and_its_round_is_ended():
    world = World()
    world.log.full = lambda event, _: isinstance(event, Attempt)
    answer = world.ask(a_request("large"))
    assert answer.refusal.status == 503
    assert world.kinds() == ["Decision", "Settled", "Outcome"]
    assert (world.outcome.status, world.outcome.code) == ("refused", "INTERNAL_ERROR")
    assert world.outcome.cost_nano == 0
    assert world.books() == (0, 0)


def test_a_failover_that_cannot_be_logged_is_not_made():
    world = World(Play(failure=broke(usage=Usage(10, 10))), Play())
    world.log.full = lambda event, _: isinstance(event, Attempt)
    answer = world.ask()
    assert isinstance(answer, Rejected)
    assert answer.refusal.code == "PROVIDER_ERROR"
    assert len(world.upstream.calls) == 1
    assert world.outcome.status == "failed"
    assert world.books() == (world.outcome.cost_nano, 0)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_outcome_cannot_be_logged_is_given_with_a_warning(stream):
    world = World()
    world.log.full = lambda event, _: isinstance(event, Outcome)
    answer = world.ask(a_request(stream=stream))
    told = answer[-1].metadata if stream else answer.metadata
    assert any(w.startswith("log_full") for w in told.warnings)
    assert world.books() == (told.cost_nano, 0)
    assert told.cost_nano > 0


def test_a_refusal_that_cannot_be_logged_says_that_the_log_is_full():
    world = World(cap=1)
    world.log.full = lambda event, _: isinstance(event, Refused)
    answer = world.ask()
    assert answer.refusal.status == 503
    assert answer.request_id
    assert world.books() == (0, 0)


def test_live_state_is_logged_before_it_is_decided_by():
    world = World(*[Play(failure=broke())] * 3, Play())
    world.ask(a_request(failover=False))
    world.clock.ms += 2_000
    world.ask()
    kinds = world.kinds()
    assert kinds.index("Live") < kinds.index("Decision", 1)
    first, second = world.log.of(Decision)
    assert (first.live_seq, second.live_seq) == (0, 1)
    assert world.one(Live).arms[first.arm].error_rate > 0
    assert second.arm != first.arm  # it was decided by what was just logged


def test_live_state_that_cannot_be_logged_is_not_decided_by_and_stays_due():
    world = World(Play(failure=broke()), Play())
    world.ask(a_request(failover=False))
    world.log.full = lambda event, _: isinstance(event, Live)
    world.clock.ms += 2_000
    world.ask()
    world.log.full = lambda event, _: False
    world.clock.ms += 2_000
    world.ask()
    seqs = [d.live_seq for d in world.log.of(Decision)]
    assert seqs == [0, 0, 1]
    assert world.one(Live).seq == 1  # no number is missing in between, so a replay can fold them


def test_deltas_are_at_most_one_a_second():
    world = World(Play(failure=broke(), takes_ms=0.0))
    for _ in range(50):
        world.clock.ms += 100
        world.ask(a_request(failover=False))
    seqs = [d.seq for d in world.log.of(Live)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert 1 < len(seqs) <= 5


def test_a_refused_request_is_no_round():
    world = World(cap=1)
    answer = world.ask()
    assert isinstance(answer, Rejected)
    assert world.kinds() == ["Refused"]
    row = world.one(Refused)
    assert (row.id, row.code, row.status) == (answer.request_id, "DAILY_SPEND_LIMIT_EXCEEDED", 402)


def test_a_failed_request_has_an_outcome_with_all_its_attempts():
    world = World(Play(failure=broke(retry_after_ms=7_000)))
    answer = world.ask()
    assert isinstance(answer, Rejected)
    assert (answer.refusal.code, answer.refusal.status) == ("PROVIDER_ERROR", 502)
    assert answer.refusal.retry_after_ms == 7_000
    assert [a.arm for a in answer.attempts] == [a.arm for a in world.outcome.attempts]
    assert len(answer.attempts) == 3
    assert world.outcome.status == "failed"
    assert world.outcome.arm is None


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_ours_settles_what_was_sent_and_says_so_in_the_log(stream):
    world = World(Play(raises=ZeroDivisionError(), events=0))
    with pytest.raises(ZeroDivisionError):
        world.ask(a_request(stream=stream))
    assert (world.outcome.status, world.outcome.code) == ("failed", "INTERNAL_ERROR")
    assert world.outcome.attempts[0].status == "failed"
    assert world.books() == (world.outcome.cost_nano, 0)


def test_an_error_of_ours_within_a_stream_closes_it():
    world = World(Play(raises=ZeroDivisionError(), events=2))
    with pytest.raises(ZeroDivisionError):
        world.ask(a_request(stream=True))
    assert world.outcome.status == "failed"
    assert world.upstream.streams[0].closed
    assert world.books() == (world.outcome.cost_nano, 0)


def test_a_guard_that_breaks_at_the_settlement_loses_no_outcome():
    world = World()

    def settle(hold, actual_nano):
        raise ZeroDivisionError

    world.guard.settle = settle
    with pytest.raises(ZeroDivisionError):
        world.ask()
    assert world.outcome.status == "ok"


class TestAStreamThatNobodyReads:
    def open(self, world, **kw):
        async def ask():
            return await world.flow.chat(a_request(stream=True, **kw), a_tenant(), 0.0)

        return finish(ask())

    def test_closing_it_unread_settles_logs_and_aborts(self):
        world = World()
        answer = self.open(world)
        assert world.kinds() == ["Decision", "Call"]
        finish(answer.events.aclose())
        assert world.kinds() == ["Decision", "Call", "Settled", "Outcome"]
        assert world.outcome.status == "cancelled"
        assert world.outcome.output_tokens == 10
        assert world.books() == (world.outcome.cost_nano, 0)
        assert world.upstream.streams[0].closed

    def test_closing_it_twice_settles_once(self):
        world = World()
        answer = self.open(world)
        finish(answer.events.aclose())
        finish(answer.events.aclose())
        assert len(world.settled) == 1
        assert world.outcome

    def test_it_gives_nothing_once_closed(self):
        world = World()
        answer = self.open(world)
        finish(answer.events.aclose())
        with pytest.raises(StopAsyncIteration):
            finish(anext(answer.events))
        assert len(world.settled) == 1

    def test_closing_it_half_read_charges_what_was_used(self):
        world = World(Play(events=5))
        answer = self.open(world)
        for _ in range(2):
            assert isinstance(finish(anext(answer.events)), bytes)
        finish(answer.events.aclose())
        assert world.outcome.status == "cancelled"
        assert world.books() == (world.outcome.cost_nano, 0)

    def test_its_end_comes_before_its_connection_is_given_back(self):
        world = World(Play(events=1))
        answer = self.open(world)
        finish(anext(answer.events))
        assert isinstance(finish(anext(answer.events)), StreamEnd)
        assert not world.upstream.streams[0].closed  # the client's last bytes do not wait for it
        with pytest.raises(StopAsyncIteration):
            finish(anext(answer.events))
        assert world.upstream.streams[0].closed
        assert len(world.settled) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_while_it_waits_is_charged_what_was_sent(stream):
    world = World(Play(hangs=True, events=0))
    with pytest.raises(asyncio.CancelledError):
        finish(world.client(a_request(stream=stream, max_output=50), a_tenant()), cancel_at=4)
    assert world.upstream.left == 1
    attempt = world.outcome.attempts[0]
    assert (world.outcome.status, attempt.status) == ("cancelled", "cancelled")
    assert world.outcome.usage_estimated
    assert attempt.prompt_tokens > 0
    # A whole answer may have been generated and billed by then; of a stream nothing had come.
    assert attempt.output_tokens == (0 if stream else 50)
    assert world.books() == (world.outcome.cost_nano, 0)
    assert world.outcome.cost_nano > 0


def test_a_caller_who_leaves_before_the_hold_leaves_no_trace():
    world = World()
    with pytest.raises(asyncio.CancelledError):
        finish(world.client(a_request(), a_tenant()), cancel_at=1)
    assert world.kinds() == []
    assert world.books() == (0, 0)


def test_a_dry_run_calls_nobody_holds_nothing_and_logs_no_round():
    world = World()
    answer = world.ask(a_request(dry_run=True, mode="quality"))
    assert isinstance(answer, Completed)
    assert answer.body is None
    assert world.kinds() == []
    assert world.books() == (0, 0)
    told = answer.metadata
    assert (told.provider, told.model) == ("alpha", "large")
    assert told.usage_estimated
    assert any(w.startswith("dry_run") for w in told.warnings)
    bill = told.input_tokens * 5_000_000 + told.output_tokens * 20_000_000
    assert told.cost_nano == -(-bill // 1000)
    assert told.direct_nano == 2 * told.cost_nano
    assert world.flow.route(a_request(mode="quality"), a_tenant()).metadata.cost_nano == told.cost_nano


def test_a_dry_run_that_no_arm_could_serve_says_why():
    world = World()
    for answer in (
        world.ask(a_request(dry_run=True, require_capabilities=("vision",))),
        world.flow.route(a_request(require_capabilities=("vision",)), a_tenant()),
    ):
        assert answer.refusal.code == "NO_PROVIDER_AVAILABLE"
        assert set(answer.reasons.values()) == {"capability_missing"}


def test_an_explained_answer_shows_every_arm_that_may_be_seen_with_its_reason_and_score():
    world = World()
    answer = world.ask(a_request(explain=True, exclude_providers=("gamma",), mode="quality"))
    views = {view.arm: view for view in answer.metadata.considered}
    assert "lab/flagship" not in views
    assert views["gamma/tiny"].reason == "provider_excluded"
    assert views["gamma/tiny"].score is None
    assert views["alpha/large"].reason is None
    assert views["alpha/large"].propensity == answer.metadata.propensity == 1.0
    assert views["beta/small"].reason == "outside_exploration"
    assert views["beta/small"].propensity == 0.0
    assert max(v.score for v in views.values() if v.score is not None) == views["alpha/large"].score
    assert world.ask(a_request()).metadata.considered is None


def test_a_stream_can_be_explained_too():
    world = World()
    assert world.ask(a_request(explain=True, stream=True))[-1].metadata.considered


def test_a_reward_is_logged_for_its_tenant():
    world = World()
    reward = Reward(ts_ms=1, id="req_" + "0" * 32, tenant="default", source="judge", status="accepted")
    world.flow.outcome(a_tenant(), reward)
    assert world.log.of(Reward) == [reward]
    world.log.full = lambda event, _: True
    with pytest.raises(DiskFull):
        world.flow.outcome(a_tenant(), reward)


def test_a_request_too_large_to_be_decided_exactly_is_the_callers_to_mend():
    world = World()
    with pytest.raises(InvalidInput, match="exact"):
        world.ask(a_request(max_output=1 << 22))
    assert world.kinds() == []
    assert world.books() == (0, 0)


def test_a_prompt_that_fits_no_window_has_openais_own_code():
    world = World()
    answer = world.ask(a_request(transcript=a_transcript(PROMPT * 2_000)))
    assert (answer.refusal.code, answer.refusal.status) == ("context_length_exceeded", 400)
    assert answer.refusal.param == "messages"
    assert set(answer.reasons.values()) == {"context_too_long"}


def test_an_output_that_no_arm_gives_has_openais_own_code():
    answer = World().ask(a_request(max_output=5_000))
    assert answer.refusal.code == "context_length_exceeded"


class TestANamedModel:
    def test_observed_it_is_called_and_the_decision_that_was_not_taken_is_logged(self):
        world = World()
        answer = world.ask(a_request("large"))
        assert answer.metadata.model == "large"
        assert answer.metadata.routing_mode == "named"
        assert answer.metadata.propensity == 1.0
        row, called = world.decision, world.one(Attempt)
        assert row.observe
        assert row.arm == "gamma/tiny"  # what balanced mode would have taken
        assert row.inputs.model is None
        assert row.inputs.mode == "balanced"
        assert called.attempt == 0
        assert called.inputs.model == "large"
        assert called.arm == world.outcome.arm == "beta/large"  # the cheaper of the two

    def test_on_it_is_routed_and_the_named_model_is_the_baseline(self):
        world = World()
        told = world.ask(a_request("large"), a_tenant(route_named_models="on")).metadata
        assert (told.model, told.baseline_model, told.routing_mode) == ("tiny", "large", "balanced")
        assert told.direct_nano == 20 * 4_500 + 10 * 18_000
        assert not world.decision.observe
        assert world.log.of(Attempt) == []

    def test_off_it_is_called_and_nothing_else_is_logged(self):
        world = World()
        told = world.ask(a_request("large"), a_tenant(route_named_models="off")).metadata
        assert told.model == "large"
        row = world.decision
        assert not row.observe
        assert row.inputs.model == "large"
        assert world.log.of(Attempt) == []

    @pytest.mark.parametrize("word", ["observe", "off", "on"])
    def test_with_a_mode_it_is_routed_whatever_the_tenant_says(self, word):
        world = World()
        told = world.ask(a_request("large", mode="cost"), a_tenant(route_named_models=word)).metadata
        assert (told.model, told.baseline_model, told.routing_mode) == ("tiny", "large", "cost")
        assert not world.decision.observe

    def test_it_fails_over_between_its_providers_and_no_further(self):
        world = World(Play(failure=broke()))
        answer = world.ask(a_request("large"))
        assert [a.arm for a in answer.attempts] == ["beta/large", "alpha/large"]

    def test_named_with_its_provider_it_is_called_there_first(self):
        world = World()
        assert world.ask(a_request("alpha/large")).metadata.provider == "alpha"
        world = World(Play(failure=broke()), Play())
        world.ask(a_request("alpha/large"))
        assert [c.provider for c in world.upstream.calls] == ["alpha", "beta"]

    def test_a_warm_cache_elsewhere_does_not_outweigh_the_provider_that_was_named(self):
        world = World(Play(usage=Usage(30_000, 1)))
        world.ask(a_request("beta/large", session_id="s"))
        assert world.ask(a_request("alpha/large", session_id="s")).metadata.provider == "alpha"

    def test_unknown_it_is_404_with_the_nearest_names_and_nothing_is_logged(self):
        world = World()
        with pytest.raises(ModelNotFound) as raised:
            world.ask(a_request("larg"))
        assert raised.value.status == 404
        assert "`large`" in raised.value.message
        assert world.kinds() == []

    @pytest.mark.parametrize("word", ["observe", "off"])
    def test_on_offer_nowhere_but_priced_it_is_404_too(self, word):
        with pytest.raises(ModelNotFound):
            World().ask(a_request("flagship"), a_tenant(route_named_models=word))

    def test_on_offer_nowhere_but_priced_it_can_be_the_baseline_of_a_routed_request(self):
        told = World().ask(a_request("flagship"), a_tenant(route_named_models="on")).metadata
        assert told.baseline_model == "flagship"
        assert told.direct_nano == 20 * 10_000 + 10 * 40_000

    def test_denied_to_the_tenant_it_is_403(self):
        arms = {"default": ["lab/flagship"], "narrow": ["lab/flagship", "alpha/large", "beta/large"]}
        world = World(spec=a_spec(denied=arms))
        answer = world.ask(a_request("large"), a_tenant(policy="narrow"))
        assert (answer.refusal.code, answer.refusal.status) == ("MODEL_NOT_ALLOWED", 403)
        assert world.one(Refused).code == "MODEL_NOT_ALLOWED"


def test_the_arm_id_becomes_the_providers_own_model_id_only_on_the_wire():
    world = World()
    told = world.ask(a_request(mode="quality")).metadata
    assert world.upstream.calls[0].model == "large-v7"
    assert told.model == "large"


def test_a_clients_own_fault_neither_fails_over_nor_counts():
    world = World(Play(failure=BAD_REQUEST))
    answer = world.ask()
    assert (answer.refusal.code, answer.refusal.status) == ("INVALID_INPUT", 400)
    assert len(world.upstream.calls) == 1
    for _ in range(20):
        world.ask()
    world.clock.ms += 5_000
    world.ask()
    assert world.log.of(Live) == []


def test_the_sum_of_a_ceiling_is_said_in_dollars():
    answer = World().ask(a_request(mode="quality", max_cost_pico=1_000_000))
    assert answer.refusal.code == "REQUEST_COST_EXCEEDED"
    assert "$0.000001" in answer.refusal.message
    assert answer.refusal.param == "p402.max_cost"
    answer = World().ask(tenant=a_tenant(max_request_nano=DOLLAR // 1_000_000))
    assert answer.refusal.param is None
