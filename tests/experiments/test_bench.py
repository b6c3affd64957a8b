"""The benches measure what they say: real processes, real sockets, and nothing left behind."""

import asyncio
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

from experiments import bench
from experiments.bench import (
    affinity,
    decided,
    decision,
    exploration,
    gateway,
    holds,
    kernel,
    observe,
    replay,
)
from experiments.bench.figure import Figure
from experiments.bench.gateway import Durations
from experiments.bench.load import Load, Shape, at_rate, closed
from p402.limits import HOLD_PREDICTED, HOLD_STRICT
from p402.routing.pricing import bound
from sim.replay.verify import verify

PLAIN = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
def upstream(tmp_path):
    ready = tmp_path / "ready"
    command = [
        sys.executable,
        "-m",
        "experiments.bench.upstream",
        "--ready-file",
        str(ready),
        "--max-seconds",
        "60",
    ]
    process = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 20
        while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        yield ready.read_text().strip()
    finally:
        process.terminate()
        process.wait(10)


def streamed(chunks: int, gap_ms: int) -> bytes:
    body = b'{"stream":true,"text":"bench chunks=%d gap_ms=%d"}' % (chunks, gap_ms)
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def test_a_closed_load_counts_every_answer_and_its_time(upstream):
    load = uvloop.run(closed(upstream, Shape(lambda _: PLAIN, b"}", b'"usage"'), 4, 0.3))
    assert load.sent == len(load.total_ms) == len(load.first_ms) > 20
    assert load.errors == 0
    assert all(0 < first <= total for first, total in zip(load.first_ms, load.total_ms, strict=True))


def test_an_open_load_sends_at_its_rate(upstream):
    load = uvloop.run(at_rate(upstream, Shape(lambda _: PLAIN, b"}"), 100, 1.0))
    assert (load.sent, load.errors) == (100, 0)
    assert 0.9 < load.seconds < 4


def test_spaced_chunks_come_one_by_one_and_the_first_at_once(upstream):
    load = uvloop.run(closed(upstream, Shape(lambda _: streamed(20, 5), b"data: [DONE]\n\n"), 1, 0.0))
    assert load.errors == 0
    assert load.total_ms[0] >= 100 > load.first_ms[0]


def test_an_answer_that_is_not_what_was_asked_is_an_error_and_says_why(upstream):
    load = uvloop.run(closed(upstream, Shape(lambda _: PLAIN, b"}", b"p402_metadata"), 2, 0.1))
    assert load.errors == load.sent > 0
    assert load.total_ms == []
    assert load.problem.startswith("status 200")


def test_a_connection_that_ends_within_an_answer_is_an_error():
    async def broken() -> Load:
        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12")
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await closed(f"http://127.0.0.1:{port}", Shape(lambda _: PLAIN, b""), 1, 0.0)

    load = asyncio.run(broken())
    assert (load.errors, load.sent) == (1, 1)


def test_quantiles_are_of_the_samples():
    load = Load()
    assert math.isnan(load.quantile([], 0.5))
    assert load.quantile([3.0, 1.0, 2.0, 4.0], 0.5) == 3.0
    assert load.quantile([3.0, 1.0, 2.0, 4.0], 0.99) == 4.0


def test_the_real_gateway_is_measured_without_an_error_and_stops():
    before = os.sched_getaffinity(0)
    found = gateway.measure(Durations(warm=0.2, cost=0.3, windows=2, chunks=1.0, latency=0.5))
    assert os.sched_getaffinity(0) == before
    figures = {figure.name: figure for figure in gateway.figures(found)}
    assert len(figures) == 18
    assert 5 < found.bare.cpu_us < found.cost[False, 16].cpu_us
    assert [load.problem for load in found.loads if load.errors] == []
    assert all(load.total_ms for load in found.loads)
    for cost in found.cost.values():
        assert 20 < cost.least_us <= cost.cpu_us < 20_000
    assert 0 < found.start_s < 60
    assert 20 < found.rss_mib < 1_000


