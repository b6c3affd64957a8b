"""A request and a tenant to a plan: row inputs, the arm chosen, the baseline, or why not.

Everything here is arithmetic over what the ports have read: it awaits nothing and calls nobody.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np

from p402.errors import ModelNotFound, nearest
from p402.events import RowInputs
from p402.flow.lengths import AnswerLengths
from p402.flow.state import WorkerState
from p402.guard.lengths import TELLING
from p402.guard.scopes import session as session_scope
from p402.limits import HOLD_PREDICTED, Scope
from p402.ports import Warmth
from p402.request import ChatRequest, Tenant
from p402.routing import features
from p402.routing.compiled import Snapshot
from p402.routing.decide import Decide, decide_one
from p402.routing.features import Signals
from p402.routing.live import RATIO_ONE, LiveState
from p402.routing.pricing import affordable_output, bound, with_fee, without_fee
from p402.routing.scale import FEATURE_ONE, PARAM_ONE
from p402.units import PICO_PER_NANO

NOTHING_LACKS: Final[Mapping[str, frozenset[str]]] = {}


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One decision: the arm's number and id, its propensity count, and how many could and were weighed."""

    arm: int
    name: str
    count: int
    n_eligible: int
    n_explored: int


class Attempted(msgspec.Struct, frozen=True):
    """A choice with what it may cost, in nano-USD, fee and earlier attempts included.

    Attributes
    ----------
    amount_nano
        What is to be held.
    most_nano
        The most that it may cost: the same, or more where the hold is predicted.
    cap
        The output cap to send where the caller named none.
    teaches
        Whether the length of its answer says how long such answers are.
    inputs, live
        What it was chosen by.
    """

    choice: Choice
    amount_nano: int
    most_nano: int
    cap: int | None
    teaches: bool
    inputs: RowInputs
    live: LiveState


class Plan(msgspec.Struct, frozen=True):
    """A request as routing sees it, before anything is spent.

    Attributes
    ----------
    inputs
        What `decide` reads; logged as they are.
    watched
        Row inputs of the decision that would have been taken, where the named model is called
        and only observed; None otherwise.
    scopes
        Budgets within the tenant's that the call counts against.
    baseline
        Arm number and model name that the direct cost is priced at; None where there is none.
    hidden
        Arms that no tenant may use, and nobody is told of.
    decide
        Who chooses, first and at every failover.
    """

    request_id: str
    request: ChatRequest
    tenant: Tenant
    session: str
    scopes: tuple[Scope, ...]
    signals: Signals
    inputs: RowInputs
    watched: RowInputs | None
    snapshot: Snapshot
    live: LiveState
    baseline: tuple[int, str] | None
    hidden: frozenset[str]
    decide: Decide = decide_one

    @property
    def cache_ttl_s(self) -> int:
        """How long its answer is given again, in seconds, if it is kept."""
        return self.request.options.cache_ttl_s or self.tenant.cache.ttl_s


def session_of(request: ChatRequest, tenant: Tenant) -> str:
    """The caller's session, else one derived from tenant, system prompt and first user message."""
    if request.options.session_id:
        return request.options.session_id
    text = f"{tenant.name}\x1f{request.transcript.system}\x1f{request.transcript.first_user}"
    return "auto_" + blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def scopes_of(session_id: str | None, tenant: Tenant) -> tuple[Scope, ...]:
    """Budgets of the key that spoke, and of the session that it named, if sessions have one.

    A derived session has none: the first "hi" of a thousand users would be one session.
    """
    if not session_id or tenant.session_cap_nano is None:
        return tenant.scopes
    return (*tenant.scopes, session_scope(session_id, tenant.session_cap_nano))


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
    raise _unknown(snapshot, name)


def _unknown(snapshot: Snapshot, name: str) -> ModelNotFound:
    return ModelNotFound(
        f"model {name!r} is not offered by any configured provider{nearest(name, tuple(snapshot.models))}; "
        'use "auto" to be routed, or GET /v1/models for all names',
        param="model",
    )


def baseline_of(
    snapshot: Snapshot, named: tuple[str, str | None] | None, tenant: Tenant
) -> tuple[int, str] | None:
    """Arm and model that a request's direct cost is priced at: the model it names, else its tenant's."""
    model = named[0] if named is not None else tenant.baseline_model
    return baseline_arm(snapshot, model, tenant.policy)


def baseline_arm(snapshot: Snapshot, model: str | None, policy: str) -> tuple[int, str] | None:
    """The model's cheapest priced deployment, so that a saving is never overstated.

    Contract prices of arms that the tenant's policy denies are another's: they count only where the model
    has no other price.
    """
    return _baseline_arm(snapshot, model, policy if snapshot.spec.prices.contract else None)


