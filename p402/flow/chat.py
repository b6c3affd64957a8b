"""One request, straight through: plan, reserve, log, call, fail over, settle, log.

Written against ports, so the gateway runs it on real time and the simulator on virtual time.
Every way out settles the hold and logs an outcome: an answer, a failure, a caller that leaves
while it waits or reads or before it has read anything, an error of ours (`p402.flow.exchange`).

Failure contract: a refusal or failure is a value (`Rejected`); a request the caller must mend
raises `RequestError`; a log that takes no row refuses with 503 before anything is spent.
"""

from collections.abc import Awaitable, Mapping
from typing import Final

from msgspec.structs import replace

from p402.answer import Answer, Completed, Offer, Rejected, Streaming
from p402.cache.contract import Hit
from p402.errors import Refusal, StoreError
from p402.events import Refused, Reward
from p402.flow.account import Account
from p402.flow.exchange import Exchange, log_refuses
from p402.flow.hit import given, hit_row
from p402.flow.keeping import Keeping
from p402.flow.lookup import UNASKED, Looked, look_up
from p402.flow.plan import (
    NOTHING_LACKS,
    Attempted,
    Choice,
    Plan,
    attempt_of,
    choose,
    expected_tokens,
    make_plan,
    request_ceiling_nano,
    session_of,
)
from p402.flow.probe import Probe
from p402.flow.sessions import is_known, may_ask
from p402.flow.state import WorkerState
from p402.flow.stream import Events
from p402.flow.views import explain, no_arm, offers, turned_away
from p402.guard.daily import OVER_CAP, OVER_HELD
from p402.guard.scopes import CODES as OVER_SCOPE
from p402.guard.single import refuse_single
from p402.ids import request_id
from p402.ports import CapReached, Hold, Ports, Usage
from p402.request import ChatRequest, Tenant
from p402.routing.compiled import Snapshot
from p402.routing.decide import Decide, decide_one
from p402.routing.pricing import bill, with_fee, without_fee
from p402.units import PICO_PER_NANO

__all__ = ["Flow", "Ports"]

