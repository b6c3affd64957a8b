import random
import re

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.errors import StoreError
from p402.events import ArmLive, AttemptResult, Decision, Live, Outcome, Reward, RowInputs
from p402.store import manifest as manifests
from p402.store.compactor import compact
from p402.store.reader import (
    connect,
    dataset_digest,
    read_events,
    tail_bytes,
)
from p402.store.schema import KIND_OF, SCHEMAS, STRUCTS, event_of, events_of, table_of, tables_of
from p402.store.segments import LIVE, SEALED, names_in, parse
from p402.store.settled import uncompacted
from p402.store.views import VIEW_OF
from p402.store.writer import LogWriter

text = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
real = st.floats(allow_nan=False, allow_infinity=False)
when = st.integers(0, 4_000_000_000_000)
maybe = lambda strategy: st.none() | strategy  # noqa: E731

inputs = st.builds(
    RowInputs,
    mode=text,
    features=st.lists(int32, max_size=5),
    task=st.integers(0, 9),
    prompt_tokens=int64,
    prompt_bound=int64,
    expected_output=int64,
    max_output=maybe(int64),
    n=st.integers(1, 8),
    needs=int64,
    ceiling_pico=int64,
    weights=maybe(st.lists(int64, max_size=3)),
    budget_price=int64,
    previous_arm=maybe(text),
    warm_tokens=int64,
    variant=st.integers(0, 1),
    explore=st.booleans(),
    policy=text,
    exclude_providers=st.lists(text, max_size=3),
    prefer_providers=st.lists(text, max_size=3),
    model=maybe(text),
    family=maybe(text),
    tried=st.lists(text, max_size=3),
)
decisions = st.builds(
    Decision,
    ts_ms=when,
    id=text,
    tenant=text,
    session=text,
    worker=text,
    snapshot=text,
    live_seq=int64,
    inputs=inputs,
    arm=maybe(text),
    count=st.integers(0, 2**24),
    n_eligible=st.integers(0, 300),
    n_explored=st.integers(0, 32),
    task=text,
    baseline=maybe(text),
    observe=st.booleans(),
    simulated=st.booleans(),
    tags=st.dictionaries(text, text, max_size=3),
)
results = st.builds(
    AttemptResult,
    arm=text,
    status=text,
    code=maybe(text),
    prompt_tokens=maybe(int64),
    output_tokens=maybe(int64),
    cached_tokens=int64,
    reasoning_tokens=int64,
    cost_nano=maybe(int64),
    latency_ms=real,
    ttfb_ms=maybe(real),
)
outcomes = st.builds(
    Outcome,
    ts_ms=when,
    id=text,
    tenant=text,
    status=text,
    code=maybe(text),
    arm=maybe(text),
    attempts=st.lists(results, max_size=3),
    cost_nano=maybe(int64),
    direct_nano=maybe(int64),
    latency_ms=real,
    provider_latency_ms=real,
    ttfb_ms=maybe(real),
    overhead_ms=real,
    stream=st.booleans(),
)
arm_live = st.builds(
    ArmLive, open_circuit=st.booleans(), ttft_ms=int64, error_rate=int64, half_open=st.booleans()
)
lives = st.builds(Live, ts_ms=when, worker=text, seq=int64, arms=st.dictionaries(text, arm_live, max_size=3))


@settings(max_examples=60, deadline=None)
@given(st.lists(decisions | outcomes | lives, min_size=1, max_size=6))
def test_what_goes_into_parquet_comes_out_equal(tmp_path_factory, events):
    tables, unfit = tables_of(events)
    assert unfit == []
    folder = tmp_path_factory.mktemp("parts")
    back = []
    for kind, table in tables.items():
        pq.write_table(table, folder / f"{kind}.parquet")
        back += events_of(kind, pq.read_table(folder / f"{kind}.parquet"))
    assert back == sorted(events, key=lambda event: list(tables).index(KIND_OF[type(event)]))


@settings(max_examples=60, deadline=None)
@given(st.lists(decisions | outcomes | lives, max_size=6), st.integers(1, 4))
def test_lines_come_back_as_the_events_they_were(events, chunk):
    data = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    parts = list(parse(data + b'{"kind', chunk))
    assert [event for part in parts for event in part.events] == events
    assert parts[-1].torn == b'{"kind'
    assert sum(size for part in parts for size in part.bytes_of.values()) == len(data)


def columns(struct):
    return {field.name for field in msgspec.structs.fields(struct)}


def test_every_field_of_every_event_has_a_column_and_no_column_is_made_up():
    for kind, struct in STRUCTS.items():
        assert set(SCHEMAS[kind].names) == columns(struct), kind
    for schema, path, struct in (
        ("decision", lambda s: s.field("inputs").type, RowInputs),
        ("attempt", lambda s: s.field("inputs").type, RowInputs),
        ("imported", lambda s: s.field("inputs").type, RowInputs),
        ("outcome", lambda s: s.field("attempts").type.value_type, AttemptResult),
        ("live", lambda s: s.field("arms").type.item_type, ArmLive),
    ):
        assert {field.name for field in path(SCHEMAS[schema])} == columns(struct)


