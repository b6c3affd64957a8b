"""The table's figures come from the log, and the client's books are laid beside it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from experiments.demonstration.client import Record
from experiments.demonstration.figures import Books, mode_figures, reconcile, savings_interval
from p402.events import CacheHit, Decision, Event, Outcome, Reward, RowInputs
from p402.store.writer import LogWriter


def test_the_savings_interval_holds_the_share_and_widens_with_long_sessions() -> None:
    chance = np.random.Generator(np.random.Philox(1))
    direct = chance.integers(1_000, 100_000, size=2_000)
    cost = (direct * chance.uniform(0.1, 0.9, size=2_000)).astype(np.int64)
    alone, together = np.arange(2_000), np.argsort(np.argsort(cost / direct)) // 40
    share = 1 - cost.sum() / direct.sum()
    widths = []
    for session in (alone, together):
        lower, upper = savings_interval(cost, direct, session, chance)
        assert lower is not None
        assert upper is not None
        assert lower < share < upper
        widths.append(upper - lower)
    assert widths[1] > 2 * widths[0]


def test_the_savings_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    chance = np.random.Generator(np.random.Philox(2))
    truth, hits = 0.5, 0
    for _ in range(200):
        direct = chance.integers(1_000, 10_000, size=300)
        cost = (direct * chance.uniform(0.2, 0.8, size=300)).astype(np.int64)
        lower, upper = savings_interval(cost, direct, np.arange(300), chance, replicates=200)
        assert lower is not None
        assert upper is not None
        hits += lower <= truth <= upper
    assert 180 <= hits <= 199


def test_one_session_has_no_interval() -> None:
    ones = np.ones(5, np.int64)
    assert savings_interval(ones, ones, np.zeros(5, np.int64), np.random.Generator(np.random.Philox(1))) == (
        None,
        None,
    )


def _id(n: int) -> str:
    return f"req_{n:032x}"


def _round(n: int, *, mode: str = "balanced", status: str = "ok", demo: str = "") -> list[Event]:
    inputs = RowInputs(
        mode=mode, features=[1], task=0, prompt_tokens=1, prompt_bound=2, expected_output=3, ceiling_pico=9
    )
    decision = Decision(
        ts_ms=n,
        id=_id(n),
        tenant="default",
        session=f"s{n // 2}",
        worker="w",
        snapshot="aa",
        live_seq=0,
        inputs=inputs,
        arm="a/b",
        count=1,
        n_eligible=1,
        n_explored=1,
        task="chat",
        baseline="b",
        tags={"demo": demo} if demo else {},
    )
    outcome = Outcome(
        ts_ms=n + 1,
        id=_id(n),
        tenant="default",
        status=status,
        arm="a/b" if status == "ok" else None,
        attempts=[],
        cost_nano=1_000 * n,
        direct_nano=4_000 * n if status == "ok" else None,
        latency_ms=10.0 + n,
        provider_latency_ms=10.0,
        overhead_ms=float(n),
        stream=n % 2 == 0,
    )
    reward = Reward(
        ts_ms=n + 2, id=_id(n), tenant="default", source="judge", status="accepted", quality=n / 10
    )
    return [decision, outcome, *([reward] if status == "ok" and not demo else [])]


def _record(n: int, **changes: Any) -> Record:
    record = Record(
        n, "balanced", f"s{n // 2}", n % 2 == 0, "ok", _id(n), "now", None, "aa", n / 1e6, n * 4 / 1e6
    )
    return msgspec.structs.replace(record, **changes)


def _hit(n: int, demo: str | None = None) -> Event:
    return CacheHit(
        ts_ms=n,
        id=_id(n),
        tenant="default",
        session=f"s{n // 2}",
        worker="w",
        snapshot="aa",
        entry=_id(1),
        tier="exact",
        similarity=1.0,
        arm="a/b",
        mode="cost",
        task="chat",
        baseline="b",
        direct_nano=4_000 * n,
        prompt_tokens=1,
        output_tokens=2,
        age_ms=3,
        latency_ms=0.5,
        tags={"demo": demo} if demo else {},
    )


def _write(root: Path, events: list[Event]) -> Path:
    with LogWriter(root, "w", lambda: 1) as log:
        for event in events:
            log.append(event)
    return root


def test_a_mode_s_figures_are_those_of_its_rounds_and_of_no_probe(tmp_path: Path) -> None:
    rounds = [event for n in range(1, 7) for event in _round(n)]
    failed, probe, other = _round(7, status="failed"), _round(8, demo="probe"), _round(9, mode="cost")
    balanced, cost = mode_figures(_write(tmp_path, [*rounds, *failed, *probe, *other]), 7)
    assert (balanced.requests, balanced.ok, balanced.failed, balanced.judged) == (7, 6, 1, 6)
    assert (balanced.streamed, balanced.sessions, cost.requests) == (3, 4, 1)
    assert balanced.cost_usd == pytest.approx(28e-6, rel=1e-12)  # the failed round's cost counts
    assert balanced.direct_usd == pytest.approx(84e-6, rel=1e-12)
    assert balanced.savings == pytest.approx(56 / 84, rel=1e-12)
    assert balanced.quality == pytest.approx(0.35, rel=1e-12)
    assert balanced.overhead_p50_ms == 4.0
    assert (cost.savings_lower, cost.savings_upper) == (None, None)


def _sound(tmp_path: Path) -> tuple[list[Event], list[Record]]:
    return [event for n in range(1, 7) for event in _round(n)], [_record(n) for n in range(1, 7)]


def test_sound_books_agree(tmp_path: Path) -> None:
    events, records = _sound(tmp_path)
    books = reconcile(_write(tmp_path, events + _round(8, demo="probe")), records)
    assert books == Books(
        calls=6,
        posted=6,
        rounds=6,
        probes=1,
        refusals=0,
        rewards=6,
        hits=0,
        without_decision=0,
        without_outcome=0,
        repeated=0,
        unknown=0,
        differing=0,
    )


def test_an_answer_from_the_cache_has_its_line_and_costs_nothing(tmp_path: Path) -> None:
    events, records = _sound(tmp_path)
    events += [_hit(7), _hit(8, demo="probe")]
    records.append(_record(7, mode="cost", cost_usd=0.0, posted="never"))
    books = reconcile(_write(tmp_path / "sound", events), records)
    assert (books.hits, books.without_decision, books.unknown, books.differing) == (1, 0, 0, 0)
    wrong = [*records[:-1], _record(7, mode="cost", cost_usd=1e-6, posted="never")]
    assert reconcile(_write(tmp_path / "billed", events), wrong).differing == 1
    assert reconcile(_write(tmp_path / "unknown", events), records[:-1]).unknown == 1
    assert reconcile(_write(tmp_path / "twice", [*events, _hit(7)]), records).repeated == 1


Break = Callable[[list[Event], list[Record]], None]


@pytest.mark.parametrize(
    ("broken", "column"),
    [
        (lambda events, _: events.pop(0), "without_decision"),
        (lambda events, _: events.pop(1), "without_outcome"),
        (lambda events, _: events.append(events[0]), "repeated"),
        (lambda events, _: events.append(events[1]), "repeated"),
        (lambda events, _: events.append(events[2]), "repeated"),
        (lambda events, _: events.extend(_round(11)[:2]), "unknown"),
        (lambda _, records: records.__setitem__(0, _record(1, cost_usd=1.001e-6)), "differing"),
        (lambda _, records: records.__setitem__(0, _record(1, snapshot_id="bb")), "differing"),
        (lambda _, records: records.__setitem__(0, _record(1, mode="cost")), "differing"),
        (lambda _, records: records.__setitem__(0, _record(1, direct_cost=None)), "differing"),
    ],
)
def test_books_that_do_not_agree_say_where(tmp_path: Path, broken: Break, column: str) -> None:
    events, records = _sound(tmp_path)
    broken(events, records)
    assert getattr(reconcile(_write(tmp_path, events), records), column) == 1
