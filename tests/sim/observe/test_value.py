"""Observed rounds of real flows, valued: what is counted, what is left out, what is not to be believed."""

import pytest

from p402.errors import StoreError
from p402.routing.spec import MODES
from p402.store.compactor import compact
from p402.store.reader import connect
from sim.observe import rounds as observed_rounds
from sim.observe.rounds import NothingObserved, Window
from sim.observe.value import observe
from sim.replay.window import Unfaithful
from sim.shown import json_of
from tests.sim.house import DOLLAR, PROMPTS, a_spec, a_tenant

SAME = {"large": 1.0, "small": 1.0}


def valued(house, *args, **kwargs):
    return observe(house.log, house.store, *args, **kwargs)


def codes(warnings):
    return {warning.partition(":")[0] for warning in warnings}


def test_what_was_paid_is_the_sum_of_the_logs_costs(seen_once):
    found = valued(seen_once.house)
    with connect(seen_once.house.log) as con:
        n, nano, first, last = con.execute(
            "SELECT count(*), sum(cost_nano)::BIGINT, min(ts_ms), max(ts_ms) FROM rounds WHERE observe"
        ).fetchone()
    assert (found.valued, found.rounds, found.sessions, found.excluded) == (n, n, 120, {})
    assert (found.first_ms, found.last_ms) == (first, last)
    assert [line.mode for line in found.lines] == list(MODES)
    for line in found.lines:
        assert line.paid_usd == pytest.approx(nano / DOLLAR, abs=1e-9)
        assert line.saving_usd == pytest.approx(line.paid_usd - line.cost_usd, abs=2e-9)
        assert line.saving == pytest.approx(line.saving_usd / line.paid_usd)
        assert line.saving_lower_usd <= line.saving_usd <= line.saving_upper_usd
        assert sum(line.models.values()) == pytest.approx(1)
    assert sum(found.called.values()) == n


def test_without_exploration_each_mode_costs_what_routing_it_on_would_have(tmp_path, traffic_of):
    """Lengths as expected and nothing random: the very requests, named and routed, bill for bill."""
    watched, costs = traffic_of(tmp_path / "off", SAME), {}
    watched.upstream.rng = None
    for k in range(40):
        watched.ask(("large", "small")[k % 4 == 0], PROMPTS[k % 3], f"s{k}", stream=k % 2 == 0)
    watched.house.close()
    for mode in ("cost", "quality", "balanced"):
        routed = traffic_of(tmp_path / mode, SAME)
        routed.upstream.rng = None
        tenant = a_tenant(route_named_models="on", exploration=False, default_mode=mode)
        told = [
            routed.ask(("large", "small")[k % 4 == 0], PROMPTS[k % 3], f"s{k}", tenant=tenant)
            for k in range(40)
        ]
        routed.house.close()
        costs[mode] = sum(answer.cost_nano for answer in told) / DOLLAR
    for line in valued(watched.house).lines:
        if line.mode in costs:
            assert line.cost_usd == pytest.approx(costs[line.mode], abs=1e-7)


def test_a_session_is_valued_as_if_it_had_been_routed_from_its_start(tmp_path, traffic_of):
    """The named model's warm cache does not hold a later turn back from where the first one goes."""
    watched = traffic_of(tmp_path, SAME, switch_cost=1.0)
    for turn in range(6):
        watched.ask("large", PROMPTS[3], "one", stream=turn % 2 == 0)
    watched.house.close()
    with connect(watched.house.log) as con:
        warm = con.execute("SELECT count(*) FROM rounds WHERE inputs.previous_arm LIKE '%large'").fetchone()
    assert warm == (5,)
    line = valued(watched.house, modes=("cost",)).lines[0]
    assert line.changed == 1.0
    assert line.saving_lower_usd is None


def test_a_tenants_exploration_is_in_the_figures_by_its_propensities(seen_once):
    (line,) = valued(seen_once.house, modes=("balanced",)).lines
    with connect(seen_once.house.log) as con:
        explored = con.execute(
            "SELECT count(*) FROM rounds WHERE observe AND n_explored > 1 AND inputs.previous_arm IS NULL"
        ).fetchone()
    assert explored[0] > 50
    assert 0.0 < line.models["large"] < 1.0


