"""`p402 plan` sizes an experiment by a log or by options, and says what it assumed."""

import json

import numpy as np
import pytest

from p402.commands.plan import main
from p402.commands.traffic import NoTraffic, correlation, traffic_of
from p402.events import AttemptResult, Decision, Imported, Outcome, Reward, RowInputs
from p402.store.writer import LogWriter

NOON = 1_763_640_000_000
HOUR = 3_600_000
INPUTS = RowInputs(
    mode="balanced", features=[], task=0, prompt_tokens=1, prompt_bound=1, expected_output=1, ceiling_pico=1
)  # fmt: skip
GIVEN = ["--requests-per-day", "5000", "--check", "0"]


def a_round(i, *, explored, quality, failed=False):
    ident = {"id": f"req_{i:032x}", "tenant": "acme"}
    cost = 4_000_000 if explored else 2_000_000
    yield Decision(
        ts_ms=NOON + i * HOUR // 4, session=f"s{i // 2}", worker="w", snapshot="a", live_seq=0, inputs=INPUTS,
        arm="p/m", count=(1 << 24) // (20 if explored else 1), n_eligible=3, n_explored=3, task="chat",
        baseline=None, **ident,
    )  # fmt: skip
    attempt = AttemptResult(arm="p/m", status="failed" if failed else "ok", cost_nano=cost, latency_ms=1.0)
    yield Outcome(
        ts_ms=NOON, status="failed" if failed else "ok", arm="p/m", attempts=[attempt], cost_nano=cost,
        direct_nano=4_000_000, latency_ms=1.0, provider_latency_ms=1.0, overhead_ms=0.0, **ident,
    )  # fmt: skip
    if quality is not None:
        yield Reward(ts_ms=NOON, source="client", status="accepted", quality=quality, **ident)


