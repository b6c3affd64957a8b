"""The snapshot a worker decides by: assembled at start, and again when weights or prices change.

Every snapshot is written to the component store before its first use, so that no logged row can
cite one that replay will not find. Changes are seen by looking, once a second: the published
weights by the state of one file, prices by the instant at which the next one changes. Whatever
is wrong with a new file, the last good snapshot stays and a notice says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from p402.assemble import START_WEIGHTS, Assembly, assemble
from p402.catalog.benchmarks import Benchmark
from p402.catalog.model import Catalog
from p402.errors import P402Error, StoreError
from p402.registry.weights import Published, Stamp, WeightsRegistry, stamp_of
from p402.routing.compiled import Snapshot, compile_snapshot, parts_of
from p402.settings import Settings
from p402.store.components import ComponentStore


@dataclass(frozen=True, slots=True)
class InForce:
    """A stored snapshot, what belongs to it, and the published weights it carries (None at 50/50)."""

    snapshot: Snapshot
    assembly: Assembly
    published: Published | None


class SnapshotKeeper:
    """Keeps the snapshot in force current.

    Parameters
    ----------
    now_ms
        Wall clock, ms since 1970 UTC.
    notice
        Told, once each, what kept a change from being taken up.
    """

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        benchmarks: tuple[Benchmark, ...],
        now_ms: Callable[[], int],
        notice: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._benchmarks = benchmarks
        self._now_ms = now_ms
        self._notice = notice
        self._store = ComponentStore(Path(settings.server.store))
        self._registry = WeightsRegistry(Path(settings.server.registry))
        self._seen: Stamp | None = None
        self._noticed = ""
        self.in_force = self._assemble(self._published_at_start())

    def refresh(self) -> bool:
        """Take up new weights or prices if there are any; True if the snapshot in force changed.

        What fails is tried again at the next call: a full disk passes, a file may be mended.
        """
        stamp = stamp_of(self._registry.path)
        due = self.in_force.assembly.next_change_ms
        price_moved = due is not None and self._now_ms() >= due
        if stamp == self._seen and not price_moved:
            return False
        before = self.in_force.snapshot.id
        try:
            published = self._registry.current() if stamp != self._seen else self.in_force.published
            self.in_force = self._assemble(published)
        except P402Error as error:
            self._say(f"keeps snapshot {before[:12]}: {error}")
            return False
        self._seen = stamp
        return self.in_force.snapshot.id != before

    def _published_at_start(self) -> Published | None:
        """Weights to begin with; a file that cannot be read starts at 50/50 and says so."""
        self._seen = stamp_of(self._registry.path)
        try:
            return self._registry.current()
        except StoreError as error:
            self._say(f"starts with balanced weights 50/50: {error}")
            return None

    def _assemble(self, published: Published | None) -> InForce:
        balanced = (
            START_WEIGHTS if published is None else (published.quality, published.cost, published.speed)
        )
        assembly = assemble(self._catalog, self._settings, self._benchmarks, balanced, self._now_ms())
        snapshot = compile_snapshot(assembly.spec)
        stored = self._store.put_snapshot(parts_of(assembly.spec))
        if stored != snapshot.id:
            raise StoreError(f"snapshot {snapshot.id[:12]} was stored as {stored[:12]}: its bytes differ")
        return InForce(snapshot, assembly, published)

    def _say(self, text: str) -> None:
        if text != self._noticed:
            self._noticed = text
            self._notice(text)
