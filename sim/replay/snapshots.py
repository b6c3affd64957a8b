"""Which snapshot a row was decided under, compiled from the store and held to its id.

Source of truth is the content-addressed store; nothing of the gateway's process is needed.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import ConfigError, CorruptComponent, StoreError
from p402.routing.compiled import Snapshot, from_parts
from p402.store.components import ComponentStore

KEPT: Final = 8
"""Compiled snapshots held at once: a worker's rows pass through them in order."""


class Snapshots:
    """Snapshots by id; the last few stay compiled.

    Raises
    ------
    StoreError
        There is no such folder.
    """

    def __init__(self, root: Path, keep: int = KEPT) -> None:
        if not root.is_dir():
            raise StoreError(
                f"{root} is no folder; expected the snapshot store that the gateway writes: pass --store"
            )
        self.used: set[str] = set()
        """Ids of all that were found and fit."""
        self._store = ComponentStore(root)
        self._keep = keep
        self._compiled: OrderedDict[str, Snapshot] = OrderedDict()
        self._failed: dict[str, StoreError] = {}

    def get(self, snapshot_id: str) -> Snapshot:
        """The snapshot of that id.

        Raises
        ------
        MissingSnapshot
            It, or one of its components, is not in the store.
        CorruptComponent
            Bytes do not have their name's hash, or cannot be compiled to a snapshot of that id.
        """
        found = self._compiled.get(snapshot_id)
        if found is not None:
            self._compiled.move_to_end(snapshot_id)
            return found
        if snapshot_id in self._failed:
            raise self._failed[snapshot_id]
        try:
            found = self._load(snapshot_id)
        except StoreError as error:
            self._failed[snapshot_id] = error
            raise
        self.used.add(snapshot_id)
        self._compiled[snapshot_id] = found
        if len(self._compiled) > self._keep:
            self._compiled.popitem(last=False)
        return found

    def _load(self, snapshot_id: str) -> Snapshot:
        try:
            snapshot = from_parts(self._store.get_snapshot(snapshot_id))
        except (ConfigError, msgspec.MsgspecError) as error:
            raise CorruptComponent(
                f"snapshot {snapshot_id} cannot be compiled: {error}; restore its components from a copy"
            ) from error
        if snapshot.id != snapshot_id:
            raise CorruptComponent(
                f"snapshot {snapshot_id} compiles to {snapshot.id}; expected its own id: it was written by a "
                f"version of p402 whose components differ; replay with that version"
            )
        return snapshot