@pytest.fixture
def log(tmp_path):
    """800 rounds in 400 sessions over 200 hours: one in ten explored, one in twenty failed, half judged."""
    with LogWriter(tmp_path / "log", "w", lambda: NOON) as writer:
        for i in range(800):
            quality = None if i % 2 else (i // 2 % 4) / 4 + 0.25
            for event in a_round(i, explored=i % 10 == 0, quality=quality, failed=i % 20 == 1):
                writer.append(event)
    return tmp_path / "log"


def test_a_log_tells_rate_sessions_rewards_exploration_and_costs(log):
    seen = traffic_of(log)
    assert (seen.source, seen.reward, seen.rounds, seen.sessions, seen.session_rounds) == (
        "rounds",
        "value",
        800,
        400,
        2.0,
    )
    assert seen.per_day == pytest.approx(96, rel=0.01)
    assert seen.judged == pytest.approx(440 / 800)  # half of them, and the failures, which anyone sees
    assert (seen.exploration, seen.explored_arms) == (pytest.approx(0.1), 2.0)
    assert (seen.cost_usd, seen.explored_cost_usd) == (pytest.approx(0.002), pytest.approx(0.004))
    # judged: half of quality (mean .625) and half of saving (.5, or 0 where explored); failures are 0
    judged = [((i // 2 % 4) / 4 + 0.25) / 2 + (0.0 if i % 10 == 0 else 0.25) for i in range(0, 800, 2)]
    known = np.array(judged + [0.0] * 40)
    assert (seen.mean, seen.variance) == (pytest.approx(known.mean()), pytest.approx(known.var()))


def test_the_plan_of_a_log_names_its_own_exploration_and_its_dollars(log, capsys):
    assert main(["--detect", "0.1", "--log", str(log), "--check", "0", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    (now,) = [line for line in plan["exploration"] if line["as_now"]]
    assert now["exploration"] == pytest.approx(0.1)
    assert now["dr"]["trial"] == pytest.approx(0.05)
    assert now["extra_usd"] == pytest.approx(now["dr"]["rounds"] * 0.1 * 0.002)
    (canary,) = plan["canary"]
    assert canary["extra_usd"] == pytest.approx(canary["sized"]["rounds"] * 0.1 * 0.002)
    assert plan["assumed"] == []
    assert main(["--detect", "0.1", "--log", str(log), "--check", "20"]) == 0
    shown = capsys.readouterr().out
    for word in ("(now)", "Rehearsed", "two-sided", "one-sided", "takeover is proven by a canary"):
        assert word in shown


def test_options_overrule_the_log_one_by_one(log, capsys):
    asked = [
        "--detect",
        "0.1",
        "--log",
        str(log),
        "--check",
        "0",
        "--json",
        "--requests-per-day",
        "7",
        "--sd",
        "0.5",
    ]
    assert main([*asked, "--exploration", "0.3", "--canary", "0.2", "--canary", "0.4"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["traffic"]["per_day"], plan["traffic"]["variance"]) == (7.0, 0.25)
    assert plan["traffic"]["mean"] == pytest.approx(traffic_of(log).mean)
    assert [line["exploration"] for line in plan["exploration"]] == [0.3]
    assert [line["sized"]["share"] for line in plan["canary"]] == [0.2, 0.4]


def test_without_a_log_what_was_assumed_is_said(capsys):
    assert main(["--detect", "0.03", *GIVEN]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for word in ("Assumed: a mean reward of 0.7", "every round judged", "give --cost-usd", "unknown"):
        assert word in shown


def test_the_same_question_has_the_same_answer_each_time(capsys):
    asked = ["--detect", "0.1", "--requests-per-day", "100", "--check", "40", "--json"]
    assert main(asked) == main(asked) == 0
    first, second = capsys.readouterr().out.split("}\n{")
    assert json.loads(first + "}") == json.loads("{" + second)


def test_imported_calls_tell_the_rate_and_the_scores_the_quality(tmp_path, capsys):
    with LogWriter(tmp_path, "w", lambda: NOON) as writer:
        for i in range(48):
            ident = {"id": f"imp_{i:032x}", "tenant": "acme"}
            writer.append(
                Imported(
                    ts_ms=NOON + i * HOUR, session=f"s{i // 4}", source="litellm", source_id=None,
                    provider=None, model="m", status="failed" if i % 12 == 5 else "ok", inputs=INPUTS,
                    task=None,
                    cost_nano=2_000_000, **ident,
                )
            )  # fmt: skip
            if i % 3 == 0:
                writer.append(Reward(ts_ms=NOON, source="langfuse:x", status="unknown", quality=0.5, **ident))
    seen = traffic_of(tmp_path)
    assert (seen.source, seen.reward, seen.rounds, seen.session_rounds) == (
        "imported calls",
        "quality",
        48,
        4.0,
    )
    assert (seen.judged, seen.exploration) == (pytest.approx(20 / 48), None)
    assert seen.mean == pytest.approx(0.5 * 16 / 20)
    assert main(["--detect", "0.1", "--log", str(tmp_path), "--check", "0"]) == 0
    assert "no estimator can answer by them" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "said"), [
    (["--detect", "0.03"], "--requests-per-day"),
    (["--detect", "0", *GIVEN], "detect is 0.0"),
    (["--detect", "0.03", "--exploration", "1", *GIVEN], "exploration is 1.0"),
    (["--detect", "0.03", "--judged", "0", *GIVEN], "judged is 0.0"),
    (["--detect", "0.03", "--log", "/nowhere/at/all"], "is no folder"),
    ([], "--detect"),
    (["--detect", "0.03", "--mean", "0.99", "--sd", "0.4", *GIVEN], "at most 0.099"),
    (["--detect", "0.03", "--cost-usd", "1", "--explored-cost-usd", "-2", *GIVEN], "0 or more"),
    (["--detect", "0.03", "--cost-usd", "nan", *GIVEN], "0 or more"),
])  # fmt: skip
def test_a_bad_question_is_one_line_and_status_2(capsys, arguments, said):
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_an_empty_log_says_how_to_plan_without_it(tmp_path):
    with pytest.raises(NoTraffic, match="leave --log out"):
        traffic_of(tmp_path)


def test_correlation_within_groups_is_found_and_none_is_0():
    chance = np.random.default_rng(1)
    group = np.repeat(np.arange(2_000), 4)
    noise, shared = chance.normal(size=8_000), np.repeat(chance.normal(size=2_000), 4)
    assert correlation(noise, group) == pytest.approx(0.0, abs=0.03)
    assert correlation(0.6**0.5 * shared + 0.4**0.5 * noise, group) == pytest.approx(0.6, abs=0.04)
    assert correlation(np.zeros(4), np.array([0, 0, 1, 1])) is None
    assert correlation(np.array([0.1, 0.2]), np.array([0, 1])) is None
