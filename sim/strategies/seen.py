"""Requests as a policy sees them: row inputs, a snapshot and live state to `Contexts`.

Eligibility, expected cost and the scores of cost and speed are those of `decide`, by the same code. It
knows nothing of policies.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from p402.events import RowInputs
from p402.routing.batch import RequestBatch
from p402.routing.compiled import Snapshot
from p402.routing.eligibility import eligible
from p402.routing.lens import Lens
from p402.routing.live import ERROR_ONE, LiveState
from p402.routing.look import look
from p402.routing.rows import lens_of, to_batch
from p402.routing.scale import FEATURE_ONE, PARAM_ONE
from p402.routing.scoring import bids, half_point
from sim.strategies.contract import NO_SESSION, Contexts, Float, Int

PICO: Final = 1e12
_TIME_BITS: Final = np.uint64(16)
"""A request id's high half is its time in ms above sixteen other bits."""

About = Callable[[str], tuple[int, str | None]]
"""Session hash and prompt of a request id: what row inputs do not hold and a caller may know."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Coefficients of the starting snapshot by arm name: what `prior_quality` is made of."""

    theta: Mapping[str, Float]

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Start":
        """What a snapshot believes."""
        columns = np.array(snapshot.spec.posterior.theta, np.float64) / PARAM_ONE
        return cls(dict(zip(snapshot.spec.arms.arm, columns, strict=True)))

    def with_arms_of(self, snapshot: Snapshot) -> "Start":
        """The same, and what a snapshot believes of arms that are not in it."""
        return Start({**Start.of(snapshot).theta, **self.theta})

    def table(self, snapshot: Snapshot) -> Float:
        """(n_features, n_arms) for the arms of a snapshot; its own belief of those that came later."""
        own = np.array(snapshot.spec.posterior.theta, np.float64) / PARAM_ONE
        rows = [self.theta.get(arm, own[k]) for k, arm in enumerate(snapshot.spec.arms.arm)]
        return np.ascontiguousarray(np.array(rows).T)


def contexts_of(
    snapshot: Snapshot,
    batch: RequestBatch,
    start: Float,
    *,
    session: Int | None = None,
    prompts: tuple[str, ...] | None = None,
) -> Contexts:
    """What a policy may know of a batch.

    Parameters
    ----------
    start
        `Start.table` of the snapshot.
    session, prompts
        (n,) where they are known; prompts only where the user opted in.
    """
    n = len(batch)
    return _contexts(
        snapshot,
        look(snapshot, batch),
        batch.key,
        np.asarray(batch.task, np.int64),
        start,
        np.full(n, NO_SESSION, np.int64) if session is None else session,
        prompts,
    )


def contexts_of_rows(
    snapshot: Snapshot,
    ids: Sequence[str],
    inputs: Sequence[RowInputs],
    lives: Sequence[LiveState],
    start: Start,
    *,
    session: Int | None = None,
    prompts: tuple[str, ...] | None = None,
) -> Contexts:
    """The same of logged row inputs, each with the live state that it saw: what `Rounds` are made with."""
    places = {id(live): live for live in lives}
    code = {name: k for k, name in enumerate(places)}
    batch = to_batch(snapshot, ids, inputs, tuple(places.values()), [code[id(live)] for live in lives])
    return contexts_of(snapshot, batch, start.table(snapshot), session=session, prompts=prompts)


def context_of(
    snapshot: Snapshot,
    key: tuple[int, int],
    inputs: RowInputs,
    live: LiveState,
    start: Float,
    session: int = NO_SESSION,
    prompt: str | None = None,
) -> Contexts:
    """The same of one request."""
    return _contexts(
        snapshot,
        lens_of(snapshot, inputs, live),
        np.array([key], np.uint64),
        np.array([inputs.task], np.int64),
        start,
        np.array([session], np.int64),
        None if prompt is None else (prompt,),
    )


