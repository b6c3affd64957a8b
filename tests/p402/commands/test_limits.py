"""`p402 limits suggest` and `p402 log holds`, over logs that the flow wrote or might have."""

import json
import re
import tomllib
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from p402.commands import demand as demand_module
from p402.commands.demand import demands
from p402.commands.limits import main, toml
from p402.commands.log import main as log_main
from p402.events import Event, Outcome, Refused
from p402.guard.sizing import by_demand
from p402.limits import HOLD_PREDICTED
from p402.ports import Usage
from p402.settings import read_settings
from p402.store.segments import SEALED
from p402.store.writer import LogWriter
from tests.p402.commands.test_log import NOON, decision, outcome
from tests.p402.flow.world import DOLLAR, Play, World, a_request, a_tenant


def write(root, events):
    with LogWriter(root, "w0", lambda: NOON) as writer:
        for event in events:
            writer.append(event)
    return root


def refusal(i, code, ts_ms=NOON):
    return Refused(ts_ms=ts_ms, id=f"req_{i + 10**6:032x}", tenant="t", code=code, status=429, message="no")


def rounds(times, latency_ms=1_000.0, **kw):
    """Rounds that begin at those ms after noon."""
    for i, ms in enumerate(times):
        yield msgspec.structs.replace(decision(i, "cost"), ts_ms=NOON + ms)
        yield msgspec.structs.replace(
            outcome(i), ts_ms=NOON + ms + int(latency_ms), latency_ms=latency_ms, cost_nano=i + 1, **kw
        )


@pytest.fixture
def log(tmp_path):
    times = [0, 500, 900, 1_500, 4_000_000, 90_000_000]
    return write(
        tmp_path / "log",
        [
            *rounds(times, fee_nano=1),
            refusal(0, "RATE_LIMIT_EXCEEDED"),
            refusal(1, "BUDGET_RESERVATION_FAILED"),
        ],
    )


def test_peaks_are_of_any_hour_any_moment_and_any_day(log):
    (found,) = demands(log).values()
    assert (found.days, found.requests) == (2, 8)
    assert found.peak_hour == 6  # four rounds and two refusals; the fifth came more than an hour later
    assert found.peak_in_flight == 3  # the fourth began when the second ended, the first was gone
    assert found.peak_day_nano == sum(range(1, 6)) + 5
    assert (found.p99_nano, found.dearest_nano) == (7, 7)
    assert (found.refused_rate, found.refused_slots, found.refused_money) == (1, 0, 1)
    assert found.peak_held_nano is None  # an older log: its outcomes tell no holds