def test_a_number_too_large_for_its_column_is_kept_aside_with_its_line(make):
    too_large = make.decision(1, inputs=msgspec.structs.replace(make.inputs, features=[2**31]))
    good = make.decision(0)
    tables, unfit = tables_of([good, too_large])
    assert events_of("decision", tables["decision"]) == [good]
    assert msgspec.json.decode(unfit[0], type=Decision) == too_large


def test_a_column_that_an_old_file_lacks_reads_as_its_default(tmp_path, make, write):
    rows = table_of("decision", [make.decision(0, tags={"a": "b"}, simulated=True)])
    row = rows.drop_columns(["tags", "simulated"]).to_pylist()[0]
    assert event_of("decision", row) == make.decision(0)
    write(tmp_path, [make.decision(0, tags={"a": "b"}, simulated=True)])
    compact(tmp_path)
    (path,) = tmp_path.rglob("*.parquet")
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["tags", "simulated"]), path)
    with connect(tmp_path) as con:
        assert con.execute("SELECT tags, simulated FROM decisions").fetchall() == [({}, False)]
    assert list(read_events(tmp_path)) == [make.decision(0)]


def test_a_column_of_an_attempt_that_an_old_file_lacks_reads_as_its_default(tmp_path, make, write):
    """Files from before 2026-11-26 know no cache writes; they stand beside files that do."""
    told = msgspec.structs.replace(make.outcome(1).attempts[0], cache_write_tokens=7, service_tier="flex")
    write(tmp_path, [make.outcome(0)])
    compact(tmp_path)
    (path,) = tmp_path.rglob("*.parquet")
    schema = SCHEMAS["outcome"]
    old = [f for f in schema.field("attempts").type.value_type if f.name in OLD_ATTEMPT]
    fields = [f.with_type(pa.list_(pa.struct(old))) if f.name == "attempts" else f for f in schema]
    fields = [f for f in fields if f.name != "cache_write_tokens"]
    rows = [
        {k: [{n: a[n] for n in OLD_ATTEMPT} for a in v] if k == "attempts" else v for k, v in row.items()}
        for row in pq.read_table(path, partitioning=None).to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(fields)), path)
    assert list(read_events(tmp_path)) == [make.outcome(0)]
    write(tmp_path, [make.outcome(1, attempts=[told], cache_write_tokens=7)], "w1")
    for _ in ("sealed", "compacted"):
        with connect(tmp_path) as con:
            found = con.execute(
                "SELECT cache_write_tokens, attempts[1].cache_write_tokens, attempts[1].service_tier, "
                "attempts[1].cost_nano FROM outcomes ORDER BY id"
            ).fetchall()
        assert found == [(0, None, None, 1000), (7, 7, "flex", 1001)]
        compact(tmp_path)


OLD_ATTEMPT = (
    "arm", "status", "code", "prompt_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
    "cost_nano", "price_pico", "latency_ms", "ttfb_ms",
)  # fmt: skip


def test_every_view_shows_live_sealed_and_compacted_rows_alike(tmp_path, make, write):
    write(tmp_path, make.round(0))
    compact(tmp_path)
    write(tmp_path, make.round(1))
    with LogWriter(tmp_path, "w1", lambda: make.noon) as log:
        for event in make.round(2):
            log.append(event)
        assert (len(names_in(tmp_path, LIVE)), len(names_in(tmp_path, SEALED))) == (1, 1)
        with connect(tmp_path) as con:
            for kind, view in VIEW_OF.items():
                table = con.sql(f"SELECT * FROM {view} ORDER BY ts_ms").to_arrow_table()
                table = table.select(SCHEMAS[kind].names)
                expected = [e for i in range(3) for e in make.round(i) if KIND_OF[type(e)] == kind]
                assert events_of(kind, table.cast(SCHEMAS[kind])) == sorted(expected, key=lambda e: e.ts_ms)
        with connect(tmp_path, include_live=False) as con:
            assert con.execute("SELECT count(*) FROM decisions").fetchall() == [(1,)]


def test_an_empty_log_has_empty_views(tmp_path):
    with connect(tmp_path) as con:
        for view in (*VIEW_OF.values(), "rounds", "calls", "skipped_lines"):
            assert con.execute(f"SELECT * FROM {view}").fetchall() == []
    assert list(read_events(tmp_path)) == []
    assert len(dataset_digest(tmp_path)) == 64