_OF_MONEY: Final = OVER_SCOPE | {OVER_CAP, OVER_HELD}
"""Refusals by the day's money, or a scope's: a cheaper arm may pass them."""


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
    lacks
        Per provider the forms of a request that its language cannot say.
    decide
        Who chooses. Only rounds of `decide_one` replay; a simulation may try another strategy's here.
    """

    def __init__(
        self,
        ports: Ports,
        state: WorkerState,
        upstream_model: Mapping[str, str],
        lacks: Mapping[str, frozenset[str]] = NOTHING_LACKS,
        decide: Decide = decide_one,
    ) -> None:
        self.ports = ports
        self.state = state
        self._upstream_model = upstream_model
        self._lacks = lacks
        self._decide = decide

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
        looked: Hit | Looked = UNASKED
        snapshot = (
            self.state.snapshot
        )  # a hit is told by what it was allowed by, should another come meanwhile
        if not request.options.dry_run:
            looked = await look_up(self.ports.cache, request, tenant, snapshot)
        if isinstance(looked, Hit):
            return await self._give(looked, request, tenant, snapshot, arrived_ms)
        if self.ports.sessions is not None:
            await self.recall(request, tenant)
        plan = self._plan(request, tenant)
        choice = choose(plan, plan.inputs, plan.live)
        if choice is None:
            return self._no_arm(plan)
        if request.options.dry_run:
            return self._dry(plan, choice, arrived_ms)
        exchange = await self._reserve(plan, choice, arrived_ms, looked)
        if isinstance(exchange, Rejected):
            return exchange
        try:
            refused = exchange.begin()
            answer = await exchange.answer() if refused is None else refused
        except BaseException as reason:
            exchange.left("failed" if isinstance(reason, Exception) else "cancelled")
            raise
        if isinstance(answer, Completed | Rejected):
            return answer
        provider, model = exchange.arm
        return Streaming(plan.request_id, provider, model, Events(exchange, answer))

    async def recall(self, request: ChatRequest, tenant: Tenant) -> None:
        """Learn where another worker served the session last, where sessions are shared and it may matter."""
        sessions, transcript = self.ports.sessions, request.transcript
        if sessions is None or not may_ask(transcript):
            return
        session = session_of(request, tenant)
        if is_known(transcript, self.state.last_served(tenant.name, session)):
            return
        homeless = transcript.binds_family and transcript.sealed_by is None
        found = await sessions.recall(tenant.name, session, transcript.answers if homeless else 0)
        if found is not None:
            self.state.hear(tenant.name, session, found)

    async def _give(
        self, hit: Hit, request: ChatRequest, tenant: Tenant, snapshot: Snapshot, arrived_ms: float
    ) -> Answer:
        """Give a kept answer, if the tenant's rate has room for it."""
        clock = self.ports.clock
        made = self._new_id(clock.now_ms())
        refusal = await self.ports.guard.admit(tenant.name)
        if refusal is not None:
            return self._refused(made, tenant, refusal)
        waited_ms = clock.monotonic_ms() - arrived_ms
        row = hit_row(clock.now_ms(), made, self.state.worker, request, tenant, snapshot, hit, waited_ms)
        warnings = []
        try:
            self.ports.log.append(row)
        except StoreError:  # nothing was spent, and nothing is lost that money could tell
            warnings.append("log_full: this answer from the cache could not be logged")
        if request.options.explain:
            warnings.append(
                "no_decision: the cache answered; send `cache: false` to have a decision explained"
            )
        return given(row, hit.entry, snapshot, warnings)

    def route(self, request: ChatRequest, tenant: Tenant) -> Completed | Rejected:
        """Decide and price one request, and call nobody; nothing is held or logged as a round.

        It goes by what this worker knows of the session: `recall` comes first where others serve too.

        Raises
        ------
        p402.errors.RequestError
            The request names what does not exist or cannot be decided exactly.
        """
        arrived_ms = self.ports.clock.monotonic_ms()
        plan = self._plan(request, tenant)
        choice = choose(plan, plan.inputs, plan.live)
        return self._no_arm(plan) if choice is None else self._dry(plan, choice, arrived_ms)

    def outcome(self, tenant: Tenant, reward: Reward) -> None:
        """Log a client's or judge's word on a round of its own tenant.

        Raises
        ------
        StoreError
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
        made = self._new_id(now_ms)
        return make_plan(made, request, tenant, self.state, now_ms, self._lacks, self._decide)

    def _new_id(self, now_ms: int) -> str:
        return request_id(now_ms, self.ports.clock.random_bits())

    def _publish_live(self, now_ms: int) -> None:
        """Log a change of live state that is due, and decide by it only then."""
        delta = self.state.delta(now_ms)
        if delta is None:
            return
        try:
            self.ports.log.append(delta)
        except StoreError:
            return  # it stays due; the decision's own line tells whether the log takes rows at all
        self.state.apply(delta)

    def _no_arm(self, plan: Plan) -> Rejected:
        why = turned_away(plan, plan.inputs, plan.live)
        return self._refused(plan.request_id, plan.tenant, no_arm(plan, why), why)

    def _refused(
        self, made: str, tenant: Tenant, refusal: Refusal, why: dict[str, str] | None = None
    ) -> Rejected:
        row = Refused(
            ts_ms=self.ports.clock.now_ms(),
            id=made,
            tenant=tenant.name,
            code=refusal.code,
            status=refusal.status,
            retry_after_ms=refusal.retry_after_ms,
            message=refusal.message,
        )
        try:
            self.ports.log.append(row)
        except StoreError as error:
            return log_refuses(error, made)
        finally:
            if refusal.code == OVER_CAP and refusal.retry_after_ms is not None:  # not a call that fits no day
                cap_nano = tenant.limits.daily_cap_nano
                self.ports.alerts.tell(CapReached(row.tenant, row.ts_ms, row.id, cap_nano))
        return Rejected(made, refusal, reasons=why)

    def _dry(self, plan: Plan, choice: Choice, arrived_ms: float) -> Completed:
        account = Account(plan, choice, arrived_ms)
        expected = Usage(
            prompt=plan.inputs.prompt_tokens,
            output=expected_tokens(plan, plan.live, choice.arm),
            estimated=True,
        )
        account.record(choice, "dry_run", expected, 0.0)
        account.serve(choice, expected)
        account.warnings.append("dry_run: nobody was called; tokens and cost are what is expected")
        now = self.ports.clock
        outcome = account.outcome(now.now_ms(), now.monotonic_ms(), "dry_run")
        return Completed(None, account.metadata(outcome, explain(plan, plan.inputs)))

    async def _reserve(
        self, plan: Plan, choice: Choice, arrived_ms: float, looked: Looked
    ) -> Exchange | Rejected:
        """Hold what the chosen arm may cost, and the place of its probe if its breaker is half open."""
        probe = Probe(self.state.health, choice.name)
        try:
            exchange = await self._held(plan, choice, arrived_ms, probe, looked)
        except BaseException:
            probe.give_back()
            raise
        if isinstance(exchange, Rejected):
            probe.give_back()
        return exchange

    async def _held(
        self, plan: Plan, choice: Choice, arrived_ms: float, probe: Probe, looked: Looked
    ) -> Exchange | Rejected:
        """Hold by the tenant's rule; layer 5 is asked once more, of the arm's most.

        Where the day or a scope has no room for that arm, one further decision is taken under what is left.
        """
        first = self._first(plan, choice)
        refusal = refuse_single(first.most_nano, request_ceiling_nano(plan.request, plan.tenant))
        if refusal is not None:
            return self._refused(plan.request_id, plan.tenant, refusal)
        hold = await self._hold(plan, first)
        if isinstance(hold, Refusal):
            smaller = await self._under_what_is_left(plan, hold, probe)
            if smaller is None:
                return self._refused(plan.request_id, plan.tenant, hold)
            plan, first = smaller
            hold = await self._hold(plan, first)
            if isinstance(hold, Refusal):
                return self._refused(plan.request_id, plan.tenant, hold)
        account = Account(plan, first.choice, arrived_ms)
        if looked.warning is not None:
            account.warnings.append(looked.warning)
        keeping = Keeping(self.ports.cache, looked)
        return Exchange(self.ports, self.state, self._upstream_model, account, hold, first, probe, keeping)

    def _first(self, plan: Plan, choice: Choice) -> Attempted:
        return attempt_of(plan, plan.inputs, plan.live, choice, self.state.lengths)

    def _hold(self, plan: Plan, first: Attempted) -> Awaitable[Hold | Refusal]:
        expected = expected_nano(plan, first) if plan.tenant.limits.block_anomalies else 0
        return self.ports.guard.reserve(
            plan.tenant.name, plan.request_id, first.amount_nano, expected, plan.scopes
        )

    async def _under_what_is_left(
        self, plan: Plan, refusal: Refusal, probe: Probe
    ) -> tuple[Plan, Attempted] | None:
        """The same request under what day and scopes have left; None where that changes or serves nothing."""
        if refusal.code not in _OF_MONEY:
            return None
        try:
            left = await self.ports.guard.left(plan.tenant.name, plan.scopes)
        except StoreError:
            return None
        ceiling = without_fee(left, plan.tenant.fee_bps) * PICO_PER_NANO
        if ceiling >= plan.inputs.ceiling_pico:
            return None
        probe.give_back()
        probed = self.state.health.probes.providers()
        smaller = replace(plan, inputs=replace(plan.inputs, ceiling_pico=ceiling, probed=probed))
        choice = choose(smaller, smaller.inputs, smaller.live)
        if choice is None:
            return None
        probe.move(choice.name)
        return smaller, self._first(smaller, choice)


def expected_nano(plan: Plan, first: Attempted) -> int:
    """What the first attempt is expected to cost with its fee; 0 where a price is unknown."""
    inputs, prices = plan.inputs, plan.snapshot.spec.prices
    arm, output = first.choice.arm, expected_tokens(plan, first.live, first.choice.arm)
    cost = bill(prices, arm, inputs.prompt_tokens, 0, output)
    return 0 if cost is None else with_fee(cost, plan.tenant.fee_bps)
