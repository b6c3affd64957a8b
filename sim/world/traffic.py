"""What is asked, by whom and when: every request of a run, in the order of its arrival.

All of it is keyed by session and turn, so that it is the same whatever the gateway does, but for the moments
of later turns where callers wait for answers (`Sessions.waits`). It knows nothing of arms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import Final

from p402.request import ChatRequest, Options, Transcript
from p402_datasets.outcomes import OutcomeTable
from sim.world.arrivals import session_starts, turns_of
from sim.world.chance import Chance, Stream, normal
from sim.world.rewards import quantile_of
from sim.world.spec import TenantSpec, WorldSpec

BYTES_PER_TOKEN: Final = 4
NO_TEXT: Final = "Go on."


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation.

    Attributes
    ----------
    number
        Counts sessions of the run; keys all its chance.
    mode, task
        Of all its turns; `task` is the true one.
    row
        Of the outcome table; -1 in worlds without one.
    """

    number: int
    name: str
    tenant: TenantSpec
    mode: str
    task: str
    named: bool
    turns: int
    row: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One request.

    Attributes
    ----------
    at_ms
        When it arrives, ms since 1970 UTC.
    bits
        What its id is made of.
    difficulty, length
        Standard normal deviates that every arm shares: of quality, and of the answer's length.
    tokens
        Of its transcript so far, without what the router adds for turns.
    """

    session: Session
    turn: int
    at_ms: float
    bits: int
    difficulty: float
    length: float
    tokens: int
    request: ChatRequest


class Traffic:
    """The requests of one run.

    Parameters
    ----------
    rounds
        Requests in all, for a run that ends by number: sessions go on beginning until there are so many.
        None ends by the world's hours.
    table
        Outcomes that prompts are drawn from, where the world has them.
    """

    def __init__(
        self, spec: WorldSpec, chance: Chance, rounds: int | None = None, table: OutcomeTable | None = None
    ) -> None:
        self._spec, self._chance, self._rounds, self._table = spec, chance, rounds, table
        self._tasks = {task.name: task for task in spec.tasks}
        self._tenants = _Dice({tenant.name: tenant.share for tenant in spec.tenants})
        self._known = {tenant.name: tenant for tenant in spec.tenants}
        self._modes = {tenant.name: _Dice(tenant.modes) for tenant in spec.tenants}
        shares = {task.name: task.share for task in spec.tasks}
        self._asks = {tenant.name: _Dice(tenant.tasks or shares) for tenant in spec.tenants}

    def __iter__(self) -> Iterator[Asked]:
        """Every request, by arrival; where callers wait, each session's first."""
        begun = self._sessions()
        following = next(begun, None)
        due: list[tuple[float, int, Asked]] = []
        while due or following is not None:
            if following is not None and (not due or following[1] <= due[0][0]):
                session, at_ms = following
                first = self.turn(session, 0, at_ms, 0)
                heappush(due, (at_ms, session.number, first))
                following = next(begun, None)
                continue
            _, number, asked = heappop(due)
            yield asked
            if not self._spec.sessions.waits:
                after = self.next(asked, asked.at_ms)
                if after is not None:
                    heappush(due, (after.at_ms, number, after))

    def next(self, asked: Asked, at_ms: float) -> Asked | None:
        """The turn after one, a pause after `at_ms`; None where it was the last."""
        turn, law = asked.turn + 1, self._spec.sessions
        if turn >= asked.session.turns:
            return None
        pause = quantile_of(
            law.pause_s, normal(self._chance.draws(Stream.TURN, asked.session.number, turn)[0])
        )
        before = asked.tokens + law.answer_tokens if law.grows else 0
        return self.turn(asked.session, turn, at_ms + pause * 1000, before)

    def turn(self, session: Session, turn: int, at_ms: float, before: int) -> Asked:
        """One turn over `before` tokens of earlier ones."""
        spec, tenant = self._spec, session.tenant
        u = self._chance.draws(Stream.TURN, session.number, turn)
        if self._table is not None:
            text = self._table.prompts[session.row].text
            size = len(text.encode())
            tokens = -(-size // BYTES_PER_TOKEN)
        else:
            task = self._tasks[session.task]
            tokens = before + max(1, round(quantile_of(task.prompt, normal(u[1]))))
            size = tokens * BYTES_PER_TOKEN
            text = task.texts[int(u[7] * len(task.texts))] if task.texts else NO_TEXT
        named = u[3] < tenant.names_task
        growing = spec.sessions.grows
        request = ChatRequest(
            model=None,
            options=Options(
                mode=session.mode,
                task=session.task if named else None,
                session_id=session.name if session.named else None,
            ),
            transcript=Transcript(
                system="",
                first_user=text if session.named else f"{text} #{session.name}",
                last_user=NO_TEXT if named else text,
                text_bytes=size,
                turns=2 * turn + 1 if growing else 1,
                images=0,
                has_tools=False,
                has_schema=False,
                binds_family=False,
                answers=turn if growing else 0,
            ),
            stream=u[2] < tenant.stream,
            include_usage=False,
            max_output=tenant.max_output if u[4] < tenant.caps_output else None,
            n=1,
            body={},
        )
        bits = self._chance.bits(session.number, turn)
        return Asked(session, turn, at_ms, bits, normal(u[5]), normal(u[6]), tokens, request)

    def _sessions(self) -> Iterator[tuple[Session, float]]:
        left = self._rounds
        for number, at_ms in session_starts(self._spec, self._chance, endless=left is not None):
            if left == 0:
                return
            u = self._chance.draws(Stream.SESSION, number)
            tenant = self._known[self._tenants.at(u[1])]
            turns = turns_of(self._spec.sessions, u[4])
            if left is not None:
                turns = min(turns, left)
                left -= turns
            row = -1 if self._table is None else int(u[3] * len(self._table.prompts))
            task = self._asks[tenant.name].at(u[3]) if self._table is None else self._table.prompts[row].task
            yield (
                Session(
                    number=number,
                    name=f"s{number}",
                    tenant=tenant,
                    mode=self._modes[tenant.name].at(u[2]),
                    task=task,
                    named=u[5] < self._spec.sessions.named,
                    turns=turns,
                    row=row,
                ),
                at_ms,
            )


class _Dice:
    """Names by shares, in the order of the names: how a spec lists them does not matter."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._names = tuple(sorted(shares))
        sums = list(accumulate(shares[name] for name in self._names))
        self._ends = [upto / sums[-1] for upto in sums]

    def at(self, u: float) -> str:
        """The name at a uniform."""
        for name, end in zip(self._names, self._ends, strict=True):
            if u < end:
                return name
        return self._names[-1]