def test_what_is_printed_is_evidence_and_settings_that_read_back(log, capsys):
    assert main(["suggest", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    assert "peak hour 6" in said
    assert "days 2, requests 8" in said
    assert "no whole week was seen" in said
    assert "limits refused 1 requests by rate" in said
    document = tomllib.loads(said.partition("For p402.toml:")[2], parse_float=Decimal)
    found = read_settings(document, {}).tenants["t"]
    assert found.requests_per_hour == 12
    assert found.max_in_flight == 6
    assert found.hold == "strict"


def test_json_has_the_same_with_every_figure(log, capsys):
    assert main(["suggest", "--log", str(log), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["t"]
    assert (told["requests_per_hour"], told["headroom"]) == (12, 2.0)
    assert told["evidence"]["peak_hour"] == 6
    assert told["evidence"]["dearest_usd"] == 7e-9
    assert told["evidence"]["peak_held_usd"] is None


def test_an_unknown_tenant_is_answered_with_the_nearest_and_all(log, capsys):
    assert main(["suggest", "--log", str(log), "--tenant", "tt"]) == 1
    assert re.search(
        r"found 'tt', of which .* has no request; did you mean `t`\?.* it has t$", capsys.readouterr().err
    )


def test_an_empty_log_and_a_missing_one_say_what_to_do(tmp_path, capsys):
    (tmp_path / "empty" / SEALED).mkdir(parents=True)
    assert main(["suggest", "--log", str(tmp_path / "empty")]) == 1
    assert "has no requests yet" in capsys.readouterr().err
    assert main(["suggest", "--log", str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().err


def test_the_log_is_the_configured_one(log, tmp_path, capsys, monkeypatch):
    config = tmp_path / "p402.toml"
    config.write_text(f'[server]\nlog = "{log}"\n')
    assert main(["suggest", "--config", str(config)]) == 0
    monkeypatch.chdir(tmp_path)
    assert main(["suggest"]) == 0
    config.unlink()
    assert main(["suggest"]) == 1
    assert "var/p402/log is no folder" in capsys.readouterr().err
    monkeypatch.setenv("P402_SERVER_LOG", str(log))
    assert main(["suggest"]) == 0


@pytest.mark.parametrize(("per", "cap"), [("month", "96.774193"), ("day", "3000")])
def test_a_sum_sizes_limits_without_a_log(tmp_path, capsys, monkeypatch, per, cap):
    monkeypatch.chdir(tmp_path)
    assert main(["suggest", "--spend", "3000", "--per", per, "--tenant", "a.b"]) == 0
    document = tomllib.loads(capsys.readouterr().out.partition("For p402.toml:")[2], parse_float=Decimal)
    assert read_settings(document, {}).tenants["a.b"].daily_cap_usd == Decimal(cap)


@pytest.mark.parametrize("spend", ["0", "-1", "much", "nan", "inf", "1e400", "0.00000001"])
def test_a_sum_that_is_none_is_refused(capsys, spend):
    assert main(["suggest", f"--spend={spend}"]) == 1
    assert "expected USD above 0" in capsys.readouterr().err


def test_a_sum_and_a_log_are_two_ways(log, capsys):
    assert main(["suggest", "--spend", "1", "--log", str(log)]) == 1
    assert "leave one out" in capsys.readouterr().err


def test_a_snippet_quotes_a_name_that_toml_would_split(log):
    (found,) = demands(log).values()
    assert toml("a.b", by_demand(found)).startswith('[tenants."a.b"]')


@pytest.fixture
def flowed(tmp_path, monkeypatch):
    """A log that the flow wrote with predicted holds, which here need only 40 answers; two were too long."""
    monkeypatch.setattr("p402.guard.lengths.NEEDED", (40,))
    outputs = [100 + i % 7 for i in range(60)]
    outputs[50], outputs[55] = 300, 700
    world = World(*[Play(usage=Usage(20, n)) for n in outputs])
    tenant = a_tenant(hold=HOLD_PREDICTED, fee_bps=100)
    for _ in outputs:
        world.ask(a_request(max_output=None, mode="quality"), tenant)
        world.clock.ms += 1_000
    return world, write(tmp_path / "flowed", [event for event in world.journal if isinstance(event, Event)])


def test_holds_played_over_again_from_the_log_are_those_of_the_flow(flowed):
    world, log = flowed
    rows = world.log.of(Outcome)
    (found,) = demands(log).values()
    assert found.predicted == sum(row.bound_nano is not None for row in rows) == 20
    assert found.overshot == 2
    over = [row.cost_nano + row.fee_nano - row.hold_nano for row in rows if row.bound_nano is not None]
    assert found.overshoot_nano == sum(nano for nano in over if nano > 0)
    assert found.peak_held_nano == max(row.bound_nano or row.hold_nano for row in rows)
    assert found.peak_predicted_nano == rows[0].hold_nano  # strict, until enough were seen


def test_holds_and_what_passed_them_are_counted_by_tenant_and_rule(flowed, capsys, monkeypatch):
    world, log = flowed
    monkeypatch.setenv("COLUMNS", "120")
    assert log_main(["holds", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    lines = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in said.splitlines()
        if "│ default" in line
    ]
    rows = [row for row in world.log.of(Outcome) if row.bound_nano is not None]
    over = [max(row.cost_nano + row.fee_nano - row.hold_nano, 0) for row in rows]
    freed = sum(row.bound_nano - row.hold_nano for row in rows)
    usd = [f"{nano / DOLLAR:.6f}" for nano in (sum(over), max(over), freed)]
    assert lines == [
        ["default", "strict", "40", "0", "0.000%", "0.000000", "0.000000", "0.000000"],
        ["default", "p99.9", "20", "2", "10.000%", *usd],
    ]


def test_a_log_without_holds_says_so(log, capsys):
    assert log_main(["holds", "--log", str(log)]) == 0
    assert "no outcome of this log tells" in capsys.readouterr().out


def test_a_round_that_never_ended_is_asked_for_and_not_played(tmp_path):
    (found,) = demands(write(tmp_path / "log", [decision(0, "cost")])).values()
    assert (found.requests, found.peak_in_flight, found.peak_hour, found.dearest_nano) == (1, 0, 1, 0)
    assert by_demand(found).max_in_flight == 1


def test_windows_are_open_at_their_older_end():
    most = demand_module._most_within
    assert most(np.array([], dtype=np.int64), 10) == 0
    assert most(np.array([0, 10, 19, 20]), 10) == 2
    assert most(np.array([5, 5, 5, 14]), 10) == 4
