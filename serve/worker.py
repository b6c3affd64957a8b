"""One worker: real hands for the flow's ports, made, started and stopped in order.

Wiring only. What is built here touches the disk (log, snapshot store, state), so a worker is
built in the process that serves. Stopping lets go in the order that loses nothing: exchanges that
outlive their clients and upstream calls first, so that each settles and logs; then the books; then the log is
sealed; what alerts are left are tried once more, and the last of what was counted is written.
"""

import asyncio
import gc
import os
import secrets
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from p402.cache.contract import Embedder
from p402.catalog.benchmarks import Benchmark, parse_benchmarks
from p402.errors import ConfigError
from p402.flow.chat import Flow, Ports
from p402.flow.state import WorkerState
from p402.routing.spec import TASKS
from p402.settings import ProviderSettings, Secret, Settings
from p402.store.catalog import load_catalog
from p402.store.config import Configuration, read_toml
from p402.store.task_head import load_head
from p402.store.writer import LogWriter
from serve.alerts.webhooks import Webhooks, webhooks
from serve.cache.make import make_cache
from serve.cache.meaning import UNWANTED, meaning_of
from serve.cache.shared import SharedCache
from serve.clock import SystemClock
from serve.embedding.embedder import Embedder as OwnEmbedder
from serve.embedding.parts import Absent
from serve.errors import report
from serve.guard.make import make_guard, state_path
from serve.guard.shared import SharedGuard
from serve.handlers.front import Front
from serve.idempotency import scripts
from serve.idempotency.answers import Answers
from serve.idempotency.keeper import Keeper
from serve.idempotency.once import Once
from serve.idempotency.shared import SharedKeeper
from serve.keys import keyring
from serve.metrics.health import failovers
from serve.metrics.meter import Meter, MeteredLog
from serve.metrics.sheets import EVERY_S, Sheet
from serve.peers.talk import Talk, make_board
from serve.redis.connect import way_to
from serve.sessions.make import make_sessions
from serve.snapshots import SnapshotKeeper
from serve.upstream.client import HttpUpstream
from serve.upstream.provider import Provider, Timeouts

REFRESH_S: Final = 1.0
"""How often a worker looks for published weights and due prices."""


