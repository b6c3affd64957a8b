import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from p402.errors import ConfigError, DiskFull, StoreError
from p402.events import Decision
from p402.store.compactor import compact
from p402.store.reader import connect, read_events
from p402.store.segments import LIVE, SEALED, names_in, parse, recover
from p402.store.writer import LogWriter

WRITE_AND_SAY = """
import os, sys, time
from pathlib import Path
from p402.events import Decision, RowInputs
from p402.store.writer import LogWriter
root, worker, base = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
inputs = RowInputs(mode="cost", features=list(range(24)), task=0, prompt_tokens=1, prompt_bound=2,
                   expected_output=1, ceiling_pico=1)
log = LogWriter(root, worker, lambda: time.time_ns() // 1_000_000, seal_bytes=60_000)
limit = int(sys.argv[4])
for i in range(limit):
    id = f"req_{base + i:032x}"
    log.append(Decision(ts_ms=1_763_812_800_000 + i, id=id, tenant="t", session="s", worker=worker,
                        snapshot="0" * 64, live_seq=0, inputs=inputs, arm="a", count=1, n_eligible=1,
                        n_explored=1, task="chat", baseline=None))
    os.write(1, (id + "\\n").encode())
log.close()
"""

FILL_THE_DISK = """
import json, resource, sys
from pathlib import Path
from p402.errors import DiskFull
from p402.events import Refused
from p402.store.writer import LogWriter
log = LogWriter(Path(sys.argv[1]), "w0", lambda: 0, sync_s=60)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
acked, refused = [], []
def put(i):
    try:
        log.append(Refused(ts_ms=1, id=f"r{i}", tenant="t", code="C", status=429, message="m" * 150))
        acked.append(f"r{i}")
    except DiskFull as error:
        refused.append([f"r{i}", str(error)])
for i in range(30): put(i)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for i in range(30, 33): put(i)
degraded = log.degraded
log.close()
print(json.dumps([acked, refused, degraded]))
"""


def start(root, worker, base, limit=10**9):
    return subprocess.Popen(
        [sys.executable, "-c", WRITE_AND_SAY, str(root), worker, str(base), str(limit)],
        stdout=subprocess.PIPE,
    )


def drain(run, into):
    for line in run.stdout:
        if line.endswith(b"\n"):
            into.append(line.decode().strip())


def decided(root):
    return {event.id for event in read_events(root) if isinstance(event, Decision)}


def test_kill_dash_nine_under_load_loses_no_acknowledged_row(tmp_path):
    runs = [start(tmp_path, f"w{n}", n << 60) for n in range(3)]
    acked = [[] for _ in runs]
    readers = [threading.Thread(target=drain, args=pair) for pair in zip(runs, acked, strict=True)]
    for reader in readers:
        reader.start()
    try:
        deadline = time.monotonic() + 30
        while any(len(ids) < 300 for ids in acked):
            assert time.monotonic() < deadline, [len(ids) for ids in acked]
            time.sleep(0.02)
        compact(tmp_path)  # among writers at work
    finally:
        for run in runs:
            run.send_signal(signal.SIGKILL)
    for run, reader in zip(runs, readers, strict=True):
        run.wait(timeout=30)
        reader.join(timeout=30)
        run.stdout.close()
    said = {said for ids in acked for said in ids}
    assert len(said) >= 900
    assert said <= decided(tmp_path)  # before anyone tidied up
    compact(tmp_path)  # seals what the dead left
    assert names_in(tmp_path, LIVE) == names_in(tmp_path, SEALED) == []
    found = decided(tmp_path)
    assert said <= found
    assert len(found) <= len(said) + len(runs)  # at most one each that was written and not yet said
    with connect(tmp_path) as con:
        assert con.execute("SELECT count(*) FROM decisions").fetchall() == [(len(found),)]


def test_two_processes_of_the_same_name_write_at_once(tmp_path):
    runs = [start(tmp_path, "same", n << 60, 800) for n in range(2)]
    said = [run.communicate(timeout=60)[0].decode().split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert decided(tmp_path) == {*said[0], *said[1]}
    assert len({*said[0], *said[1]}) == 1600


def test_a_full_disk_is_an_error_to_the_caller_and_a_fresh_line_to_the_next(tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(tmp_path)], capture_output=True, timeout=60, check=True
    )
    acked, refused, degraded = json.loads(run.stdout)
    assert len(acked) > 5
    assert len(refused) == degraded > 5
    assert {"r30", "r31", "r32"} <= set(acked)
    assert all("free space" in message for _, message in refused)
    (name,) = names_in(tmp_path, SEALED)
    (parsed,) = parse((tmp_path / SEALED / name).read_bytes())
    assert [event.id for event in parsed.events] == acked
    assert (parsed.malformed, parsed.torn) == ([], b"")


