"""Versions 1 to 4 of the log, frozen on 2026-11-22 and 26: what was written then must load for ever."""

from pathlib import Path

import msgspec
import pytest

from p402.events import (
    ArmLive,
    Attempt,
    CacheHit,
    Decision,
    Imported,
    Live,
    Outcome,
    Refused,
    Reward,
    RowInputs,
)
from p402.store.compactor import compact
from p402.store.reader import connect, read_events
from p402.store.schema import KIND_OF, STRUCTS
from p402.store.segments import SEALED, parse

GOLDEN = Path(__file__).parents[2] / "golden" / "log-v1.jsonl"
GOLDEN_2 = GOLDEN.with_name("log-v2.jsonl")
GOLDEN_3 = GOLDEN.with_name("log-v3.jsonl")
GOLDEN_4 = GOLDEN.with_name("log-v4.jsonl")
KINDS_3 = set(STRUCTS) - {"cache_hit"}
OLD_KINDS = KINDS_3 - {"imported"}


def test_every_line_of_version_1_loads_and_every_kind_is_there():
    (parsed,) = parse(GOLDEN.read_bytes())
    assert (parsed.malformed, parsed.torn) == ([], b"")
    assert [type(event) for event in parsed.events] == [
        Live, Live, Decision, Decision, Attempt, Attempt, Outcome, Outcome, Reward, Reward, Refused, Refused
    ]  # fmt: skip
    assert {KIND_OF[type(event)] for event in parsed.events} == OLD_KINDS
    assert {event.v for event in parsed.events} == {1}


def test_version_1_means_what_it_meant():
    (parsed,) = parse(GOLDEN.read_bytes())
    _, live, full, small, _, _, outcome, lost, reward, *_ = parsed.events
    assert live.arms["groq/llama"] == ArmLive(open_circuit=True, ttft_ms=180, error_rate=4096)
    assert (full.inputs.ceiling_pico, full.inputs.weights) == (50_000_000_000_000, [524288, 262144, 262144])
    assert (full.session, full.tags["ключ"], full.count) == ('s-ä\n"1"', "値", 1 << 23)
    assert small.inputs == RowInputs(
        mode="balanced",
        features=[],
        task=0,
        prompt_tokens=0,
        prompt_bound=0,
        expected_output=1,
        ceiling_pico=0,
    )
    assert (small.inputs.n, small.inputs.explore, small.inputs.policy, small.arm) == (
        1,
        True,
        "default",
        None,
    )
    assert [result.cost_nano for result in outcome.attempts] == [None, 255_000]
    assert (lost.cost_nano, lost.attempts, lost.fee_nano) == (None, [], 0)
    assert (reward.quality, reward.metadata) == (0.875, {"ticket": "42"})


def test_every_line_of_version_2_loads_and_means_what_it_meant():
    (parsed,) = parse(GOLDEN_2.read_bytes())
    assert (parsed.malformed, parsed.torn) == ([], b"")
    opened, tried, decision, attempt, outcome, *_ = parsed.events
    assert {event.v for event in parsed.events} == {2}
    assert {KIND_OF[type(event)] for event in parsed.events} == OLD_KINDS
    assert not opened.arms["groq/llama"].half_open
    assert tried.arms["groq/llama"] == ArmLive(open_circuit=True, ttft_ms=0, error_rate=1472, half_open=True)
    assert (decision.inputs.probed, attempt.inputs.probed) == (["groq", "x-2"], ["x-2"])
    assert (outcome.hold_nano, outcome.bound_nano, outcome.anomaly_z) == (60, 900, 3.5)


def test_every_line_of_version_3_loads_and_means_what_it_meant():
    (parsed,) = parse(GOLDEN_3.read_bytes())
    assert (parsed.malformed, parsed.torn) == ([], b"")
    assert {event.v for event in parsed.events} == {3}
    assert {KIND_OF[type(event)] for event in parsed.events} == KINDS_3
    told, bare = (event for event in parsed.events if type(event) is Imported)
    assert (told.cost_nano, told.price_source, told.price_pico) == (
        1_802_500,
        "list",
        [2_500_000, 1_250_000, 10],
    )
    assert (told.inputs.max_output, told.task, told.prompt, told.tags) == (
        512,
        "code",
        '[{"ä":1}]',
        {"k": "值"},
    )
    assert (bare.cost_nano, bare.price_source, bare.task, bare.source_id, bare.tags) == (None,) * 4 + ({},)


