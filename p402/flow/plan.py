"""A request and a tenant to a plan: row inputs, the arm chosen, the baseline, or why not.

Everything here is arithmetic over what the ports have read: it awaits nothing and calls nobody.
"""

from dataclasses import dataclass
from hashlib import blake2b

import msgspec
import numpy as np

from p402.answer import ArmView, Offer
from p402.errors import ModelNotFound, Refusal, nearest
from p402.events import RowInputs
from p402.flow.state import WorkerState
from p402.request import ChatRequest, Tenant
from p402.routing import features
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.decide import decide, work
from p402.routing.eligibility import OUTSIDE_EXPLORATION, REASONS, reasons
from p402.routing.features import Signals
from p402.routing.live import LiveState
from p402.routing.pricing import affordable_output, bound
from p402.routing.rows import to_batch
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE
from p402.routing.spec import CAPABILITIES
from p402.units import PICO_PER_NANO


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: the arm's number and id, its propensity count, and how many could and were weighed."""

    arm: int
    name: str
    count: int
    n_eligible: int
    n_explored: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A request as routing sees it, before anything is spent.

    Attributes
    ----------
    inputs
        What `decide` reads; logged as they are.
    watched
        Row inputs of the decision that would have been taken, where the named model is called
        and only observed; None otherwise.
    baseline
        Arm number and model name that the direct cost is priced at; None where there is none.
    """

    request_id: str
    request: ChatRequest
    tenant: Tenant
    session: str
    signals: Signals
    inputs: RowInputs
    watched: RowInputs | None
    snapshot: Snapshot
    live: LiveState
    baseline: tuple[int, str] | None


def session_of(request: ChatRequest, tenant: Tenant) -> str:
    """The caller's session, else one derived from tenant, system prompt and first user message."""
    if request.options.session_id:
        return request.options.session_id
    text = f"{tenant.name}\x1f{request.transcript.system}\x1f{request.transcript.first_user}"
    return "auto_" + blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def resolve_model(snapshot: Snapshot, name: str) -> tuple[str, str | None]:
    """Canonical model, and the provider if the caller named an arm.

    Raises
    ------
    ModelNotFound
        Neither a model nor an arm of the snapshot; the message names the nearest.
    """
    if name in snapshot.models:
        return name, None
    arm = snapshot.index.get(name)
    if arm is not None:
        return snapshot.spec.arms.model[arm], snapshot.spec.arms.provider[arm]
    known = (*snapshot.models, *snapshot.index)
    raise ModelNotFound(
        f"model {name!r} is not offered by any configured provider{nearest(name, known)} "
        'Use "auto" to be routed, or GET /v1/models for all names.',
        param="model",
    )


def baseline_arm(snapshot: Snapshot, model: str | None) -> tuple[int, str] | None:
    """The model's cheapest priced deployment, so that a saving is never overstated."""
    code = None if model is None else snapshot.models.get(model)
    if model is None or code is None:
        return None
    arms = np.flatnonzero((snapshot.model == code) & snapshot.price_known)
    if len(arms) == 0:
        return None
    price = snapshot.input[arms] * 3 + snapshot.output[arms]
    return int(arms[price.argmin()]), model


def make_plan(request_id: str, request: ChatRequest, tenant: Tenant, state: WorkerState, now_ms: int) -> Plan:
    """Read everything that `decide` needs of one request."""
    snapshot, options = state.snapshot, request.options
    signals = features.read(request.transcript, options, request.max_output)
    session = session_of(request, tenant)
    warmth = state.warmth(tenant.name, session, now_ms)
    named = None if request.model is None else resolve_model(snapshot, request.model)
    called_by_name = named is not None and options.mode is None and tenant.route_named_models != "on"
    previous = warmth.arm if warmth is not None and warmth.arm in snapshot.index else None
    family = None
    if previous is not None and request.transcript.has_open_tool_call:
        family = snapshot.spec.arms.family[snapshot.index[previous]]
    ceiling = tenant.max_request_nano * PICO_PER_NANO
    if options.max_cost_pico is not None:
        ceiling = min(ceiling, options.max_cost_pico)
    routed = RowInputs(
        mode=options.mode or tenant.default_mode,
        features=list(signals.features),
        task=snapshot.tasks[signals.task],
        prompt_tokens=signals.prompt_tokens,
        prompt_bound=signals.prompt_bound,
        expected_output=signals.expected_output,
        max_output=request.max_output,
        n=request.n,
        needs=signals.needs,
        ceiling_pico=ceiling,
        weights=None
        if options.weights is None
        else [options.weights.quality, options.weights.cost, options.weights.speed],
        previous_arm=previous,
        warm_tokens=0 if warmth is None or previous is None else min(warmth.tokens, signals.prompt_tokens),
        explore=tenant.exploration,
        policy=tenant.policy,
        exclude_providers=list(options.exclude_providers),
        prefer_providers=list(options.prefer_providers),
        family=family,
    )
    inputs, watched = routed, None
    if named is not None and called_by_name:
        inputs = _by_name(routed, *named)
        watched = routed if tenant.route_named_models == "observe" else None
    model = named[0] if named is not None else tenant.baseline_model
    return Plan(
        request_id=request_id,
        request=request,
        tenant=tenant,
        session=session,
        signals=signals,
        inputs=inputs,
        watched=watched,
        snapshot=snapshot,
        live=state.live,
        baseline=baseline_arm(snapshot, model),
    )