def test_a_torn_line_that_cannot_be_cut_off_is_ended_by_the_next_append(tmp_path, make, monkeypatch):
    log = LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=60)
    log.append(make.refusal(0))
    real_write, real_cut = os.write, os.ftruncate

    def half_then_full(fd, data):
        if len(data) > 20:
            return real_write(fd, data[:20])
        raise OSError(28, "No space left on device")

    def stuck(fd, size):
        raise OSError(22, "Invalid argument")

    with monkeypatch.context() as patch:
        patch.setattr("p402.store.writer.os.write", lambda fd, data: half_then_full(fd, data[:30]))
        patch.setattr("p402.store.writer.os.ftruncate", stuck)
        with pytest.raises(DiskFull):
            log.append(make.refusal(1))
    assert os.ftruncate is real_cut
    log.append(make.refusal(2))
    log.close()
    assert log.degraded == 1
    (name,) = names_in(tmp_path, SEALED)
    (parsed,) = parse((tmp_path / SEALED / name).read_bytes())
    assert [event.id for event in parsed.events] == [make.id(0), make.id(2)]
    assert len(parsed.malformed) == 1


def test_after_a_line_that_could_not_be_cut_off_a_failed_append_takes_no_acknowledged_row(
    tmp_path, make, monkeypatch
):
    """The line that stays makes the file longer than its whole lines: a later cut would be misplaced."""
    log = LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=60)
    real = os.write

    def fails(event, *, cut):
        parts = []

        def half_then_full(fd, data):
            parts.append(data)
            if len(parts) > 1:
                raise OSError(28, "No space left on device")
            return real(fd, data[: len(data) // 2])

        def stuck(fd, size):
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("p402.store.writer.os.write", half_then_full)
            if not cut:
                patch.setattr("p402.store.writer.os.ftruncate", stuck)
            with pytest.raises(DiskFull):
                log.append(event)

    log.append(make.decision(1))
    fails(make.decision(2), cut=False)
    log.append(make.decision(3))
    fails(make.decision(4), cut=True)
    log.append(make.decision(5))
    fails(make.decision(6), cut=False)
    log.append(make.decision(7))
    log.close()
    assert (log.appended, log.degraded) == (4, 3)
    assert list(read_events(tmp_path)) == [make.decision(i) for i in (1, 3, 5, 7)]
    (name,) = names_in(tmp_path, SEALED)
    (parsed,) = parse((tmp_path / SEALED / name).read_bytes())
    assert len(parsed.malformed) == 3
    assert parsed.torn == b""


def test_a_device_without_room_raises_disk_full_and_the_process_lives(tmp_path, make):
    log = LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=60)
    keep = os.dup(log._segment.fd)
    with Path("/dev/full").open("wb", buffering=0) as full:
        os.dup2(full.fileno(), log._segment.fd)
        for i in range(3):
            with pytest.raises(DiskFull, match="free space"):
                log.append(make.refusal(i))
    os.dup2(keep, log._segment.fd)
    os.close(keep)
    log.append(make.refusal(3))
    log.close()
    assert [event.id for event in read_events(tmp_path)] == [make.id(3)]
    assert (log.appended, log.degraded) == (1, 3)
    assert "free space" in log.last_error


def test_short_writes_are_completed(tmp_path, make, monkeypatch):
    real = os.write
    with LogWriter(tmp_path, "w0", lambda: make.noon) as log:
        monkeypatch.setattr("p402.store.writer.os.write", lambda fd, data: real(fd, data[:7]))
        events = [make.decision(i) for i in range(5)]
        for event in events:
            log.append(event)
        monkeypatch.undo()
    assert list(read_events(tmp_path)) == events


def test_segments_are_sealed_by_size_and_nothing_is_lost_between_them(tmp_path, make):
    events = [make.decision(i) for i in range(400)]
    with LogWriter(tmp_path, "w0", lambda: make.noon, seal_bytes=20_000, sync_s=0.001) as log:
        for event in events:
            log.append(event)
    assert len(names_in(tmp_path, SEALED)) > 5
    assert names_in(tmp_path, LIVE) == []
    assert list(read_events(tmp_path)) == events


def test_threads_share_a_writer_while_it_rotates(tmp_path, make):
    with LogWriter(tmp_path, "w0", lambda: make.noon, seal_bytes=5_000, sync_s=0.001) as log:
        threads = [
            threading.Thread(
                target=lambda base=base: [log.append(make.decision(base + i)) for i in range(300)]
            )
            for base in (0, 1000, 2000)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert log.degraded == 0
    assert decided(tmp_path) == {make.id(base + i) for base in (0, 1000, 2000) for i in range(300)}


def wait_for(claim):
    deadline = time.monotonic() + 10
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_old_segment_is_sealed_by_the_thread_and_an_empty_one_is_not(tmp_path, make):
    now = [make.noon]
    with LogWriter(tmp_path, "w0", lambda: now[0], seal_ms=60_000, sync_s=0.005) as log:
        log.append(make.decision(0))
        time.sleep(0.05)
        assert names_in(tmp_path, SEALED) == []
        now[0] += 60_000
        wait_for(lambda: len(names_in(tmp_path, SEALED)) == 1)
        now[0] += 600_000
        time.sleep(0.05)
        assert len(names_in(tmp_path, SEALED)) == len(names_in(tmp_path, LIVE)) == 1
    assert len(names_in(tmp_path, SEALED)) == 1
    assert names_in(tmp_path, LIVE) == []


def test_a_clock_set_back_seals_instead_of_never_sealing(tmp_path, make):
    now = [make.noon]
    with LogWriter(tmp_path, "w0", lambda: now[0], sync_s=0.005) as log:
        log.append(make.decision(0))
        now[0] -= 3_600_000
        wait_for(lambda: len(names_in(tmp_path, SEALED)) == 1)


def test_the_thread_syncs_only_when_something_was_appended(tmp_path, make, monkeypatch):
    synced = []
    real = os.fdatasync
    monkeypatch.setattr("p402.store.writer.os.fdatasync", lambda fd: (synced.append(fd), real(fd)))
    with LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=0.005) as log:
        log.append(make.decision(0))
        wait_for(lambda: synced)
        time.sleep(0.05)
        assert len(synced) == 1
        log.append(make.decision(1))
        wait_for(lambda: len(synced) == 2)


def test_a_sync_that_fails_is_counted_and_told_to_who_asks(tmp_path, make, monkeypatch):
    with LogWriter(tmp_path, "w0", lambda: make.noon, sync_s=60) as log:
        log.append(make.decision(0))

        def broken(fd):
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("p402.store.writer.os.fdatasync", broken)
            with pytest.raises(StoreError, match="Input/output"):
                log.flush()
        assert log.degraded == 1
        log.flush()
    assert decided(tmp_path) == {make.id(0)}


def test_a_closed_writer_refuses_and_closing_twice_is_nothing(tmp_path, make):
    log = LogWriter(tmp_path, "w0", lambda: make.noon)
    log.append(make.decision(0))
    log.close()
    log.close()
    with pytest.raises(StoreError, match="closed"):
        log.append(make.decision(1))
    assert decided(tmp_path) == {make.id(0)}


def test_recovery_seals_the_dead_and_leaves_the_living(tmp_path, make):
    with LogWriter(tmp_path, "alive", lambda: make.noon) as log:
        log.append(make.decision(0))
        dead = tmp_path / LIVE / "dead-1-00ff-000000.jsonl"
        dead.write_bytes(b'{"torn')
        (tmp_path / LIVE / "empty-1-00ff-000000.jsonl").write_bytes(b"")
        assert recover(tmp_path) == ["dead-1-00ff-000000.jsonl", "empty-1-00ff-000000.jsonl"]
        assert names_in(tmp_path, SEALED) == [dead.name]
        assert len(names_in(tmp_path, LIVE)) == 1
        log.append(make.decision(1))
    assert decided(tmp_path) == {make.id(0), make.id(1)}


def test_a_writer_that_meets_a_recovery_at_birth_opens_another_segment(tmp_path, make, monkeypatch):
    real, stolen = fcntl.flock, []

    def too_late(fd, how):
        if not stolen:
            stolen.append(fd)
            recover(tmp_path)  # sees an unlocked, empty file and clears it away
        real(fd, how)

    (tmp_path / LIVE).mkdir()
    (tmp_path / SEALED).mkdir()
    monkeypatch.setattr("p402.store.writer.fcntl.flock", too_late)
    with LogWriter(tmp_path, "w0", lambda: make.noon) as log:
        log.append(make.decision(0))
    assert stolen
    assert decided(tmp_path) == {make.id(0)}


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-x", "a b"])
def test_a_worker_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="worker name"):
        LogWriter(tmp_path, name, lambda: 0)


def test_a_root_that_is_a_file_is_a_store_error(tmp_path):
    (tmp_path / "log").write_bytes(b"")
    with pytest.raises(StoreError, match="expected to write"):
        LogWriter(tmp_path / "log", "w0", lambda: 0)
