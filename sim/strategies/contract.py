"""What a strategy is, and what it may know: the documented feature schema of a policy of your own.

A `Policy` turns contexts into probabilities and may learn; it knows nothing of snapshots, requests or
logs. A `Strategy` is what a simulation or a sequential replay runs: it begins under a snapshot, decides
request by request, and learns at ticks. `sim.strategies.policy` makes a strategy of any policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from p402.routing.compiled import Snapshot
from p402.routing.decide import Decide

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

NO_SESSION: Final = -1
"""`Contexts.session` of a request whose session the caller does not know."""


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """What a policy may know of n rounds over K arms, all arrays C-contiguous.

    Attributes
    ----------
    arms, providers, models
        (K,) names; arms are `provider/model`, ascending. The list may change while a run goes on (models
        come and go), so what is learned of an arm belongs under its name.
    feature_names
        (D,) names of the columns of `features`: `bias`, `task_*` (probabilities that sum to 1), `length`,
        `code`, `math`, `turns` (`p402.routing.features`); a full-information table may have its own.
    features
        (n, D) in [0, 1].
    task
        (n,) index into `p402.routing.spec.TASKS`.
    prompt_tokens, expected_output
        (n,) tokens, of all choices together for the output.
    weights
        (n, 3) quality, cost, speed weight of the asked mode, 0 or more.
    eligible
        (n, K): the arm may serve the round; others must get probability 0. A row may have none.
    cost_usd
        (n, K) expected cost of the call at list or contract price, warm cache included.
    cost_score
        (n, K) in [0, 1]: half / (half + cost), as routing has it; higher is cheaper.
    ttft_ms
        (n, K) expected time to first token: measured where it was, else the snapshot's prior.
    speed_score
        (n, K) in [0, 1]: half / (half + time), as routing has it; higher is faster.
    error_rate
        (n, K) in [0, 1]: share of calls that failed lately, by live state.
    prior_quality
        (n, K): what the starting snapshot believes, about [0, 1].
    session
        (n,) hash; `NO_SESSION` where it is not known.
    ts_ms
        (n,) wall time of the request, ms since 1970 UTC.
    key
        (n, 2) high and low half of the request id, for `p402.routing.chance`.
    prompts
        (n,) texts, only where the user opted in; None otherwise.
    """

    arms: tuple[str, ...]
    providers: tuple[str, ...]
    models: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: Float
    task: Int
    prompt_tokens: Float
    expected_output: Float
    weights: Float
    eligible: Bool
    cost_usd: Float
    cost_score: Float
    ttft_ms: Float
    speed_score: Float
    error_rate: Float
    prior_quality: Float
    session: Int
    ts_ms: Int
    key: NDArray[np.uint64]
    prompts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        """Rounds."""
        return len(self.task)

    def score(self, quality: Float) -> Float:
        """(n, K) score of arms of such quality: `w_q q + w_c cost_score + w_s speed_score - error_rate`.

        Routing's own score without what belongs to a session, a preference or a fallback chain; -inf where
        an arm is not eligible.
        """
        w = self.weights
        worth = w[:, :1] * quality + w[:, 1:2] * self.cost_score + w[:, 2:] * self.speed_score
        return np.where(self.eligible, worth - self.error_rate, -np.inf)

    def rows(self, index: slice | Int) -> "Contexts":
        """The named rounds."""
        columns = {name: getattr(self, name)[index] for name in _CONTEXT_COLUMNS}
        return Contexts(
            self.arms,
            self.providers,
            self.models,
            self.feature_names,
            **columns,
            prompts=_some(self.prompts, index),
        )


def _some(prompts: tuple[str, ...] | None, index: slice | Int) -> tuple[str, ...] | None:
    if prompts is None:
        return None
    if isinstance(index, slice):
        return prompts[index]
    return tuple(prompts[i] for i in np.arange(len(prompts))[index].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Feedback that has arrived: a batch of past rounds, oldest first, each round once.

    Attributes
    ----------
    contexts
        As they were when the rounds were decided.
    action
        (n,) index into `contexts.arms` of the first arm, which the round's reward belongs to.
    propensity
        (n,) probability it had, in (0, 1].
    quality
        (n,) in [0, 1]; nan where nobody judged; 0 for a failure.
    cost_usd
        (n,) of the first attempt; nan where it is not known.
    latency_ms
        (n,) from dispatch to the last byte.
    failed
        (n,): the first attempt failed.
    output_tokens
        (n,) of the first attempt's whole answer, by its provider's count; nan where there is none.
    """

    contexts: Contexts
    action: Int
    propensity: Float
    quality: Float
    cost_usd: Float
    latency_ms: Float
    failed: Bool
    output_tokens: Float

    def __len__(self) -> int:
        """Rounds."""
        return len(self.action)

    def rows(self, index: slice | Int) -> "Rounds":
        """The named rounds."""
        columns = {name: getattr(self, name)[index] for name in _ROUND_COLUMNS}
        return Rounds(self.contexts.rows(index), **columns)

    @classmethod
    def joined(cls, parts: Sequence["Rounds"]) -> "Rounds":
        """Several batches over the same arms as one, in their order.

        Raises
        ------
        ValueError
            There is none, or their arms or features differ: hand those over one by one.
        """
        if not parts:
            raise ValueError("no rounds to join: expected one batch or more")
        first = parts[0].contexts
        seen = [part.contexts for part in parts]
        if any(c.arms != first.arms or c.feature_names != first.feature_names for c in seen):
            raise ValueError(
                "rounds of different arms or features cannot be joined: hand them over one by one"
            )
        arrays = {name: np.concatenate([getattr(c, name) for c in seen]) for name in _CONTEXT_COLUMNS}
        texts = [c.prompts for c in seen]
        prompts = None if any(t is None for t in texts) else tuple(p for t in texts if t for p in t)
        contexts = Contexts(
            first.arms, first.providers, first.models, first.feature_names, **arrays, prompts=prompts
        )
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ROUND_COLUMNS}
        return cls(contexts, **columns)


_NAMES: Final = ("arms", "providers", "models", "feature_names", "prompts")
_CONTEXT_COLUMNS: Final = tuple(f.name for f in fields(Contexts) if f.name not in _NAMES)
_ROUND_COLUMNS: Final = tuple(f.name for f in fields(Rounds) if f.name != "contexts")


@runtime_checkable
class Policy(Protocol):
    """A strategy of a user's own: `p402 replay --policy mymodule:MyPolicy`, a class without arguments."""

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K): rows sum to 1, 0 where an arm is not eligible; all 0 where a row has no eligible arm."""
        ...


@runtime_checkable
class Learner(Policy, Protocol):
    """A policy that learns."""

    def learn(self, rounds: Rounds) -> None:
        """Take in feedback. A round may come again with a later word on its quality: the last word counts."""
        ...


class Strategy(Protocol):
    """What a live simulation or a sequential replay runs.

    Attributes
    ----------
    name
        As it was asked for.
    """

    name: str

    @property
    def decide(self) -> Decide:
        """What the flow asks for every choice, `p402.flow.chat.Flow(decide=...)`."""
        ...

    def begin(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot to run under.

        It is asked again whenever prices or arms change, with the snapshot as the operator's catalogue
        has it then; a strategy keeps what it learned and answers with the snapshot to go on under.
        """
        ...

    def learn(self, rounds: Rounds, now_ms: int) -> Snapshot | None:
        """Take in what has arrived since the last tick; a new snapshot to swap to, or None to go on.

        It is also asked at a tick without any round: clocks make learners forget.
        """
        ...
