import re

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from p402.commands.log import main
from p402.events import Decision, Outcome, Reward, RowInputs
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.segments import SEALED, names_in
from p402.store.writer import LogWriter

NOON = 1_763_812_800_000


def decision(i, mode):
    return Decision(
        ts_ms=NOON + i,
        id=f"req_{i:032x}",
        tenant="t",
        session="s",
        worker="w0",
        snapshot="0" * 64,
        live_seq=0,
        inputs=RowInputs(
            mode=mode,
            features=[1, -2],
            task=0,
            prompt_tokens=9,
            prompt_bound=9,
            expected_output=9,
            ceiling_pico=9,
        ),
        arm=f"p{i % 2}/m",
        count=1 << 22,
        n_eligible=4,
        n_explored=4,
        task="chat",
        baseline=None,
    )


def outcome(i, status="ok"):
    return Outcome(
        ts_ms=NOON + i + 5,
        id=f"req_{i:032x}",
        tenant="t",
        status=status,
        arm=f"p{i % 2}/m",
        attempts=[],
        cost_nano=10**9,
        direct_nano=3_000_000_000,
        latency_ms=1.0,
        provider_latency_ms=1.0,
        overhead_ms=0.0,
    )


@pytest.fixture
def log(tmp_path):
    root = tmp_path / "log"
    with LogWriter(root, "w0", lambda: NOON) as writer:
        for i in range(10):
            writer.append(decision(i, "cost" if i < 3 else "balanced"))
            if i < 9:
                writer.append(outcome(i, "failed" if i == 4 else "ok"))
        writer.append(
            Reward(ts_ms=NOON, id=f"req_{0:032x}", tenant="t", source="c", status="accepted", quality=1.0)
        )
    (root / SEALED / "w9-1-00-000000.jsonl").write_bytes(b"nonsense\n{torn")
    return root


def cells(text, first):
    (line,) = [line for line in text.splitlines() if re.match(rf"^│ {re.escape(first)}\s*│", line)]
    return [cell.strip() for cell in line.strip("│").split("│")][1:]