def test_a_row_that_was_written_twice_is_shown_once(tmp_path, make, write):
    for _ in range(2):
        write(tmp_path, make.round(0))
    compact(tmp_path)
    write(tmp_path, make.round(0))
    with connect(tmp_path) as con:
        for view in (*VIEW_OF.values(), "rounds"):
            assert con.execute(f"SELECT count(*) FROM {view}").fetchall() == [(1,)], view


def test_the_last_reward_of_each_source_counts_and_sources_are_averaged(tmp_path, make, write):
    write(
        tmp_path,
        [
            make.decision(0),
            make.reward(0, quality=0.25, ts_ms=make.noon + 5),
            make.reward(0, quality=1.0, ts_ms=make.noon + 9, status="revised"),
            make.reward(0, quality=0.5, source="judge", ts_ms=make.noon + 7),
            make.reward(0, quality=None, source="thumb", ts_ms=make.noon + 8),
            make.reward(0, quality=0.0, tenant="stranger"),
        ],
    )
    with connect(tmp_path) as con:
        rewards = con.execute(
            "SELECT source, quality FROM rewards WHERE tenant = 'acme' ORDER BY 1"
        ).fetchall()
        rounds = con.execute("SELECT quality, n_rewards, reward_status FROM rounds").fetchall()
    assert rewards == [("client", 1.0), ("judge", 0.5), ("thumb", None)]
    assert rounds == [(0.75, 3, "revised")]


def test_a_round_joins_decision_outcome_and_reward_and_waits_for_none(tmp_path, make, write):
    failed = AttemptResult(arm="p0/m", status="failed", code="PROVIDER_ERROR", latency_ms=3.0)
    served = AttemptResult(arm="p1/m", status="ok", cost_nano=900, latency_ms=4.0)
    write(
        tmp_path,
        [
            make.decision(0),
            make.outcome(0, arm="p1/m", attempts=[failed, served], cost_nano=900),
            make.reward(0),
            make.decision(1),
        ],
    )
    with connect(tmp_path) as con:
        rows = con.execute(
            "SELECT id, mode, arm, propensity, served_arm, first_status, n_attempts, saving_nano, status, "
            "quality, n_rewards, inputs.features FROM rounds ORDER BY id"
        ).fetchall()
    features = [4096, -17, 0]
    assert rows == [
        (make.id(0), "balanced", "p0/m", 0.5, "p1/m", "failed", 2, 4100, "ok", 0.75, 1, features),
        (make.id(1), "balanced", "p1/m", 0.5, None, None, None, None, None, None, 0, features),
    ]


def test_torn_and_malformed_lines_of_living_segments_are_ignored_and_counted(tmp_path, make):
    with LogWriter(tmp_path, "w0", lambda: make.noon) as log:
        log.append(make.decision(0))
        (name,) = names_in(tmp_path, LIVE)
        with (tmp_path / LIVE / name).open("ab") as file:
            file.write(b'not json\n{"kind":"decision","id":"half')
        with connect(tmp_path) as con:
            assert con.execute("SELECT count(*) FROM decisions").fetchall() == [(1,)]
            assert con.execute("SELECT * FROM skipped_lines").fetchall() == [(name, 1, 1)]
        assert list(read_events(tmp_path)) == [make.decision(0)]


def test_the_digest_changes_with_the_files_and_only_with_them(tmp_path, make, write):
    empty = dataset_digest(tmp_path)
    write(tmp_path, make.round(0))
    assert dataset_digest(tmp_path) == empty
    compact(tmp_path)
    first = dataset_digest(tmp_path)
    compact(tmp_path)
    assert dataset_digest(tmp_path) == first != empty
    write(tmp_path, make.round(1))
    compact(tmp_path)
    assert dataset_digest(tmp_path) not in {first, empty}


def test_uncompacted_bytes_are_counted_by_kind(tmp_path, make, write):
    write(tmp_path, [make.decision(0), make.decision(1), make.reward(0)])
    sizes, rounds = tail_bytes(tmp_path)
    assert rounds == 2
    assert sizes["decision"] == sum(len(msgspec.json.encode(make.decision(i))) + 1 for i in range(2))
    assert set(sizes) == {"decision", "reward"}


def test_what_is_not_compacted_is_named_with_its_size_and_what_is_pending_is_not(tmp_path, make, write):
    write(tmp_path, [make.decision(0)])
    (name,) = names_in(tmp_path, SEALED)
    data = (tmp_path / SEALED / name).read_bytes()
    manifest, segments = uncompacted(tmp_path)
    assert (manifest.parts, segments) == ([], ((name, len(data)),))
    compact(tmp_path)
    (tmp_path / SEALED / name).write_bytes(data)  # as a compactor leaves it that dies before deleting
    committed = manifests.load(tmp_path)
    manifests.commit(tmp_path, msgspec.structs.replace(committed, pending=[name]))
    with LogWriter(tmp_path, "w1", lambda: make.noon) as writer:
        writer.append(make.decision(1))
        manifest, ((living, size),) = uncompacted(tmp_path)
    assert living.startswith("w1-")
    assert size == len(msgspec.json.encode(make.decision(1))) + 1
    assert len(manifest.parts) == 1


