"""Why a logged choice fell as it did: every arm with its score, its propensity, and what kept it out.

The views are those that the gateway gives for `explain: true`, made from the log instead. It prints
nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from p402.answer import ArmView
from p402.errors import NotFound, StoreError
from p402.flow.views import arm_views
from p402.routing.decide import decide
from p402.routing.scale import COUNT_ONE
from p402.store.reader import connect
from sim.replay.snapshots import Snapshots
from sim.replay.source import UNFIT, Group, Lost, groups
from sim.replay.verify import CHOICES


@dataclass(frozen=True, slots=True)
class Explained:
    """One logged choice.

    Attributes
    ----------
    attempt
        None for the round's decision; 0 for the model that was called by name; else a failover.
    arm, propensity
        As logged; the propensity is None for attempts, which chance takes no part in.
    recomputed
        What `decide` takes now: the same arm, unless the log was changed.
    arms
        Every arm of the snapshot.
    quality_source
        By arm, where the belief in its quality came from: the source of its benchmarks, or `prior`.
    """

    id: str
    attempt: int | None
    worker: str
    live_seq: int
    snapshot: str
    mode: str
    arm: str | None
    propensity: float | None
    recomputed: str | None
    arms: tuple[ArmView, ...]
    quality_source: dict[str, str]


def explain(log: Path, store: Path, request_id: str) -> tuple[Explained, ...]:
    """The decision of a round, then its attempts in order.

    Raises
    ------
    NotFound
        The log has no choice of that request.
    StoreError
        What it was decided under is missing or corrupt.
    """
    snapshots = Snapshots(store)
    with connect(log) as con:
        query = f"SELECT * FROM ({CHOICES}) WHERE id = $1"  # noqa: S608 - our query
        found = [row for rows in groups(con, query, [request_id]) for row in _each(rows, snapshots)]
    if not found:
        raise NotFound(
            f"no decision of request {request_id!r} is in {log}; expected an id that an answer's "
            f"p402_metadata gave; a request that was refused or dry has none"
        )
    return tuple(sorted(found, key=lambda row: -1 if row.attempt is None else row.attempt))


def _each(rows: Group | Lost, snapshots: Snapshots) -> list[Explained]:
    if isinstance(rows, Lost):
        raise StoreError(rows.why)
    return [_explained(rows.row(i), snapshots) for i in range(len(rows))]


def _explained(group: Group, snapshots: Snapshots) -> Explained:
    snapshot = snapshots.get(group.snapshot)
    row = group.table.to_pylist()[0]
    try:
        batch = group.batch(snapshot)
        chosen = decide(snapshot, batch).arm.item()
        views = arm_views(snapshot, batch)
    except UNFIT as error:
        raise StoreError(
            f"the row of {row['id']} cannot be decided: {error}; expected what was logged"
        ) from error
    spec = snapshot.spec
    return Explained(
        id=row["id"],
        attempt=row["attempt"],
        worker=row["worker"],
        live_seq=row["live_seq"],
        snapshot=group.snapshot,
        mode=group.inputs[0].mode,
        arm=row["arm"],
        propensity=None if row["count"] is None else row["count"] / COUNT_ONE,
        recomputed=None if chosen < 0 else spec.arms.arm[chosen],
        arms=views,
        quality_source=dict(zip(spec.arms.arm, spec.posterior.quality_source, strict=True)),
    )
