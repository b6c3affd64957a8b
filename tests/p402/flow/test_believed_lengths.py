"""What a snapshot believes of answers' lengths and what a worker measures are one expectation, told once."""

from msgspec import structs

from p402.flow.plan import expected_tokens, make_plan
from p402.routing.compiled import compile_snapshot
from p402.routing.live import RATIO_ONE
from p402.routing.scale import FEATURE_ONE
from tests.p402.flow.world import NOON, World, a_request, a_spec, a_tenant

ARM = "beta/large"


def with_ratio(times):
    spec = a_spec()
    ratio = [FEATURE_ONE * times if arm == ARM else FEATURE_ONE for arm in spec.arms.arm]
    return compile_snapshot(
        structs.replace(spec, posterior=structs.replace(spec.posterior, output_ratio=tuple(ratio)))
    )


def told(state, now_ms):
    """The live ratio of the arm once what is due has been logged."""
    delta = state.delta(now_ms)
    if delta is not None:
        state.apply(delta)
    if state.live.output_ratio is None:
        return 1.0
    return state.live.output_ratio.item(state.snapshot.index[ARM]) / RATIO_ONE


def measured(world, times):
    for _ in range(100):
        world.state.health.observe(ARM, NOON, failed=False, output=(200 * times, 200))


def planned(world):
    request = a_request(mode="quality", max_output=None)
    return make_plan("req_" + "0" * 32, request, a_tenant(baseline_model=None), world.state, 0)


def test_a_snapshot_that_knows_the_length_leaves_the_worker_nothing_to_tell():
    world = World()
    measured(world, 4)
    assert 3.3 <= told(world.state, NOON + 2_000) <= 4.0
    world.state.swap(with_ratio(4))
    assert told(world.state, NOON + 2_001) == 1.0, "the next request's delta tells it anew"
    measured(world, 4)
    assert told(world.state, NOON + 6_000) == 1.0
    world.state.swap(with_ratio(1))
    assert 3.3 <= told(world.state, NOON + 8_000) <= 4.0


def test_a_worker_tells_by_how_much_the_snapshot_is_wrong():
    world = World()
    world.state.swap(with_ratio(4))
    measured(world, 8)
    assert 1.6 <= told(world.state, NOON + 2_000) <= 2.0


def test_tokens_are_expected_by_belief_and_measurement_together():
    world = World()
    usual = planned(world)
    arm = world.snapshot.index[ARM]
    plain = expected_tokens(usual, world.state.live, arm)
    world.state.swap(with_ratio(4))
    believed = planned(world)
    assert expected_tokens(believed, world.state.live, arm) == 4 * plain
    measured(world, 8)
    told(world.state, NOON + 2_000)
    assert 6 * plain < expected_tokens(believed, world.state.live, arm) <= 8 * plain
