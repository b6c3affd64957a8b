"""What the table says, computed from the log alone, and whether the client's books agree with it.

Sums are of whole nano-USD. A failed round counts what its billed attempts cost and saves nothing.
It knows nothing of processes or of how the traffic was made.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from experiments.demonstration.client import Record
from experiments.demonstration.plan import MODES
from p402.events import CacheHit, Decision, Outcome, Refused, Reward
from p402.store.reader import connect, read_events
from p402.units import NANO_PER_USD, usd_to_nano

PROBE: Final = "probe"
"""Tag of requests that only look which snapshot answers; they are rounds, but not of the table."""

SHOWN: Final = """
SELECT mode, session, status, coalesce(n_attempts, 0) AS n_attempts, coalesce(stream, false) AS stream,
       coalesce(cost_nano, 0) AS cost, coalesce(direct_nano, 0) AS direct, quality, overhead_ms
FROM rounds WHERE tags['demo'] IS DISTINCT FROM $probe ORDER BY id
"""

REPLICATES: Final = 2_000
LEVEL: Final = 0.95


class ModeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table.

    Attributes
    ----------
    savings, savings_lower, savings_upper
        (direct - cost) / direct of all rounds together, and its 95 % interval: sessions drawn with
        replacement. Null where nothing was priced.
    quality, judged
        Mean of the judge's scores, in [0, 1], over the rounds whose outcome was posted, and their number.
    overhead_p50_ms, overhead_p99_ms
        Time in the gateway that was not spent waiting for a provider, as the gateway measured it.
    """

    mode: str
    requests: int
    ok: int
    failed: int
    failed_over: int
    streamed: int
    sessions: int
    cost_usd: float
    direct_usd: float
    savings: float | None
    savings_lower: float | None
    savings_upper: float | None
    quality: float | None
    judged: int
    overhead_p50_ms: float
    overhead_p99_ms: float


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """How the client's records and the log's events fit together.

    Attributes
    ----------
    calls, posted
        Requests that the client made, and outcomes that it posted.
    rounds, probes, refusals, rewards, hits
        In the log: decisions, of them not the table's, requests turned away, outcomes from the client,
        answers from the cache, probes' left out.
    without_decision, without_outcome
        Requests that the log has no decision, no refusal and no hit of, and rounds without outcome.
    repeated
        Decisions, outcomes, hits or rewards that are there twice.
    unknown
        Rounds, hits or rewards that the client knows nothing of.
    differing
        Answers whose mode, cost, direct cost or snapshot is another one in the log.
    """

    calls: int
    posted: int
    rounds: int
    probes: int
    refusals: int
    rewards: int
    hits: int
    without_decision: int
    without_outcome: int
    repeated: int
    unknown: int
    differing: int


def mode_figures(log: Path, seed: int) -> tuple[ModeFigures, ...]:
    """Figures of every mode that has rounds, in the order of `MODES`, probes left out."""
    chance = np.random.Generator(np.random.Philox(seed))
    with connect(log) as con:
        columns = con.execute(SHOWN, {"probe": PROBE}).fetchnumpy()
    return tuple(
        _figures(mode, {name: column[rows] for name, column in columns.items()}, chance)
        for mode in MODES
        if (rows := np.asarray(columns["mode"] == mode)).any()
    )


def _figures(mode: str, of: dict[str, NDArray[np.generic]], chance: np.random.Generator) -> ModeFigures:
    ok = np.asarray(of["status"] == "ok")
    cost, direct = of["cost"].astype(np.int64), of["direct"].astype(np.int64)
    sessions, codes = np.unique(of["session"].astype(str), return_inverse=True)
    quality = np.ma.filled(np.ma.asarray(of["quality"], np.float64), np.nan)
    judged = quality[~np.isnan(quality)]
    overhead = np.ma.filled(np.ma.asarray(of["overhead_ms"], np.float64), np.nan)
    p50, p99 = np.nanquantile(overhead, [0.5, 0.99])
    total = int(direct.sum())
    interval = savings_interval(cost, direct, codes, chance) if total else (None, None)
    return ModeFigures(
        mode=mode,
        requests=len(ok),
        ok=int(ok.sum()),
        failed=int((~ok).sum()),
        failed_over=int((ok & (of["n_attempts"].astype(np.int64) > 1)).sum()),
        streamed=int(of["stream"].astype(np.int64).sum()),
        sessions=len(sessions),
        cost_usd=int(cost.sum()) / NANO_PER_USD,
        direct_usd=total / NANO_PER_USD,
        savings=(total - int(cost.sum())) / total if total else None,
        savings_lower=interval[0],
        savings_upper=interval[1],
        quality=float(judged.mean()) if len(judged) else None,
        judged=len(judged),
        overhead_p50_ms=float(p50),
        overhead_p99_ms=float(p99),
    )