@lru_cache(maxsize=256)
def _baseline_arm(snapshot: Snapshot, model: str | None, policy: str | None) -> tuple[int, str] | None:
    """Remembered for each snapshot, model and, where there are contracts, policy: every request asks."""
    code = None if model is None else snapshot.models.get(model)
    if model is None or code is None:
        return None
    found = (snapshot.model == code) & snapshot.price_known
    if policy is not None:
        listed = ~np.array(snapshot.spec.prices.contract, np.bool_)
        mine = found & (listed | snapshot.allowed[snapshot.policies[policy]])
        found = mine if mine.any() else found
    arms = np.flatnonzero(found)
    if len(arms) == 0:
        return None
    price = snapshot.input[arms] * 3 + snapshot.output[arms]
    return int(arms[price.argmin()]), model


def request_ceiling_nano(request: ChatRequest, tenant: Tenant) -> int:
    """Most that a request may cost in all, nano-USD, fee included: layer 5, or `max_cost` if lower."""
    own = request.options.max_cost_pico
    return tenant.max_request_nano if own is None else min(tenant.max_request_nano, own // PICO_PER_NANO)


def make_plan(
    request_id: str,
    request: ChatRequest,
    tenant: Tenant,
    state: WorkerState,
    now_ms: int,
    lacks: Mapping[str, frozenset[str]] = NOTHING_LACKS,
    decide: Decide = decide_one,
) -> Plan:
    """Read everything that `decide` needs of one request.

    Parameters
    ----------
    lacks
        Per provider the forms of a request that its language cannot say; none where it is absent.
    decide
        Who chooses.

    Raises
    ------
    ModelNotFound
        The named model is nowhere on offer.
    """
    snapshot, options = state.snapshot, request.options
    signals = features.read(request.transcript, options, request.max_output, state.head)
    session = session_of(request, tenant)
    named = None if request.model is None else resolve_model(snapshot, request.model)
    called_by_name = named is not None and options.mode is None and tenant.route_named_models != "on"
    held_to = named[0] if named is not None and called_by_name else None
    last = state.last_served(tenant.name, session)
    if last is not None and last.arm not in snapshot.index:
        last = None
    family = _family(request, snapshot, last)
    warm = last if last is not None and last.is_warm(now_ms) else None
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
        ceiling_pico=without_fee(request_ceiling_nano(request, tenant), tenant.fee_bps) * PICO_PER_NANO,
        weights=None
        if options.weights is None
        else [options.weights.quality, options.weights.cost, options.weights.speed],
        previous_arm=None if warm is None else warm.arm,
        warm_tokens=0 if warm is None else min(warm.tokens, signals.prompt_tokens),
        explore=tenant.exploration,
        policy=tenant.policy,
        exclude_providers=[*options.exclude_providers, *_speechless(request, state, held_to, lacks)],
        prefer_providers=list(options.prefer_providers),
        family=family,
        probed=state.health.probes.providers(),
    )
    inputs, watched = routed, None
    if named is not None and called_by_name:
        if not _on_offer(state, named[0]):
            raise _unknown(snapshot, named[0])
        inputs = _by_name(routed, *named)
        watched = routed if tenant.route_named_models == "observe" else None
    return Plan(
        request_id=request_id,
        request=request,
        tenant=tenant,
        session=session,
        scopes=scopes_of(options.session_id, tenant),
        signals=signals,
        inputs=inputs,
        watched=watched,
        snapshot=snapshot,
        live=state.live,
        baseline=baseline_of(snapshot, named, tenant),
        hidden=state.hidden,
        decide=decide,
    )


def _family(request: ChatRequest, snapshot: Snapshot, last: Warmth | None) -> str | None:
    """The lab that alone can go on with the transcript: by its seal, else by who served the session last."""
    transcript = request.transcript
    if not transcript.binds_family:
        return None
    if transcript.sealed_by in snapshot.spec.arms.family:
        return transcript.sealed_by
    return None if last is None else snapshot.spec.arms.family[snapshot.index[last.arm]]


def _speechless(
    request: ChatRequest, state: WorkerState, model: str | None, lacks: Mapping[str, frozenset[str]]
) -> list[str]:
    """Providers whose language cannot say what is asked, while there is one whose can.

    Where there is none, the attempt says which form it was.
    """
    forms = request.transcript.forms
    if not forms:
        return []
    mute = {provider for provider, lacking in lacks.items() if forms & lacking}
    if not mute:
        return []
    arms = state.snapshot.spec.arms
    for arm, provider, of in zip(arms.arm, arms.provider, arms.model, strict=True):
        if provider not in mute and arm not in state.hidden and model in (None, of):
            return sorted(mute - set(request.options.exclude_providers))
    return []