def test_failed_and_unpriced_rounds_are_counted_and_in_no_figure(tmp_path, traffic_of, edit):
    traffic = traffic_of(tmp_path, SAME)
    traffic.upstream.failing = 40
    traffic.sessions_of(60)
    strip = iter(range(10**6))

    def change(event):
        if event["kind"] == "outcome" and event["status"] == "ok":
            k = next(strip)
            if k == 0:
                return None
            if k < 4:
                event["cost_nano"] = event["attempts"][0]["cost_nano"] = None
        return event

    edit(traffic.house.log, change)
    found = valued(traffic.house)
    with connect(traffic.house.log) as con:
        failed, known, rounds = con.execute(
            "SELECT count(*) FILTER (status = 'failed'), "
            "sum(cost_nano) FILTER (status = 'ok')::BIGINT, count(*) FROM rounds"
        ).fetchone()
    assert failed > 10
    assert found.excluded == {"failed": failed, "unended": 1, "unpriced": 3}
    assert found.rounds == rounds == found.valued + failed + 4
    assert found.lines[0].paid_usd == pytest.approx(known / DOLLAR, abs=1e-9)
    assert {"excluded", "price_unknown", "simulated", "short_window"} <= codes(found.warnings)


def test_billed_failures_before_an_answer_stay_in_both_sums(tmp_path, traffic_of):
    traffic = traffic_of(tmp_path, SAME)
    traffic.upstream.failing, traffic.upstream.fail_over = 20, True
    for k in range(100):
        traffic.ask("large", PROMPTS[0], f"s{k}")
    traffic.house.close()
    with connect(traffic.house.log) as con:
        retried, lost, cost, served = con.execute(
            "SELECT count(*) FILTER (n_attempts > 1), "
            "sum(attempts[1].cost_nano) FILTER (n_attempts > 1)::BIGINT, sum(cost_nano)::BIGINT, "
            "sum(attempts[-1].cost_nano)::BIGINT FROM rounds WHERE status = 'ok'"
        ).fetchone()
    assert retried > 10
    assert cost - served == lost > 0
    line = valued(traffic.house, modes=("cost",)).lines[0]
    assert line.paid_usd == pytest.approx(cost / DOLLAR, abs=1e-9)
    assert line.cost_usd > lost / DOLLAR


def test_what_was_not_observed_is_in_no_figure_but_teaches_lengths(tmp_path, traffic_of):
    traffic = traffic_of(tmp_path, {"large": 1.0, "small": 2.0}, large_share=1.0)
    routed = a_tenant(route_named_models="on", exploration=False, default_mode="cost")
    for k in range(100):
        traffic.session()
        traffic.ask(None, PROMPTS[k % 4], f"routed-{k}", tenant=routed)
    traffic.house.close()
    found = valued(traffic.house, modes=("cost",))
    assert found.called == {"large": found.valued}
    (line,) = found.lines
    assert line.assumed_lengths < 0.4
    with connect(traffic.house.log) as con:
        assert con.execute("SELECT count(*) FROM rounds WHERE NOT observe").fetchone() == (100,)


def test_lengths_that_were_measured_narrow_the_bounds(tmp_path, traffic_of):
    verbosity = {"large": 1.0, "small": 1.6}
    blind = traffic_of(tmp_path / "blind", verbosity, large_share=1.0).sessions_of(150)
    taught = traffic_of(tmp_path / "taught", verbosity, large_share=0.7).sessions_of(150)
    wide, narrow = (valued(t.house, modes=("cost",)).lines[0] for t in (blind, taught))
    assert (wide.assumed_lengths, "assumed_lengths" in codes(wide.warnings)) == (1.0, True)
    assert "assumed_lengths" not in codes(narrow.warnings)
    reach = [line.saving_upper - line.saving_lower for line in (wide, narrow)]
    assert reach[1] < reach[0] / 2


def test_a_cached_prompt_is_taken_to_be_cached_elsewhere_and_that_is_said(tmp_path, traffic_of):
    traffic = traffic_of(tmp_path, SAME)
    traffic.upstream.cached = 0.5
    found = valued(traffic.sessions_of(30).house, modes=("cost",))
    (line,) = found.lines
    assert "prompt_cache" in codes(found.warnings)
    assert line.saving_uncached_usd < line.saving_usd


def test_few_rounds_and_sessions_are_said(tmp_path, traffic_of):
    found = valued(traffic_of(tmp_path, SAME).sessions_of(5).house)
    assert {"few_rounds", "few_sessions", "short_window"} <= codes(found.warnings)


def test_a_day_of_many_sessions_has_nothing_against_it_but_what_is_simulated(tmp_path, traffic_of):
    traffic = traffic_of(tmp_path, SAME)
    for _ in range(110):
        traffic.session(gap_ms=600_000)
    traffic.house.close()
    assert codes(valued(traffic.house).warnings) == {"simulated"}