def test_every_line_of_version_4_loads_and_means_what_it_meant():
    (parsed,) = parse(GOLDEN_4.read_bytes())
    assert (parsed.malformed, parsed.torn) == ([], b"")
    assert {event.v for event in parsed.events} == {4}
    assert {KIND_OF[type(event)] for event in parsed.events} == set(STRUCTS)
    alike, exact = (event for event in parsed.events if type(event) is CacheHit)
    assert (alike.tier, alike.similarity, alike.direct_nano, alike.tags) == (
        "semantic",
        0.9375,
        1_802_500,
        {"k": "值"},
    )
    assert (alike.usage_estimated, alike.stream, alike.age_ms, alike.entry[-1]) == (True, True, 8_000, "1")
    assert (exact.tier, exact.similarity, exact.baseline, exact.direct_nano) == ("exact", 1.0, None, None)


@pytest.mark.parametrize("golden", [GOLDEN, GOLDEN_2, GOLDEN_3, GOLDEN_4], ids=["v1", "v2", "v3", "v4"])
def test_nothing_that_a_version_wrote_is_dropped_when_it_is_written_again(golden):
    for line in golden.read_bytes().splitlines():
        old = msgspec.json.decode(line)
        new = msgspec.json.decode(msgspec.json.encode(parse(line + b"\n").__next__().events[0]))
        assert kept(new, old) == old


def kept(new, old):
    """Of what is written now, what was written then: columns grow, those of an attempt too."""
    match old:
        case dict():
            return {key: kept(new[key], value) for key, value in old.items()}
        case list():
            return [kept(one, value) for one, value in zip(new, old, strict=True)]
    return new


def test_version_1_survives_compaction_unchanged(tmp_path):
    (tmp_path / SEALED).mkdir()
    (tmp_path / SEALED / "w0-1-00-000000.jsonl").write_bytes(GOLDEN.read_bytes())
    before = list(read_events(tmp_path))
    assert compact(tmp_path).events == len(before) == 12
    assert sorted(read_events(tmp_path), key=lambda e: e.ts_ms) == sorted(before, key=lambda e: e.ts_ms)
    with connect(tmp_path) as con:
        row = con.execute(
            "SELECT inputs.weights, tags['ключ'], propensity, n_rewards FROM rounds ORDER BY id"
        ).fetchall()
    assert row == [([524288, 262144, 262144], "値", 0.5, 2), (None, None, 0.0, 0)]


def test_a_file_of_version_1_lies_beside_one_of_version_2(tmp_path, old_parquet):
    """Fields within a column that the older file has not got read as their defaults, in either order."""
    (tmp_path / SEALED).mkdir()
    for number, golden in enumerate((GOLDEN, GOLDEN_2)):
        (tmp_path / SEALED / f"w{number}-1-00-000000.jsonl").write_bytes(golden.read_bytes())
        compact(tmp_path)
        if golden is GOLDEN:
            assert old_parquet(tmp_path, {"inputs": "probed", "arms": "half_open"}) > 0
    expected = [e for g in (GOLDEN, GOLDEN_2) for e in next(iter(parse(g.read_bytes()))).events]
    assert sorted(read_events(tmp_path), key=lambda e: e.ts_ms) == sorted(expected, key=lambda e: e.ts_ms)
    with connect(tmp_path) as con:
        rows = con.execute("SELECT inputs.probed FROM decisions ORDER BY ts_ms").fetchall()
        live = con.execute("SELECT arms['groq/llama'].half_open FROM live ORDER BY ts_ms").fetchall()
    assert rows == [(None,), (None,), (["groq", "x-2"],)]
    assert [half for (half,) in live][-2:] == [False, True]
