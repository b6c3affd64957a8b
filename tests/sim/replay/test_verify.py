"""P20: what the gateway decided, another process decides again from what lies on disk."""

import json
from dataclasses import replace

import pytest

from p402.errors import DiskFull, StoreError
from p402.events import Live
from p402.store.catalog import load_catalog
from p402.store.compactor import compact
from p402.store.imported.write import import_files
from p402.store.reader import connect
from p402.store.task_head import load_head
from sim.replay.command import main
from sim.replay.verify import verify


def quiet(_done, _total):
    pass


def first(house, query):
    with connect(house.log) as con:
        return con.execute(query).fetchone()


def test_p20_another_process_takes_every_decision_and_attempt_again(busy, replay):
    done = replay(busy, "--verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["mismatched"] == 0
    assert result["unverified"] == 0
    assert result["ok"] is True
    assert result["snapshots"] == 2
    decisions, attempts = first(
        busy, "SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM attempts)"
    )
    assert (result["decisions"], result["attempts"]) == (decisions, attempts)
    assert decisions > 300


def test_p20_the_log_it_verifies_has_everything_that_could_differ(busy):
    seen = first(
        busy,
        """SELECT count(*) FILTER (attempt = 0), count(*) FILTER (attempt > 0),
                  (SELECT count(*) FROM decisions WHERE observe),
                  (SELECT count(DISTINCT worker) FROM decisions WHERE live_seq > 3),
                  (SELECT count(*) FROM decisions WHERE inputs.previous_arm IS NOT NULL),
                  (SELECT count(*) FROM decisions WHERE inputs.mode = 'custom'),
                  (SELECT count(*) FROM live WHERE list_bool_or(list_transform(map_values(arms),
                                                                lambda a: a.open_circuit)))
           FROM attempts""",
    )
    assert min(seen) > 0, seen
    assert seen[0] == seen[2]
    assert seen[3] == 2


def test_p20_it_is_the_same_on_a_plainer_cpu_and_from_parquet(busy, replay):
    assert compact(busy.log).events > 0
    done = replay(busy, "--verify", NPY_DISABLE_CPU_FEATURES="AVX2 FMA3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "replay bit for bit" in done.stdout


def test_chunks_of_a_few_rows_give_the_same_verdict(busy, monkeypatch):
    monkeypatch.setattr("sim.replay.source.MAX_LIVES", 1)
    singly = verify(busy.log, busy.store, quiet)
    assert singly.ok
    assert singly.rows > 300


def test_p20_one_changed_arm_fails(busy, edit, replay):
    changed = []

    def change(event):
        if event["kind"] == "decision" and not changed and event["arm"] != "elm/small":
            changed.append(event["id"])
            event["arm"] = "elm/small"
        return event

    assert edit(busy.log, change) == 1
    done = replay(busy, "--verify", "--json")
    result = json.loads(done.stdout)
    assert done.returncode == 1
    assert result["mismatched"] == 1
    (row,) = result["mismatches"]
    assert row["id"] == changed[0]
    assert {"arm"} <= {d["column"] for d in row["differences"]}


@pytest.mark.parametrize("column", ["count", "n_eligible", "n_explored"])
def test_p20_one_changed_number_fails(busy, edit, column):
    changed = []

    def change(event):
        if event["kind"] == "decision" and not changed:
            changed.append(event["id"])
            event[column] += 1
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert result.mismatched == 1
    assert [(m.id, [d.column for d in m.differences]) for m in result.mismatches] == [(changed[0], [column])]


def test_p20_one_changed_feature_fails(busy, edit):
    changed = []

    def change(event):
        if event["kind"] == "decision" and event["inputs"]["mode"] == "balanced" and not changed:
            changed.append(event["id"])
            event["inputs"]["features"][0] -= 512
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert [m.id for m in result.mismatches] == changed
    assert result.mismatched == 1


def test_p20_one_changed_attempt_fails(busy, edit):
    changed = []

    def change(event):
        if event["kind"] == "attempt" and event["attempt"] > 0 and not changed:
            changed.append((event["id"], event["attempt"]))
            event["arm"] = event["inputs"]["tried"][0]
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert [(m.id, m.attempt) for m in result.mismatches] == changed
    assert result.decisions > 300


def test_p20_one_changed_live_column_fails(busy, edit):
    def change(event):
        if event["kind"] == "live" and event["seq"] == 2:
            for arm in event["arms"].values():
                arm["ttft_ms"] += 5_000
                arm["error_rate"] = 4_096
        return event

    assert edit(busy.log, change) == 2
    assert verify(busy.log, busy.store, quiet).mismatched > 0


def test_p20_a_dropped_delta_is_named_with_its_worker(busy, edit, capsys):
    assert edit(busy.log, lambda e: None if (e.get("worker"), e.get("seq")) == ("w-two", 3) else e) == 1
    assert main(["--verify", "--log", str(busy.log), "--store", str(busy.store)]) == 1
    said = capsys.readouterr().out
    assert "worker 'w-two'" in said
    assert "delta 3 is not in the log" in said
    result = verify(busy.log, busy.store, quiet)
    behind, ahead = first(
        busy,
        """SELECT count(*) FILTER (worker = 'w-two' AND live_seq >= 3),
                  count(*) FILTER (worker <> 'w-two' OR live_seq < 3)
           FROM (SELECT worker, live_seq FROM decisions UNION ALL SELECT worker, live_seq FROM attempts)""",
    )
    assert result.unverified == behind > 0
    assert result.rows == behind + ahead
    assert result.mismatched == 0


def test_a_delta_logged_twice_under_one_number_is_no_basis(busy, edit):
    def change(event):
        if event["kind"] == "live" and (event["worker"], event["seq"]) == ("w-one", 4):
            event["seq"] = 3
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert result.unverified > 0
    assert "two deltas have seq 3" in result.faults[0].what


def test_p20_one_changed_byte_of_a_price_fails(busy, capsys):
    path = next(iter(sorted((busy.store / "prices").glob("??/*.json"))))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"3", b"4", 1))
    assert main(["--verify", "--log", str(busy.log), "--store", str(busy.store)]) == 1
    said = capsys.readouterr().out
    assert "is corrupt" in said
    assert "do not replay" in said


