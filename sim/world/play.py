"""A world, played: the real flow on virtual time under a strategy, from the first arrival to the last word.

Everything but the far side of the socket is the product's own: the flow with its admission, reservation,
failover and settlement, the guard's law in memory, the cache of answers, live state and breakers, words
between workers, the task head, the log and the store of snapshots. A run of the same world, strategy and seed
is the same to the bit.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pyarrow as pa
from msgspec.structs import replace

from p402.answer import Completed, Metadata, Rejected, StreamEnd, StreamEvents, Streaming
from p402.cache.contract import Cache, Embedder
from p402.cache.local import LocalCache
from p402.errors import ConfigError
from p402.events import AnyEvent, Reward, RowInputs
from p402.flow.chat import Flow
from p402.flow.peers import exchange
from p402.flow.state import WorkerState
from p402.ids import request_id
from p402.ports import Log, Ports
from p402.request import ChatRequest
from p402.routing.compiled import Snapshot, compile_snapshot, parts_of
from p402.routing.decide import Decided, decide_one
from p402.routing.live import LiveState
from p402.routing.spec import TASKS
from p402.store.components import ComponentStore
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from sim.memory import MemoryBoard, MemoryGuard, MemorySessions
from sim.shown import Advance
from sim.strategies.contract import Strategy
from sim.strategies.ours import Fixed
from sim.world.alike import Alike
from sim.world.answers import answer_of, words_of
from sim.world.chance import Chance, Stream
from sim.world.clock import Loop, Until, VirtualClock
from sim.world.embedder import SimEmbedder
from sim.world.gateway import Gateway
from sim.world.handed import Handed
from sim.world.judges import words_on
from sim.world.offer import offer_at, offer_changes_h
from sim.world.rounds import Chosen, Round
from sim.world.rows import Rows, Sink
from sim.world.said import Conversations
from sim.world.spec import WorldSpec
from sim.world.table import SCHEMA
from sim.world.tables import table_of
from sim.world.traffic import Asked, Traffic
from sim.world.truth import Truth
from sim.world.upstream import SimUpstream

MakeCache = Callable[[Callable[[], int], Embedder | None, int], Cache]
"""Makes a run's cache, of its clock, its embedder and a tenant's most entries."""

HOUR_MS: Final = 3_600_000
LEARNS_NOTHING: Final = (Fixed, Gateway)
"""Strategies that need not be told what came of it."""

EXCHANGE_MS: Final = 1_000
NEVER_SEALS_MS: Final = 1 << 62
"""Segments of a simulated log are sealed by size: virtual minutes would seal one in every blink."""


def run(
    spec: WorldSpec,
    strategy: Strategy,
    seed: int,
    log: Path | None = None,
    store: Path | None = None,
    progress: Advance | None = None,
    *,
    rounds: int | None = None,
    cache: MakeCache = LocalCache,
) -> pa.Table:
    """Play a world and give the table of its rounds (`sim.world.table.SCHEMA`).

    Parameters
    ----------
    strategy
        Fresh: it learns as it goes.
    log, store
        Folders of the log and the snapshots to write, both or neither; only for strategies that decide by
        `p402.routing.decide.decide_one`, since no other choice replays.
    progress
        Told requests that have arrived, and how many are expected.
    rounds
        Requests in all; None ends by the world's hours.
    cache
        Another hand of the cache's port than the product's.

    Raises
    ------
    ConfigError
        The spec, the seed or the wish for a log does not fit.
    """
    batches: list[pa.RecordBatch] = []
    play(spec, strategy, seed, batches.append, log, store, progress, rounds=rounds, cache=cache)
    return pa.Table.from_batches(batches, SCHEMA)


def play(
    spec: WorldSpec,
    strategy: Strategy,
    seed: int,
    sink: Sink,
    log: Path | None = None,
    store: Path | None = None,
    progress: Advance | None = None,
    *,
    rounds: int | None = None,
    cache: MakeCache = LocalCache,
) -> "Played":
    """Play a world, and hand its rows to a sink in batches: memory is bounded by what is under way.

    Raises
    ------
    ConfigError
        As of `run`.
    """
    if (log is None) != (store is None):
        raise ConfigError("a log needs the store of the snapshots it cites; give both folders or neither")
    if log is not None and strategy.decide is not decide_one:
        raise ConfigError(
            f"strategy {strategy.name!r} does not choose by `decide_one`, so no replay could verify its log; "
            "leave the log out, or use p402 or gateway"
        )
    played = Played(spec, strategy, seed, sink, progress, rounds, store, cache)
    with ExitStack() as stack:
        played.run([] if log is None else [stack.enter_context(w) for w in _writers(spec, log, played.clock)])
    return played


def _writers(spec: WorldSpec, log: Path, clock: VirtualClock) -> Iterator[LogWriter]:
    for number in range(spec.workers):
        yield LogWriter(log, f"w{number}", clock.now_ms, seal_ms=NEVER_SEALS_MS)


class Played:
    """One run under way, and what is left of it.

    Attributes
    ----------
    guard, cache
        Its books and its kept answers, for whoever wants to look at them afterwards. All workers share them.
    """

    def __init__(
        self,
        spec: WorldSpec,
        strategy: Strategy,
        seed: int,
        sink: Sink,
        progress: Advance | None,
        rounds: int | None,
        store: Path | None,
        cache: MakeCache = LocalCache,
    ) -> None:
        self.spec, self.strategy = spec, strategy
        self.clock = VirtualClock(spec.start_ms)
        self.loop = Loop(self.clock)
        self.chance = Chance(seed)
        table = table_of(spec)
        self.truth = Truth(spec, table)
        self.traffic = Traffic(spec, self.chance, rounds, table)
        self.alike = Alike()
        self.rows = Rows(seed, strategy.name, self.truth, self.alike, sink)
        self.under_way: dict[str, Round] = {}
        self._expected = rounds or max(1, round(spec.arrivals.per_hour * spec.hours))
        self._progress = progress
        self._learns = not isinstance(strategy, LEARNS_NOTHING)
        self._store = None if store is None else ComponentStore(store)
        self.tenants = dict(offer_at(spec, 0.0).tenants)
        self.guard = MemoryGuard(lambda tenant: self.tenants[tenant].limits, self.clock.now_ms)
        self.board = MemoryBoard(self.clock.now_ms)
        self.embedder = SimEmbedder(spec.cache, self.chance, TASKS)
        compares = self.embedder if spec.cache.compares else None
        self.cache = cache(self.clock.now_ms, compares, spec.cache.entries)
        self.talks = Conversations()
        self.upstream = SimUpstream(spec, self.truth, self.clock, self.chance, self.under_way)
        self.flows: list[Flow] = []
        self.arrived = 0
        self._open = True
        self._exchanged_ms = float("-inf")

    def run(self, logs: list[LogWriter]) -> None:
        """Play it to its end."""
        snapshot = self._begin(0.0)
        self.handed = Handed(snapshot, self.alike)
        head = load_head()
        shared = MemorySessions(self.clock.now_ms) if self.spec.workers > 1 else None
        for number in range(self.spec.workers):
            log: Log = logs[number] if logs else _Nowhere()
            ports = Ports(self.clock, log, self.guard, self.upstream, sessions=shared, cache=self.cache)
            state = WorkerState(f"w{number}", snapshot, head)
            self.flows.append(Flow(ports, state, {}, decide=self._decide))
        self.loop.start(self._arrivals())
        if self._learns:
            self.loop.start(self._ticks())
        self.loop.start(self._offers())
        self.loop.run()
        self.rows.flush()

    async def _arrivals(self) -> None:
        """Begin every request at its moment."""
        for asked in self.traffic:
            await Until(asked.at_ms)
            self.loop.start(self._request(asked))
        self._open = False

    async def _offers(self) -> None:
        """Take up prices and arms when they change, as the gateway does."""
        for at_h in offer_changes_h(self.spec):
            await Until(self.spec.start_ms + at_h * HOUR_MS)
            if not self._is_open:
                return
            self._swap(self._begin(at_h))

    async def _ticks(self) -> None:
        """Hand over what has arrived, and swap in what the strategy makes of it."""
        while self._is_open:
            await Until(self.clock.ms + self.spec.tick_s * 1000)
            due = self.handed.take(self.clock.ms, self.spec.matures_s * 1000)
            snapshot = self.strategy.learn(due, self.clock.now_ms()) if due is not None else None
            if snapshot is not None:
                self._swap(self._kept(snapshot))

    @property
    def _is_open(self) -> bool:
        return self._open or bool(self.under_way)

    async def _request(self, asked: Asked) -> None:
        """One request, from its arrival to its row; where callers wait, the next turn after it."""
        flow = await self._worker(asked)
        now_ms = self.clock.now_ms()
        made = request_id(now_ms, asked.bits)
        ended = Round(self.arrived, made, asked, now_ms)
        self.arrived += 1
        if self._progress is not None:
            self._progress(self.arrived, max(self.arrived, self._expected))
        self.under_way[made] = ended
        self.clock.bits = asked.bits
        arrived_ms = self.clock.ms
        tenant = self.tenants[asked.session.tenant.name]
        answer = await flow.chat(self._as_asked(asked), tenant, arrived_ms)
        if isinstance(answer, Rejected):
            _rejected(ended, answer, self.clock.ms - arrived_ms)
        else:
            await self._answered(ended, answer)
        del self.under_way[made]
        self.rows.add(ended)
        self._hear(flow, ended)
        if self.spec.sessions.waits:
            self._go_on(asked)

    def _as_asked(self, asked: Asked) -> ChatRequest:
        """The request; one of a conversation that others may have too carries all that was said before."""
        common = asked.session.common
        if common is None:
            return asked.request
        if asked.turn == 0:
            self.embedder.learn(common)
        messages = self.talks.messages(asked)
        self.talks.begin(asked)
        return replace(asked.request, body={"messages": messages})

    async def _answered(self, ended: Round, answer: Completed | Streaming) -> None:
        """Note an answer, whole or read to its end as a client does, or a stream that broke."""
        code, events = None, list[bytes]()
        if isinstance(answer, Streaming):
            end, events = await _read(answer.events)
            told, body, code = end.metadata, None, None if end.failure is None else end.failure.code
        else:
            told, body = answer.metadata, answer.body
        if told.cached:
            _given(ended, told, words_of(body, events))
        else:
            _made(ended, told, code)
        if ended.asked.session.common is not None and code is None:
            self.talks.answered(ended.asked, words_of(body, events))

    def _go_on(self, asked: Asked) -> None:
        following = self.traffic.next(asked, self.clock.ms)
        if following is not None:
            self.loop.start(self._request(following), following.at_ms)

    async def _worker(self, asked: Asked) -> Flow:
        """The worker that a request comes to; with several, they have exchanged words within the second."""
        if len(self.flows) == 1:
            return self.flows[0]
        if self.clock.ms - self._exchanged_ms >= EXCHANGE_MS:
            self._exchanged_ms = self.clock.ms
            for flow in self.flows:
                await exchange(flow.state, self.board, self.clock.now_ms, _at_once)
        u = self.chance.draws(Stream.WORKER, asked.session.number, asked.turn)[0]
        return self.flows[int(u * len(self.flows))]

    def _decide(self, snapshot: Snapshot, made: str, inputs: RowInputs, live: LiveState) -> Decided:
        """Ask the strategy, and note the first choice of a round with all that it was made by."""
        decided = self.strategy.decide(snapshot, made, inputs, live)
        if not inputs.tried:
            self.under_way[made].chosen = Chosen(snapshot, inputs, live, decided)
        return decided

    def _hear(self, flow: Flow, ended: Round) -> None:
        """Lay out what will be said of a round, and when the strategy hears of it."""
        if not ended.calls or not (self._learns or self._store is not None):
            return
        if self._learns and ended.first_failed:
            self.handed.tell(ended, 0.0, self.clock.ms)
        said = False
        if ended.served is not None and ended.quality is not None:
            arm = self.truth.index[ended.served]
            for word in words_on(
                self.spec.judges, self.chance, ended.asked, arm, ended.calls - 1, ended.quality
            ):
                said = True
                at_ms = self.clock.ms + word.after_ms
                if self._learns and not ended.first_failed:
                    self.handed.tell(ended, word.quality, at_ms)
                if self._store is not None:
                    self.loop.start(self._reward(flow, ended, word.source, word.quality), at_ms)
        if self._learns and not said and not ended.first_failed:
            self.handed.wait(ended, self.clock.ms)

    async def _reward(self, flow: Flow, ended: Round, source: str, quality: float) -> None:
        """Log one source's word at its moment."""
        tenant = self.tenants[ended.asked.session.tenant.name]
        status = "accepted" if quality >= 0.5 else "rejected"
        flow.outcome(
            tenant,
            Reward(
                ts_ms=self.clock.now_ms(),
                id=ended.id,
                tenant=tenant.name,
                source=source,
                status=status,
                quality=quality,
            ),
        )

    def _begin(self, at_h: float) -> Snapshot:
        """The snapshot that the strategy goes on under, with the prices and arms of a moment."""
        assembly = offer_at(self.spec, at_h)
        return self._kept(self.strategy.begin(compile_snapshot(assembly.spec)))

    def _kept(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, once it is where a replay will look for it."""
        if self._store is not None:
            self._store.put_snapshot(parts_of(snapshot.spec))
        return snapshot

    def _swap(self, snapshot: Snapshot) -> None:
        for flow in self.flows:
            flow.state.swap(snapshot)


async def _read(events: StreamEvents) -> tuple[StreamEnd, list[bytes]]:
    """Read a stream to its end: its last word, and the events before."""
    read: list[bytes] = []
    async for item in events:
        if isinstance(item, StreamEnd):
            await events.aclose()
            return item, read
        read.append(item)
    raise RuntimeError("a stream of the flow ended without its last word")


class _Nowhere:
    """A log that keeps nothing."""

    def append(self, event: AnyEvent) -> None:
        """Let it go."""


async def _at_once() -> None:
    """Pause for nothing."""


def _given(ended: Round, told: Metadata, words: str) -> None:
    """Note an answer of the cache: right where it was made for the same question, else worth nothing."""
    kept = answer_of(words)
    ended.status, ended.served = "ok", kept.arm
    ended.entry, ended.similarity = told.cache_entry, told.cache_similarity
    ended.wrong = kept.question is None or kept.question != ended.asked.question
    ended.quality = 0.0 if ended.wrong else kept.quality
    ended.direct_nano = told.direct_nano
    ended.latency_ms, ended.ttfb_ms = told.latency_ms, told.ttfb_ms


def _made(ended: Round, told: Metadata, code: str | None) -> None:
    """Note an answer that was made for the request, or a stream that broke."""
    first = told.attempts[0]
    ended.status = "ok" if code is None else "failed"
    ended.code = code
    ended.served = None if code is not None else told.attempts[-1].arm
    ended.cost_nano = told.cost_nano or 0
    ended.direct_nano = told.direct_nano
    ended.latency_ms, ended.ttfb_ms = told.latency_ms, told.ttfb_ms
    ended.first_cost_nano, ended.first_latency_ms = first.cost_nano, first.latency_ms
    if first.status == "ok" and not told.usage_estimated:
        ended.first_output = first.output_tokens
    ended.first_failed = first.status != "ok"


def _rejected(ended: Round, answer: Rejected, waited_ms: float) -> None:
    """Note a request that nobody answered: refused before any call, or failed after the last."""
    ended.code = answer.refusal.code
    if not ended.calls:
        return
    ended.status, ended.latency_ms = "failed", waited_ms
    ended.cost_nano = sum(attempt.cost_nano or 0 for attempt in answer.attempts)
    first = answer.attempts[0]
    ended.first_cost_nano, ended.first_latency_ms, ended.first_failed = (
        first.cost_nano,
        first.latency_ms,
        True,
    )
