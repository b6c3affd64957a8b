"""What is true of a drawn world is what the table and the product's own laws say."""

from decimal import Decimal

import numpy as np
import pytest

from p402.routing.decide import decide
from p402.routing.live import LiveState
from p402.routing.pricing import bill
from p402.routing.rows import to_batch
from p402_datasets.paretobandit import VAL
from sim.drawn.draw import draw, groups_of, traffic
from sim.drawn.feedback import LEAST, MOST, chance_of
from sim.drawn.offers import Rules, offer
from sim.drawn.rewards import baseline_of
from sim.drawn.truth import policy_probabilities, values_of
from sim.replay.target import Logged, parse


def test_every_arm_is_a_model_of_the_table_at_its_providers_factor(world):
    arms, offered = world.offered.snapshot.spec.arms, world.offered
    for k, arm in enumerate(arms.arm):
        assert arm == f"x{int(offered.factor[k] * 100):03d}/{arms.model[k]}"
        model = offered.priced.table.models[offered.column[k]]
        assert model.endswith(arms.model[k])
        listed = offered.priced.prices[model].input_usd_per_mtok * offered.factor[k]
        assert offered.snapshot.spec.prices.input[k] == listed * 1_000_000


def test_bills_and_direct_costs_are_those_of_the_products_own_law(world):
    known, prices = world.outcomes, world.offered.snapshot.spec.prices
    base = baseline_of(world.offered)
    assert world.offered.snapshot.spec.arms.arm[base] == "x080/gemini-2.5-pro", (
        "the dearest, where it is cheapest"
    )
    for row in (0, 7, 1_800):
        for arm in range(world.offered.snapshot.n_arms):
            tokens = int(known.prompt_tokens[row, arm]), 0, int(known.output_tokens[row, arm])
            assert known.cost_nano[row, arm] == bill(prices, arm, *tokens)
            assert known.direct_nano[row, arm] == bill(prices, base, *tokens)


def test_rewards_are_half_quality_and_half_saving(world):
    known = world.outcomes
    saving = np.maximum(known.direct_nano - known.cost_nano, 0) / known.direct_nano
    assert np.abs(known.reward - (known.quality + saving) / 2).max() < 1e-12


def test_the_prior_knows_the_val_split_alone_and_traffic_has_none_of_it(world, priced):
    assert {prompt.split for prompt in world.traffic.prompts}.isdisjoint({VAL})
    val = priced.table.split(VAL)
    rows = [i for i, prompt in enumerate(val.prompts) if prompt.task == "math"]
    spec = world.offered.snapshot.spec
    features = spec.posterior.features
    for arm, column in enumerate(world.offered.column):
        believed = spec.posterior.theta[arm][0] + spec.posterior.theta[arm][features.index("task_math")]
        assert believed / (1 << 20) == pytest.approx(val.quality[rows, column].mean(), abs=1e-5)


def test_as_shipped_few_arms_are_explored_and_wide_all_are(priced, world):
    narrow = offer(priced, Rules(0.01, wide=False))
    mode = narrow.assembly.spec.policy.variants[0][3]
    assert (mode.tolerance, mode.cost_ratio) == (round(0.3 * (1 << 20)), 3 << 20)
    assert (policy_probabilities(world, "balanced", Logged()) > 0.0).all()


def test_a_table_is_offered_at_the_factors_asked_for(priced):
    made = offer(priced, Rules(), [Decimal("2.5")])
    assert set(made.snapshot.spec.arms.provider) == {"x250"}


def test_rounds_take_every_prompt_alike_and_sessions_one_benchmark(world):
    chance = np.random.Generator(np.random.Philox(3))
    groups = groups_of(world.traffic.prompts)
    n = 200_000
    prompt, session = traffic(groups, n, 8, chance)
    seen = np.bincount(prompt, minlength=len(world.traffic.prompts))
    expected = n / len(world.traffic.prompts)
    # sessions stay within a benchmark, so counts vary more than independent ones would: by up to 8 a session
    assert abs(seen.mean() - expected) < 1e-9
    assert seen.min() > 0.4 * expected
    assert seen.max() < 1.7 * expected
    of = np.empty(len(world.traffic.prompts), np.int64)
    for code, rows in enumerate(groups):
        of[rows] = code
    first = np.flatnonzero(np.diff(session, prepend=-1))
    assert (of[prompt] == np.repeat(of[prompt][first], np.diff(np.append(first, n)))).all()
    assert np.bincount(session).max() == 8


def test_ids_ascend_in_time_and_another_seed_draws_other_rounds(world):
    prompts = world.traffic.prompts
    one, again, other = draw(prompts, 300, 1, 2), draw(prompts, 300, 1, 2), draw(prompts, 300, 2, 2)
    assert one.id == again.id != other.id
    assert (one.prompt == again.prompt).all()
    assert list(one.id) == sorted(set(one.id))
    assert set(one.mode.tolist()) == {0, 1}


def test_biased_feedback_hears_more_of_the_worse_and_others_do_not_care(world):
    quality, task = world.outcomes.quality, world.contexts["balanced"].task
    biased = chance_of("biased", quality, task)
    assert (biased.min(), biased.max()) == pytest.approx((LEAST, MOST))
    cells = [
        (quality[task == t, k].mean(), biased[task == t, k][0]) for t in np.unique(task) for k in range(9)
    ]
    assert np.corrcoef(np.array(cells).T)[0, 1] < -0.99
    assert (chance_of("half", quality, task) == 0.5).all()
    assert (chance_of("all", quality, task) == 1.0).all()


def test_values_are_the_sums_that_define_them(world):
    rounds = draw(world.traffic.prompts, 400, 5, 2)
    found = {(v.behaviour, v.policy, v.greedy): v for v in values_of(world, rounds)}
    rows = rounds.prompt[rounds.mode == 1].tolist()
    probs = policy_probabilities(world, "quality", parse("cost", greedy=True))
    by_hand = sum(float((probs[i] * world.outcomes.reward[i]).sum()) for i in rows) / len(rows)
    value = found["quality", "cost", True]
    assert value.on_rounds == pytest.approx(by_hand, abs=1e-12)
    assert (value.rounds, value.unsupported) == (len(rows), 0.0)


def test_what_the_behaviour_earns_on_average_is_its_declared_value(world):
    """On-policy: the real decision's own choices, over 20 logs, against the exact value."""
    offered, reward = world.offered, world.outcomes.reward
    context = world.contexts["balanced"]
    probs = policy_probabilities(world, "balanced", Logged())
    truth = float((probs * reward).sum(axis=1).mean())
    errors = []
    for seed in range(20):
        rounds = draw(world.traffic.prompts, 1_000, seed, 1, longest=1)
        inputs = [context.inputs[row] for row in rounds.prompt.tolist()]
        batch = to_batch(offered.snapshot, rounds.id, inputs, (LiveState.at_start(9),), [0] * 1_000)
        arm = decide(offered.snapshot, batch).arm
        errors.append(float(reward[rounds.prompt, arm].mean()) - truth)
    stderr = np.std(errors, ddof=1) / len(errors) ** 0.5
    assert abs(np.mean(errors)) < 4 * stderr
