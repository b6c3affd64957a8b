"""Rounds to write, and a writer that leaves one sealed segment."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from p402.events import (
    AnyEvent,
    ArmLive,
    Attempt,
    AttemptResult,
    CacheHit,
    Decision,
    Imported,
    Live,
    Outcome,
    Refused,
    Reward,
    RowInputs,
)
from p402.store.writer import LogWriter

NOON = 1_763_812_800_000  # 2025-11-22 12:00 UTC
INPUTS = RowInputs(
    mode="balanced",
    features=[4096, -17, 0],
    task=1,
    prompt_tokens=321,
    prompt_bound=400,
    expected_output=200,
    max_output=512,
    ceiling_pico=50 * 10**12,
)


def request_id(i: int) -> str:
    return f"req_{i:032x}"


@dataclass(frozen=True)
class Make:
    """Events of round `i`; keyword arguments replace fields."""

    noon: int = NOON
    inputs: RowInputs = INPUTS

    def id(self, i: int) -> str:
        return request_id(i)

    def decision(self, i: int, **kw) -> Decision:
        fields = {
            "ts_ms": NOON + 1000 * i,
            "id": request_id(i),
            "tenant": "acme",
            "session": f"s{i % 3}",
            "worker": "w0",
            "snapshot": "ab" * 32,
            "live_seq": i // 4,
            "inputs": INPUTS,
            "arm": f"p{i % 2}/m",
            "count": 1 << 23,
            "n_eligible": 8,
            "n_explored": 4,
            "task": "code",
            "baseline": "big",
        }
        return Decision(**(fields | kw))

    def outcome(self, i: int, **kw) -> Outcome:
        result = AttemptResult(
            arm=f"p{i % 2}/m", status="ok", cost_nano=1000 + i, latency_ms=12.5, ttfb_ms=3.25
        )
        fields = {
            "ts_ms": NOON + 1000 * i + 500,
            "id": request_id(i),
            "tenant": "acme",
            "status": "ok",
            "arm": f"p{i % 2}/m",
            "attempts": [result],
            "cost_nano": 1000 + i,
            "direct_nano": 5000,
            "prompt_tokens": 321,
            "output_tokens": 100,
            "latency_ms": 20.0,
            "provider_latency_ms": 12.5,
            "overhead_ms": 0.25,
        }
        return Outcome(**(fields | kw))

    def attempt(self, i: int, **kw) -> Attempt:
        fields = {
            "ts_ms": NOON + 1000 * i + 100,
            "id": request_id(i),
            "attempt": 2,
            "worker": "w0",
            "snapshot": "ab" * 32,
            "live_seq": i // 4,
            "inputs": INPUTS,
            "arm": "p1/m",
        }
        return Attempt(**(fields | kw))

    def reward(self, i: int, **kw) -> Reward:
        fields = {
            "ts_ms": NOON + 1000 * i + 900,
            "id": request_id(i),
            "tenant": "acme",
            "source": "client",
            "status": "accepted",
            "quality": 0.75,
            "metadata": {"k": "v"},
        }
        return Reward(**(fields | kw))

    def refusal(self, i: int, **kw) -> Refused:
        fields = {
            "ts_ms": NOON + 1000 * i,
            "id": request_id(i),
            "tenant": "acme",
            "code": "RATE_LIMIT_EXCEEDED",
            "status": 429,
            "retry_after_ms": 3600,
            "message": "too many",
        }
        return Refused(**(fields | kw))

    def live(self, i: int, **kw) -> Live:
        fields = {
            "ts_ms": NOON + 1000 * i,
            "worker": "w0",
            "seq": i,
            "arms": {"p0/m": ArmLive(open_circuit=False, ttft_ms=120, error_rate=0)},
        }
        return Live(**(fields | kw))

    def imported(self, i: int, **kw) -> Imported:
        fields = {
            "ts_ms": NOON + 1000 * i,
            "id": f"imp_{i:032x}",
            "tenant": "acme",
            "session": f"s{i % 3}",
            "source": "litellm",
            "source_id": f"chatcmpl-{i}",
            "provider": "openai",
            "model": "gpt-4o",
            "status": "ok",
            "inputs": INPUTS,
            "task": "code",
            "prompt_tokens": 321,
            "output_tokens": 100,
            "cost_nano": 1_802_500,
            "price_pico": [2_500_000, 1_250_000, 10_000_000, 2_500_000, 2_500_000],
            "price_source": "list",
            "latency_ms": 12.5,
            "tags": {"key": "ab"},
        }
        return Imported(**(fields | kw))

    def cache_hit(self, i: int, **kw) -> CacheHit:
        fields = {
            "ts_ms": NOON + 1000 * i,
            "id": request_id(i + (1 << 41)),
            "tenant": "acme",
            "session": f"s{i % 3}",
            "worker": "w0",
            "snapshot": "0" * 64,
            "entry": request_id(i),
            "tier": "exact",
            "similarity": 1.0,
            "arm": "p0/m",
            "mode": "cost",
            "task": "code",
            "baseline": "m",
            "direct_nano": 400,
            "prompt_tokens": 321,
            "output_tokens": 100,
            "age_ms": 10,
            "latency_ms": 0.5,
            "tags": {"key": "ab"},
        }
        return CacheHit(**(fields | kw))

    def round(self, i: int) -> list[AnyEvent]:
        """One of every kind; the refusal, the imported call and the hit have ids of their own."""
        return [
            self.live(i),
            self.decision(i),
            self.attempt(i),
            self.outcome(i),
            self.reward(i),
            self.refusal(i, id=request_id(i + (1 << 40))),
            self.imported(i),
            self.cache_hit(i),
        ]


@pytest.fixture
def make():
    return Make()


@pytest.fixture
def write():
    """Append events through a writer of their own and close it: one sealed segment."""

    def write(root, events, worker="w0"):
        with LogWriter(root, worker, lambda: NOON) as log:
            for event in events:
                log.append(event)

    return write


def _without(kind, lacking):
    """An Arrow type without a field that lies within it."""
    if pa.types.is_map(kind):
        return pa.map_(kind.key_type, _without(kind.item_type, lacking))
    return pa.struct([field for field in kind if field.name != lacking])


@pytest.fixture
def old_parquet():
    """Rewrite a log's Parquet files as if each column never had the field within it; gives how many did."""

    def rewrite(log, lacking) -> int:
        changed = 0
        for path in log.rglob("*.parquet"):
            table = pq.read_table(path, partitioning=None)
            schema = table.schema
            for place, column in enumerate(schema):
                if column.name in lacking:
                    kind = _without(column.type, lacking[column.name])
                    schema = schema.set(place, pa.field(column.name, kind))
                    changed += kind != column.type
            rows = [_stripped(row, lacking) for row in table.to_pylist()]
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
        return changed

    return rewrite


def _stripped(row, lacking):
    row = dict(row)
    for column, name in lacking.items():
        value = row.get(column)
        if isinstance(value, dict):
            row[column] = {k: v for k, v in value.items() if k != name}
        elif value is not None:
            row[column] = [(k, {n: v for n, v in inner.items() if n != name}) for k, inner in value]
    return row