def _by_name(routed: RowInputs, model: str, provider: str | None) -> RowInputs:
    """The same request held to one model: its named provider comes first, then the cheapest.

    The cost weight stays below the preference bonus, so that cost only orders the others.
    """
    prefer = routed.prefer_providers if provider is None else [provider, *routed.prefer_providers]
    return msgspec.structs.replace(
        routed,
        mode="custom",
        weights=[0, PARAM_ONE >> 4, 0],
        model=model,
        explore=False,
        prefer_providers=prefer,
    )


def choose(plan: Plan, inputs: RowInputs, live: LiveState) -> Choice | None:
    """Decide for one row; None where no arm is eligible."""
    batch = to_batch(plan.snapshot, (plan.request_id,), (inputs,), (live,), (0,))
    made = decide(plan.snapshot, batch)
    arm = made.arm.item()
    if arm < 0:
        return None
    name = plan.snapshot.spec.arms.arm[arm]
    return Choice(arm, name, made.count.item(), made.n_eligible.item(), made.n_explored.item())


def turned_away(plan: Plan, inputs: RowInputs, live: LiveState) -> dict[str, str]:
    """Why each arm that may not serve was turned away, by arm id."""
    batch = to_batch(plan.snapshot, (plan.request_id,), (inputs,), (live,), (0,))
    codes = reasons(plan.snapshot, batch)[0].tolist()
    return {arm: REASONS[code] for arm, code in zip(plan.snapshot.spec.arms.arm, codes, strict=True) if code}


def explain(plan: Plan, inputs: RowInputs) -> tuple[ArmView, ...]:
    """Every arm with its score, its propensity, and why it was turned away or not explored."""
    batch = to_batch(plan.snapshot, (plan.request_id,), (inputs,), (plan.live,), (0,))
    return arm_views(plan.snapshot, batch)


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
    seen = set(why.values())
    needed = plan.inputs.prompt_bound + (plan.inputs.max_output or plan.inputs.expected_output)
    if "cost_over_ceiling" in seen:
        usd = plan.inputs.ceiling_pico / 1e12
        return Refusal(
            "REQUEST_COST_EXCEEDED",
            402,
            f"every arm that could serve this request may cost more than its ceiling of ${usd:.6f}; "
            "lower max_tokens, shorten the prompt or raise p402.max_cost",
            param="p402.max_cost",
        )
    if seen & {"context_too_long", "output_too_long"}:
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
        retry_after_ms=1000 if "circuit_open" in seen or "already_tried" in seen else None,
    )


def hold_of(plan: Plan, arm: int) -> tuple[int, int | None]:
    """Most that the attempt may cost in nano-USD, and the output cap to send where the caller named none."""
    prices, policy = plan.snapshot.spec.prices, plan.snapshot.spec.policy
    cap = None
    output = plan.inputs.max_output
    if output is None:
        ceiling_nano = plan.inputs.ceiling_pico // PICO_PER_NANO
        affordable = affordable_output(prices, arm, plan.inputs.prompt_bound, ceiling_nano, plan.inputs.n)
        limit = int(plan.snapshot.output_limit.item(arm))
        room = int(plan.snapshot.context.item(arm)) - plan.inputs.prompt_bound
        cap = output = max(1, min(policy.default_max_output, limit, affordable, room))
    most = bound(prices, arm, plan.inputs.prompt_bound, output * plan.inputs.n)
    assert most is not None, "an arm of unknown price was chosen"
    return most, cap


def offers(snapshot: Snapshot) -> tuple[Offer, ...]:
    """Every arm that some tenant policy allows; arms that stand only for their price are hidden."""
    arms = snapshot.spec.arms
    denied = [frozenset(policy.denied) for policy in snapshot.spec.tenants.policies]
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
        if not all(arm in names for names in denied)
    )