def savings_interval(
    cost: NDArray[np.int64],
    direct: NDArray[np.int64],
    session: NDArray[np.int64],
    chance: np.random.Generator,
    replicates: int = REPLICATES,
) -> tuple[float | None, float | None]:
    """Percentile interval at 95 % of total saving over total direct cost, by sessions drawn with replacement.

    Parameters
    ----------
    cost, direct
        `(n,)`, nano-USD of each round.
    session
        `(n,)`, codes from 0 to the number of sessions - 1.

    Returns
    -------
    tuple
        Lower and upper bound; None with fewer than two sessions, from which no spread can be known.
    """
    groups = int(session.max()) + 1
    if groups < 2:
        return None, None
    costs = np.bincount(session, weights=cost.astype(np.float64), minlength=groups)
    directs = np.bincount(session, weights=direct.astype(np.float64), minlength=groups)
    shares = np.empty(replicates)
    for row in range(replicates):
        times = np.bincount(chance.integers(0, groups, size=groups), minlength=groups)
        whole = float(times @ directs)
        shares[row] = (whole - float(times @ costs)) / whole if whole else 0.0
    lower, upper = np.quantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lower), float(upper)


def read_records(paths: Sequence[Path]) -> list[Record]:
    """Lines of the clients, in the order of the plan."""
    decode = msgspec.json.Decoder(Record).decode
    records = [decode(line) for path in paths for line in path.read_bytes().splitlines()]
    return sorted(records, key=lambda record: record.number)


def reconcile(log: Path, records: Sequence[Record]) -> Books:
    """Lay the client's records beside every event of the log, read one by one, nothing deduplicated."""
    decisions: dict[str, Decision] = {}
    outcomes: dict[str, Outcome] = {}
    hits: dict[str, CacheHit] = {}
    refused: set[str] = set()
    rewarded: set[str] = set()
    seen: Counter[tuple[str, str]] = Counter()
    for event in read_events(log):
        match event:
            case Decision():
                seen["decision", event.id] += 1
                decisions[event.id] = event
            case Outcome():
                seen["outcome", event.id] += 1
                outcomes[event.id] = event
            case Reward():
                seen["reward", event.id] += 1
                rewarded.add(event.id)
            case Refused():
                refused.add(event.id)
            case CacheHit():
                seen["hit", event.id] += 1
                hits[event.id] = event
            case _:
                pass
    asked = {record.request_id for record in records}
    posted = {record.request_id for record in records if record.posted != "never"}
    probes = {id_ for id_, decision in decisions.items() if decision.tags.get("demo") == PROBE}
    rounds = decisions.keys() - probes
    given = {id_ for id_, hit in hits.items() if hit.tags.get("demo") != PROBE}
    known = decisions.keys() | refused | hits.keys()
    return Books(
        calls=len(records),
        posted=len(posted),
        rounds=len(rounds),
        probes=len(probes),
        refusals=len(refused),
        rewards=len(rewarded),
        hits=len(given),
        without_decision=sum(r.request_id not in known for r in records),
        without_outcome=len(decisions.keys() - outcomes.keys()),
        repeated=sum(count > 1 for count in seen.values()),
        unknown=len((rounds | given) - asked) + len(rewarded - posted),
        differing=sum(r.status == "ok" and not _agree(r, decisions, outcomes, hits) for r in records),
    )


def _agree(
    record: Record,
    decisions: dict[str, Decision],
    outcomes: dict[str, Outcome],
    hits: dict[str, CacheHit],
) -> bool:
    hit = hits.get(record.request_id or "")
    if hit is not None:
        told = (record.snapshot_id, record.mode, _nano(record.cost_usd), _nano(record.direct_cost))
        return told == (hit.snapshot, hit.mode, 0, hit.direct_nano)
    decision, outcome = decisions.get(record.request_id or ""), outcomes.get(record.request_id or "")
    return (
        decision is not None
        and outcome is not None
        and outcome.status == "ok"
        and decision.snapshot == record.snapshot_id
        and decision.inputs.mode == record.mode
        and _nano(record.cost_usd) == outcome.cost_nano
        and _nano(record.direct_cost) == outcome.direct_nano
    )


def _nano(usd: float | None) -> int | None:
    return None if usd is None else usd_to_nano(usd)
