"""What a snapshot accepts, what it refuses, and how it is named."""

from dataclasses import fields

import msgspec
import numpy as np
import pytest
from worlds import a_batch, a_mode, a_policy, a_snapshot, a_spec, alike, any_world

from p402.errors import ConfigError
from p402.routing.compiled import (
    COMPONENTS,
    MAX_OPTIMISM,
    MAX_THETA,
    compile_snapshot,
    from_parts,
    identify,
    parts_of,
)
from p402.routing.decide import decide
from p402.routing.modes import CHAIN_STEP, MAX_HALF, MAX_LEAN, mode_table
from p402.routing.pricelist import MAX_PRICE_PICO
from p402.routing.scale import EXACT, PARAM_ONE, param
from p402.routing.spec import TenantPolicy, Tenants
from p402.store.components import ComponentStore


def refused(spec):
    with pytest.raises(ConfigError) as error:
        compile_snapshot(spec)
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"n_arms": 0}, "no arms"),
        ({"arms": {"arm": ("b/m", "a/m", "c/m")}}, "ascending"),
        ({"arms": {"arm": ("a/m", "a/m", "c/m")}}, "unique"),
        ({"arms": {"family": ("f",)}}, "arms.family has 1 rows"),
        ({"prices": {"output_above": ()}}, "prices.output_above has 0 rows"),
        ({"prices": {"cache_write": (1, 2)}}, "prices.cache_write has 2 rows"),
        ({"prices": {"cache_write_1h": (1, MAX_PRICE_PICO + 1, 1)}}, "prices.most lie in"),
        ({"prices": {"contract": (True,)}}, "prices.contract has 1 rows"),
        ({"posterior": {"quality_source": ("prior",) * 4}}, "posterior.quality_source has 4 rows"),
        ({"posterior": {"features": ()}}, "no features or no tasks"),
        ({"posterior": {"tasks": ()}}, "no features or no tasks"),
        ({"posterior": {"theta": ((1,), (1, 2), (1,))}}, "posterior.theta must have 1 columns"),
        ({"posterior": {"sd": ((1,), (), (1,))}}, "posterior.sd must have 1 columns"),
        ({"posterior": {"theta": ((0,), (-MAX_THETA - 1,), (0,))}}, "posterior.theta of p1/m1 adds up to"),
        ({"posterior": {"sd": ((0,), (-1,), (0,))}}, "posterior.sd"),
        ({"posterior": {"sd": ((0,), (2 * MAX_OPTIMISM + 4,), (0,))}}, "a product of at most 16"),
        ({"policy": {"beta": -1}}, "policy beta"),
        ({"posterior": {"output_ratio": (1, -1, 1)}}, "posterior.output_ratio lies in"),
        ({"posterior": {"ttft_ms": (1, -1, 1)}}, "posterior.ttft_ms lies in"),
        ({"arms": {"capabilities": (1, 1 << 7, 1)}}, "arms.capabilities lies in"),
        ({"prices": {"input": (1, -1, 1)}}, "prices.input lie in"),
        ({"prices": {"output": (1, MAX_PRICE_PICO + 1, 1)}}, "prices.output lie in"),
        ({"prices": {"cache_read": (1, MAX_PRICE_PICO + 1, 1)}}, "prices.cache_read lie in"),
        (
            {"prices": {"output": (MAX_PRICE_PICO,) * 3}, "posterior": {"output_ratio": (4096, 4096, 4100)}},
            "prices.expected lie in",
        ),
        (
            {"prices": {"threshold": (9, None, None), "input_above": (MAX_PRICE_PICO + 1, None, None)}},
            "prices.input_above lie in",
        ),
        ({"policy": {"variants": ()}}, "no variant"),
        ({"policy": {"variants": ((a_mode(),) * 3,)}}, "has 3 modes"),
        ({"policy": {"salt": -1}}, "policy salt is -1"),
        ({"policy": {"salt": 1 << 64}}, "policy salt"),
        ({"policy": {"cost_half_pico": 999}}, "policy cost_half_pico"),
        ({"policy": {"cost_half_pico": 1000 * (MAX_HALF + 1)}}, "policy cost_half_pico"),
        ({"policy": {"ttft_half_ms": 0}}, "policy ttft_half_ms is 0"),
        ({"policy": {"switch_cost": MAX_LEAN + 1}}, "policy switch_cost"),
        ({"policy": {"prefer_bonus": -1}}, "policy prefer_bonus"),
        ({"policy": {"set_size": 0}}, "policy set_size is 0"),
        ({"mode": {"cost_ratio": PARAM_ONE - 1}}, "cost_ratio of cost"),
        ({"policy": {"default_max_output": 0}}, "policy default_max_output"),
        ({"mode": {"quality": -0.1}}, "weights of cost"),
        ({"mode": {"quality": 1.0, "cost": 0.9, "speed": 0.2}}, "together at most 2"),
        ({"mode": {"tolerance": -1}}, "tolerance of cost is -1"),
        ({"mode": {"tolerance": CHAIN_STEP // PARAM_ONE}}, "tolerance of cost"),
        ({"mode": {"loss_cap": 0}}, "loss_cap of cost is 0"),
        ({"mode": {"floor": -1}}, "floor of cost is -1"),
        ({"mode": {"floor": PARAM_ONE + 1}}, "floor of cost"),
    ],
)
def test_a_value_out_of_bounds_does_not_compile_and_the_message_names_it(changes, complaint):
    assert complaint in refused(alike(**changes))


def test_more_providers_than_a_word_has_bits_do_not_compile():
    names = tuple(f"p{k:02d}/m" for k in range(65))
    spec = alike(65, arms={"arm": names, "provider": tuple(n[:3] for n in names)})
    assert "65 providers" in refused(spec)


@pytest.mark.parametrize("policies", [(), (TenantPolicy(name="a", denied=()),) * 2])
def test_tenant_policies_have_names_of_their_own_and_there_is_one(policies):
    spec = msgspec.structs.replace(alike(), tenants=Tenants(policies=policies))
    assert "tenant policies are" in refused(spec)


def test_everything_at_its_bounds_still_compiles_and_stays_exact():
    spec = alike(
        2,
        prices={"input": (MAX_PRICE_PICO, 0), "output": (MAX_PRICE_PICO, 0)},
        posterior={"theta": ((MAX_THETA,), (-MAX_THETA,)), "sd": ((MAX_OPTIMISM,), (0,))},
        policy={
            "beta": PARAM_ONE,
            "cost_half_pico": 1000 * MAX_HALF,
            "switch_cost": MAX_LEAN,
            "prefer_bonus": MAX_LEAN,
        },
        mode={"quality": 2.0, "cost": 0.0, "chain": ("p0/m0",)},
    )
    snapshot = compile_snapshot(spec)
    weight, step = snapshot.modes.columns[0, 0], snapshot.modes.chain.max()
    most = weight * (4 * MAX_THETA + MAX_OPTIMISM) + 4 * MAX_LEAN * PARAM_ONE
    assert 2 * most < CHAIN_STEP
    assert step + 2 * most < EXACT
    tokens = 1 << 21
    assert 2 * tokens * (MAX_PRICE_PICO + MAX_HALF) <= EXACT


def test_rules_of_custom_weights_are_those_of_balanced_mode():
    policy = a_policy(variants=((*(a_mode() for _ in range(3)), a_mode(tolerance=param(0.7), chain=("a",))),))
    table = mode_table(policy, {"a": 0, "b": 1})
    assert table.rows[4] == table.rows[3] != table.rows[2]
    assert table.chain[4].tolist() == table.chain[3].tolist() == [15 * CHAIN_STEP, 0]
    assert not table.chain[:3].any()


def test_arrays_are_the_components_and_nothing_else():
    for seed in range(5):
        snapshot, _ = any_world(seed, 1)
        again = from_parts(parts_of(snapshot.spec))
        assert again.spec == snapshot.spec
        assert again.id == snapshot.id
        for field in fields(snapshot):
            one, two = getattr(snapshot, field.name), getattr(again, field.name)
            if isinstance(one, np.ndarray):
                assert np.array_equal(one, two)
                assert one.dtype == two.dtype


def test_a_snapshot_read_back_decides_the_same():
    snapshot = a_snapshot(40, seed=3)
    batch = a_batch(snapshot, 200)
    one, two = decide(snapshot, batch), decide(from_parts(parts_of(snapshot.spec)), batch)
    assert one.snapshot_id == two.snapshot_id
    assert np.array_equal(one.arm, two.arm)
    assert np.array_equal(one.count, two.count)


def test_the_id_is_the_one_under_which_the_store_keeps_the_components(tmp_path):
    store = ComponentStore(tmp_path)
    snapshot = a_snapshot(24)
    parts = parts_of(snapshot.spec)
    assert store.put_snapshot(parts) == snapshot.id == identify(parts)
    assert from_parts(store.get_snapshot(snapshot.id)).id == snapshot.id


def test_components_keep_their_id_when_their_bytes_are_of_an_older_writer():
    parts = parts_of(a_spec(4))
    spaced = msgspec.json.format(parts["policy"], indent=2)
    parts["policy"] = spaced
    assert from_parts(parts).id == identify(parts)


def test_a_snapshot_from_before_cache_writes_had_prices_keeps_its_bytes_its_id_and_its_bounds():
    spec = alike(2, prices={"cache_read": (3_000_000, None)})
    columns = (
        "input", "cache_read", "output", "threshold", "input_above", "cache_read_above", "output_above",
    )  # fmt: skip
    assert parts_of(spec)["prices"] == msgspec.json.encode({n: getattr(spec.prices, n) for n in columns})
    old = from_parts(parts_of(spec))
    assert old.spec.prices.cache_write == old.spec.prices.contract == ()
    assert old.prices.base.most.tolist() == old.prices.base.input.tolist()


def test_a_prompts_dearest_token_is_the_dearest_of_input_and_both_writes_in_each_tier():
    prices = {
        "input": (100, 100, 100, 100),
        "threshold": (10, 10, None, 10),
        "input_above": (200, 200, None, None),
        "cache_write": (125, 90, None, 125),
        "cache_write_1h": (None, None, 300, None),
        "cache_write_above": (250, None, None, None),
        "cache_write_1h_above": (400, None, None, None),
    }
    found = compile_snapshot(alike(4, prices=prices)).prices
    assert found.base.most.tolist() == [125, 100, 300, 125]
    assert found.above.most.tolist() == [400, 200, 300, 125]
    assert found.dearest[0] == 400


@pytest.mark.parametrize("part", sorted(COMPONENTS))
def test_the_id_changes_with_every_component(part):
    spec = a_spec(4)
    value = getattr(spec, part)
    changed = {
        "arms": lambda: msgspec.structs.replace(value, simulated=(True,) * 4),
        "prices": lambda: msgspec.structs.replace(value, cache_read=(1,) * 4),
        "posterior": lambda: msgspec.structs.replace(value, quality_source=("bench",) * 4),
        "policy": lambda: msgspec.structs.replace(value, default_max_output=4097),
        "tenants": lambda: Tenants(policies=(TenantPolicy(name="default", denied=("p00/m000",)),)),
    }[part]()
    other = msgspec.structs.replace(spec, **{part: changed})
    ids = {compile_snapshot(spec).id, compile_snapshot(other).id}
    assert len(ids) == 2
    assert all(len(i) == 64 for i in ids)


@pytest.mark.parametrize("part", sorted(COMPONENTS))
@pytest.mark.parametrize("damage", [b"", b"{}", b"[1, 2]", b'{"arm": 3', b"\xff\xfe", b"null"])
def test_a_corrupt_component_is_an_error_that_names_it(part, damage):
    parts = parts_of(a_spec(4)) | {part: damage}
    with pytest.raises(ConfigError, match=f"component `{part}` cannot be read"):
        from_parts(parts)


def test_an_absent_component_is_an_error_that_names_it():
    parts = parts_of(a_spec(4))
    del parts["prices"]
    with pytest.raises(ConfigError, match="lacks its components \\['prices'\\]"):
        from_parts(parts)


def test_a_component_that_does_not_fit_the_others_does_not_compile():
    parts = parts_of(a_spec(4)) | {"prices": parts_of(a_spec(5))["prices"]}
    with pytest.raises(ConfigError, match="input has 5 rows"):
        from_parts(parts)