def test_tasks_add_up_to_the_whole(seen_once):
    found = valued(seen_once.house, modes=("cost",), by_task=True)
    (whole,) = found.lines
    assert [line.task for line in found.by_task] == ["chat", "code", "math", "summary"]
    for name in ("rounds", "paid_usd", "cost_usd", "saving_usd"):
        assert sum(getattr(line, name) for line in found.by_task) == pytest.approx(
            getattr(whole, name), abs=1e-8
        )
    assert found.by_task[0].models == {}


def test_one_mode_alone_gives_the_figures_it_gives_beside_others(seen_once):
    assert valued(seen_once.house, modes=("quality",)).lines[0] == valued(seen_once.house).lines[1]


def test_same_input_same_bytes_compacted_or_not(tmp_path, traffic_of):
    house = traffic_of(tmp_path, {"large": 1.0, "small": 1.5}, exploration=True).sessions_of(80).house
    first = json_of(valued(house, by_task=True))
    assert json_of(valued(house, by_task=True)) == first
    compact(house.log)
    assert json_of(valued(house, by_task=True)) == first


@pytest.mark.parametrize("size", [10, 100])
def test_a_log_read_in_parts_gives_the_figures_of_the_whole(seen_once, monkeypatch, size):
    whole = valued(seen_once.house)
    monkeypatch.setattr(observed_rounds, "PART_ROWS", size)
    parts = valued(seen_once.house)
    assert parts.valued == whole.valued
    for a, b in zip(parts.lines, whole.lines, strict=True):
        assert a.cost_usd == pytest.approx(b.cost_usd, abs=2e-9)
        assert a.saving_lower_usd == pytest.approx(b.saving_lower_usd, abs=2e-9)


def test_a_window_and_a_tenant_choose_rounds(seen_once):
    house, whole = seen_once.house, valued(seen_once.house)
    middle = (whole.first_ms + whole.last_ms) // 2
    before, after = (valued(house, Window(None, *bounds)) for bounds in ((None, middle), (middle, None)))
    assert before.valued + after.valued == whole.valued
    assert before.last_ms < middle <= after.first_ms
    assert valued(house, Window(tenant="acme")).valued == whole.valued


def test_a_log_whose_choices_do_not_replay_is_not_valued(tmp_path, traffic_of, edit):
    traffic = traffic_of(tmp_path, SAME).sessions_of(5)

    def change(event):
        if event["kind"] == "decision":
            event["count"] -= 1
        return event

    edit(traffic.house.log, change)
    with pytest.raises(Unfaithful, match="replay --verify"):
        valued(traffic.house)


def test_rounds_whose_live_state_is_lost_are_counted(tmp_path, traffic_of, edit):
    traffic = traffic_of(tmp_path, SAME).sessions_of(10)
    found = valued(traffic.house)
    assert edit(traffic.house.log, lambda e: None if e["kind"] == "live" and e["seq"] == 2 else e) == 1
    without = valued(traffic.house)
    assert without.excluded["unreplayable"] == found.valued - without.valued > 0
    assert without.rounds == found.rounds
    assert "excluded" in codes(without.warnings)


def test_a_missing_snapshot_is_said(tmp_path, traffic_of):
    traffic = traffic_of(tmp_path, SAME).sessions_of(2)
    for path in traffic.house.store.glob("prices/*/*.json"):
        path.unlink()
    with pytest.raises(StoreError, match="prices"):
        valued(traffic.house)


class TestNothingToValue:
    def test_an_empty_log_says_that_traffic_is_needed(self, house):
        house.worker("w", house.stored(a_spec()))
        house.close()
        with pytest.raises(NothingObserved, match="no round yet; expected traffic"):
            valued(house)

    def test_a_log_without_observed_rounds_says_how_to_get_some(self, tmp_path, traffic_of):
        traffic = traffic_of(tmp_path, SAME, word="off").sessions_of(3)
        with pytest.raises(NothingObserved, match=r'none of .* was observed.*route_named_models = "observe"'):
            valued(traffic.house)

    def test_an_unknown_tenant_is_told_the_nearest(self, seen_once):
        with pytest.raises(NothingObserved, match=r"no tenant 'acne'.*acme"):
            valued(seen_once.house, Window(tenant="acne"))

    def test_an_empty_window_is_said(self, seen_once):
        with pytest.raises(NothingObserved, match=r"in the window.*--since"):
            valued(seen_once.house, Window(until_ms=5))

    def test_rounds_that_all_failed_are_counted_by_why(self, tmp_path, traffic_of):
        traffic = traffic_of(tmp_path, SAME)
        traffic.upstream.failing = 100
        for k in range(4):
            traffic.ask("large", PROMPTS[0], f"s{k}")
        traffic.house.close()
        with pytest.raises(NothingObserved, match="found 4 failed"):
            valued(traffic.house)