def _contexts(
    snapshot: Snapshot,
    lens: Lens,
    key: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
    task: Int,
    start: Float,
    session: Int,
    prompts: tuple[str, ...] | None,
) -> Contexts:
    if lens.n == 1:
        return _lone(snapshot, lens, key, task, start, session, prompts)
    arms, n = snapshot.spec.arms, lens.n
    bid, half = np.atleast_2d(bids(snapshot, lens)), _column(half_point(snapshot, lens), n)
    ttft, errors = _measured(snapshot, lens)
    fast = float(snapshot.spec.policy.ttft_half_ms)
    features = np.atleast_2d(lens.features) / FEATURE_ONE
    return Contexts(
        arms=arms.arm,
        providers=arms.provider,
        models=arms.model,
        feature_names=snapshot.spec.posterior.features,
        features=features,
        task=task,
        prompt_tokens=_column(lens.prompt, n)[:, 0],
        expected_output=_column(lens.output, n)[:, 0],
        weights=np.hstack([_column(cell, n) for cell in lens.rules[:3]]) / PARAM_ONE,
        eligible=np.ascontiguousarray(np.atleast_2d(eligible(snapshot, lens)).copy()),
        cost_usd=(bid - half) / PICO,
        cost_score=half / bid,
        ttft_ms=ttft,
        speed_score=fast / (fast + ttft),
        error_rate=errors,
        prior_quality=np.einsum("nd,dk->nk", features, start),
        session=session,
        ts_ms=(key[:, 0] >> _TIME_BITS).astype(np.int64),
        key=key,
        prompts=prompts,
    )


def _lone(
    snapshot: Snapshot,
    lens: Lens,
    key: np.ndarray[tuple[int, ...], np.dtype[np.uint64]],
    task: Int,
    start: Float,
    session: Int,
    prompts: tuple[str, ...] | None,
) -> Contexts:
    """The same of one row, as a simulation asks at each request: broadcasting took most of that time."""
    arms, live = snapshot.spec.arms, lens.lives[0]
    bid, half = bids(snapshot, lens).reshape(1, -1), float(half_point(snapshot, lens))
    ttft = live.ttft_ms
    ttft = np.where(ttft > 0, ttft, snapshot.ttft_prior).reshape(1, -1)
    fast = float(snapshot.spec.policy.ttft_half_ms)
    features = lens.features.reshape(1, -1) / FEATURE_ONE
    quality, cost, speed = lens.rules[:3]
    return Contexts(
        arms=arms.arm,
        providers=arms.provider,
        models=arms.model,
        feature_names=snapshot.spec.posterior.features,
        features=features,
        task=task,
        prompt_tokens=np.array((float(lens.prompt),)),
        expected_output=np.array((float(lens.output),)),
        weights=np.array(((float(quality), float(cost), float(speed)),)) / PARAM_ONE,
        eligible=eligible(snapshot, lens).reshape(1, -1).copy(),
        cost_usd=(bid - half) / PICO,
        cost_score=half / bid,
        ttft_ms=ttft,
        speed_score=fast / (fast + ttft),
        error_rate=live.error_rate.reshape(1, -1) / ERROR_ONE,
        prior_quality=np.einsum("nd,dk->nk", features, start),
        session=session,
        ts_ms=(key[:, 0] >> _TIME_BITS).astype(np.int64),
        key=key,
        prompts=prompts,
    )


def _column(cell: object, n: int) -> Float:
    """A cell as (n, 1)."""
    return np.broadcast_to(np.asarray(cell, np.float64).reshape(-1, 1), (n, 1))


def _measured(snapshot: Snapshot, lens: Lens) -> tuple[Float, Float]:
    """(n, K) expected time to first token in ms, and error rate, of more rows than one."""
    measured = np.stack([live.ttft_ms for live in lens.lives])
    ttft = np.where(measured > 0, measured, snapshot.ttft_prior)
    errors = np.stack([live.error_rate for live in lens.lives]) / ERROR_ONE
    if len(lens.lives) == 1:
        shape = (lens.n, snapshot.n_arms)
        return np.broadcast_to(ttft, shape), np.broadcast_to(errors, shape)
    return ttft[lens.live_row], errors[lens.live_row]
