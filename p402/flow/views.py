"""What is told of a decision: every arm's score and reason, why none could serve, what is on offer.

Nothing here decides; it words what `decide` made of a plan.
"""

from p402.answer import ArmView, Offer
from p402.errors import Refusal
from p402.events import RowInputs
from p402.flow.plan import Plan, request_ceiling_nano
from p402.flow.state import hidden_arms
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.decide import work
from p402.routing.eligibility import OUTSIDE_EXPLORATION, REASONS, reasons
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.scale import COUNT_ONE, SCORE_ONE
from p402.routing.spec import CAPABILITIES
from p402.units import nano_to_usd


def turned_away(plan: Plan, inputs: RowInputs, live: LiveState) -> dict[str, str]:
    """Why each arm that may not serve was turned away, by arm id."""
    batch = to_batch(plan.snapshot, (plan.request_id,), (inputs,), (live,), (0,))
    codes = reasons(plan.snapshot, batch)[0].tolist()
    arms = zip(plan.snapshot.spec.arms.arm, codes, strict=True)
    return {arm: REASONS[code] for arm, code in arms if code and arm not in plan.hidden}


def explain(plan: Plan, inputs: RowInputs) -> tuple[ArmView, ...]:
    """Every arm with its score, its propensity, and why it was turned away or not explored."""
    batch = to_batch(plan.snapshot, (plan.request_id,), (inputs,), (plan.live,), (0,))
    return tuple(view for view in arm_views(plan.snapshot, batch) if view.arm not in plan.hidden)


def arm_views(snapshot: Snapshot, batch: RequestBatch) -> tuple[ArmView, ...]:
    """Every arm of a batch of one, as `explain` shows it: the same live and in replay."""
    worked = work(snapshot, batch)
    codes = reasons(snapshot, batch)[0].tolist()
    views = []
    for k, arm in enumerate(snapshot.spec.arms.arm):
        count = int(worked.counts[k])
        reason = REASONS[codes[k]] if codes[k] else None if count else OUTSIDE_EXPLORATION
        score = None if codes[k] else float(worked.score[k]) / SCORE_ONE
        views.append(ArmView(arm, reason, score, count / COUNT_ONE))
    return tuple(views)


def no_arm(plan: Plan, why: dict[str, str]) -> Refusal:
    """The refusal that tells what kept every arm from serving."""
    seen, model = set(why.values()), plan.inputs.model
    if model is not None and _of_model(plan, why, model) == {"not_allowed"}:
        return Refusal(
            "MODEL_NOT_ALLOWED",
            403,
            f"tenant {plan.tenant.name} may not use model {model!r}; "
            "name a model that GET /v1/models lists, or ask the operator",
            param="model",
        )
    if "cost_over_ceiling" in seen:
        usd = nano_to_usd(request_ceiling_nano(plan.request, plan.tenant))
        return Refusal(
            "REQUEST_COST_EXCEEDED",
            402,
            f"every arm that could serve this request may cost more than its ceiling of ${usd:.6f}; "
            "lower max_tokens, shorten the prompt or raise p402.max_cost",
            param=None if plan.request.options.max_cost_pico is None else "p402.max_cost",
        )
    if seen & {"context_too_long", "output_too_long"}:
        needed = plan.inputs.prompt_bound + (plan.inputs.max_output or plan.inputs.expected_output)
        return Refusal(
            "context_length_exceeded",
            400,
            f"no eligible arm has room for up to {needed} tokens of prompt and output; "
            "shorten the prompt or lower max_tokens",
            param="messages",
        )
    tally = ", ".join(f"{r} ({sum(v == r for v in why.values())})" for r in sorted(seen))
    return Refusal(
        "NO_PROVIDER_AVAILABLE",
        503,
        f"none of {len(why)} arms can serve this request: {tally}; loosen the request or the tenant's policy",
    )


def _of_model(plan: Plan, why: dict[str, str], model: str) -> set[str]:
    arms = plan.snapshot.spec.arms
    return {
        why[arm] for arm, named in zip(arms.arm, arms.model, strict=True) if named == model and arm in why
    }


def offers(snapshot: Snapshot) -> tuple[Offer, ...]:
    """Every arm that some tenant policy allows; arms that stand only for their price are hidden."""
    arms, hidden = snapshot.spec.arms, hidden_arms(snapshot)
    return tuple(
        Offer(
            arm=arm,
            provider=arms.provider[k],
            model=arms.model[k],
            family=arms.family[k],
            capabilities=tuple(c for bit, c in enumerate(CAPABILITIES) if arms.capabilities[k] >> bit & 1),
            context_window=arms.context_window[k],
            output_limit=arms.output_limit[k],
            simulated=arms.simulated[k],
        )
        for k, arm in enumerate(arms.arm)
        if arm not in hidden
    )
