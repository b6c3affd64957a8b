"""Live and in a batch, every strategy chooses the same: its arm, propensity and who could be chosen."""

import numpy as np
import pytest

from p402.events import RowInputs
from p402.ids import PREFIX
from p402.routing.decide import decide
from p402.routing.rows import to_batch
from p402.routing.scale import COUNT_ONE, FEATURE_ONE, PARAM_ONE
from p402.routing.spec import TASKS
from sim.strategies.named import POLICIES, named
from tests.p402.routing.worlds import a_snapshot, some_lives
from tests.sim.strategies.conftest import some_rounds

NAMES = ("p402", "static", *POLICIES, "cost", "balanced", "weights:quality=0.7,cost=0.3")


def some_inputs(snapshot, n, seed=0):
    """Row inputs as live requests have them, rare columns too."""
    rng = np.random.default_rng(seed)
    arms, providers = snapshot.spec.arms.arm, sorted(snapshot.providers)
    rows = []
    for _ in range(n):
        task = int(rng.integers(0, len(TASKS)))
        features = [0] * len(snapshot.spec.posterior.features)
        features[0] = features[1 + task] = FEATURE_ONE
        features[11:] = rng.integers(0, FEATURE_ONE + 1, 4).tolist()
        prompt = int(rng.integers(1, 20_000))
        mode = str(rng.choice(["cost", "quality", "speed", "balanced", "custom"]))
        rows.append(
            RowInputs(
                mode=mode,
                features=features,
                task=task,
                prompt_tokens=prompt,
                prompt_bound=2 * prompt,
                expected_output=int(rng.integers(10, 1_000)),
                needs=int(rng.choice([0, 1, 4, 16])),
                ceiling_pico=int(rng.choice([10**9, 5 * 10**13])),
                weights=[PARAM_ONE // 2, PARAM_ONE // 4, PARAM_ONE // 4] if mode == "custom" else None,
                previous_arm=str(rng.choice(arms)) if rng.random() < 0.2 else None,
                warm_tokens=int(rng.integers(0, prompt)) if rng.random() < 0.5 else 0,
                explore=bool(rng.random() < 0.8),
                policy=str(rng.choice(["default", "strict"])),
                exclude_providers=[str(rng.choice(providers))] if rng.random() < 0.2 else [],
                tried=[str(rng.choice(arms))] if rng.random() < 0.2 else [],
            )
        )
    return rows


def trained(name, snapshot, batch):
    """A strategy that has learned a little, and the snapshot it is at."""
    strategy = named(name)()
    own = strategy.begin(snapshot)
    made = strategy.choose(own, batch)
    rng = np.random.default_rng(3)
    rows = np.flatnonzero(made.arm >= 0)
    rounds = some_rounds(made.contexts.rows(rows), made.arm[rows], rng.random(len(rows)))
    return strategy, strategy.learn(rounds, 1_780_000_100_000) or own


@pytest.mark.parametrize("name", NAMES)
def test_a_request_alone_and_in_a_batch_gets_the_same(name):
    base = a_snapshot(12, seed=5)
    n = 120
    rows, lives = some_inputs(base, n), some_lives(base, 3, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    ids = [f"{PREFIX}{rng.bytes(16).hex()}" for _ in range(n)]
    places = rng.integers(0, 3, n).tolist()
    strategy, snapshot = trained(name, base, to_batch(base, ids, rows, lives, places))
    made = strategy.choose(snapshot, to_batch(snapshot, ids, rows, lives, places))
    for i in range(n):
        alone = strategy.decide(snapshot, ids[i], rows[i], lives[places[i]])
        assert alone.arm == made.arm[i]
        assert alone.count == made.propensity[i] * COUNT_ONE
        assert alone.n_eligible == np.count_nonzero(made.contexts.eligible[i])
        if alone.arm >= 0:
            assert alone.n_explored == np.count_nonzero(made.probabilities[i])
    assert np.unique(made.arm).size > 1 or name == "best-single"


def test_ours_is_the_real_decide():
    base = a_snapshot(12, seed=5)
    rows, lives = some_inputs(base, 80), some_lives(base, 1, np.random.default_rng(1))
    ids = [f"{PREFIX}{i:032x}" for i in range(80)]
    strategy, snapshot = trained("p402", base, to_batch(base, ids, rows, lives, [0] * 80))
    batch = to_batch(snapshot, ids, rows, lives, [0] * 80)
    made, real = strategy.choose(snapshot, batch), decide(snapshot, batch)
    assert (made.arm == real.arm).all()
    assert (made.propensity * COUNT_ONE == real.count).all()
    assert snapshot.id != base.id
