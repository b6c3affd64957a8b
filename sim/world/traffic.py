"""What is asked, by whom and when: every request of a run, in the order of its arrival.

All of it is keyed by session and turn, so that it is the same whatever the gateway does, but for the moments
of later turns where callers wait for answers (`Sessions.waits`). It knows nothing of arms, nor of what was
answered: earlier turns of a conversation are put before a turn's own words by `sim.world.said`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any, Final

from p402.request import ChatRequest, Options, Transcript
from p402_datasets.outcomes import OutcomeTable
from sim.world.arrivals import session_starts, turns_of
from sim.world.chance import Chance, Stream, normal
from sim.world.questions import Said, text_of
from sim.world.repeats import Repeated
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
    common
        The common question of its first turn; None where nobody else asks that.
    """

    number: int
    name: str
    tenant: TenantSpec
    mode: str
    task: str
    named: bool
    turns: int
    row: int
    common: Said | None = None


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
    question
        Name of what is asked, the same for all who ask that; None for what nobody else asks.
    """

    session: Session
    turn: int
    at_ms: float
    bits: int
    difficulty: float
    length: float
    tokens: int
    request: ChatRequest
    question: str | None = None

    @property
    def name(self) -> str:
        """Its own, among all requests of a run."""
        return f"{self.session.name}.{self.turn}"


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
        self._repeated = Repeated(spec.tenants, chance)

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
        return self.turn(asked.session, turn, at_ms + pause * 1000, before, asked.question or asked.name)

    def turn(self, session: Session, turn: int, at_ms: float, before: int, after: str = "") -> Asked:
        """One turn over `before` tokens of earlier ones, of which `after` names what was asked last."""
        spec, tenant, common = self._spec, session.tenant, session.common
        u = self._chance.draws(Stream.TURN, session.number, turn)
        own_size, difficulty, length = u[1], u[5], u[6]
        question, usual = None, None
        if common is not None and turn == 0:
            question, usual = common.question, text_of(common)
            own_size, difficulty, length = self._repeated.shared(common)[:3]
        elif common is not None:
            usual = self._repeated.follow_up(session.number, turn, tenant)
            question = None if usual is None else f"{after}>{usual}"
        if self._table is not None:
            text = self._table.prompts[session.row].text
            size = len(text.encode())
            tokens = -(-size // BYTES_PER_TOKEN)
        else:
            task = self._tasks[session.task]
            tokens = before + max(1, round(quantile_of(task.prompt, normal(own_size))))
            size = tokens * BYTES_PER_TOKEN
            text = task.texts[int(u[7] * len(task.texts))] if task.texts else NO_TEXT
        named = u[3] < tenant.names_task
        first = text if common is None else text_of(common)
        last = usual if usual is not None else NO_TEXT if named else text
        growing = spec.sessions.grows
        asks = self._repeated.asks_cache(session.number, turn, tenant)
        request = ChatRequest(
            model=None,
            options=Options(
                mode=session.mode,
                task=session.task if named else None,
                session_id=session.name if session.named else None,
                cache=True if asks else None,
                cache_ttl_s=tenant.cache.asks_ttl_s if asks else None,
            ),
            transcript=Transcript(
                system="",
                first_user=first if session.named else f"{first} #{session.name}",
                last_user=last,
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
            body=_body(last, None if usual is not None else f"{session.name}.{turn}"),
        )
        bits = self._chance.bits(session.number, turn)
        deviates = normal(difficulty), normal(length)
        return Asked(session, turn, at_ms, bits, *deviates, tokens, request, question)

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
                    common=self._repeated.first(number, tenant, task),
                ),
                at_ms,
            )


def _body(words: str, own: str | None) -> dict[str, Any]:
    """A body of one message; what nobody else asks has a name of its own, so that no other is equal to it.

    Its words are few, and all that the router may read: `text_bytes` says how many they stand for.
    """
    message = (
        {"role": "user", "content": words} if own is None else {"role": "user", "content": words, "name": own}
    )
    return {"messages": [message]}


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
