"""A policy as a strategy: its probabilities checked, made whole counts, and drawn from by request id.

A policy's probabilities become whole counts out of 2**24, so that the propensity of what was drawn is
exact, and the draw is Philox keyed by salt and request id, as `decide` has it: two policies that give a
request the same probabilities give it the same arm. It knows no policy in particular.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import P402Error
from p402.events import RowInputs
from p402.ids import key_of
from p402.routing.batch import RequestBatch
from p402.routing.chance import draw24, draw_one
from p402.routing.compiled import Snapshot
from p402.routing.decide import NO_ARM, Decided
from p402.routing.live import LiveState
from p402.routing.scale import COUNT_ONE
from sim.strategies.contract import NO_SESSION, Contexts, Float, Learner, Policy, Rounds
from sim.strategies.drawn import Drawn
from sim.strategies.seen import About, Start, context_of, contexts_of

SUM_TOLERANCE: Final = 1e-6
"""How far a row of probabilities may be from 1."""


class BadPolicy(P402Error):
    """A policy answered what is no probability; the run ends, as nothing after it could be trusted."""


def checked(name: str, contexts: Contexts, answer: object) -> Float:
    """A policy's answer as (n, K) probabilities.

    Raises
    ------
    BadPolicy
        What it gave is not an array of that shape, or a row holds nan or a number out of [0, 1], does
        not sum to 1 within 1e-6, or gives mass to an arm that is not eligible; the message has the row.
    """
    shape = (len(contexts), len(contexts.arms))
    try:
        given = np.asarray(answer, np.float64)
    except (TypeError, ValueError) as error:
        raise BadPolicy(
            f"policy {name} gave {type(answer).__name__}; expected an array of {shape} numbers"
        ) from error
    if given.shape != shape:
        raise BadPolicy(
            f"policy {name} gave probabilities of shape {given.shape}; expected {shape}: a row for each "
            f"round, a column for each arm"
        )
    off = ~((given >= 0.0) & (given <= 1.0 + SUM_TOLERANCE))
    if off.any():
        raise _refusal(name, contexts, given, off, "numbers from 0 to 1")
    stray = (given > 0.0) > contexts.eligible
    if stray.any():
        raise _refusal(name, contexts, given, stray, "0 for an arm that is not eligible")
    total = given.sum(axis=1)
    served = contexts.eligible.any(axis=1)
    wrong = np.flatnonzero(served & (np.abs(total - 1.0) > SUM_TOLERANCE))
    if len(wrong):
        row = int(wrong[0])
        raise BadPolicy(
            f"policy {name}: row {row} of {len(given)} sums to {total[row]:.9g}; expected 1 within "
            f"{SUM_TOLERANCE:g} over {int(contexts.eligible[row].sum())} eligible arms"
        )
    return given / np.where(served, total, 1.0)[:, None]


def _refusal(name: str, contexts: Contexts, given: Float, off: NDArray[np.bool_], expected: str) -> BadPolicy:
    row, column = np.argwhere(off)[0].tolist()
    return BadPolicy(
        f"policy {name}: row {row} of {len(given)} has {given[row, column]} for {contexts.arms[column]}; "
        f"expected {expected}"
    )


def counts_of(probabilities: Float) -> Float:
    """(n, K) whole counts that sum to 2**24: floors, what is left over to the likeliest (lowest of equals).

    A row of zeros stays one.
    """
    counts: Float = np.floor(probabilities * COUNT_ONE)
    rows = np.flatnonzero(probabilities.any(axis=1))
    most = probabilities[rows].argmax(axis=1)
    counts[rows, most] += COUNT_ONE - counts[rows].sum(axis=1)
    return counts


class PolicyStrategy:
    """Runs a policy wherever a strategy is run.

    Where chance may not choose (a tenant's exploration is off, a failover), the likeliest arm is taken.
    The snapshot stays the operator's; what the policy learned is its own affair.

    Parameters
    ----------
    name
        As it was asked for.
    policy
        With `begin(snapshot)` as well, where it wants to see the snapshot a run starts under.
    about
        Session and prompt of a request, where someone knows them.
    prompts
        Whether the policy may see prompts.
    """

    def __init__(
        self, name: str, policy: Policy, about: About | None = None, *, prompts: bool = False
    ) -> None:
        self.name = name
        self.policy = policy
        self.about = about
        self.prompts = prompts
        self._start: Start | None = None
        self._table: tuple[Snapshot, Float] | None = None

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot itself; the first one is what `prior_quality` comes from."""
        if self._start is None:
            self._start = Start.of(snapshot)
        hook = getattr(self.policy, "begin", None)
        if hook is not None:
            hook(snapshot)
        return snapshot

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:  # noqa: ARG002 - the contract's
        """Hand what arrived to the policy, if it learns."""
        if len(rounds) and isinstance(self.policy, Learner):
            self.policy.learn(rounds)
        return None

    def decide(self, snapshot: Snapshot, request_id: str, inputs: RowInputs, live: LiveState) -> Decided:
        """Choose for one request.

        Raises
        ------
        BadPolicy
            As of `checked`.
        """
        key = key_of(request_id)
        session, prompt = (NO_SESSION, None) if self.about is None else self.about(request_id)
        seen = context_of(
            snapshot, key, inputs, live, self._prior(snapshot), session, prompt if self.prompts else None
        )
        able = int(np.count_nonzero(seen.eligible))
        if not able:
            return Decided(NO_ARM, 0, NO_ARM, 0, 0)
        probability = self.probabilities(seen)
        likeliest = int(probability[0].argmax())
        if not inputs.explore:
            return Decided(likeliest, COUNT_ONE, likeliest, able, 1)
        counts = np.floor(probability[0] * COUNT_ONE)
        counts[likeliest] += COUNT_ONE - counts.sum()  # as `counts_of`, in a fifth of its time
        draw = draw_one(*key, snapshot.spec.policy.salt)
        arm = int(np.add.accumulate(counts).searchsorted(draw, "right"))
        return Decided(arm, int(counts[arm]), likeliest, able, int(np.count_nonzero(counts)))

    def choose(
        self, snapshot: Snapshot, batch: RequestBatch, prompts: tuple[str, ...] | None = None
    ) -> Drawn:
        """What `decide` chooses for each row of a batch, all under one state of the policy."""
        seen = contexts_of(snapshot, batch, self._prior(snapshot), prompts=prompts if self.prompts else None)
        probability = self.probabilities(seen)
        explore = np.asarray(batch.explore, np.bool_)
        chosen = np.zeros(probability.shape)
        rows = np.arange(len(batch))
        chosen[rows, probability.argmax(axis=1)] = probability.any(axis=1)
        counts = counts_of(np.where(explore[:, None], probability, chosen))
        draw = draw24(batch.key, snapshot.spec.policy.salt)
        arm = (np.add.accumulate(counts, axis=1) <= draw[:, None]).sum(axis=1)
        served = probability.any(axis=1)
        arm = np.where(served, np.minimum(arm, counts.shape[1] - 1), NO_ARM)
        return Drawn(arm, np.where(served, counts[rows, arm], 0.0) / COUNT_ONE, counts / COUNT_ONE, seen)

    def probabilities(self, contexts: Contexts) -> Float:
        """The policy's own, checked."""
        return checked(self.name, contexts, self.policy.probabilities(contexts))

    def _prior(self, snapshot: Snapshot) -> Float:
        """`Start.table` of a snapshot, kept for the next request under it."""
        if self._start is None:
            self._start = Start.of(snapshot)
        if self._table is None or self._table[0] is not snapshot:
            self._table = snapshot, self._start.table(snapshot)
        return self._table[1]
