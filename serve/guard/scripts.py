"""What the guard asks of Redis and what it is told: scripts, arguments in, values out.

It knows nothing of connections, nor of when what is asked. The scripts are in `lua/`, and each
says there what it takes and gives.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

from p402.guard.anomaly import CostHistory
from p402.guard.daily import HOLD_TTL_MS, Day, Entry, State
from p402.guard.lease import GRACE_MS, wanted_nano
from p402.guard.ledger import Account
from p402.guard.scopes import Scoped, Totals
from p402.guard.slots import SLOT_LEASE_MS
from p402.limits import Limits, Scope
from serve.guard.answers import (
    Admitted,
    Cold,
    Foreign,
    Gone,
    Granted,
    Heard,
    Looked,
    Newer,
    NotRaised,
    Over,
    Raised,
    Refused,
    Settled,
    Shut,
    Stale,
    Taken,
    TooFast,
    Wait,
    Whole,
)
from serve.guard.position import Position
from serve.guard.wanted import Wanted
from serve.redis.calls import RUN, Part, Reply, Script

MAX_NANO: Final = (1 << 53) - 1
"""The largest whole number that Lua's numbers hold exactly."""


def _script(*names: str) -> Script:
    folder = files(__package__) / "lua"
    return Script.of("".join((folder / f"{name}.lua").read_text() for name in ("common", *names)))


