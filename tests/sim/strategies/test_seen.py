"""What a policy sees of a request is what routing works with."""

import numpy as np
import pytest

from p402.ids import key_of, request_id
from p402.routing.decide import work
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import MODES
from sim.strategies.contract import NO_SESSION, Rounds
from sim.strategies.seen import Start, context_of, contexts_of, contexts_of_rows
from tests.p402.routing.worlds import a_batch, a_snapshot, some_lives
from tests.sim.strategies.conftest import some_contexts, some_rounds
from tests.sim.strategies.test_parity import some_inputs

FIELDS = (
    "features",
    "task",
    "prompt_tokens",
    "expected_output",
    "weights",
    "eligible",
    "cost_usd",
    "cost_score",
    "ttft_ms",
    "speed_score",
    "error_rate",
    "prior_quality",
    "session",
    "ts_ms",
    "key",
)


def seen_and_worked(n=200):
    snapshot = a_snapshot(20, seed=3)
    batch = a_batch(snapshot, n, seed=4)
    return (
        snapshot,
        batch,
        contexts_of(snapshot, batch, Start.of(snapshot).table(snapshot)),
        work(snapshot, batch),
    )


def test_eligibility_and_expected_cost_are_routings():
    _, _, seen, worked = seen_and_worked()
    assert (seen.eligible == worked.eligible).all()
    assert np.abs(seen.cost_usd - worked.cost_pico / 1e12).max() < 1e-15
    assert not seen.eligible.all()


def test_scores_are_halves_over_halves_and_more():
    snapshot, batch, seen, worked = seen_and_worked()
    tokens = np.maximum(batch.prompt_tokens, 1) + batch.expected_output * batch.n_choices
    half = (tokens * (snapshot.spec.policy.cost_half_pico // 1000))[:, None]
    assert np.abs(seen.cost_score - half / (half + worked.cost_pico)).max() < 1e-12
    assert np.abs(seen.speed_score - 300 / (300 + seen.ttft_ms)).max() < 1e-12
    assert ((seen.error_rate >= 0) & (seen.error_rate <= 1)).all()
    assert seen.error_rate.any()


def test_scores_of_believed_quality_are_decides_own_without_optimism():
    """`Contexts.score` of what the snapshot believes is `decide`'s score, where nothing rare is in play."""
    snapshot = a_snapshot(20, seed=3)
    batch = a_batch(snapshot, 200, seed=4, rare=False)
    seen = contexts_of(snapshot, batch, Start.of(snapshot).table(snapshot))
    worked = work(snapshot, batch)
    optimism = snapshot.optimism[batch.task] / PARAM_ONE
    ours = seen.score(np.floor(seen.prior_quality * PARAM_ONE) / PARAM_ONE + optimism)
    theirs = worked.score / PARAM_ONE**2
    rows = (batch.mode != MODES.index("cost")) & seen.eligible.any(axis=1)
    off = np.where(seen.eligible, ours - np.where(seen.eligible, theirs, 0), 0)[rows]
    assert np.abs(off).max() < 1e-5


def test_a_request_alone_is_seen_as_among_others():
    snapshot = a_snapshot(12, seed=5)
    rows, lives = some_inputs(snapshot, 60), some_lives(snapshot, 3, np.random.default_rng(1))
    ids = [request_id(1_780_000_000_000 + i, 99 * i) for i in range(60)]
    places = np.random.default_rng(2).integers(0, 3, 60).tolist()
    start = Start.of(snapshot)
    many = contexts_of_rows(snapshot, ids, rows, [lives[p] for p in places], start)
    for i in range(60):
        alone = context_of(snapshot, key_of(ids[i]), rows[i], lives[places[i]], start.table(snapshot))
        for name in FIELDS:
            one, all_ = getattr(alone, name)[0], getattr(many, name)[i]
            assert np.array_equal(one, all_), name
    assert (many.ts_ms == 1_780_000_000_000 + np.arange(60)).all()
    assert (many.session == NO_SESSION).all()


def test_the_benchmark_is_the_starting_snapshots_whatever_was_learned():
    first, later = a_snapshot(12, seed=5), a_snapshot(12, seed=5)
    theta = later.spec.posterior.theta
    start = Start.of(first)
    assert (start.table(later) == np.array(theta, float).T / PARAM_ONE).all()
    some = Start({arm: row for arm, row in start.theta.items() if arm != first.spec.arms.arm[0]})
    assert some.table(later).shape == start.table(later).shape


def test_rows_and_joins_keep_every_column():
    seen = some_contexts(10, 3, prompts=tuple("abcdefghij"))
    rounds = some_rounds(seen, np.arange(10) % 3, np.linspace(0, 1, 10))
    cut = Rounds.joined([rounds.rows(slice(0, 4)), rounds.rows(np.arange(4, 10))])
    for name in FIELDS:
        assert np.array_equal(getattr(cut.contexts, name), getattr(seen, name)), name
    assert cut.contexts.prompts == seen.prompts
    for name in ("action", "propensity", "quality", "cost_usd", "latency_ms", "failed"):
        assert np.array_equal(getattr(cut, name), getattr(rounds, name)), name
    assert len(rounds.rows(np.array([], np.int64))) == 0


def test_rounds_of_different_arms_cannot_be_joined():
    one, other = some_rounds(some_contexts(2, 3), 0, 0.5), some_rounds(some_contexts(2, 4), 0, 0.5)
    with pytest.raises(ValueError, match="different arms"):
        Rounds.joined([one, other])
    with pytest.raises(ValueError, match="no rounds"):
        Rounds.joined([])


def test_a_score_is_minus_infinity_where_an_arm_may_not_serve():
    eligible = np.ones((3, 2), bool)
    eligible[1, 0] = False
    score = some_contexts(3, 2, eligible=eligible).score(np.full((3, 2), 0.5))
    assert (np.isneginf(score) == ~eligible).all()
