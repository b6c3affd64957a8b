"""What is counted, and that it cannot grow without bound."""

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from p402.errors import DiskFull
from p402.events import AttemptResult, Outcome, Refused
from serve.metrics.meter import CODES, LAYERS, Meter, MeteredLog
from serve.metrics.text import HELP, exposition, family_of, kind_of
from tests.p402.flow.world import DOLLAR, Play, World, a_tenant, broke


def outcome(**changes) -> Outcome:
    attempt = AttemptResult(arm="acme/m", status="ok", cost_nano=5_000, latency_ms=1.0)
    given = {
        "ts_ms": 1,
        "id": "req_1",
        "tenant": "default",
        "status": "ok",
        "arm": "acme/m",
        "attempts": [attempt],
        "cost_nano": 5_000,
        "direct_nano": None,
        "latency_ms": 300.0,
        "provider_latency_ms": 299.0,
        "overhead_ms": 1.0,
    } | changes
    return Outcome(**given)


def refused(code: str) -> Refused:
    return Refused(ts_ms=1, id="req_1", tenant="default", code=code, status=402, message="no")


def counted(world: World, meter: Meter) -> dict[str, float]:
    """Everything that is not 0 after the world's rounds, histograms apart."""
    found = {s: n for s, n in meter.collect().items() if n and not family_of(s).endswith("_seconds")}
    assert found.pop("p402_cost_usd_total{" + 'tenant="default"}', 0) == pytest.approx(
        sum(o.cost_nano for o in world.log.of(Outcome)) / DOLLAR
    )
    return found


def metered(*script: Play, **given) -> tuple[World, Meter]:
    world, meter = World(*script, **given), Meter(["default"])
    object.__setattr__(world.flow.ports, "log", MeteredLog(world.log, meter))
    return world, meter


def test_a_round_is_counted_once_with_each_of_its_attempts():
    world, meter = metered(Play(failure=broke()), Play())
    world.ask()
    away, served = (a.arm.split("/")[0] for a in world.outcome.attempts)
    assert counted(world, meter) == {
        'p402_requests_total{outcome="ok",code=""}': 1,
        f'p402_attempts_total{{provider="{away}",status="failed"}}': 1,
        f'p402_attempts_total{{provider="{served}",status="ok"}}': 1,
    }


def test_a_refusal_is_counted_by_its_layer_and_is_no_round():
    world, meter = metered(cap=1)
    world.ask()
    world.ask(tenant=a_tenant(max_request_nano=1))
    found = counted(world, meter)
    assert found['p402_guard_refusals_total{layer="2",code="DAILY_SPEND_LIMIT_EXCEEDED"}'] == 1
    assert sum(n for s, n in found.items() if s.startswith("p402_requests_total")) == 2
    assert all('outcome="refused"' in s for s in found if s.startswith("p402_requests_total"))


@pytest.mark.parametrize("code", ["SESSION_BUDGET_EXCEEDED", "API_KEY_BUDGET_EXCEEDED"])
def test_a_spent_budget_within_a_tenants_is_counted_beside_the_spent_day(code):
    world, meter = metered()
    world.flow.ports.log.append(refused(code))
    assert counted(world, meter) == {
        f'p402_requests_total{{outcome="refused",code="{code}"}}': 1,
        f'p402_guard_refusals_total{{layer="2",code="{code}"}}': 1,
    }


def test_a_round_under_way_is_in_flight_until_it_ends_however_it_ends():
    world, meter = metered(Play())
    seen = []
    asked = world.upstream.complete

    async def complete(call):
        seen.append(meter.collect()["p402_in_flight"])
        return await asked(call)

    world.upstream.complete = complete
    world.ask()
    world.upstream.script = [Play(raises=RuntimeError("ours"))]
    with pytest.raises(RuntimeError):
        world.ask()
    assert seen == [1, 1]
    assert meter.collect()["p402_in_flight"] == 0


def test_a_log_that_takes_no_row_is_counted_and_leaves_nothing_in_flight():
    world, meter = metered(Play())
    world.log.full = lambda event, number: isinstance(event, Outcome)
    world.ask()
    found = meter.collect()
    assert (found["p402_log_refusals_total"], found["p402_in_flight"]) == (1, 0)
    assert found['p402_requests_total{outcome="ok",code=""}'] == 1
    world.log.full = lambda event, number: True
    world.ask()
    found = meter.collect()
    assert (found["p402_log_refusals_total"], found["p402_in_flight"]) == (2, 0)