def all_rounds(root):
    with connect(root) as con:
        return con.execute("SELECT * FROM rounds").fetchall()


def all_events(root):
    return list(read_events(root))


@pytest.mark.parametrize("ask", [all_rounds, dataset_digest, all_events, uncompacted])
def test_a_missing_folder_is_a_clear_error(tmp_path, ask):
    with pytest.raises(StoreError, match=r"no folder; expected the log .*--log"):
        ask(tmp_path / "nowhere")


def decisions_in(root):
    (path,) = root.rglob("kind=decision/*/*/*.parquet")
    return path


DAMAGE = {
    "cut": lambda data: data[:-20],
    "halved": lambda data: data[: len(data) // 2],
    "empty": lambda _data: b"",
    "overwritten": lambda data: b"x" * len(data),
    "zeroed": lambda data: data[:4] + bytes(len(data) // 2) + data[4 + len(data) // 2 :],
}


@pytest.mark.parametrize("ask", [all_rounds, all_events])
@pytest.mark.parametrize("damage", [*DAMAGE, "gone"])
def test_a_damaged_parquet_file_is_named_with_what_to_do(tmp_path, make, write, damage, ask):
    write(tmp_path, [event for i in range(40) for event in make.round(i)])
    compact(tmp_path)
    path = decisions_in(tmp_path)
    data = path.read_bytes()
    path.unlink()
    if damage in DAMAGE:
        path.write_bytes(DAMAGE[damage](data))
    with pytest.raises(StoreError, match=r"expected .* the manifest lists.*; restore it from") as error:
        ask(tmp_path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_flipped_bits_are_read_over_or_named_and_raise_nothing_else(tmp_path, make, write):
    write(tmp_path, [event for i in range(40) for event in make.round(i)])
    compact(tmp_path)
    path, chance, said = decisions_in(tmp_path), random.Random(402), []
    data = path.read_bytes()
    for _ in range(40):
        bad = bytearray(data)
        for _ in range(chance.choice((1, 3, 30))):
            bad[chance.randrange(len(bad))] ^= 1 << chance.randrange(8)
        path.write_bytes(bad)
        for ask in (all_rounds, all_events):
            try:
                ask(tmp_path)
            except StoreError as error:
                said.append(str(error))
    assert len(said) > 20
    assert all(text.startswith(f"{path}: its bytes hash to ") for text in said)


def test_damage_that_an_arrow_stream_meets_is_named_as_well(tmp_path, make, write):
    write(tmp_path, make.round(0))
    compact(tmp_path)
    path = decisions_in(tmp_path)
    said = OSError("Invalid Input Error: ZSTD Decompression failure")  # what pyarrow makes of DuckDB's error

    def stream():
        with connect(tmp_path):
            path.write_bytes(bytes(path.stat().st_size))
            raise said

    with pytest.raises(StoreError, match=re.escape(f"{path}: its bytes hash to ")):
        stream()


def test_a_query_without_room_is_told_apart_from_damage(tmp_path, make, write):
    write(tmp_path, make.round(0))
    compact(tmp_path)

    def ask():
        with connect(tmp_path) as con:
            con.execute("SET memory_limit = '1MB'")
            con.execute("SET temp_directory = ''")
            con.execute("SELECT list(range) FROM range(10_000_000)").fetchall()

    with pytest.raises(StoreError, match=r"cannot be read: Out of Memory.*manifest lists them.*free some"):
        ask()


def test_a_wrong_query_and_the_callers_own_failures_stay_what_they_are(tmp_path, make, write):
    write(tmp_path, make.round(0))
    compact(tmp_path)
    with pytest.raises(duckdb.BinderException, match="no_such_column"), connect(tmp_path) as con:
        con.execute("SELECT no_such_column FROM rounds")
    with pytest.raises(BrokenPipeError), connect(tmp_path):
        raise BrokenPipeError(32, "Broken pipe")


def test_a_path_with_a_quote_in_it_is_read(tmp_path, make, write):
    root = tmp_path / "o'log"
    write(root, make.round(0))
    compact(root)
    with connect(root) as con:
        assert con.execute("SELECT count(*) FROM rounds").fetchall() == [(1,)]


def test_the_smallest_lines_need_only_required_fields():
    reward = b'{"kind":"reward","v":1,"ts_ms":1,"id":"a","tenant":"t","source":"s","status":"accepted"}\n'
    (parsed,) = parse(reward)
    assert parsed.events == [Reward(v=1, ts_ms=1, id="a", tenant="t", source="s", status="accepted")]