def test_cpu_of_a_process_is_read_from_the_kernel():
    spin = "import time\nwhile time.process_time() < 0.5: pass\ninput()"
    process = subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while (used := sum(map(kernel.cpu_s, kernel.tree(process.pid)))) < 0.45:  # ticks are 10 ms
            assert time.monotonic() < deadline, used
            time.sleep(0.02)
    finally:
        process.communicate(b"\n", timeout=10)
    assert used < 1.0
    assert kernel.cpu_s(process.pid) == 0.0


def test_the_configuration_offers_three_hundred_arms_and_holds_no_key():
    text = gateway.configuration(Path("folder"), "http://127.0.0.1:1", "p402_live_secret")
    assert "p402_live_secret" not in text
    assert (
        sum(len(line.split(",")) for line in text.splitlines() if line.startswith("models = "))
        == gateway.ARMS
    )


def test_every_round_of_a_synthetic_observed_log_is_valued_and_bears_verification(tmp_path):
    figures = {figure.name: figure for figure in observe.measure(1_000)}
    assert figures["observed rounds in no figure"].value == 0
    assert figures["peak memory of observe"].value > 10
    observe.write(tmp_path / "log", tmp_path / "store", 200)
    found = verify(tmp_path / "log", tmp_path / "store", lambda _done, _total: None)
    assert (found.ok, found.decisions, found.attempts, found.outcomes) == (True, 200, 200, 200)


def test_a_synthetic_log_is_confirmed_by_replay_row_by_row():
    figures = {figure.name: figure for figure in replay.measure(1_000)}
    assert figures["rows that replay does not confirm"].value == 0
    assert figures["replay --verify, 1,000 rounds"].value > 100
    assert 10 < figures["log per million rounds"].value < 1024


def test_a_log_written_at_once_is_decided_as_it_was_by_any_number_of_processes(monkeypatch):
    monkeypatch.setattr(decided, "_installed", lambda: ["one", "two"])
    figures = {figure.name: figure for figure in decided.measure(5_000, 50)}
    assert all(figure.ok for figure in figures.values())
    assert figures["50 arms: choices unlike the logged ones, or missing"].value == 0
    assert figures["50 arms: results other than one process's"].value == 0
    assert figures["50 arms: what it does not confirm"].value == 0
    one = figures["from Parquet to decided, 50 arms, one process, of CPU"].value
    assert 0 < one < figures["50 arms: decide alone in it, of CPU"].value
    assert figures["50 arms: peak memory of one process"].value > 50


@pytest.mark.parametrize(
    ("value", "most", "least", "ok"),
    [
        (1, 2, None, True),
        (3, 2, None, False),
        (3, None, 2, True),
        (1, None, 2, False),
        (math.nan, 2, None, False),
    ],
)
def test_a_figure_is_held_to_its_gate(value, most, least, ok):
    assert Figure("x", value, "us", most=most, least=least).ok is ok


def test_decisions_are_measured_over_the_arms_they_say():
    made = decision.world(decision.MANY_ARMS)
    assert made.snapshot.n_arms >= decision.MANY_ARMS
    assert len(made.batch(7, 3)) == 7
    found = decision.measure(rows=2_000, block=500, tries=50)
    assert 5 < found["one_us"] < 50_000
    assert 1_000 < found["rate"] < 1e8
    assert found["mib"] >= 0


def test_an_unknown_bench_is_refused_before_anything_runs(capsys):
    assert bench.main(["gatewy"]) == 2
    assert "gateway" in capsys.readouterr().err


def test_a_missed_gate_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(replay, "run", lambda: [Figure("too slow", 2.0, "us", most=1.0)])
    assert bench.main(["replay"]) == 1
    assert "NO" in capsys.readouterr().out
    monkeypatch.setattr(replay, "run", lambda: [Figure("fast", 1.0, "us", most=1.0)])
    assert bench.main(["replay"]) == 0


def test_exploration_gives_up_no_more_score_than_its_rule_allows():
    cost = exploration.cost_of(24, "balanced", rows=200)
    assert 0.0 < cost.loss <= cost.gate
    assert cost.spend > 0.0
    assert 1.0 < cost.explored <= 24.0