RESERVE: Final = _script("reserve")
ADMIT: Final = _script("admit")
TOP_UP: Final = _script("top_up")
SETTLE: Final = _script("settle")
LOOK: Final = _script("look")
TELL: Final = _script("arrive", "tell")
REPORT: Final = _script("arrive", "report")
FORGOTTEN: Final = _script("forgotten")
ALL: Final = (RESERVE, ADMIT, TOP_UP, SETTLE, LOOK, TELL, REPORT, FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what it knows of the tenant's books.

    Attributes
    ----------
    now_ms
        Wall time; 0 for the server's own.
    host
        Name of this host's ledger.
    report
        Number of its report that should be in force.
    seen
        Last sequence number that it was told.
    hosts
        How many hosts share the budget.
    lease_nano
        What a host may spend of a cap without Redis.
    """

    now_ms: int
    host: str
    report: int
    seen: int
    hosts: int
    lease_nano: Callable[[int, int], int] = wanted_nano

    def aside_nano(self, scope: Scope) -> int:
        """What of a scope's cap Redis gives to nobody: all hosts may spend it while they do not see it."""
        return self.hosts * self.lease_nano(scope.cap_nano, self.hosts)


# Questions


def ask_reserve(who: Caller, wanted: Wanted) -> tuple[Part, ...]:
    """Command of `reserve.lua`."""
    limits = wanted.limits
    return (
        *_head(RESERVE, wanted.tenant, who), wanted.request_id, wanted.amount_nano, wanted.expected_nano,
        limits.daily_cap_nano, limits.rate.spacing_us, limits.rate.burst, limits.max_in_flight,
        repr(limits.anomaly_z), limits.anomaly_calls, int(limits.block_anomalies), HOLD_TTL_MS, SLOT_LEASE_MS,
        who.hosts, GRACE_MS, *_told_of(who, wanted.scopes),
    )  # fmt: skip


def ask_admit(who: Caller, tenant: str, limits: Limits) -> tuple[Part, ...]:
    """Command of `admit.lua`."""
    return (*_head(ADMIT, tenant, who), limits.rate.spacing_us, limits.rate.burst)


def ask_top_up(
    who: Caller,
    tenant: str,
    request_id: str,
    amount_nano: int,
    cap_nano: int,
    scopes: tuple[Scope, ...] = (),
) -> tuple[Part, ...]:
    """Command of `top_up.lua`."""
    return (
        *_head(TOP_UP, tenant, who), request_id, amount_nano, cap_nano,
        HOLD_TTL_MS, SLOT_LEASE_MS, who.hosts, GRACE_MS, *_told_of(who, scopes),
    )  # fmt: skip


def ask_settle(
    who: Caller,
    tenant: str,
    request_id: str,
    day: int,
    actual_nano: int,
    *,
    learns: bool = True,
    accounts: tuple[str, ...] = (),
) -> tuple[Part, ...]:
    """Command of `settle.lua`; `learns` says whether the tenant's past takes it in."""
    return (*_head(SETTLE, tenant, who), request_id, day, actual_nano, int(learns), " ".join(accounts))


def ask_look(who: Caller, tenant: str, most_calls: int, scopes: tuple[Scope, ...] = ()) -> tuple[Part, ...]:
    """Command of `look.lua`."""
    return (*_head(LOOK, tenant, who), most_calls, who.hosts, *_told_of(who, scopes))


def ask_tell(
    who: Caller, tenant: str, position: Position, part: Sequence[tuple[str, int, int]], *, first: bool
) -> tuple[Part, ...]:
    """Command of `tell.lua`: part of what a position says of scopes; `who.report` is its own number."""
    return (*_arrival(TELL, who, tenant, position, position.base), int(first), *_listed(part))


def ask_report(who: Caller, tenant: str, position: Position, cap_nano: int) -> tuple[Part, ...]:
    """Command of `report.lua`; `who.report` is the position's own number.

    What it says of scopes goes along, unless `tell.lua` has been told all of it before.
    """
    history = position.account.history
    base, spent = (position.report, ()) if position.parts else (position.base, position.spent)
    calls = [(n, e.day, e.amount_nano, e.expires_ms, int(e.state), e.slot_ms, " ".join(e.accounts))
             for n, e in position.calls]  # fmt: skip
    return (
        *_arrival(REPORT, who, tenant, position, base), who.hosts, cap_nano, HOLD_TTL_MS,
        position.lease_day, position.kept_nano, position.wanted_nano,
        position.account.tat_us, history.count, repr(history.mean), repr(history.m2),
        *_listed(position.days), *_listed(calls), *_listed(position.peers), *_listed(spent),
    )  # fmt: skip


def _arrival(script: Script, who: Caller, tenant: str, position: Position, base: int) -> tuple[Part, ...]:
    """What `arrive.lua` reads."""
    tokens = [(token,) for token in position.tokens]
    return (*_head(script, tenant, who), position.taken, position.token, base, position.was, *_listed(tokens))


def _listed(rows: Sequence[tuple[Part, ...]]) -> tuple[Part, ...]:
    """Rows behind their number."""
    return (len(rows), *(part for row in rows for part in row))


def ask_forgotten(who: Caller, tenant: str, accounts: Sequence[str]) -> tuple[Part, ...]:
    """Command of `forgotten.lua`."""
    return (*_head(FORGOTTEN, tenant, who), *accounts)


def books_of(tenant: str) -> str:
    """Key of a tenant's books."""
    return f"p402:{{{tenant}}}:books"


def ask_peek(tenant: str, host: str) -> tuple[Part, ...]:
    """Command that reads which report of a host is in force, and the sequence number."""
    return ("HMGET", books_of(tenant), f"g:{host}", "q")


def read_peek(reply: Reply) -> tuple[int, int]:
    """Its answer; 0 for what is not there."""
    assert isinstance(reply, list), reply
    report, seq = (int(word) if isinstance(word, bytes) else 0 for word in reply)
    return report, seq


def _told_of(who: Caller, scopes: tuple[Scope, ...]) -> tuple[Part, ...]:
    """Scopes as the scripts read them: stem, cap, and what of it no host is given while Redis is there."""
    return _listed([(scope.stem, scope.cap_nano, who.aside_nano(scope)) for scope in scopes])


def _head(script: Script, tenant: str, who: Caller) -> tuple[Part, ...]:
    tag = f"p402:{{{tenant}}}:"
    return (
        "EVALSHA", script.sha, 6, tag + "books", tag + "holds", tag + "due", tag + "slots", tag + "old",
        tag + "scopes", who.now_ms, who.host, who.report, who.seen, RUN,
    )  # fmt: skip


# Reading answers


def read_reserve(reply: Reply) -> Granted | Refused | Over | Shut:
    """Answer of `reserve.lua`."""
    words = _words(reply)
    match words[0]:
        case b"granted":
            now, seq, day, amount = map(int, words[1:5])
            return Granted(now, seq, day, amount, _account(words[5:9]), *_totals(words[9:]))
        case b"refused":
            now, seq, spent, held, in_flight = map(int, words[1:6])
            seen, (totals, _) = Day(now // 86_400_000, spent, held), _totals(words[10:])
            return Refused(now, seq, seen, in_flight, _account(words[6:10]), totals)
        case b"over":
            return Over(int(words[2]))
        case _:
            return _shut(words)


def read_admit(reply: Reply) -> Admitted | TooFast | Shut:
    """Answer of `admit.lua`."""
    words = _words(reply)
    match words[0]:
        case b"admitted":
            return Admitted(int(words[2]))
        case b"refused":
            return TooFast(int(words[1]), int(words[2]), int(words[3]))
        case _:
            return _shut(words)


def read_top_up(reply: Reply) -> Raised | NotRaised | Over | Shut:
    """Answer of `top_up.lua`."""
    words = _words(reply)
    match words[0]:
        case b"raised":
            return Raised(int(words[2]), int(words[3]))
        case b"refused":
            now, seq, spent, held = map(int, words[1:5])
            entry = _entry(words[5])
            return NotRaised(now, seq, Day(entry.day, spent, held), entry, _totals(words[6:])[0])
        case b"over":
            return Over(int(words[2]))
        case _:
            return _shut(words)


def read_settle(reply: Reply) -> Settled | Shut:
    """Answer of `settle.lua`."""
    words = _words(reply)
    return Settled(int(words[2])) if words[0] == b"settled" else _shut(words)


def read_look(reply: Reply, who: Caller, scopes: tuple[Scope, ...] = ()) -> Looked | Shut:
    """Answer of `look.lua`, asked about these scopes."""
    words = _words(reply)
    if words[0] != b"standing":
        return _shut(words)
    now, seq, spent, held, in_flight = map(int, words[1:6])
    at = 10 + 3 * len(scopes)
    calls = tuple((words[i].decode(), _entry(words[i + 1])) for i in range(at, len(words), 2))
    day, scoped = Day(now // 86_400_000, spent, held), scoped_by(who, scopes, _totals(words[10:at])[0])
    return Looked(now, seq, day, in_flight, _account(words[6:10]), calls, scoped)


def scoped_by(who: Caller, scopes: tuple[Scope, ...], totals: Sequence[Totals]) -> Scoped:
    """Scopes with their accounts as Redis tells them, and what of each it gives to nobody."""
    return tuple(
        (scope, replace(told, aside_nano=who.aside_nano(scope)))
        for scope, told in zip(scopes, totals, strict=True)
    )


def read_tell(reply: Reply) -> Heard | Newer | Foreign | Whole:
    """Answer of `tell.lua`."""
    return Heard() if _words(reply)[0] == b"told" else _not_let_in(_words(reply))


def read_forgotten(reply: Reply) -> Gone | Shut:
    """Answer of `forgotten.lua`."""
    words = _words(reply)
    return Gone(frozenset(w.decode() for w in words[1:])) if words[0] == b"gone" else _shut(words)


def read_report(reply: Reply) -> Taken | Newer | Foreign | Whole:
    """Answer of `report.lua`."""
    words = _words(reply)
    if words[0] != b"taken":
        return _not_let_in(words)
    others = tuple((words[i].decode(), int(words[i + 1])) for i in range(5, len(words), 2))
    return Taken(int(words[1]), int(words[2]), words[3] == b"1", int(words[4]), others)


def _not_let_in(words: Sequence[bytes]) -> Newer | Foreign | Whole:
    match words[0]:
        case b"newer":
            return Newer(int(words[1]))
        case b"foreign":
            return Foreign(int(words[1]))
        case b"whole":
            return Whole()
        case word:
            raise ValueError(f"a script of the guard said {word!r}, which nobody expects")


def _words(reply: Reply) -> Sequence[bytes]:
    assert isinstance(reply, list), reply
    assert reply, "a script says at least one word"
    return reply  # type: ignore[return-value]  # the scripts give strings only


def _shut(words: Sequence[bytes]) -> Shut:
    match words[0]:
        case b"cold":
            return Cold()
        case b"stale":
            return Stale(int(words[1]))
        case b"wait":
            return Wait(int(words[1]))
        case word:
            raise ValueError(f"a script of the guard said {word!r}, which nobody expects")


def _account(words: Sequence[bytes]) -> Account:
    tat, calls, mean, m2 = words
    return Account(int(tat), CostHistory(int(calls), float(mean), float(m2)))


def _totals(words: Sequence[bytes]) -> tuple[tuple[Totals, ...], tuple[int, ...]]:
    """Accounts of scopes, and what others than who asks have spent in each."""
    totals = tuple(Totals(int(words[i]), int(words[i + 1])) for i in range(0, len(words), 3))
    return totals, tuple(int(words[i]) for i in range(2, len(words), 3))


def _entry(text: bytes) -> Entry:
    words = text.decode().split()
    day, amount, expires, state, charged, slot = map(int, words[:6])
    return Entry(day, amount, expires, State(state), charged, slot, tuple(words[8:]))
