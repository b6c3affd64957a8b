"""P20: a log and its snapshots from before cache writes had prices, frozen on 2026-11-26, verify for ever.

45 rounds with failovers, tiers and cached tokens, as that day's release wrote them. Their price rows have
three classes, their attempts know no cache writes, and their snapshot's prices have seven columns.
"""

import shutil
from pathlib import Path

import msgspec
import pytest

from p402.routing.compiled import parts_of
from p402.store.compactor import compact
from p402.store.components import ComponentStore
from p402.store.reader import connect
from sim.replay.outcomes import MISBILLED
from sim.replay.snapshots import Snapshots
from sim.replay.verify import verify

GOLDEN = Path(__file__).parents[2] / "golden" / "replay-v1"
SNAPSHOT = "2545e40f7fc882f0c3e6dc3b9edfd9faa08d24d4533ee5d3c7d43050686bf16d"


@pytest.fixture
def old(tmp_path):
    """A copy to break."""
    shutil.copytree(GOLDEN, tmp_path / "old")
    return tmp_path / "old"


def verified(old):
    return verify(old / "log", old / "store", lambda _done, _total: None)


def test_p20_every_choice_and_every_bill_of_an_older_release_is_borne_out_compacted_or_not(old):
    for _ in ("segments", "parquet"):
        found = verified(old)
        assert found.ok, (found.faults, found.mismatches)
        assert (found.decisions, found.attempts, found.outcomes, found.snapshots) == (45, 11, 45, 1)
        with connect(old / "log") as con:
            rows = con.execute(
                "SELECT DISTINCT len(a.price_pico), coalesce(a.cache_write_tokens, 0), a.price_source "
                "FROM (SELECT unnest(attempts) AS a FROM outcomes) WHERE a.price_pico IS NOT NULL"
            ).fetchall()
        assert rows == [(3, 0, None)]
        compact(old / "log")


def test_its_snapshot_keeps_its_bytes_and_its_id_when_it_is_written_again(old):
    snapshot = Snapshots(old / "store").get(SNAPSHOT)
    assert snapshot.id == SNAPSHOT
    assert parts_of(snapshot.spec) == ComponentStore(old / "store").get_snapshot(SNAPSHOT)
    assert snapshot.prices.base.most.tolist() == snapshot.prices.base.input.tolist()


def test_a_bill_of_it_that_is_a_nano_dollar_off_is_found(old):
    (path,) = (old / "log").glob("sealed/*.jsonl")
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    edited = next(e for e in lines if e["kind"] == "outcome" and e["status"] == "ok")
    edited["attempts"][-1]["cost_nano"] += 1
    edited["cost_nano"] += 1
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    found = verified(old)
    assert {fault.what: fault.rows for fault in found.faults} == {MISBILLED: 1}
