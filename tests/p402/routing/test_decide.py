"""`decide` against the same law in plain integers, and the laws that hold of every decision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import Row, expected_loss, plain
from worlds import a_live, a_mode, alike, any_world, rows_of

from p402.routing.compiled import compile_snapshot
from p402.routing.decide import Decisions, decide, work
from p402.routing.eligibility import REASONS, reasons
from p402.routing.scale import COUNT_ONE, PARAM_ONE, SCORE_ONE, param
from p402.routing.spec import CUSTOM, MODES

SEEDS = st.integers(0, 2**32 - 1)
ROWS = 12


def columns(made: Decisions):
    return np.stack([made.arm, made.count, made.incumbent, made.n_eligible, made.n_explored], 1)


def chosen(snapshot, n=1, **given):
    """Arms that n equal requests go to, by id, ascending."""
    made = decide(snapshot, rows_of(snapshot, n, **given))
    return [None if k < 0 else snapshot.spec.arms.arm[k] for k in sorted(set(made.arm.tolist()))]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.booleans())
def test_every_decision_is_the_one_that_plain_integers_give(seed, rare):
    snapshot, batch = any_world(seed, ROWS, rare=rare)
    made, worked, codes = decide(snapshot, batch), work(snapshot, batch), reasons(snapshot, batch)
    for i, row in enumerate(columns(made).tolist()):
        law = plain(snapshot.spec, batch, i)
        assert tuple(row) == law.decision
        assert tuple(columns(decide(snapshot, batch.rows([i])))[0].tolist()) == law.decision
        assert worked.counts[i].tolist() == law.counts
        assert worked.cost_pico[i].tolist() == law.cost
        assert [REASONS[c] for c in codes[i]] == law.reason
        able = worked.eligible[i]
        assert worked.score[i][able].tolist() == np.array(law.score, np.float64)[able].tolist()
        assert np.all(worked.score[i][~able] == -np.inf)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_propensities_are_whole_counts_out_of_two_to_the_24_over_eligible_arms(seed):
    snapshot, batch = any_world(seed, 40)
    made, worked = decide(snapshot, batch), work(snapshot, batch)
    served = made.arm >= 0
    assert np.array_equal(worked.counts.sum(axis=1), np.where(served, COUNT_ONE, 0))
    assert np.array_equal(worked.counts, np.floor(worked.counts))
    assert worked.counts.min() >= 0
    assert not worked.counts[~worked.eligible].any()
    rows = np.flatnonzero(served)
    assert np.array_equal(made.count[rows], worked.counts[rows, made.arm[rows]])
    assert (made.count[rows] > 0).all()
    assert worked.eligible[rows, made.arm[rows]].all()
    assert np.array_equal((worked.counts > 0).sum(axis=1), made.n_explored)
    assert np.array_equal(worked.eligible.sum(axis=1), made.n_eligible)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_a_row_that_no_arm_can_serve_has_no_arm_no_count_and_no_incumbent(seed):
    snapshot, batch = any_world(seed, 40)
    made = decide(snapshot, batch)
    none = made.n_eligible == 0
    assert np.array_equal(none, made.arm < 0)
    assert np.array_equal(columns(made)[none], np.tile([-1, 0, -1, 0, 0], (int(none.sum()), 1)))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_exploration_set_is_small_close_affordable_and_holds_the_incumbent(seed):
    snapshot, batch = any_world(seed, 40)
    made, worked, policy = decide(snapshot, batch), work(snapshot, batch), snapshot.spec.policy
    assert made.n_explored.max() <= policy.set_size
    for i in np.flatnonzero(made.arm >= 0):
        mode = batch.mode[i] if batch.mode[i] != CUSTOM else MODES.index("balanced")
        rules, top = policy.variants[batch.variant[i]][mode], made.incumbent[i]
        inside = worked.counts[i] > 0
        gap = worked.score[i, top] - worked.score[i]
        assert inside[top]
        assert gap[inside].min() >= 0
        assert gap[inside].max() <= rules.tolerance * PARAM_ONE
        assert worked.cost_pico[i][inside].max() <= rules.cost_ratio / PARAM_ONE * worked.cost_pico[i, top]
        assert worked.counts[i][inside].min() >= rules.floor * 16 // inside.sum()
        if not (rules.explore and batch.explore[i]):
            assert worked.counts[i, top] == made.count[i] == COUNT_ONE


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_exploration_gives_up_no_more_than_the_cap_and_the_floor_allow(seed):
    snapshot, batch = any_world(seed, ROWS)
    for i in range(ROWS):
        law = plain(snapshot.spec, batch, i)
        if law.arm < 0:
            continue
        loss, most, m = expected_loss(law, snapshot.spec, Row(batch, i))
        assert loss <= most
        assert loss == 0 or m > 1


def test_arms_are_chosen_as_often_as_their_counts_say():
    quality = [0.80, 0.79, 0.77, 0.74]
    theta = tuple((param(q),) for q in quality)
    snapshot = compile_snapshot(alike(4, posterior={"theta": theta}))
    n = 40_000
    batch = rows_of(snapshot, n)
    share = work(snapshot, batch).counts[0] / COUNT_ONE
    seen = np.bincount(decide(snapshot, batch).arm, minlength=4)
    assert share.min() > 0.05
    assert np.all(np.abs(seen - n * share) < 5 * np.sqrt(n * share * (1 - share)))


def test_ties_go_to_the_lowest_arm_id():
    snapshot = compile_snapshot(alike(5))
    assert chosen(snapshot, 64, explore=False) == ["p0/m0"]
    assert decide(snapshot, rows_of(snapshot, 64)).incumbent.tolist() == [0] * 64


def test_ties_at_the_edge_of_the_set_go_to_the_lowest_arm_ids():
    snapshot = compile_snapshot(alike(6, policy={"set_size": 3}))
    assert work(snapshot, rows_of(snapshot)).counts.nonzero()[-1].tolist() == [0, 1, 2]
    assert (work(snapshot, rows_of(snapshot, 2)).counts > 0).tolist() == [[True] * 3 + [False] * 3] * 2


@pytest.mark.parametrize("size", [1, 31, 32, 77, 129, 199])
def test_of_arms_in_many_ties_the_best_and_then_the_lowest_fill_the_set(size):
    theta = tuple((param(0.5) + 4096 * (k * 7 % 5),) for k in range(200))
    order = sorted(range(200), key=lambda k: (-theta[k][0], k))[:size]
    spec = alike(200, arms=_providers(200), posterior={"theta": theta}, policy={"set_size": size})
    snapshot = compile_snapshot(spec)
    for n in (1, 3):
        explored = work(snapshot, rows_of(snapshot, n)).counts.reshape(n, 200) > 0
        assert [row.nonzero()[0].tolist() for row in explored] == [sorted(order)] * n


def _providers(n):
    """Names that sort as numbers do, at few providers."""
    return {"arm": tuple(f"p/{k:03d}" for k in range(n)), "provider": ("p",) * n}


def test_equal_arms_share_the_propensity_evenly():
    counts = work(*_pair(alike(4))).counts
    assert counts.tolist() == [COUNT_ONE / 4] * 4


def _pair(spec, n=1, **given):
    snapshot = compile_snapshot(spec)
    return snapshot, rows_of(snapshot, n, **given)


def test_exploration_that_is_switched_off_gives_the_best_arm_all_of_the_propensity():
    for spec, given_ in ((alike(4), {"explore": False}), (alike(4, mode={"explore": False}), {})):
        made = decide(*_pair(spec, 32, **given_))
        assert columns(made).tolist() == [[0, COUNT_ONE, 0, 4, 1]] * 32


def test_an_arm_beyond_the_tolerance_is_not_explored():
    theta = tuple((param(q),) for q in (0.5, 0.5, 0.1))
    spec = alike(3, posterior={"theta": theta}, mode={"tolerance": param(0.2)})
    assert (work(*_pair(spec)).counts > 0).tolist() == [True, True, True]
    spec = alike(3, posterior={"theta": theta}, mode={"tolerance": param(0.2) - 1})
    assert (work(*_pair(spec)).counts > 0).tolist() == [True, True, False]


def test_an_arm_dearer_than_the_ratio_is_not_explored():
    rules = {"quality": 1.0, "cost": 0.0}
    for dear, explored in ((3_000_000, True), (3_000_001, False)):
        prices = {"input": (1_000_000, dear), "output": (0, 0)}
        made = work(*_pair(alike(2, prices=prices, mode=rules)))
        assert made.eligible.all()
        assert bool(made.counts[1] > 0) is explored


def test_the_floor_is_an_even_share_for_every_arm_of_the_set():
    theta = tuple((param(q),) for q in (0.9, 0.4))
    rules = {"loss_cap": 1, "floor": param(0.25)}
    counts = work(*_pair(alike(2, posterior={"theta": theta}, mode=rules))).counts
    assert counts[1] / COUNT_ONE == pytest.approx(0.125, abs=1e-4)
    assert counts[1] >= COUNT_ONE // 8


def test_each_mode_takes_the_arm_that_is_best_at_its_own_objective():
    spec = alike(
        3,
        prices={"input": (9_000_000, 100_000, 9_000_000), "output": (9_000_000, 100_000, 9_000_000)},
        posterior={"theta": ((param(0.9),), (param(0.2),), (param(0.3),)), "ttft_ms": (900, 900, 60)},
        policy={
            "variants": (
                (
                    a_mode(0.0, 1.0, 0.0, tolerance=0),
                    a_mode(1.0, 0.001, 0.0, tolerance=0),
                    a_mode(0.0, 0.001, 1.0, tolerance=0),
                    a_mode(1.0, 0.0, 0.0, tolerance=0),
                ),
            )
        },
    )
    snapshot = compile_snapshot(spec)
    for mode, arm in (("quality", "p0/m0"), ("cost", "p1/m1"), ("speed", "p2/m2")):
        assert chosen(snapshot, mode=MODES.index(mode)) == [arm]


def test_custom_weights_take_the_place_of_the_modes_own():
    spec = alike(
        2,
        prices={"input": (9_000_000, 100_000), "output": (9_000_000, 100_000)},
        posterior={"theta": ((param(0.9),), (param(0.2),))},
    )
    snapshot = compile_snapshot(spec)
    for weights, arm in (((1, 0, 0), "p0/m0"), ((0, 1, 0), "p1/m1")):
        scaled = [w * PARAM_ONE for w in weights]
        assert chosen(snapshot, mode=CUSTOM, weights=scaled, explore=False) == [arm]
        assert chosen(snapshot, 4, mode=CUSTOM, weights=[scaled] * 4, explore=False) == [arm]
        assert chosen(snapshot, mode=MODES.index("balanced"), weights=scaled, explore=False) == ["p1/m1"]


def test_the_chain_comes_first_in_its_order_and_the_best_of_the_rest_after_it():
    theta = tuple((param(q),) for q in (0.2, 0.9, 0.1, 0.8))
    spec = alike(4, posterior={"theta": theta}, mode={"chain": ("gone/model", "p2/m2", "p0/m0")})
    snapshot = compile_snapshot(spec)
    order, tried = [], []
    while None not in order:
        order += chosen(snapshot, tried=[*tried, -1], explore=False)
        tried.append(-1 if order[-1] is None else snapshot.index[order[-1]])
    assert order == ["p2/m2", "p0/m0", "p1/m1", "p3/m3", None]


def test_no_more_of_a_chain_counts_than_scores_have_room_for():
    names = tuple(f"p{k}/m{k}" for k in range(10))
    more = tuple(f"p{k}/m{k}" for k in range(10, 18))
    snapshot = compile_snapshot(
        alike(18, arms={"arm": tuple(sorted(names + more))}, mode={"chain": names + more})
    )
    chain = snapshot.modes.chain[0]
    assert (chain > 0).sum() == 15
    assert chain.max() <= 2**53 - 2**49


def test_a_preferred_provider_is_worth_its_bonus_and_the_second_half_of_it():
    snapshot = compile_snapshot(alike(4, policy={"prefer_bonus": param(0.1)}))
    score = work(snapshot, rows_of(snapshot, preferred=[2, 3, -1, -1])).score / SCORE_ONE
    assert score - score[0] == pytest.approx([0, 0, 0.1, 0.05], abs=1e-6)
    assert chosen(snapshot, preferred=[2, 3, -1, -1], explore=False) == ["p2/m2"]


def test_a_warm_cache_keeps_a_session_and_saves_what_a_read_costs_less():
    spec = alike(3, prices={"cache_read": (100_000,) * 3}, policy={"switch_cost": param(0.05)})
    snapshot = compile_snapshot(spec)
    cold = work(snapshot, rows_of(snapshot))
    warm = work(snapshot, rows_of(snapshot, previous_arm=2, warm_tokens=600))
    assert (cold.cost_pico - warm.cost_pico).tolist() == [0, 0, 600 * 900_000]
    assert warm.score[2] - warm.score[0] > 0.6 * 0.05 * SCORE_ONE - PARAM_ONE
    assert chosen(snapshot, previous_arm=2, warm_tokens=600, explore=False) == ["p2/m2"]
    assert chosen(snapshot, previous_arm=2, warm_tokens=0, explore=False) == ["p0/m0"]


def test_a_cache_read_of_unknown_price_saves_nothing():
    snapshot = compile_snapshot(alike(2))
    worked = work(snapshot, rows_of(snapshot, previous_arm=1, warm_tokens=1000))
    assert worked.cost_pico[0] == worked.cost_pico[1]


def test_prompts_above_the_threshold_have_the_prices_above_it_warm_tokens_too():
    prices = {
        "threshold": (1000, None),
        "input_above": (3_000_000, None),
        "output_above": (5_000_000, None),
        "cache_read": (500_000, 500_000),
    }
    snapshot = compile_snapshot(alike(2, prices=prices, arms={"context_window": (10**6, 10**6)}))
    at, over = (work(snapshot, rows_of(snapshot, prompt_tokens=n)).cost_pico.tolist() for n in (1000, 1001))
    assert at == [1000 * 1_000_000 + 500 * 2_000_000] * 2
    assert over == [1001 * 3_000_000 + 500 * 5_000_000, 1001 * 1_000_000 + 500 * 2_000_000]
    warm = work(snapshot, rows_of(snapshot, prompt_tokens=1001, previous_arm=0, warm_tokens=10)).cost_pico
    assert over[0] - warm[0] == 10 * (3_000_000 - 500_000)


def test_a_budget_price_moves_requests_to_cheaper_arms():
    spec = alike(
        2,
        prices={"input": (9_000_000, 100_000), "output": (9_000_000, 100_000)},
        posterior={"theta": ((param(0.9),), (param(0.5),))},
        mode={"quality": 0.9, "cost": 0.1},
    )
    snapshot = compile_snapshot(spec)
    assert chosen(snapshot, explore=False, budget_price=0) == ["p0/m0"]
    assert chosen(snapshot, explore=False, budget_price=PARAM_ONE) == ["p1/m1"]


def test_a_measured_slow_or_failing_arm_loses_what_its_prior_promised():
    speed = {"quality": 0.0, "cost": 0.0, "speed": 1.0, "explore": False}
    snapshot = compile_snapshot(alike(3, posterior={"ttft_ms": (100, 200, 900)}, mode=speed))
    assert chosen(snapshot) == ["p0/m0"]
    assert chosen(snapshot, live=a_live(3, ttft_ms={0: 5000})) == ["p1/m1"]
    assert chosen(snapshot, live=a_live(3, error_rate={0: 4000})) == ["p1/m1"]
    assert chosen(snapshot, live=a_live(3, ttft_ms={2: 20})) == ["p2/m2"]


def test_a_live_state_that_served_another_snapshot_brings_nothing_of_it_along():
    speed = {"quality": 0.0, "cost": 0.0, "speed": 1.0, "explore": False}
    one = compile_snapshot(alike(2, posterior={"ttft_ms": (100, 900)}, mode=speed))
    two = compile_snapshot(alike(2, posterior={"ttft_ms": (900, 100)}, mode=speed))
    live = a_live(2)
    for snapshot, arm in ((one, "p0/m0"), (two, "p1/m1"), (one, "p0/m0"), (two, "p1/m1")):
        assert chosen(snapshot, live=live) == [arm]
        assert chosen(snapshot, 3, live=live) == [arm]


def test_optimism_favours_the_arm_that_is_known_less():
    sd = {"sd": ((0,), (param(0.2),), (0,))}
    assert chosen(compile_snapshot(alike(3, posterior=sd)), explore=False) == ["p1/m1"]
    assert chosen(compile_snapshot(alike(3, posterior=sd, policy={"beta": 0})), explore=False) == ["p0/m0"]


def test_a_prompt_without_tokens_is_decided_as_one_token():
    snapshot = compile_snapshot(alike(3))
    empty = rows_of(snapshot, prompt_tokens=0, prompt_bound=0, expected_output=0)
    one = rows_of(snapshot, prompt_tokens=1, prompt_bound=0, expected_output=0)
    assert columns(decide(snapshot, empty)).tolist() == columns(decide(snapshot, one)).tolist()
    two = rows_of(snapshot, 2, prompt_tokens=[0, 1], prompt_bound=0, expected_output=0)
    score = work(snapshot, two).score
    assert score[0].tolist() == score[1].tolist() == work(snapshot, one).score.tolist()


def test_an_empty_batch_has_no_decisions():
    snapshot = compile_snapshot(alike(3))
    batch = rows_of(snapshot, 2).rows(slice(0, 0))
    made = decide(snapshot, batch)
    assert len(made) == 0
    assert made.snapshot_id == snapshot.id


def test_decisions_cite_their_snapshot():
    snapshot = compile_snapshot(alike(3))
    assert decide(snapshot, rows_of(snapshot)).snapshot_id == snapshot.id