def _on_offer(state: WorkerState, model: str) -> bool:
    """Whether any arm of the model may be called by anyone, or it only stands there to be priced."""
    if not state.hidden:
        return True
    arms = state.snapshot.spec.arms
    return any(m == model and a not in state.hidden for a, m in zip(arms.arm, arms.model, strict=True))


def _by_name(routed: RowInputs, model: str, provider: str | None) -> RowInputs:
    """The same request held to one model: its named provider comes first, then the cheapest.

    What cost and a warm cache can add stays below the preference bonus, so that they only order the
    others; a provider that mostly fails is left for another.
    """
    prefer = routed.prefer_providers if provider is None else [provider, *routed.prefer_providers]
    return msgspec.structs.replace(
        routed,
        mode="custom",
        weights=[0, PARAM_ONE >> 5, 0],
        model=model,
        explore=False,
        prefer_providers=prefer,
    )


def choose(plan: Plan, inputs: RowInputs, live: LiveState) -> Choice | None:
    """Decide for one row; None where no arm is eligible."""
    made = plan.decide(plan.snapshot, plan.request_id, inputs, live)
    if made.arm < 0:
        return None
    name = plan.snapshot.spec.arms.arm[made.arm]
    return Choice(made.arm, name, made.count, made.n_eligible, made.n_explored)


def expected_tokens(plan: Plan, live: LiveState, arm: int) -> int:
    """Output tokens expected of an arm for all choices, by what is believed of it and what was measured."""
    inputs = plan.inputs
    ratio = RATIO_ONE if live.output_ratio is None else int(live.output_ratio.item(arm))
    believed = plan.snapshot.spec.posterior.output_ratio[arm]
    tokens = max(1, inputs.expected_output * believed * ratio // (FEATURE_ONE * RATIO_ONE))
    return inputs.n * (tokens if inputs.max_output is None else min(tokens, inputs.max_output))


class Held(NamedTuple):
    """What one attempt may cost, in nano-USD without fee; the rest as in `Attempted`."""

    amount_nano: int
    most_nano: int
    cap: int | None
    teaches: bool


def attempt_of(
    plan: Plan,
    inputs: RowInputs,
    live: LiveState,
    choice: Choice,
    lengths: AnswerLengths,
    spent_nano: int = 0,
) -> Attempted:
    """A choice with its hold, by the tenant's rule; first attempts and failovers alike.

    Parameters
    ----------
    spent_nano
        What earlier attempts were billed.
    """
    tenant, predicted = plan.tenant, None
    if tenant.hold == HOLD_PREDICTED:
        predicted = lengths.most(tenant.name, plan.signals.task, choice.name)
    amount, most, cap, teaches = hold_of(plan, inputs, choice.arm, predicted)
    amount, most = (with_fee(spent_nano + nano, tenant.fee_bps) for nano in (amount, most))
    return Attempted(choice, amount, most, cap, teaches, inputs, live)


def hold_of(plan: Plan, inputs: RowInputs, arm: int, predicted: int | None = None) -> Held:
    """What to hold for an attempt, the most that it may cost, and the output cap to send.

    Without a named cap, the cap is what the ceiling affords, so the most stays within the ceiling
    wherever one token of output does.

    Parameters
    ----------
    predicted
        Output tokens to hold for where the caller named no cap and asked for one choice; None holds the most.
    """
    snapshot = plan.snapshot
    prices, output, cap, teaches = snapshot.spec.prices, inputs.max_output, None, False
    if output is None:
        ceiling_nano = inputs.ceiling_pico // PICO_PER_NANO
        affordable = affordable_output(prices, arm, inputs.prompt_bound, ceiling_nano, inputs.n)
        limit = int(snapshot.output_limit.item(arm))
        room = int(snapshot.context.item(arm)) - inputs.prompt_bound
        usual = min(snapshot.spec.policy.default_max_output, limit, room)
        cap = output = max(1, min(usual, affordable))
        teaches = inputs.n == 1 and cap >= min(usual, TELLING)
    most = bound(prices, arm, inputs.prompt_bound, output * inputs.n)
    assert most is not None, "an arm of unknown price was chosen"
    amount = most
    if predicted is not None and cap is not None and inputs.n == 1 and predicted < cap:
        less = bound(prices, arm, inputs.prompt_bound, predicted)
        assert less is not None, "an arm of unknown price was chosen"
        amount = less
    return Held(amount, most, cap, teaches)
