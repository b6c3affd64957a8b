"""One exchange, from its hold to its settlement: attempts, failover, and the one way out.

Whatever happens between, `_close` runs exactly once: it settles what was used, logs the outcome
and lets the worker learn. It knows no HTTP and chooses no arm itself: `p402.flow.plan` does.

A failure of a whole provider counts against all its arms, and failover goes to another provider where
there is one. Failover stays within what the request may cost in all: a billed attempt that failed
is taken off the ceiling of the next one, and where the day has no room for a dearer arm, the next
arm is one that the hold already covers.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from p402.answer import ArmView, Completed, Rejected, StreamEnd
from p402.errors import Refusal, StoreError
from p402.events import Outcome
from p402.flow.account import Account, charged_nano
from p402.flow.keeping import Keeping
from p402.flow.plan import Attempted, attempt_of, choose, expected_tokens, request_ceiling_nano
from p402.flow.probe import Probe
from p402.flow.rows import attempt_row, decision_row
from p402.flow.sessions import is_worth_sharing
from p402.flow.state import WorkerState
from p402.flow.views import explain
from p402.guard.anomaly import CODE as ANOMALY
from p402.guard.anomaly import z_score
from p402.guard.ledger import is_out_of_line
from p402.guard.lengths import UNBOUNDED
from p402.limits import HOLD_PREDICTED, Kind
from p402.ports import Anomaly, Call, Completion, Failure, Hold, Ports, Stream, Usage, Warmth
from p402.routing.pricing import with_fee, without_fee
from p402.units import PICO_PER_NANO, nano_to_usd

MAX_ATTEMPTS: Final = 3

BUDGET_SPENT: Final = (
    "no failover was made: this worker's budget of failovers from {provider} is spent, one for ten calls"
)

BROKEN: Final = Failure("INTERNAL_ERROR", 500, "the gateway failed", fail_over=False, counts=False)
"""Stands in the log where an exchange ended by an error of ours."""


class Exchange:
    """An exchange that has its hold.

    Parameters
    ----------
    upstream_model
        Arm id to the model's id at its provider, where they differ.
    probe
        The place that the first choice may hold; the exchange's own from now on.
    keeping
        Takes the answer to the cache.
    """

    def __init__(
        self,
        ports: Ports,
        state: WorkerState,
        upstream_model: Mapping[str, str],
        account: Account,
        hold: Hold,
        first: Attempted,
        probe: Probe,
        keeping: Keeping,
    ) -> None:
        self.account = account
        self.keeping = keeping
        self.closed = False
        self._ports = ports
        self._state = state
        self._upstream_model = upstream_model
        self._hold = hold
        self._now = first
        self._probe = probe
        self._was_probe = False
        self._denied: str | None = None
        self._tried: list[str] = []
        self._away: list[str] = []
        self._sent_ms: float | None = None

    @property
    def arm(self) -> tuple[str, str]:
        """Provider and model of the attempt under way."""
        arms = self.account.plan.snapshot.spec.arms
        return arms.provider[self._now.choice.arm], arms.model[self._now.choice.arm]

    def begin(self) -> Rejected | None:
        """Write the round's first line before anything is sent; a log that takes none sends nothing."""
        plan = self.account.plan
        watched = None if plan.watched is None else choose(plan, plan.watched, plan.live)
        now_ms = self._ports.clock.now_ms()
        decision = decision_row(now_ms, self._state.worker, plan, self._now.choice, watched)
        try:
            self._ports.log.append(decision)
        except StoreError as error:
            self.closed = True  # no line was written, so this never became a round
            self._probe.give_back()
            self._ports.guard.settle(self._hold, 0)
            return log_refuses(error, plan.request_id)
        if watched is None:
            return None
        try:
            self._log_attempt(0, self._now)
        except StoreError as error:
            rejected = log_refuses(error, plan.request_id)
            self._close("refused", code=rejected.refusal.code)
            return rejected
        return None

    async def answer(self) -> Completed | Stream | Rejected:
        """Call until an arm answers or failover is spent. A stream is the caller's to end or leave."""
        clock = self._ports.clock
        while True:
            call = self._call()
            self._state.failovers.sent(call.provider)
            self._sent_ms = clock.monotonic_ms()
            if call.stream:
                stream = await self._ports.upstream.open_stream(call)
                if not isinstance(stream, Failure):
                    self.account.ttfb_ms = clock.monotonic_ms() - self.account.arrived_ms
                    self._probe.answered(clock.now_ms())
                    return stream
                failure = stream
            else:
                reply = await self._ports.upstream.complete(call)
                if isinstance(reply, Completion):
                    return self._completed(reply)
                failure = reply
            self._failed(failure)
            if not await self._next_arm(failure):
                return self._give_up(failure)

    def waited_ms(self) -> float:
        """Time since the attempt under way was sent."""
        return 0.0 if self._sent_ms is None else self._ports.clock.monotonic_ms() - self._sent_ms

    def stream_ended(self, stream: Stream, first_ms: float) -> StreamEnd:
        """Settle a stream that gave its last event; `first_ms` is when its first content came."""
        failure = stream.failure
        status = "ok" if failure is None else "failed"
        self._record(status, stream.usage, code=None if failure is None else failure.code, ttfb_ms=first_ms)
        self.account.serve(self._now.choice, stream.usage)
        self.account.warnings.extend(stream.warnings)
        self._warn_of_cap()
        if failure is not None and failure.counts:
            self._observe_failure(failure)
        outcome = self._close(status, code=None if failure is None else failure.code, ttft_ms=first_ms)
        broke = None if failure is None else _refusal_of(failure)
        return StreamEnd(self.account.metadata(outcome, self._considered()), broke)

    def keep_stream(self) -> None:
        """Keep a stream that ended well and was read to its end, where such answers are kept."""
        plan, used = self.account.plan, self.account.usage
        if used is not None:
            self.keeping.keep_stream(
                used,
                arm=self._now.choice.name,
                task=plan.signals.task,
                made=plan.request_id,
                now_ms=self._ports.clock.now_ms(),
                ttl_s=plan.cache_ttl_s,
            )

    def stream_left(self, stream: Stream, first_ms: float, status: str) -> None:
        """Settle a stream that nobody reads on: what it used so far is charged. Once."""
        if self.closed:
            return
        self._record(status, stream.usage, ttfb_ms=first_ms)
        self.account.serve(self._now.choice, stream.usage)
        self._close(status, code=BROKEN.code if status == "failed" else None)

    def left(self, status: str) -> None:
        """Settle a call that ended without a word, by its caller's leaving or an error of ours. Once.

        Its prompt was sent, and a provider that generates a whole answer bills what it has generated:
        nobody says how much, so the expected output is charged and marked as estimated.
        """
        if self.closed:
            return
        if self._sent_ms is not None:
            plan, cap = self.account.plan, self._now.cap
            expected = expected_tokens(plan, self._now.live, self._now.choice.arm)
            most = expected if cap is None else cap * plan.inputs.n
            output = 0 if plan.request.stream else min(expected, most)
            self._record(status, Usage(prompt=plan.inputs.prompt_tokens, output=output, estimated=True))
        self._close(status, code=BROKEN.code if status == "failed" else None)

    def _call(self) -> Call:
        plan, choice = self.account.plan, self._now.choice
        arms = plan.snapshot.spec.arms
        return Call(
            request_id=plan.request_id,
            provider=arms.provider[choice.arm],
            model=self._upstream_model.get(choice.name, arms.model[choice.arm]),
            body=plan.request.body,
            output_cap=self._now.cap,
            stream=plan.request.stream,
            include_usage=plan.request.include_usage,
            prompt_tokens=plan.inputs.prompt_tokens,
        )

    def _record(
        self, status: str, usage: Usage | None, *, code: str | None = None, ttfb_ms: float | None = None
    ) -> None:
        self.account.record(self._now.choice, status, usage, self.waited_ms(), code=code, ttfb_ms=ttfb_ms)
        self._sent_ms = None
        if usage is not None:
            self._note_length(usage, whole=status == "ok" and not usage.estimated)

    def _note_length(self, usage: Usage, *, whole: bool) -> None:
        """Learn how long answers get, where holds are predicted and no cap was named or lowered by money."""
        plan, now = self.account.plan, self._now
        if now.cap is None or not now.teaches or plan.tenant.hold != HOLD_PREDICTED:
            return
        tokens = UNBOUNDED if usage.output >= now.cap else usage.output
        self._state.lengths.learn(plan.tenant.name, plan.signals.task, now.choice.name, tokens, whole=whole)

    def _failed(self, failure: Failure) -> None:
        self._was_probe = self._probe.is_of(self._now.choice.name)
        self._record("failed", failure.usage, code=failure.code)
        if failure.counts:
            self._observe_failure(failure)

    def _observe_failure(self, failure: Failure) -> None:
        names, now_ms = [self._now.choice.name], self._ports.clock.now_ms()
        if failure.of_provider:
            arms, (provider, _) = self.account.plan.snapshot.spec.arms, self.arm
            names = [arm for arm, at in zip(arms.arm, arms.provider, strict=True) if at == provider]
        for name in names:
            self._state.health.observe(
                name,
                now_ms,
                failed=True,
                retry_after_ms=failure.retry_after_ms,
                of_provider=failure.of_provider,
                probe=self._probe.is_of(name),
            )
        self._probe.told()

    async def _next_arm(self, failure: Failure) -> bool:
        """Choose, hold and log the next attempt; False where this failure is the last word.

        What it takes from the budget of failovers is taken before anything is awaited.
        """
        failed, failovers = self.arm[0], self._state.failovers
        self._probe.give_back()  # a failure that counts has ended it already
        self._tried.append(self._now.choice.name)
        if failure.of_provider or failure.unsent:  # its other arms have the same fault, or language
            self._away.append(failed)
        if failure.unsent:
            failovers.unsent(failed)
        if not (
            failure.fail_over
            and self.account.plan.request.options.failover
            and len(self._tried) < MAX_ATTEMPTS
        ):
            return False
        if self._was_probe or failure.unsent:
            return await self._prepare()
        if not failovers.take(failed):
            self._denied = failed
            return False
        made = False
        try:
            made = await self._prepare()
        finally:
            if not made:
                failovers.give_back(failed)
        return made

    async def _prepare(self) -> bool:
        """Choose, hold and log the next attempt; False where there is none."""
        account = self.account
        plan = account.plan
        following = self._weigh(request_ceiling_nano(plan.request, plan.tenant))
        if following is not None:
            self._probe.move(following.choice.name)
        if following is not None and following.amount_nano > self._hold.amount_nano:
            topped = await self._ports.guard.top_up(self._hold, following.amount_nano)
            if isinstance(topped, Refusal):
                account.warnings.append(f"{topped.code}: failover passed over {following.choice.name}")
                self._probe.give_back()
                following = self._weigh(self._hold.amount_nano)
                if following is not None:
                    self._probe.move(following.choice.name)
            else:
                self._hold = topped
        if following is None or following.amount_nano > self._hold.amount_nano:
            return False
        try:
            self._log_attempt(len(account.attempts), following)
        except StoreError:
            account.warnings.append("log_full: failover stopped, its attempt could not be logged")
            return False
        self._now = following
        return True

    def _weigh(self, ceiling_nano: int) -> Attempted | None:
        """The next arm and its most, where the whole request may cost `ceiling_nano` with its fee."""
        elsewhere = self._weighed(ceiling_nano, self._away)
        return self._weighed(ceiling_nano, []) if elsewhere is None and self._away else elsewhere

    def _weighed(self, ceiling_nano: int, but: list[str]) -> Attempted | None:
        """The same without some providers."""
        plan, spent = self.account.plan, self.account.cost_nano
        if spent is None:
            return None
        left = max(0, without_fee(ceiling_nano, plan.tenant.fee_bps) - spent)
        inputs = msgspec.structs.replace(
            plan.inputs,
            tried=list(self._tried),
            exclude_providers=[*plan.inputs.exclude_providers, *but],
            explore=False,
            probed=self._state.health.probes.providers(),
            ceiling_pico=left * PICO_PER_NANO,
        )
        live = self._state.live_for(plan.snapshot, plan.live)
        choice = choose(plan, inputs, live)
        if choice is None:
            return None
        following = attempt_of(plan, inputs, live, choice, self._state.lengths, spent)
        within = following.most_nano <= with_fee(spent + left, plan.tenant.fee_bps)
        return following if within else None

    def _log_attempt(self, number: int, attempted: Attempted) -> None:
        now_ms, plan = self._ports.clock.now_ms(), self.account.plan
        row = attempt_row(
            now_ms, self._state.worker, plan, number, attempted.inputs, attempted.live, attempted.choice
        )
        self._ports.log.append(row)

    def _give_up(self, failure: Failure) -> Rejected:
        self._close("failed", code=failure.code)
        plan, refusal = self.account.plan, _refusal_of(failure)
        if self._denied is not None:
            said = f"{refusal.message} ({BUDGET_SPENT.format(provider=self._denied)})"
            refusal = replace(refusal, message=said)
        return Rejected(plan.request_id, refusal, tuple(self.account.attempts))

    def _completed(self, reply: Completion) -> Completed:
        account, waited = self.account, self.waited_ms()
        self._record("ok", reply.usage, ttfb_ms=waited)
        account.ttfb_ms = self._ports.clock.monotonic_ms() - account.arrived_ms
        account.serve(self._now.choice, reply.usage)
        account.warnings.extend(reply.warnings)
        self._warn_of_cap()
        outcome = self._close("ok")
        plan = account.plan
        self.keeping.keep(
            reply.body,
            reply.usage,
            arm=self._now.choice.name,
            task=plan.signals.task,
            made=plan.request_id,
            now_ms=outcome.ts_ms,
            ttl_s=plan.cache_ttl_s,
        )
        return Completed(reply.body, account.metadata(outcome, self._considered()))

    def _considered(self) -> tuple[ArmView, ...] | None:
        plan = self.account.plan
        return explain(plan, plan.inputs) if plan.request.options.explain else None

    def _warn_of_cap(self) -> None:
        if self._now.cap is not None:
            self.account.warnings.append(
                f"output_cap: no max_tokens was named; the provider was asked for at most {self._now.cap}"
            )

    def _close(self, status: str, *, code: str | None = None, ttft_ms: float | None = None) -> Outcome:
        """Settle and log; the one end of every exchange."""
        account, clock = self.account, self._ports.clock
        self.closed = True
        now_ms = clock.now_ms()
        outcome = account.outcome(now_ms, clock.monotonic_ms(), status, code)
        charged = charged_nano(outcome, self._hold.amount_nano)
        outcome = self._held(self._flagged(outcome, charged), charged)
        room = session_room(self._hold)
        account.session_remaining_nano = None if room is None else room - charged
        try:
            self._ports.guard.settle(self._hold, charged)
        finally:
            if status == "ok":
                self._learn(now_ms, ttft_ms)
            self._probe.give_back()
            self._log_outcome(outcome)
            self._tell(outcome, charged)
        return outcome

    def _flagged(self, outcome: Outcome, charged_nano: int) -> Outcome:
        """Layer 4: a charge out of line with the tenant's past is told, in the log and in the answer."""
        past, limits = self._hold.history, self.account.plan.tenant.limits
        if not is_out_of_line(past, charged_nano, limits):
            return outcome
        score = z_score(past, charged_nano, limits.anomaly_calls)
        assert score is not None, "what has no score is not out of line"
        self.account.warnings.append(
            f"{ANOMALY}: this call cost {score:.1f} standard deviations more than this tenant's past "
            f"calls, of which {past.count} are known; expected less than {limits.anomaly_z:g}"
        )
        return msgspec.structs.replace(outcome, anomaly_z=score)

    def _tell(self, outcome: Outcome, charged_nano: int) -> None:
        """Alert of what layer 4 has flagged, once it is settled and logged."""
        if outcome.anomaly_z is None:
            return
        self._ports.alerts.tell(
            Anomaly(
                tenant=outcome.tenant,
                ts_ms=outcome.ts_ms,
                request_id=outcome.id,
                arm=self._now.choice.name,
                charged_nano=charged_nano,
                z=outcome.anomaly_z,
                past_calls=self._hold.history.count,
            )
        )

    def _held(self, outcome: Outcome, charged_nano: int) -> Outcome:
        """Tell in the log what was held, and in the answer too where that was too little."""
        held, most = self._hold.amount_nano, self._now.most_nano
        predicted = held < most
        if charged_nano > held:
            why = "holds are predicted (p99.9)" if predicted else "its tokens were more than its bound"
            self.account.warnings.append(
                f"hold_exceeded: ${nano_to_usd(held):.6f} was held for this call and "
                f"${nano_to_usd(charged_nano):.6f} is charged, {why}"
            )
        return msgspec.structs.replace(outcome, hold_nano=held, bound_nano=most if predicted else None)

    def _learn(self, now_ms: int, ttft_ms: float | None) -> None:
        account, arm = self.account, self._now.choice.name
        probe, used, inputs = self._probe.is_of(arm), account.usage, account.plan.inputs
        told = used is not None and not used.estimated
        output = (used.output, inputs.expected_output * inputs.n) if used is not None and told else None
        self._state.health.observe(arm, now_ms, failed=False, ttft_ms=ttft_ms, probe=probe, output=output)
        if probe:
            self._probe.told()
        if account.usage is not None:
            self._note_session(
                Warmth(arm, account.usage.prompt, now_ms, account.plan.request.transcript.answers + 1)
            )

    def _note_session(self, warmth: Warmth) -> None:
        """Remember where the session was served, and let the other workers know where they may have to."""
        plan, shared = self.account.plan, self._ports.sessions
        self._state.note(plan.tenant.name, plan.session, warmth)
        if shared is not None and is_worth_sharing(plan.request.transcript):
            shared.note(plan.tenant.name, plan.session, warmth)

    def _log_outcome(self, outcome: Outcome) -> None:
        try:
            self._ports.log.append(outcome)
        except StoreError:  # the exchange is settled and its answer paid for: it is given, with a warning
            self.account.warnings.append("log_full: the outcome of this request could not be logged")


def session_room(hold: Hold) -> int | None:
    """Nano-USD that the call's session had left beside it when its hold was granted, if it has a budget."""
    found = zip(hold.scopes, hold.rooms, strict=False)  # a hand that knows no rooms gives none
    return next((room for scope, room in found if scope.kind is Kind.SESSION), None)


def log_refuses(error: StoreError, made: str) -> Rejected:
    """Answer where the log takes no row before a dispatch."""
    message = f"the traffic log takes no row ({error}); nothing was sent or charged. Free the disk and retry"
    return Rejected(made, Refusal("INTERNAL_ERROR", 503, message, retry_after_ms=1000))


def _refusal_of(failure: Failure) -> Refusal:
    return Refusal(failure.code, failure.status, failure.message, failure.retry_after_ms)
