import re
import shutil
from dataclasses import replace

import pytest

from sim.fit.history import NoHistory, read_history, span_of
from sim.fit.quality import before_clipping
from sim.fit.whole import fit
from sim.replay.snapshots import Snapshots
from sim.world.files import parse_spec, spec_text
from sim.world.rewards import expected, mean_of
from tests.sim.fit.town import town


@pytest.fixture(scope="module")
def fitted(balanced):
    log, store = balanced
    span = span_of(log)
    history = read_history(log, span.first_ms, span.last_ms + 1)
    return fit(history, Snapshots(store).get(history.last_snapshot), 24.0)


def named(rows, name):
    return next(row for row in rows if getattr(row, "name", getattr(row, "id", None)) == name)


def test_traffic_is_found_again(fitted):
    truth, found = town(), fitted.spec
    assert found.arrivals.per_hour == pytest.approx(truth.arrivals.per_hour, rel=0.1)
    assert found.arrivals.hourly[10] / found.arrivals.hourly[3] == pytest.approx(6.0, rel=0.4)
    assert found.sessions.mean_turns == pytest.approx(2.5, rel=0.1)
    assert found.sessions.grows
    assert found.sessions.answer_tokens == pytest.approx(150, abs=60)
    shares = {tenant.name: tenant.share for tenant in found.tenants}
    assert shares["shop"] / shares["lab"] == pytest.approx(3.0, rel=0.2)
    assert named(found.tenants, "lab").fee_bps == 100
    assert named(found.tenants, "lab").baseline_model == "large"
    assert named(found.tenants, "shop").stream == pytest.approx(0.6, abs=0.05)
    for task in truth.tasks:
        assert mean_of(named(found.tasks, task.name).prompt) == pytest.approx(mean_of(task.prompt), rel=0.25)


def test_providers_are_as_fast_and_as_unreliable_as_they_were(fitted):
    near, far = (named(fitted.spec.providers, name) for name in ("near", "far"))
    assert near.tokens_per_s == pytest.approx(120.0, rel=0.03)
    assert far.tokens_per_s == pytest.approx(60.0, rel=0.03)
    assert near.ttft_ms.median == pytest.approx(250.0, rel=0.1)
    assert far.ttft_ms.median == pytest.approx(700.0, rel=0.1)
    assert sum(far.failures.values()) == pytest.approx(0.06, abs=0.02)
    assert sum(near.failures.values()) == pytest.approx(0.01, abs=0.01)


def test_answers_of_each_arm_cost_what_they_cost_at_the_end(fitted, balanced):
    log, store = balanced
    span = span_of(log)
    last = Snapshots(store).get(read_history(log, span.first_ms, span.last_ms + 1).last_snapshot)
    from sim.world.offer import offer_at

    made = offer_at(fitted.spec, 0.0).spec
    assert made.arms.arm == last.spec.arms.arm
    for ours, theirs in zip(made.prices.output, last.spec.prices.output, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-6)


def test_quality_is_found_again_where_it_was_judged(fitted):
    truth = {model.id: model for model in town().models}
    for name, task in (("large", "code"), ("small", "chat"), ("small", "code")):
        model = named(fitted.spec.models, name)
        means = (expected(m.reward, m.quality[task], 0.0) for m in (model, truth[name]))
        assert next(means) == pytest.approx(next(means), abs=0.07)
    kinds = {model.id: type(model.reward).__name__ for model in fitted.spec.models}
    assert kinds == {"large": "Gaussian", "medium": "Bernoulli", "small": "Graded"}


def test_a_judge_speaks_as_often_as_it_did(fitted):
    (judge,) = fitted.spec.judges
    assert judge.name == "user"
    assert judge.share == pytest.approx(0.5, abs=0.05)
    assert judge.delay_s.median == pytest.approx(90.0, rel=0.15)


def test_a_fitted_world_is_read_back_as_it_was_written(fitted):
    assert parse_spec(spec_text(fitted.spec).encode(), ".toml") == fitted.spec


def test_a_store_of_another_log_is_refused(balanced):
    log, store = balanced
    span = span_of(log)
    history = read_history(log, span.first_ms, span.last_ms + 1)
    snapshot = Snapshots(store).get(history.last_snapshot)

    strangers = replace(history, arms=tuple(f"elsewhere/{k}" for k in range(len(history.arms))))
    with pytest.raises(NoHistory, match="pass the store that belongs to the log"):
        fit(strangers, snapshot, 24.0)


def test_the_mean_is_taken_back_through_the_clipping(fitted):
    large = named(fitted.spec.models, "large")
    assert before_clipping(large.reward, expected(large.reward, large.quality["math"], 0.0)) == pytest.approx(
        large.quality["math"], abs=1e-3
    )


def rewritten(balanced, folder, *changes):
    """The same log with other words in its lines."""
    log, store = balanced
    copy = folder / "log"
    shutil.copytree(log, copy)
    for segment in copy.rglob("*.jsonl"):
        text = segment.read_text()
        for before, after in changes:
            text = re.sub(before, after, text)
        segment.write_text(text)
    return copy, Snapshots(store)


def fitted_to(log, snapshots):
    span = span_of(log)
    history = read_history(log, span.first_ms, span.last_ms + 1)
    return span, fit(history, snapshots.get(history.last_snapshot), 24.0)


def test_rounds_with_weights_of_their_own_are_left_out_and_counted(balanced, tmp_path):
    custom = '"mode":"custom","weights":[524288,524288,0]'
    some = r'("id":"req_[0-9a-f]*[0-7]",.*)"mode":"balanced"'
    log, snapshots = rewritten(balanced, tmp_path, (some, rf"\1{custom}"))
    span, found = fitted_to(log, snapshots)
    assert span.custom > 0
    assert span.custom + span.rounds == span_of(balanced[0]).rounds
    assert {mode for tenant in found.spec.tenants for mode in tenant.modes} == {"balanced"}


def test_a_baseline_that_the_world_has_not_is_said_and_left_out(balanced, tmp_path):
    _, found = fitted_to(*rewritten(balanced, tmp_path, ('"baseline":"large"', '"baseline":"lab/opus"')))
    assert found.baselines_off == ("lab/opus",)
    assert {tenant.baseline_model for tenant in found.spec.tenants} == {None}


def test_a_log_of_what_no_world_has_is_refused_in_words(balanced, tmp_path):
    with pytest.raises(NoHistory, match="fits no world: tasks: 'poetry' is unknown"):
        fitted_to(*rewritten(balanced, tmp_path, ('"task":"chat"', '"task":"poetry"')))


def test_a_tenant_that_no_world_can_name_is_refused_and_not_written(balanced):
    log, store = balanced
    span = span_of(log)
    history = read_history(log, span.first_ms, span.last_ms + 1)
    snapshot = Snapshots(store).get(history.last_snapshot)
    with pytest.raises(NoHistory, match=r"fits no world.*tenants"):
        fit(replace(history, tenants=("Ümlaut Co", "shop")), snapshot, 24.0)
