"""Who may serve a request: each rule by an example, all of them against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import a_live, alike, any_world, rows_of

from p402.routing.compiled import MAX_TOKENS, UNKNOWN_CONTEXT, compile_snapshot
from p402.routing.decide import decide, work
from p402.routing.eligibility import REASONS, reasons
from p402.routing.spec import CAPABILITIES, capability_mask

SEEDS = st.integers(0, 2**32 - 1)


def told(spec, **given_):
    """Reason of each arm for one request, the same alone and in company."""
    snapshot = compile_snapshot(spec)
    alone = reasons(snapshot, rows_of(snapshot, **given_))[0]
    columns = {k: v if k == "live" else [v] * 3 for k, v in given_.items()}
    for row in reasons(snapshot, rows_of(snapshot, 3, **columns)):
        assert row.tolist() == alone.tolist()
    return [REASONS[code] for code in alone]


@settings(max_examples=80, deadline=None)
@given(SEEDS, st.booleans())
def test_an_arm_is_eligible_exactly_where_no_reason_speaks_against_it(seed, rare):
    snapshot, batch = any_world(seed, 40, rare=rare)
    codes = reasons(snapshot, batch)
    assert np.array_equal(work(snapshot, batch).eligible, codes == 0)
    for i in range(0, 40, 9):
        row = batch.rows(slice(i, i + 1))
        assert np.array_equal(np.atleast_2d(work(snapshot, row).eligible), codes[i : i + 1] == 0)
        assert np.array_equal(reasons(snapshot, row), codes[i : i + 1])


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_the_breaker_never_turns_the_last_candidates_away(seed):
    snapshot, batch = any_world(seed, 40)
    codes = reasons(snapshot, batch)
    shut = REASONS.index("circuit_open")
    for i, row in enumerate(codes):
        live = batch.lives[batch.live_row[i]]
        closed = ~live.open_circuit
        if live.half_open is not None:
            probed = 0 if batch.probed is None else int(batch.probed[i])
            closed |= live.half_open & ((snapshot.provider_bit & probed) == 0)
        if (row == shut).any():
            assert (row == 0).any()
        if (row == 0).any() and not ((row == 0) & closed).any():
            assert not (row == shut).any()


def test_an_open_breaker_turns_an_arm_away_until_it_is_the_last():
    assert told(alike(3), live=a_live(3, open_circuit=[0])) == ["circuit_open", "eligible", "eligible"]
    assert told(alike(3), live=a_live(3, open_circuit=[0, 1, 2])) == ["eligible"] * 3
    left = told(alike(3), live=a_live(3, open_circuit=[0, 1]), tried=[2, -1])
    assert left == ["eligible", "eligible", "already_tried"]


def test_a_half_open_breaker_lets_a_row_pass_unless_another_request_tries_its_provider():
    live = a_live(3, half_open=[0], open_circuit=[1])
    assert told(alike(3), live=live) == ["eligible", "circuit_open", "eligible"]
    assert told(alike(3), live=live, probed=0b001) == ["circuit_open", "circuit_open", "eligible"]
    assert told(alike(3), live=live, probed=0b110) == ["eligible", "circuit_open", "eligible"]
    assert told(alike(3), live=live, tried=[2, -1]) == ["eligible", "circuit_open", "already_tried"]
    none = told(alike(3), live=live, tried=[2, -1], probed=0b001)
    assert none == ["eligible", "eligible", "already_tried"]  # the last candidates stay


@pytest.mark.parametrize("column", ["input", "output"])
def test_an_arm_of_unknown_price_is_never_chosen(column):
    spec = alike(2, prices={column: (None, 1_000_000)})
    assert told(spec) == ["price_unknown", "eligible"]
    snapshot = compile_snapshot(spec)
    assert set(decide(snapshot, rows_of(snapshot, 200)).arm.tolist()) == {1}
    alone = compile_snapshot(alike(1, prices={column: (None,)}))
    assert decide(alone, rows_of(alone)).arm.item() == -1


def test_a_tenant_may_not_use_the_arms_it_is_denied():
    spec = alike(3, denied=("p1/m1", "gone/model"))
    assert told(spec, policy=1) == ["eligible", "not_allowed", "eligible"]
    assert told(spec, policy=0) == ["eligible"] * 3


def test_a_named_model_leaves_its_own_deployments():
    spec = alike(3, arms={"model": ("small", "large", "small")})
    large = compile_snapshot(spec).models["large"]
    assert told(spec, model=large) == ["other_model", "eligible", "other_model"]


def test_a_transcript_that_binds_a_family_leaves_that_family():
    spec = alike(3, arms={"family": ("a", "b", "a")})
    assert told(spec, family=compile_snapshot(spec).families["a"]) == ["eligible", "other_family", "eligible"]


def test_excluded_providers_are_turned_away_up_to_the_64th():
    snapshot = compile_snapshot(alike(3))
    assert told(alike(3), excluded=0b101) == ["provider_excluded", "eligible", "provider_excluded"]
    names = tuple(f"p{k:02d}/m" for k in range(64))
    spec = alike(64, arms={"arm": names, "provider": tuple(n[:3] for n in names)})
    assert told(spec, excluded=1 << 63) == ["eligible"] * 63 + ["provider_excluded"]
    assert len(snapshot.providers) == 3


def test_an_arm_that_failed_for_this_request_is_not_tried_again():
    assert told(alike(3), tried=[1, 1, -1]) == ["eligible", "already_tried", "eligible"]
    assert told(alike(3), tried=[2, 0, 1]) == ["already_tried"] * 3


@pytest.mark.parametrize("need", CAPABILITIES)
def test_a_needed_capability_must_be_known(need):
    other = capability_mask(tuple(c for c in CAPABILITIES if c != need))
    spec = alike(3, arms={"capabilities": (capability_mask(CAPABILITIES), other, 0)})
    assert told(spec, needs=capability_mask((need,))) == [
        "eligible",
        "capability_missing",
        "capability_missing",
    ]


def test_an_arm_whose_capabilities_no_source_states_serves_plain_chat_only():
    chat = capability_mask(("chat",))
    assert told(alike(1, arms={"capabilities": (chat,)}), needs=0) == ["eligible"]
    assert told(alike(1, arms={"capabilities": (chat,)}), needs=chat) == ["eligible"]
    tools = capability_mask(("function_calling", "chat"))
    assert told(alike(1, arms={"capabilities": (chat,)}), needs=tools) == ["capability_missing"]


def test_prompt_and_output_together_must_fit_the_window():
    spec = alike(2, arms={"context_window": (8_000, 8_001)})
    bound = {"prompt_bound": 7_000}
    assert told(spec, **bound, expected_output=1_001) == ["context_too_long", "eligible"]
    assert told(spec, **bound, expected_output=1, max_output=1_001) == ["context_too_long", "eligible"]
    assert told(spec, **bound, expected_output=5_000, max_output=1_000) == ["eligible"] * 2
    assert told(spec, **bound, expected_output=500, n_choices=50) == ["eligible"] * 2


def test_an_unknown_window_is_trusted_with_a_plain_chat_and_no_more():
    spec = alike(2, arms={"context_window": (None, 10**6)})
    short, long = UNKNOWN_CONTEXT - 500, UNKNOWN_CONTEXT - 499
    assert told(spec, prompt_bound=short) == ["eligible", "eligible"]
    assert told(spec, prompt_bound=long) == ["context_too_long", "eligible"]


def test_a_named_output_cap_must_be_within_the_arms_limit():
    spec = alike(3, arms={"output_limit": (999, 1_000, None)})
    assert told(spec, max_output=1_000) == ["output_too_long", "eligible", "eligible"]
    assert told(spec, max_output=0) == ["eligible"] * 3


def test_what_a_call_may_cost_at_most_must_be_under_its_ceiling():
    prices = {"input": (1_000_000, 1_000_001), "output": (2_000_000, 2_000_000)}
    spec = alike(2, prices=prices)
    ceiling = 2_000 * 1_000_000 + 100 * 3 * 2_000_000
    call = {"prompt_bound": 2_000, "max_output": 100, "n_choices": 3}
    assert told(spec, **call, ceiling_pico=ceiling) == ["eligible", "cost_over_ceiling"]
    assert told(spec, **call, ceiling_pico=ceiling - 1) == ["cost_over_ceiling"] * 2


def test_the_ceiling_counts_the_prices_above_the_threshold():
    prices = {"threshold": (1_000, None), "input_above": (9_000_000, None)}
    spec = alike(2, prices=prices)
    call = {"prompt_bound": 1_001, "expected_output": 100, "ceiling_pico": 2_000_000_000}
    assert told(spec, **call) == ["cost_over_ceiling", "eligible"]
    assert told(spec, **(call | {"prompt_bound": 1_000})) == ["eligible", "eligible"]


def test_the_ceiling_counts_every_token_of_the_prompt_as_written_to_the_cache_where_that_is_dearest():
    spec = alike(
        3, prices={"cache_write": (None, 1_250_000, 500_000), "cache_write_1h": (None, None, 900_000)}
    )
    call = {"prompt_bound": 1_000, "max_output": 100}
    at_input = 1_000 * 1_000_000 + 100 * 2_000_000
    assert told(spec, **call, ceiling_pico=at_input) == ["eligible", "cost_over_ceiling", "eligible"]
    assert told(spec, **call, ceiling_pico=at_input + 250_000_000) == ["eligible"] * 3


def test_the_first_rule_that_says_no_is_the_reason():
    spec = alike(1, prices={"input": (None,)}, denied=("p0/m0",))
    assert told(spec, policy=1, excluded=1, needs=2, prompt_bound=MAX_TOKENS) == ["price_unknown"]
    spec = alike(1, denied=("p0/m0",))
    assert told(spec, policy=1, excluded=1, needs=2, prompt_bound=MAX_TOKENS) == ["not_allowed"]
    assert told(spec, excluded=1, needs=2, prompt_bound=MAX_TOKENS) == ["provider_excluded"]
    assert told(spec, needs=2, prompt_bound=MAX_TOKENS) == ["capability_missing"]
