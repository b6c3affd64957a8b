"""What an exchange would have cost elsewhere, to the pico-dollar."""

import msgspec
import numpy as np
import pytest

from p402.routing.compiled import compile_snapshot
from p402.routing.features import FEATURES
from p402.routing.pricing import bill
from p402.routing.scale import COUNT_ONE, FEATURE_ONE, PARAM_ONE
from p402.routing.spec import TASKS
from sim.observe.reprice import Exchanges, reprice
from tests.sim.house import a_spec

SPEC = a_spec()
SNAPSHOT = compile_snapshot(SPEC)
LARGE, OTHER_LARGE, SMALL = (SNAPSHOT.index[arm] for arm in ("alder/large", "elm/large", "elm/small"))
CODE = TASKS.index("code")


def exchanges(n=1, **changes):
    columns = {
        "arm": np.full(n, LARGE),
        "task": np.full(n, CODE),
        "prompt": np.full(n, 1_000.0),
        "cached": np.full(n, 400.0),
        "output": np.full(n, 300.0),
        "cap": np.full(n, np.inf),
        "served_pico": np.full(n, 7e9),
        "failed_pico": np.zeros(n),
    } | changes
    return Exchanges(TASKS, **columns)


def features(n=1):
    row = np.zeros((n, len(FEATURES)))
    row[:, 0] = FEATURE_ONE
    return row


def priced(shares, used=None, stretch=lambda *_: 1.0, snapshot=SNAPSHOT):
    """Re-price one exchange (or more alike) with shares of arms."""
    used = used or exchanges()
    counts = np.zeros((len(used.arm), snapshot.n_arms))
    for arm, share in shares.items():
        counts[:, arm] = share * COUNT_ONE
    return reprice(snapshot, features(len(used.arm)), counts, used, stretch)


@pytest.mark.parametrize("arm", [OTHER_LARGE, SMALL])
def test_elsewhere_it_costs_what_the_same_tokens_are_billed_there(arm):
    found = priced({arm: 1.0})
    assert found.cost_pico[0] / 1_000 == pytest.approx(bill(SPEC.prices, arm, 1_000, 400, 300), abs=1)


def test_where_it_was_served_it_costs_what_was_billed():
    found = priced({LARGE: 1.0})
    assert (found.cost_pico[0], found.changed[0], found.quality[0]) == (7e9, 0.0, 0.0)
    assert found.cells == {}


def test_a_mode_that_may_take_either_arm_costs_their_mean():
    each = [priced({arm: 1.0}).cost_pico[0] for arm in (LARGE, SMALL)]
    found = priced({LARGE: 0.25, SMALL: 0.75})
    assert found.cost_pico[0] == pytest.approx(0.25 * each[0] + 0.75 * each[1])
    assert found.changed[0] == 0.75
    assert found.models == {"large": 0.25, "small": 0.75}


def test_only_another_models_output_is_stretched_and_is_what_is_uncertain():
    seen = []

    def stretch(*cell):
        seen.append(cell)
        return 2.0

    found = priced({OTHER_LARGE: 0.5, SMALL: 0.5}, stretch=stretch)
    plain = priced({OTHER_LARGE: 0.5, SMALL: 0.5})
    output = 0.5 * SPEC.prices.output[SMALL] * 300
    assert seen == [("large", "small", "code")]
    assert found.cost_pico[0] - plain.cost_pico[0] == pytest.approx(output)
    assert found.cells == {("large", "small", "code"): pytest.approx(2 * output)}


def test_no_answer_is_longer_than_the_caller_allows():
    capped = exchanges(cap=np.array([350.0]))
    found = priced({SMALL: 1.0}, capped, stretch=lambda *_: 9.0)
    assert found.cost_pico[0] / 1_000 == pytest.approx(bill(SPEC.prices, SMALL, 1_000, 400, 350), abs=1)


def test_what_failed_attempts_were_billed_is_paid_either_way():
    failed = exchanges(failed_pico=np.array([5e6]))
    for arm in (LARGE, SMALL):
        extra = priced({arm: 1.0}, failed).cost_pico[0] - priced({arm: 1.0}).cost_pico[0]
        assert extra == pytest.approx(5e6)


def test_what_a_cold_cache_elsewhere_would_add_is_told_apart():
    cold = priced({SMALL: 1.0}, exchanges(cached=np.zeros(1)))
    warm = priced({SMALL: 1.0})
    assert warm.cost_pico[0] + warm.uncached_pico[0] == pytest.approx(cold.cost_pico[0])
    assert priced({LARGE: 1.0}).uncached_pico[0] == 0.0


def test_a_long_prompt_is_priced_in_its_tier():
    none = (None,) * SNAPSHOT.n_arms
    tiered = {
        name: tuple(value if k == SMALL else other for k, other in enumerate(given))
        for name, given, value in (
            ("threshold", none, 500),
            ("input_above", none, 900_000),
            ("output_above", none, 9_000_000),
        )
    }
    spec = msgspec.structs.replace(SPEC, prices=msgspec.structs.replace(SPEC.prices, **tiered))
    found = priced({SMALL: 1.0}, snapshot=compile_snapshot(spec))
    assert found.cost_pico[0] / 1_000 == pytest.approx(bill(spec.prices, SMALL, 1_000, 400, 300), abs=1)
    assert found.cost_pico[0] > priced({SMALL: 1.0}).cost_pico[0]


def test_quality_is_what_is_believed_of_the_arms_without_optimism():
    found = priced({SMALL: 1.0})
    bias = [SPEC.posterior.theta[arm][0] / PARAM_ONE for arm in (SMALL, LARGE)]
    assert found.quality[0] == pytest.approx(bias[0] - bias[1], abs=2e-6)
    assert found.scored[0] == 0.0


def test_quality_counts_as_benchmarked_where_both_arms_are():
    source = tuple("a leaderboard" if k in (LARGE, SMALL) else "prior" for k in range(SNAPSHOT.n_arms))
    spec = msgspec.structs.replace(
        SPEC, posterior=msgspec.structs.replace(SPEC.posterior, quality_source=source)
    )
    found = priced({SMALL: 0.25, OTHER_LARGE: 0.75}, snapshot=compile_snapshot(spec))
    assert found.scored[0] == 0.25