class Worker:
    """Everything one process serves with. Building it opens log and state; `stop` closes them.

    Parameters
    ----------
    sheets
        Folder that takes what this worker counts; None where nobody reads it.
    embedder
        By which the cache compares prompts, or why it finds exact repeats only; closed with the worker.

    Raises
    ------
    p402.errors.P402Error
        The settings do not fit together, or log, store or state cannot be used.

    Attributes
    ----------
    front
        What the handlers work with.
    name
        Unique among all workers that ever write to this log.
    """

    def __init__(
        self,
        configuration: Configuration,
        dev_key: str | None = None,
        sheets: Path | None = None,
        embedder: Embedder | Absent = UNWANTED,
    ) -> None:
        settings = configuration.settings
        clock = SystemClock()
        self.name = f"w{os.getpid()}-{secrets.token_hex(4)}"
        self._keeper = SnapshotKeeper(settings, load_catalog(), _benchmarks(settings), clock.now_ms, _notice)
        in_force = self._keeper.in_force
        tenants = in_force.assembly.tenants
        self._state = WorkerState(self.name, in_force.snapshot, load_head())
        self._guard = make_guard(settings, lambda tenant: tenants[tenant].limits, clock.now_ms, self.name)
        self._guard.start()
        self._upstream = HttpUpstream(_providers(settings.providers), clock.now_ms)
        self._log = LogWriter(Path(settings.server.log), self.name, clock.now_ms)
        self._alerts = Webhooks(webhooks(settings.tenants), clock)
        meter = Meter(settings.tenants)
        self._talk = Talk(self._state, make_board(settings, clock.now_ms, self.name), clock.now_ms)
        self._sessions = make_sessions(settings, clock.now_ms, self.name)
        self._embedder = None if isinstance(embedder, Absent) else embedder
        self._cache = make_cache(settings, clock.now_ms, self.name, self._embedder)
        shared = [] if self._sessions is None else [self._sessions.collect]
        if isinstance(self._cache, SharedCache):
            shared.append(self._cache.collect)
        if isinstance(self._embedder, OwnEmbedder):
            shared.append(self._embedder.collect)
        self._sheet = (
            None
            if sheets is None
            else Sheet(
                sheets,
                self.name,
                (
                    meter.collect,
                    self._guard.collect,
                    self._alerts.collect,
                    self._talk.collect,
                    *shared,
                    failovers(self._state.failovers),
                ),
            )
        )
        flow = Flow(
            Ports(
                clock=clock,
                log=MeteredLog(self._log, meter),
                guard=self._guard,
                upstream=self._upstream,
                alerts=self._alerts,
                sessions=self._sessions,
                cache=self._cache,
            ),
            self._state,
            dict(in_force.assembly.upstream_model),
            self._upstream.lacks,
        )
        keys = keyring(settings, tenants, configuration.client_keys, dev_key)
        self._serving = False
        self._tasks: list[asyncio.Task[None]] = []
        self._once = Once(_answers(settings, clock, self.name))
        self.front = Front(
            flow=flow,
            keys=keys,
            clock=clock,
            ready=self._ready,
            once=self._once,
            meter=meter,
            meaning=meaning_of(embedder),
        )

    def _ready(self) -> bool:
        return self._serving and self._guard.open

    async def start(self) -> None:
        """Begin to serve, and to look for new weights.

        Raises
        ------
        p402.errors.P402Error
            Redis must not keep budgets.
        """
        if isinstance(self._guard, SharedGuard):
            await self._guard.join()
        self._once.start()
        if self._sessions is not None:
            await self._sessions.open()
        if isinstance(self._cache, SharedCache):
            await self._cache.open()
        self._tasks = [
            asyncio.create_task(self._refresh(), name="snapshots"),
            asyncio.create_task(self._talk.run(), name="peers"),
        ]
        if self._sheet is not None:
            self._sheet.write()
            self._tasks.append(asyncio.create_task(self._publish(self._sheet), name="metrics"))
        gc.collect()
        gc.freeze()  # what was built lives as long as the worker: no collection need look at it again
        self._serving = True

    async def stop(self) -> None:
        """Let go of everything; the log is sealed when this returns."""
        self._serving = False
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._talk.close()
        await self._once.close()
        await self._upstream.aclose()
        if self._sessions is not None:
            await self._sessions.close()
        if self._cache is not None:
            await self._cache.close()
        if isinstance(self._embedder, OwnEmbedder):
            await self._embedder.close()
        await self._guard.close()
        self._log.close()
        await self._alerts.close()
        if self._sheet is not None:
            self._sheet.write()

    async def _publish(self, sheet: Sheet) -> None:
        pause_s = EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = await asyncio.to_thread(sheet.write)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                changed = await asyncio.to_thread(self._keeper.refresh)
            except Exception as error:  # noqa: BLE001 - a worker goes on with the snapshot it has, and says so
                report(error, self.name)
                continue
            if changed:
                self._state.swap(self._keeper.in_force.snapshot)


def answers_path(settings: Settings) -> Path:
    """File of the answers kept under an `Idempotency-Key`: beside the state."""
    return state_path(settings).with_suffix(".answers.db")


def _answers(settings: Settings, clock: SystemClock, name: str) -> Answers:
    """The host's file, behind Redis where hosts share one; nothing is opened yet."""
    own = Keeper(answers_path(settings), clock.now_ms)
    if settings.server.redis is None:
        return own
    url = settings.server.redis.reveal()
    return SharedKeeper(own, lambda: way_to(url, scripts=scripts.ALL, name=f"p402-{name}-once"))


def _benchmarks(settings: Settings) -> tuple[Benchmark, ...]:
    if settings.server.benchmarks is None:
        return ()
    path = Path(settings.server.benchmarks)
    try:
        return parse_benchmarks(read_toml(path), TASKS)
    except ConfigError as error:
        raise ConfigError(f"server.benchmarks: {error}") from error


def _providers(settings: Mapping[str, ProviderSettings]) -> dict[str, Provider]:
    return {
        name: Provider(
            name=name,
            dialect=found.dialect,
            base_url=found.base_url,
            api_key=found.api_key or Secret(""),
            timeouts=Timeouts(
                connect_ms=found.connect_timeout_ms,
                first_byte_ms=found.first_byte_timeout_ms,
                idle_ms=found.idle_timeout_ms,
                total_ms=found.total_timeout_ms,
            ),
            max_connections=found.max_connections,
            output_field=found.output_field or "max_tokens",
            renames_cap=found.output_field is not None,
            extra_fields=frozenset(found.extra_fields),
            message_fields=frozenset(found.message_fields),
            omit_fields=frozenset(found.omit_fields),
            region=found.region,
            api_version=found.api_version,
            transport=found.transport,
            credentials=found.credentials,
        )
        for name, found in settings.items()
    }


def _notice(text: str) -> None:
    sys.stderr.write(f"p402 serve: {text}\n")
