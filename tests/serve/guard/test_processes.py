"""Rate and slots of the SQLite guard fought over by processes that know nothing of each other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import asyncio, json, random, sys, time
from pathlib import Path
from p402.limits import Limits, Rate
from p402.ports import Hold
from serve.guard.sqlite import SqliteGuard

path, name, burst, slots = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
rng = random.Random(name)

async def one(guard, i):
    # Spans are measured around what the ledger grants: begun after the grant, ended before the settlement.
    for attempt in range(400):
        hold = await guard.reserve("t", f"{name}.{i}", 1)
        if isinstance(hold, Hold):
            begun = time.monotonic_ns()
            await asyncio.sleep(rng.random() * 0.01)
            ended = time.monotonic_ns()
            guard.settle(hold, 1)
            return [begun, ended]
        if hold.code == "RATE_LIMIT_EXCEEDED":
            return None
        assert hold.code == "CONCURRENCY_LIMIT_EXCEEDED", hold
        await asyncio.sleep(rng.random() * 0.02)
    return None

async def main():
    limits = Limits(10**12, Rate(1, burst), slots)
    guard = SqliteGuard(path, lambda _: limits, lambda: 1_728_043_200_000, busy_s=10)
    guard.start()
    sys.stdin.readline()
    spans = await asyncio.gather(*(one(guard, i) for i in range(50)))
    await guard.close()
    assert guard.counters.refused_by_state == guard.counters.unsettled == 0
    print(json.dumps([span for span in spans if span is not None]), flush=True)

asyncio.run(main())
"""
PROCESSES, CALLS = 4, 50


def fought_over(folder: Path, burst: int, slots: int) -> list[list[int]]:
    """Spans of every granted call, of processes that begin together."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder / "s.db"), f"w{i}", str(burst), str(slots)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(PROCESSES)
    ]  # fmt: skip
    try:
        told = [worker.communicate("go\n", timeout=120) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * PROCESSES, told
    return [span for out, _ in told for span in json.loads(out)]


@pytest.mark.parametrize("burst", [1, 37, 113])
def test_p12_four_processes_of_fifty_calls_are_granted_the_rate_and_not_one_more(tmp_path, burst):
    assert len(fought_over(tmp_path, burst, 10**6)) == burst


@pytest.mark.parametrize("slots", [1, 7])
def test_p14_four_processes_of_fifty_calls_are_never_in_flight_beyond_the_limit(tmp_path, slots):
    spans = fought_over(tmp_path, 10**6, slots)
    assert len(spans) > PROCESSES * CALLS // 4
    edges = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    now = most = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    assert most <= slots
    assert slots == 1 or most > 1  # they really met
