"""One request, straight through: plan, reserve, log, call, fail over, settle, log.

Written against ports, so the gateway runs it on real time and the simulator on virtual time.
Every way out settles the hold and logs an outcome, a caller that leaves included: the last
step of each path is `_close`, and a `finally` calls it where nothing else has.

Failure contract: a refusal or failure is a value (`Rejected`); a request the caller must mend
raises `RequestError`; a full log refuses with 503 before anything is spent.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import msgspec

from p402.answer import Answer, Completed, Offer, Rejected, StreamEnd, Streaming
from p402.errors import DiskFull, Refusal
from p402.events import Attempt, Decision, Outcome, Refused, Reward, RowInputs
from p402.flow.account import Account
from p402.flow.plan import Choice, Plan, choose, explain, hold_of, make_plan, no_arm, offers, turned_away
from p402.flow.state import Warmth, WorkerState
from p402.ids import request_id
from p402.ports import Call, Clock, Completion, Failure, Guard, Hold, Log, Stream, Upstream, Usage
from p402.request import ChatRequest, Tenant
from p402.routing.pricing import with_fee

MAX_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Ports:
    """The hands that the flow works with."""

    clock: Clock
    log: Log
    guard: Guard
    upstream: Upstream


@dataclass(slots=True)
class _Open:
    """An exchange between its reservation and its settlement."""

    account: Account
    hold: Hold
    choice: Choice
    tried: list[str]
    cap: int | None
    sent_ms: float = 0.0
    closed: bool = False


class Flow:
    """Everything a worker does with a chat request.

    Parameters
    ----------
    ports
        Real or simulated hands.
    state
        The worker's snapshot, live columns and sessions.
    upstream_model
        Arm id to the model's id at its provider, where they differ.
    """

    def __init__(self, ports: Ports, state: WorkerState, upstream_model: dict[str, str]) -> None:
        self.ports = ports
        self.state = state
        self._upstream_model = upstream_model

    async def chat(self, request: ChatRequest, tenant: Tenant, arrived_ms: float) -> Answer:
        """Answer one request.

        Parameters
        ----------
        arrived_ms
            Monotonic ms at which the first byte of the request was seen.

        Raises
        ------
        p402.errors.RequestError
            The request names what does not exist or cannot be decided exactly.
        """
        try:
            plan = self._plan(request, tenant)
            choice = choose(plan, plan.inputs, plan.live)
            if choice is None:
                return self._refuse(plan, plan.inputs)
            if request.options.dry_run:
                return self._dry(plan, choice, arrived_ms)
            opened = await self._reserve(plan, choice, arrived_ms)
        except DiskFull as error:
            return _log_is_full(error)
        if isinstance(opened, Rejected):
            return opened
        streaming = False
        try:
            if isinstance(refused := self._log_decision(opened), Rejected):
                return refused
            answer = await self._attempts(opened)
            streaming = isinstance(answer, Streaming)
            return answer
        finally:
            if not streaming:
                self._close_unfinished(opened)

    def route(self, request: ChatRequest, tenant: Tenant) -> Completed | Rejected:
        """Decide and price one request, and call nobody; nothing is held or logged as a round."""
        arrived_ms = self.ports.clock.monotonic_ms()
        plan = self._plan(request, tenant)
        choice = choose(plan, plan.inputs, plan.live)
        if choice is None:
            return self._refuse(plan, plan.inputs)
        return self._dry(plan, choice, arrived_ms)

    def outcome(self, tenant: Tenant, reward: Reward) -> None:
        """Log a client's or judge's word on a round of its own tenant.

        Raises
        ------
        DiskFull
            The word was not kept.
        """
        assert reward.tenant == tenant.name, "a reward carries the tenant of the key that sent it"
        self.ports.log.append(reward)

    @property
    def models(self) -> tuple[Offer, ...]:
        """Every arm that some tenant may use, by arm id."""
        return offers(self.state.snapshot)

    def _plan(self, request: ChatRequest, tenant: Tenant) -> Plan:
        now_ms = self.ports.clock.now_ms()
        self._publish_live(now_ms)
        made = request_id(now_ms, self.ports.clock.random_bits())
        return make_plan(made, request, tenant, self.state, now_ms)

    def _publish_live(self, now_ms: int) -> None:
        delta = self.state.delta(now_ms)
        if delta is not None:
            self.ports.log.append(delta)
            self.state.apply(delta)

    def _refuse(self, plan: Plan, inputs: RowInputs) -> Rejected:
        why = turned_away(plan, inputs, plan.live)
        refusal = no_arm(plan, why)
        self._log_refusal(plan, refusal)
        return Rejected(plan.request_id, refusal, reasons=why)

    def _log_refusal(self, plan: Plan, refusal: Refusal) -> None:
        self.ports.log.append(
            Refused(
                ts_ms=self.ports.clock.now_ms(),
                id=plan.request_id,
                tenant=plan.tenant.name,
                code=refusal.code,
                status=refusal.status,
                retry_after_ms=refusal.retry_after_ms,
                message=refusal.message,
            )
        )

    def _dry(self, plan: Plan, choice: Choice, arrived_ms: float) -> Completed:
        account = Account(plan, choice, arrived_ms)
        expected = Usage(
            prompt=plan.inputs.prompt_tokens,
            output=plan.inputs.expected_output * plan.inputs.n,
            estimated=True,
        )
        account.record(choice, "dry_run", expected, 0.0)
        account.serve(choice, expected)
        now = self.ports.clock
        outcome = account.outcome(now.now_ms(), now.monotonic_ms(), "dry_run", None)
        return Completed(None, account.metadata(outcome, explain(plan, plan.inputs)))

    async def _reserve(self, plan: Plan, choice: Choice, arrived_ms: float) -> _Open | Rejected:
        most, cap = hold_of(plan, choice.arm)
        amount = most + with_fee(most, plan.tenant.fee_bps)
        hold = await self.ports.guard.reserve(plan.tenant.name, plan.request_id, amount)
        if isinstance(hold, Refusal):
            self._log_refusal(plan, hold)
            return Rejected(plan.request_id, hold)
        return _Open(Account(plan, choice, arrived_ms), hold, choice, [], cap)

    def _log_decision(self, opened: _Open) -> Rejected | None:
        """Write the round's first line before anything is sent; a full disk sends nothing."""
        plan, choice = opened.account.plan, opened.choice
        watched = None if plan.watched is None else choose(plan, plan.watched, plan.live)
        logged = choice if watched is None else watched
        try:
            self.ports.log.append(
                Decision(
                    ts_ms=self.ports.clock.now_ms(),
                    id=plan.request_id,
                    tenant=plan.tenant.name,
                    session=plan.session,
                    worker=self.state.worker,
                    snapshot=plan.snapshot.id,
                    live_seq=plan.live.seq,
                    inputs=plan.inputs if watched is None or plan.watched is None else plan.watched,
                    arm=logged.name,
                    count=logged.count,
                    n_eligible=logged.n_eligible,
                    n_explored=logged.n_explored,
                    task=plan.signals.task,
                    baseline=None if plan.baseline is None else plan.baseline[1],
                    observe=watched is not None,
                    simulated=plan.snapshot.spec.arms.simulated[choice.arm],
                    tags=dict(plan.request.options.tags),
                )
            )
            if watched is not None:
                self._log_attempt(opened, 0, plan.inputs, choice)
        except DiskFull as error:
            opened.closed = True
            self.ports.guard.settle(opened.hold, 0)
            return _log_is_full(error, plan.request_id)
        return None

    def _log_attempt(self, opened: _Open, number: int, inputs: RowInputs, choice: Choice) -> None:
        plan = opened.account.plan
        self.ports.log.append(
            Attempt(
                ts_ms=self.ports.clock.now_ms(),
                id=plan.request_id,
                attempt=number,
                worker=self.state.worker,
                snapshot=plan.snapshot.id,
                live_seq=plan.live.seq,
                inputs=inputs,
                arm=choice.name,
            )
        )

    async def _attempts(self, opened: _Open) -> Answer:
        account = opened.account
        clock = self.ports.clock
        while True:
            call = self._call(opened)
            opened.sent_ms = clock.monotonic_ms()
            if not account.attempts:
                account.dispatched_ms = opened.sent_ms
            if call.stream:
                stream = await self.ports.upstream.open_stream(call)
                if not isinstance(stream, Failure):
                    return self._streaming(opened, stream)
                failure = stream
            else:
                reply = await self.ports.upstream.complete(call)
                if isinstance(reply, Completion):
                    return self._completed(opened, reply)
                failure = reply
            self._failed(opened, failure)
            if not await self._next_arm(opened, failure):
                return self._give_up(opened, failure)

    def _call(self, opened: _Open) -> Call:
        plan, choice = opened.account.plan, opened.choice
        arms = plan.snapshot.spec.arms
        return Call(
            request_id=plan.request_id,
            provider=arms.provider[choice.arm],
            model=self._upstream_model.get(choice.name, arms.model[choice.arm]),
            body=plan.request.body,
            output_cap=opened.cap,
            stream=plan.request.stream,
            include_usage=plan.request.include_usage,
            prompt_tokens=plan.inputs.prompt_tokens,
        )

    def _failed(self, opened: _Open, failure: Failure) -> None:
        clock = self.ports.clock
        took = clock.monotonic_ms() - opened.sent_ms
        opened.account.record(opened.choice, "failed", failure.usage, took, code=failure.code)
        opened.sent_ms = 0.0
        if failure.counts:
            self.state.health.observe(opened.choice.name, clock.now_ms(), failed=True, ttft_ms=None)

    async def _next_arm(self, opened: _Open, failure: Failure) -> bool:
        """Choose, hold and log the next attempt; False where this failure is the last word."""
        account = opened.account
        plan = account.plan
        opened.tried.append(opened.choice.name)
        if not (failure.fail_over and plan.request.options.failover and len(opened.tried) < MAX_ATTEMPTS):
            return False
        while True:
            inputs = msgspec.structs.replace(plan.inputs, tried=list(opened.tried), explore=False)
            choice = choose(plan, inputs, plan.live)
            if choice is None:
                return False
            most, cap = hold_of(plan, choice.arm)
            spent = account.cost_nano or 0
            amount = spent + most + with_fee(spent + most, plan.tenant.fee_bps)
            if amount > opened.hold.amount_nano:
                topped = await self.ports.guard.top_up(opened.hold, amount)
                if isinstance(topped, Refusal):
                    opened.tried.append(choice.name)
                    account.warnings.append(f"{topped.code}: failover skipped {choice.name}")
                    continue
                opened.hold = topped
            try:
                self._log_attempt(opened, len(account.attempts), inputs, choice)
            except DiskFull:
                account.warnings.append("log_full: failover stopped, its attempt could not be logged")
                return False
            opened.choice, opened.cap = choice, cap
            return True

    def _give_up(self, opened: _Open, failure: Failure) -> Rejected:
        plan = opened.account.plan
        self._close(opened, "failed", failure)
        refusal = Refusal(failure.code, failure.status, failure.message, failure.retry_after_ms)
        return Rejected(plan.request_id, refusal, tuple(opened.account.attempts))

    def _completed(self, opened: _Open, reply: Completion) -> Completed:
        account = opened.account
        took = self.ports.clock.monotonic_ms() - opened.sent_ms
        account.record(opened.choice, "ok", reply.usage, took, ttfb_ms=took)
        account.ttfb_ms = self.ports.clock.monotonic_ms() - account.arrived_ms
        account.serve(opened.choice, reply.usage)
        self._warn_of_cap(opened)
        outcome = self._close(opened, "ok", None)
        plan = account.plan
        considered = explain(plan, plan.inputs) if plan.request.options.explain else None
        return Completed(reply.body, account.metadata(outcome, considered))

    def _streaming(self, opened: _Open, stream: Stream) -> Streaming:
        account = opened.account
        now = self.ports.clock.monotonic_ms()
        account.ttfb_ms = now - account.arrived_ms
        arms = account.plan.snapshot.spec.arms
        first_ms = now - opened.sent_ms
        return Streaming(
            account.plan.request_id,
            arms.provider[opened.choice.arm],
            arms.model[opened.choice.arm],
            self._events(opened, stream, first_ms),
        )

    async def _events(
        self, opened: _Open, stream: Stream, first_ms: float
    ) -> AsyncIterator[bytes | StreamEnd]:
        account = opened.account
        plan = account.plan
        try:
            async for event in stream:
                yield event
            failure = stream.failure
            took = self.ports.clock.monotonic_ms() - opened.sent_ms
            status = "ok" if failure is None else "failed"
            code = None if failure is None else failure.code
            account.record(opened.choice, status, stream.usage, took, code=code, ttfb_ms=first_ms)
            account.serve(opened.choice, stream.usage)
            self._warn_of_cap(opened)
            if failure is not None and failure.counts:
                self.state.health.observe(
                    opened.choice.name, self.ports.clock.now_ms(), failed=True, ttft_ms=None
                )
            outcome = self._close(opened, status, failure, ttft_ms=first_ms)
            considered = explain(plan, plan.inputs) if plan.request.options.explain else None
            broke = None if failure is None else Refusal(failure.code, failure.status, failure.message)
            yield StreamEnd(account.metadata(outcome, considered), broke)
        finally:
            if not opened.closed:
                account.record(
                    opened.choice,
                    "cancelled",
                    stream.usage,
                    self.ports.clock.monotonic_ms() - opened.sent_ms,
                    ttfb_ms=first_ms,
                )
                account.serve(opened.choice, stream.usage)
                self._close(opened, "cancelled", None)
            await stream.aclose()

    def _warn_of_cap(self, opened: _Open) -> None:
        if opened.cap is not None:
            opened.account.warnings.append(
                f"output_cap: no max_tokens was named; the provider was asked for at most {opened.cap}"
            )

    def _close_unfinished(self, opened: _Open) -> None:
        """Settle a call whose caller left while it was under way: its prompt was sent, so it is charged."""
        if opened.closed:
            return
        if opened.sent_ms:
            sent = Usage(prompt=opened.account.plan.inputs.prompt_tokens, output=0, estimated=True)
            took = self.ports.clock.monotonic_ms() - opened.sent_ms
            opened.account.record(opened.choice, "cancelled", sent, took)
        self._close(opened, "cancelled", None)

    def _close(
        self, opened: _Open, status: str, failure: Failure | None, ttft_ms: float | None = None
    ) -> Outcome:
        """Settle and log; the one end of every exchange that reserved."""
        account, clock = opened.account, self.ports.clock
        plan = account.plan
        opened.closed = True
        now_ms = clock.now_ms()
        outcome = account.outcome(now_ms, clock.monotonic_ms(), status, failure)
        self.ports.guard.settle(opened.hold, account.charge_nano(opened.hold.amount_nano))
        if status == "ok" and account.usage is not None:
            first = account.attempts[-1].ttfb_ms if ttft_ms is None else ttft_ms
            streamed = first if plan.request.stream else None
            self.state.health.observe(opened.choice.name, now_ms, failed=False, ttft_ms=streamed)
            self.state.note(
                plan.tenant.name, plan.session, Warmth(opened.choice.name, account.usage.prompt, now_ms)
            )
        try:
            self.ports.log.append(outcome)
        except DiskFull:
            account.warnings.append("log_full: the outcome of this request could not be logged")
        return outcome


def _log_is_full(error: DiskFull, made: str = "") -> Rejected:
    message = (
        f"the traffic log takes no more rows ({error}); nothing was sent or charged. Free the disk and retry"
    )
    return Rejected(made, Refusal("INTERNAL_ERROR", 503, message, retry_after_ms=1000))