def test_p20_a_snapshot_that_is_not_stored_fails(busy):
    gone = first(busy, "SELECT snapshot FROM decisions ORDER BY id LIMIT 1")[0]
    (busy.store / "snapshot" / gone[:2] / f"{gone}.json").unlink()
    result = verify(busy.log, busy.store, quiet)
    assert not result.ok
    assert gone in result.faults[0].what
    assert 0 < result.unverified < result.rows
    assert result.snapshots == 1


def test_a_row_that_cannot_be_decided_is_one_mismatch(busy, edit):
    changed = []

    def change(event):
        if event["kind"] == "decision" and len(changed) < 3:
            bad = ({"mode": "fast"}, {"policy": "nobody"}, {"features": [1, 2]})[len(changed)]
            event["inputs"] |= bad
            changed.append(event["id"])
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert result.mismatched == 3
    assert {m.id for m in result.mismatches} == set(changed)
    assert all(m.differences[0].column == "inputs" for m in result.mismatches)
    assert result.unverified == 0


def test_every_mismatch_is_counted_and_a_hundred_are_kept(busy, edit):
    def change(event):
        if event["kind"] == "decision":
            event["n_eligible"] += 1
        return event

    edit(busy.log, change)
    result = verify(busy.log, busy.store, quiet)
    assert result.mismatched == result.decisions
    assert len(result.mismatches) == 100


def test_a_torn_tail_is_no_row_and_no_failure(busy):
    path = max(busy.log.glob("*/*.jsonl"), key=lambda p: p.stat().st_size)
    whole = verify(busy.log, busy.store, quiet)
    with path.open("ab") as file:
        file.write(b'{"kind":"decision","v":1,"ts_ms":17950')
    torn = verify(busy.log, busy.store, quiet)
    assert torn.ok
    assert torn.torn == 1
    assert torn.rows == whole.rows


def test_progress_ends_at_all_rows(busy):
    said = []
    result = verify(busy.log, busy.store, lambda done, total: said.append((done, total)))
    assert said[-1] == (result.rows, result.rows)


def test_a_missing_folder_is_bad_input_and_says_which(busy, tmp_path, capsys):
    with pytest.raises(StoreError):
        verify(tmp_path / "none", busy.store, quiet)
    assert main(["--verify", "--log", str(tmp_path / "none"), "--store", str(busy.store)]) == 2
    assert "none is no folder" in capsys.readouterr().err
    assert main(["--verify", "--log", str(busy.log), "--store", str(tmp_path / "lost")]) == 2
    assert "pass --store" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["end", "middle"])
@pytest.mark.parametrize("question", [("--verify",), ("--policy", "cost")])
def test_a_damaged_parquet_file_is_bad_input_and_one_line_names_it(busy, capsys, question, where):
    compact(busy.log)
    path = max(busy.log.rglob("kind=decision/*/*/*.parquet"))
    data = path.read_bytes()
    path.write_bytes(
        data[:-50] if where == "end" else data[:4] + bytes(len(data) // 3) + data[4 + len(data) // 3 :]
    )
    assert main([*question, "--log", str(busy.log), "--store", str(busy.store)]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith(f"p402 replay: {path}: ")
    assert line.endswith("; restore it from a copy")
    assert said.out == ""


def test_an_empty_log_is_bad_input(house, capsys):
    house.store.mkdir(parents=True)
    house.log.mkdir()
    assert main(["--verify", "--log", str(house.log), "--store", str(house.store)]) == 2
    assert "holds no decision" in capsys.readouterr().err


def test_one_thing_is_done_at_a_time(capsys):
    assert main([]) == 2
    assert main(["--verify", "--policy", "cost"]) == 2
    assert "expected one of --verify" in capsys.readouterr().err
    assert main(["--no-such-option"]) == 2


class Full:
    """A log on a disk that is full when the `nth` delta of live state comes."""

    def __init__(self, log, nth):
        self.log, self.nth, self.seen = log, nth, 0

    def append(self, event):
        self.seen += isinstance(event, Live)
        if isinstance(event, Live) and self.seen == self.nth:
            raise DiskFull("no room")
        self.log.append(event)


def test_p20_a_delta_that_met_a_full_disk_costs_no_later_row_its_proof(house, spec_of):
    flow = house.worker("w", house.stored(spec_of()))
    log = Full(flow.ports.log, nth=3)
    flow.ports = replace(flow.ports, log=log)
    house.mixed_traffic([flow], 60)
    house.close()
    assert log.seen > 5
    result = verify(house.log, house.store, quiet)
    assert result.ok, result.faults
    assert result.decisions > 50


def test_calls_of_another_system_take_no_place_in_the_size_of_a_round(busy, tmp_path):
    before = verify(busy.log, busy.store, quiet)
    file = tmp_path / "theirs.jsonl"
    rows = [
        {"request_id": f"c{i}", "model": "gpt-4o", "startTime": "2025-11-20T01:00:00Z"} for i in range(50)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    import_files([file], "litellm", busy.log, "theirs", load_catalog(), load_head(), lambda: 0)
    after = verify(busy.log, busy.store, quiet)
    assert (after.imported, after.decisions) == (50, before.decisions)
    assert after.bytes_per_million == before.bytes_per_million > 0
