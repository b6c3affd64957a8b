"""What one worker remembers between requests: snapshot, live state, sessions, lengths of answers.

The only mutable state of the flow, changed in one place each: a snapshot is swapped whole,
live columns are replaced by a logged delta, a session's last arm and an answer's length are noted
after it answered.
It knows no clock and writes nothing: the caller logs the delta it is given.
"""

from collections import OrderedDict
from typing import Final

from p402.events import ArmLive, Live
from p402.flow.budget import RetryBudget
from p402.flow.lengths import AnswerLengths
from p402.ports import Warmth
from p402.routing.compiled import Snapshot
from p402.routing.head import TaskHead
from p402.routing.health import Health
from p402.routing.live import LiveState
from p402.routing.scale import FEATURE_ONE

MAX_SESSIONS: Final = 50_000


class WorkerState:
    """Snapshot, live columns, sessions and answers' lengths of one worker.

    Parameters
    ----------
    worker
        Unique among all workers that ever write to one log; every row cites it.
    head
        Infers tasks; it stays as it was made.

    Attributes
    ----------
    hidden
        Arms of the snapshot that no tenant may use: they stand there only to be priced.
    lengths
        Of the answers so far, for holds that are predicted; they change no decision.
    failovers
        How many more this worker may make.
    """

    def __init__(self, worker: str, snapshot: Snapshot, head: TaskHead) -> None:
        self.worker = worker
        self.head = head
        self.snapshot = snapshot
        self.hidden = hidden_arms(snapshot)
        self.health = Health()
        self.health.believe_lengths(believed_lengths(snapshot))
        self.live = LiveState.at_start(snapshot.n_arms)
        self.lengths = AnswerLengths()
        self.failovers = RetryBudget()
        self._sessions: OrderedDict[tuple[str, str], Warmth] = OrderedDict()

    def swap(self, snapshot: Snapshot) -> None:
        """Decide by another snapshot from the next request on."""
        if snapshot.id == self.snapshot.id:
            return
        self.snapshot = snapshot
        self.hidden = hidden_arms(snapshot)
        self.health.believe_lengths(believed_lengths(snapshot))
        self.live = LiveState.project(self.health.seq, self.health.table, snapshot.index)

    def delta(self, now_ms: int) -> Live | None:
        """The change of live state that is due, to be logged before `apply`; None if there is none."""
        moved: dict[str, ArmLive] | None = self.health.due(now_ms)
        if moved is None:
            return None
        return Live(ts_ms=now_ms, worker=self.worker, seq=self.health.seq + 1, arms=moved)

    def apply(self, delta: Live) -> None:
        """Decide by a delta that has been logged."""
        self.health.publish(delta.arms)
        self.live = LiveState.project(delta.seq, self.health.table, self.snapshot.index)

    def live_for(self, snapshot: Snapshot, otherwise: LiveState) -> LiveState:
        """Today's live columns if they are of this snapshot, else those the request was planned with."""
        return self.live if self.snapshot is snapshot else otherwise

    def last_served(self, tenant: str, session: str) -> Warmth | None:
        """Where the session was last served, however long ago."""
        return self._sessions.get((tenant, session))

    def hear(self, tenant: str, session: str, warmth: Warmth) -> None:
        """Take another worker's word on a session, unless this one served it later itself."""
        known = self.last_served(tenant, session)
        if known is None or (warmth.at_ms, warmth.answers) > (known.at_ms, known.answers):
            self.note(tenant, session, warmth)

    def note(self, tenant: str, session: str, warmth: Warmth) -> None:
        """Remember where a session was served; the longest unseen are forgotten first."""
        key = (tenant, session)
        self._sessions[key] = warmth
        self._sessions.move_to_end(key)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)


def hidden_arms(snapshot: Snapshot) -> frozenset[str]:
    """Arms that every tenant policy denies."""
    denied = [frozenset(policy.denied) for policy in snapshot.spec.tenants.policies]
    return frozenset.intersection(*denied)


def believed_lengths(snapshot: Snapshot) -> dict[str, float]:
    """Lengths of answers that a snapshot believes, over what a task makes expected; arms at 1 left out."""
    spec = snapshot.spec
    told = zip(spec.arms.arm, spec.posterior.output_ratio, strict=True)
    return {arm: max(1, ratio) / FEATURE_ONE for arm, ratio in told if ratio != FEATURE_ONE}