@pytest.fixture(scope="module")
def days():
    """A day of thirty agents under a tenth of the cap, by both rules."""
    case = holds.Case("test", holds.DEAR, holds.log_normal)
    return {rule: holds.play(case, rule, 1, agents=30, cap_usd=300) for rule in (HOLD_STRICT, HOLD_PREDICTED)}


def test_predicted_holds_let_more_of_a_cap_be_used_before_they_stand_in_the_way(days):
    strict, predicted = days[HOLD_STRICT], days[HOLD_PREDICTED]
    assert 0.5 < strict.at_first < predicted.at_first <= predicted.at_refusal <= 1.0
    assert predicted.lowered < strict.lowered < strict.calls
    assert strict.predicted == strict.over == 0
    assert strict.spent <= 1.0
    assert predicted.spent < 1.01
    assert predicted.predicted > 300
    assert predicted.over_nano >= predicted.worst_nano >= 0


def test_the_first_refusal_comes_where_the_holds_in_flight_say(days):
    snapshot, tenant = holds._world(holds.DEAR, HOLD_STRICT, 30, 300)
    prices = snapshot.spec.prices
    cap = snapshot.spec.policy.default_max_output
    a_call = bound(prices, snapshot.index[holds.DEAR], holds.PROMPT_BYTES // 2 + 7, cap)
    held = 29 * a_call / tenant.limits.daily_cap_nano
    assert abs(days[HOLD_STRICT].at_first - (1.0 - held)) < 2 * a_call / tenant.limits.daily_cap_nano


def test_a_day_of_agents_is_the_same_for_the_same_seed(days):
    case = holds.Case("test", holds.DEAR, holds.log_normal)
    assert holds.play(case, HOLD_PREDICTED, 1, agents=30, cap_usd=300) == days[HOLD_PREDICTED]
    assert holds.play(case, HOLD_PREDICTED, 2, agents=30, cap_usd=300) != days[HOLD_PREDICTED]


def test_figures_of_holds_are_the_worst_of_their_seeds(days):
    case = holds.Case("test", holds.DEAR, holds.log_normal)
    found = {
        f.name: f for f in holds._figures(case, HOLD_PREDICTED, [days[HOLD_PREDICTED], holds.Day(calls=1)])
    }
    assert (
        found["cap used when holds first stood in the way, test, p99.9"].value
        == days[HOLD_PREDICTED].at_first
    )
    assert found["cap used in the end, test, p99.9"].value == days[HOLD_PREDICTED].spent
    assert found["calls that passed their hold, test, p99.9"].most == 0.001


def test_lengths_of_the_holds_bench_are_what_it_says():
    chance = holds.np.random.Generator(holds.np.random.Philox(1))
    drawn = sorted(holds.log_normal(chance, 0.0) for _ in range(20_000))
    assert abs(drawn[10_000] - holds.MEDIAN) < 15
    assert 5_300 < drawn[19_979] < 8_500
    assert max(holds.real(chance, 0.0) for _ in range(2_000)) > 4_000
    before, after = (
        holds.longer(holds.np.random.Generator(holds.np.random.Philox(2)), s) for s in (0.4, 0.6)
    )
    assert after == 3 * before


def test_affinity_saves_on_the_same_conversations_and_plays_the_same_twice():
    played = {rule: affinity.play("balanced", rule, sessions=40) for rule in affinity.RULES}
    assert affinity.play("balanced", "affinity", sessions=40) == played["affinity"]
    turns = {rule: [s.turns for s in sessions] for rule, sessions in played.items()}
    assert turns["affinity"] == turns["none"], "one conversation, three rules"
    saved, low, high = affinity.saving(played["affinity"], played["none"])
    assert 0 < low <= saved <= high < 1
    assert affinity.saving(played["none"], played["none"]) == (0.0, 0.0, 0.0)
    assert affinity._warm(played["affinity"]) > affinity._warm(played["none"])
    assert affinity._switched(played["affinity"]) < affinity._switched(played["none"])