@pytest.mark.parametrize("compacted", [False, True])
def test_stats_counts_rounds_by_mode_and_arm(log, capsys, compacted):
    if compacted:
        compact(log)
    assert main(["stats", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    assert cells(said, "rounds") == ["10"]
    assert cells(said, "without outcome") == ["1"]
    assert cells(said, "outcomes") == ["9"]
    assert cells(said, "failures") == ["1"]
    assert cells(said, "rewards") == ["1"]
    assert cells(said, "cost") == ["3", "3", "0", "1", "3.000000"]
    assert cells(said, "balanced") == ["7", "6", "1", "0", "6.000000"]
    assert cells(said, "p1/m") == ["5", "4", "0", "0", "4.000000"]
    where = "quarantined" if compacted else "not compacted"
    assert cells(said, f"torn lines, {where}") == cells(said, f"malformed lines, {where}") == ["1"]


def test_stats_shows_whole_names_of_arms_on_a_narrow_terminal(tmp_path, capsys, monkeypatch):
    arm = "openrouter/meta-llama/[free]/llama-4-maverick-17b-128e-instruct-of-a-long-name"
    with LogWriter(tmp_path / "log", "w0", lambda: NOON) as writer:
        writer.append(msgspec.structs.replace(decision(0, "cost"), arm=arm))
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["stats", "--log", str(tmp_path / "log")]) == 0
    said = capsys.readouterr().out
    lines = said[said.index("by arm") :].splitlines()
    first = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert "".join(first) == arm
    assert "…" not in said
    assert max(map(len, lines[:-1])) <= 80


def test_compact_says_what_it_did_and_where_bad_lines_lie(log, capsys):
    assert main(["compact", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    assert "2 segments, 20 events -> 3 Parquet files" in said
    assert "1 torn and 1 malformed lines are kept in" in said
    assert re.search(r"dataset [0-9a-f]{64}", said)
    assert names_in(log, SEALED) == []


def test_a_second_compactor_says_so_and_exits_well(log, capsys):
    codes = []
    compact(log, step=lambda _name: codes.append(main(["compact", "--log", str(log)])))
    assert codes
    assert set(codes) == {0}
    assert "another compactor is at work" in capsys.readouterr().out


def test_du_weighs_a_million_rounds_by_kind_and_the_store_if_asked(log, tmp_path, capsys):
    lines = {"decision": 0, "outcome": 0}
    for name in names_in(log, SEALED):
        for line in (log / SEALED / name).read_bytes().splitlines(keepends=True):
            for kind in lines:
                lines[kind] += len(line) if b'"kind":"%s"' % kind.encode() in line else 0
    ComponentStore(tmp_path / "store").put("arms", b"x" * 5000)
    for done in (False, True):
        assert main(["du", "--log", str(log), "--store", str(tmp_path / "store")]) == 0
        said = capsys.readouterr().out
        for kind, size in lines.items():
            jsonl, parquet, _ = cells(said, kind)
            assert jsonl == f"{size / 10 * 1e6 / 2**20:,.1f}"
            on_disk = sum(path.stat().st_size for path in log.rglob(f"kind={kind}/**/*.parquet"))
            assert parquet == (f"{on_disk / 10 * 1e6 / 2**20:,.1f}" if done else "-")
        assert cells(said, "components")[-1] == "5,000"
        compact(log)
    assert main(["du", "--log", str(log), "--store", str(tmp_path / "nowhere")]) == 1


@pytest.mark.parametrize("suffix", ["duckdb", "parquet", "csv"])
def test_export_writes_the_rounds_once_and_again_only_by_force(log, tmp_path, capsys, suffix):
    out = tmp_path / f"rounds.{suffix}"
    assert main(["export", str(out), "--log", str(log)]) == 0
    assert "10 rounds" in capsys.readouterr().out
    match suffix:
        case "duckdb":
            with duckdb.connect(str(out), read_only=True) as con:
                found = con.execute("SELECT id, saving_nano FROM rounds").fetchall()
        case "parquet":
            table = pq.read_table(out)
            found = list(zip(table["id"].to_pylist(), table["saving_nano"].to_pylist(), strict=True))
        case _:
            with duckdb.connect() as con:
                found = con.execute(f"SELECT id, saving_nano FROM read_csv('{out}')").fetchall()
    assert found == [(f"req_{i:032x}", 2_000_000_000 if i < 9 else None) for i in range(10)]
    before = out.read_bytes()
    assert main(["export", str(out), "--log", str(log)]) == 1
    assert "--force" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert main(["export", str(out), "--log", str(log), "--force"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", out.name]


@pytest.mark.parametrize("name", ["rounds.xlsx", "rounds", "nowhere/rounds.csv"])
def test_an_export_that_cannot_be_is_refused_with_what_is_expected(log, tmp_path, capsys, name):
    assert main(["export", str(tmp_path / name), "--log", str(log)]) == 1
    assert "expected" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["compact"], ["stats"], ["du"], ["export", "x.csv"]])
def test_a_missing_log_is_named_with_what_to_do(tmp_path, capsys, command):
    assert main([*command, "--log", str(tmp_path / "nowhere")]) == 1
    assert re.search(r"nowhere is no folder; expected the log .*--log", capsys.readouterr().err)


@pytest.mark.parametrize("command", ["stats", "export"])
def test_a_truncated_parquet_file_is_one_line_that_names_it(log, tmp_path, capsys, command):
    compact(log)
    (path,) = log.rglob("kind=outcome/*/*/*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    out = tmp_path / "rounds.csv"
    arguments = [command, str(out)] if command == "export" else [command]
    assert main([*arguments, "--log", str(log)]) == 1
    said = capsys.readouterr()
    assert re.fullmatch(rf"p402 log: {re.escape(str(path))}: found .*; restore it from a copy\n", said.err)
    assert "Traceback" not in said.out
    assert not out.exists()


def test_an_unknown_command_is_an_error(capsys):
    assert main(["comapct"]) == 2
    assert main(["--help"]) == 0
