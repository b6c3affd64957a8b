"""The account of one exchange: its attempts, what they were billed, and what is told of it.

Collects while the flow runs and gives, once it ends, the outcome event and the metadata from
the same figures, so that log and answer cannot disagree. It knows no ports.
"""

from dataclasses import dataclass, field
from typing import Final

from p402.answer import ArmView, Metadata
from p402.events import AttemptResult, Outcome
from p402.flow.plan import Choice, Plan
from p402.ports import Usage
from p402.routing.pricing import bill, cost_at, fee_on, token_prices
from p402.routing.scale import COUNT_ONE
from p402.routing.spec import Prices

USAGE_ESTIMATED: Final = "usage_estimated: no provider reported them, so tokens are estimated"
NO_BASELINE: Final = "no_baseline: name a model or set the tenant's baseline_model to see savings"


@dataclass(slots=True)
class Account:
    """Running account of one request. Times are monotonic ms.

    Attributes
    ----------
    provider_ms
        Time spent waiting on providers, all attempts; the rest is overhead.
    served, usage
        Who answered, and what the answer used.
    session_remaining_nano
        What its session's budget has left after it; None where there is no such budget.
    estimated
        Whether tokens of a billed attempt were estimated, since the provider told none.
    """

    plan: Plan
    first: Choice
    arrived_ms: float
    provider_ms: float = 0.0
    ttfb_ms: float | None = None
    attempts: list[AttemptResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    served: Choice | None = None
    usage: Usage | None = None
    estimated: bool = False
    session_remaining_nano: int | None = None

    def record(
        self,
        choice: Choice,
        status: str,
        usage: Usage | None,
        latency_ms: float,
        *,
        code: str | None = None,
        ttfb_ms: float | None = None,
    ) -> AttemptResult:
        """Add one attempt with what it was billed; no usage is no bill."""
        ttfb = None if ttfb_ms is None else to_the_us(ttfb_ms)
        if usage is None:
            result = AttemptResult(
                arm=choice.name,
                status=status,
                code=code,
                cost_nano=0,
                latency_ms=to_the_us(latency_ms),
                ttfb_ms=ttfb,
            )
        else:
            self.estimated = self.estimated or usage.estimated
            prices = self.plan.snapshot.spec.prices
            # what was billed at another service tier has none of these prices
            row = None if usage.tier is not None else token_prices(prices, choice.arm, usage.prompt)
            result = AttemptResult(
                arm=choice.name,
                status=status,
                code=code,
                prompt_tokens=usage.prompt,
                output_tokens=usage.output,
                cached_tokens=usage.cached,
                reasoning_tokens=usage.reasoning,
                cost_nano=None
                if row is None
                else cost_at(
                    row, usage.prompt, usage.cached, usage.output, usage.cache_write, usage.cache_write_1h
                ),
                price_pico=None if row is None else list(row),
                latency_ms=to_the_us(latency_ms),
                ttfb_ms=ttfb,
                cache_write_tokens=usage.cache_write,
                cache_write_1h_tokens=usage.cache_write_1h,
                service_tier=usage.tier,
                price_source=None if row is None else source_of(prices, choice.arm),
            )
        self.attempts.append(result)
        self.provider_ms += latency_ms
        return result

    def serve(self, choice: Choice, usage: Usage) -> None:
        """Note who answered and what the answer used."""
        self.served, self.usage = choice, usage

    @property
    def cost_nano(self) -> int | None:
        """Every billed attempt, failed ones included; None where a price was unknown."""
        total = 0
        for attempt in self.attempts:
            if attempt.cost_nano is None:
                return None
            total += attempt.cost_nano
        return total

    @property
    def direct_nano(self) -> int | None:
        """What the served exchange would have cost at the baseline model, its tokens in the same classes."""
        if self.usage is None or self.plan.baseline is None:
            return None
        used = self.usage
        return bill(
            self.plan.snapshot.spec.prices,
            self.plan.baseline[0],
            used.prompt,
            used.cached,
            used.output,
            used.cache_write,
            used.cache_write_1h,
        )

    def outcome(self, ts_ms: int, ended_ms: float, status: str, code: str | None = None) -> Outcome:
        """The round's last event."""
        used, cost = self.usage, self.cost_nano
        latency = ended_ms - self.arrived_ms
        return Outcome(
            ts_ms=ts_ms,
            id=self.plan.request_id,
            tenant=self.plan.tenant.name,
            status=status,
            code=code,
            arm=None if self.served is None else self.served.name,
            attempts=list(self.attempts),
            cost_nano=cost,
            direct_nano=self.direct_nano,
            fee_nano=fee_on(cost or 0, self.plan.tenant.fee_bps),
            prompt_tokens=None if used is None else used.prompt,
            output_tokens=None if used is None else used.output,
            cached_tokens=0 if used is None else used.cached,
            reasoning_tokens=0 if used is None else used.reasoning,
            usage_estimated=self.estimated,
            latency_ms=to_the_us(latency),
            provider_latency_ms=to_the_us(self.provider_ms),
            ttfb_ms=None if self.ttfb_ms is None else to_the_us(self.ttfb_ms),
            overhead_ms=to_the_us(max(0.0, latency - self.provider_ms)),
            stream=self.plan.request.stream,
            cache_write_tokens=0 if used is None else used.cache_write,
        )

    def metadata(self, outcome: Outcome, considered: tuple[ArmView, ...] | None) -> Metadata:
        """What the answer says, from the same figures as the log."""
        choice = self.served or self.first
        arms = self.plan.snapshot.spec.arms
        baseline = self.plan.baseline
        warnings = list(self.warnings)
        if self.estimated:
            warnings.append(USAGE_ESTIMATED)
        if baseline is None:
            warnings.append(NO_BASELINE)
        warnings += [unpriced(attempt) for attempt in self.attempts if attempt.cost_nano is None]
        return Metadata(
            request_id=outcome.id,
            tenant_id=outcome.tenant,
            session_id=self.plan.session,
            provider=arms.provider[choice.arm],
            model=arms.model[choice.arm],
            routing_mode=routing_mode(self.plan),
            task=self.plan.signals.task,
            cost_nano=outcome.cost_nano,
            direct_nano=outcome.direct_nano,
            baseline_model=None if baseline is None else baseline[1],
            fee_nano=outcome.fee_nano,
            input_tokens=outcome.prompt_tokens,
            output_tokens=outcome.output_tokens,
            cached_tokens=outcome.cached_tokens,
            reasoning_tokens=outcome.reasoning_tokens,
            usage_estimated=outcome.usage_estimated,
            latency_ms=outcome.latency_ms,
            provider_latency_ms=outcome.provider_latency_ms,
            ttfb_ms=outcome.ttfb_ms,
            overhead_ms=outcome.overhead_ms,
            attempts=tuple(self.attempts),
            snapshot_id=self.plan.snapshot.id,
            propensity=self.first.count / COUNT_ONE,
            session_remaining_nano=self.session_remaining_nano,
            warnings=tuple(warnings),
            simulated=arms.simulated[choice.arm],
            considered=considered,
            cache_write_tokens=outcome.cache_write_tokens,
        )


def source_of(prices: Prices, arm: int) -> str:
    """Whose prices an arm has: the catalogue's list, or the operator's contract."""
    return "contract" if prices.contract and prices.contract[arm] else "list"


def unpriced(attempt: AttemptResult) -> str:
    """The warning of an attempt whose cost nobody knows."""
    if attempt.service_tier is None:
        return f"price_unknown: {attempt.arm} has no known price; cost is null"
    return (
        f"price_unknown: {attempt.arm} was billed at service tier {attempt.service_tier!r} and only its "
        "standard prices of text are known; cost is null, and a budget is charged what was held"
    )


def charged_nano(outcome: Outcome, held_nano: int) -> int:
    """What the ledger books: cost and fee, or the whole hold where the cost is unknown."""
    return held_nano if outcome.cost_nano is None else outcome.cost_nano + outcome.fee_nano


def to_the_us(ms: float) -> float:
    """Milliseconds to the nearest microsecond: for a fifth of what `round(ms, 3)` takes."""
    return round(ms * 1_000) / 1_000


def routing_mode(plan: Plan) -> str:
    """The mode as the caller knows it: `named` where a concrete model was called by name."""
    return "named" if plan.inputs.model is not None else plan.inputs.mode