def test_costs_and_anomalies_are_a_tenants_own():
    meter = Meter(["default", "other"])
    meter.ended(outcome(cost_nano=3 * DOLLAR, anomaly_z=4.0))
    meter.ended(outcome(cost_nano=None, tenant="other"))
    found = meter.collect()
    assert found['p402_cost_usd_total{tenant="default"}'] == 3.0
    assert found['p402_anomalies_total{tenant="default"}'] == 1
    assert found['p402_cost_usd_total{tenant="other"}'] == found['p402_anomalies_total{tenant="other"}'] == 0
    assert found["p402_unpriced_total"] == 1


def test_words_that_nobody_foresaw_share_one_series():
    meter = Meter(["default"])
    before = len(meter.collect())
    for i in range(500):
        meter.ended(outcome(status="failed", code=f"A_CODE_{i}"))
        meter.refused(refused(f"ANOTHER_{i}"))
    found = meter.collect()
    assert found['p402_requests_total{outcome="failed",code="other"}'] == 500
    assert found['p402_requests_total{outcome="refused",code="other"}'] == 500
    assert len(found) == before + 3


def test_values_lie_in_the_bucket_whose_bound_they_reach():
    meter = Meter()
    for latency in (50.0, 50.001, 1e9):
        meter.ended(outcome(latency_ms=latency))
    found = meter.collect()
    assert found['p402_request_seconds_bucket{le="0.05"}'] == 1
    assert found['p402_request_seconds_bucket{le="0.1"}'] == 2
    assert found['p402_request_seconds_bucket{le="300"}'] == 2
    assert found['p402_request_seconds_bucket{le="+Inf"}'] == found["p402_request_seconds_count"] == 3
    assert found["p402_request_seconds_sum"] == pytest.approx(1_000_000.100001)


def test_another_reader_of_the_format_finds_what_was_counted():
    meter = Meter(["default"])
    meter.ended(outcome())
    meter.refused(refused("RATE_LIMIT_EXCEEDED"))
    meter.answered(200)
    numbers = meter.collect()
    families = list(text_string_to_metric_families(exposition(numbers).decode()))
    assert {s.name: s.labels for f in families for s in f.samples}
    read = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
    assert len(read) == len(numbers)
    assert sum(read.values()) == pytest.approx(sum(numbers.values()))
    assert read["p402_requests_total", (("code", ""), ("outcome", "ok"))] == 1
    kinds = {f.name: f.type for f in families}
    assert kinds["p402_requests"] == "counter"
    assert kinds["p402_request_seconds"] == "histogram"
    assert kinds["p402_in_flight"] == "gauge"
    assert all(f.documentation for f in families)


def test_whoever_may_be_told_nothing_by_help_is_typed_by_its_name():
    text = exposition({"p402_guard_lease_usd": 1.5, "p402_guard_calls_total": 2}).decode()
    assert text == (
        "# TYPE p402_guard_calls_total counter\np402_guard_calls_total 2\n"
        "# TYPE p402_guard_lease_usd gauge\np402_guard_lease_usd 1.5\n"
    )
    assert {kind_of(name) for name in HELP} == {"counter", "gauge", "histogram"}
    assert set(LAYERS) <= CODES


def test_counts_are_whole_while_another_thread_reads_them():
    meter = Meter(["default"])
    stop = threading.Event()
    faults = []

    def read() -> None:
        while not stop.is_set():
            try:
                meter.collect()
            except RuntimeError as error:  # a dictionary that changed while it was walked
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(20_000):
        meter.ended(outcome(tenant=f"tenant-{i % 500}", status=f"status-{i % 50}"))
    stop.set()
    reader.join()
    assert faults == []
    assert meter.collect()["p402_request_seconds_count"] == 20_000


def test_a_disk_that_is_full_is_still_told_to_the_flow():
    world, meter = metered(Play())
    world.log.full = lambda event, number: True
    with pytest.raises(DiskFull):
        MeteredLog(world.log, meter).append(outcome())
