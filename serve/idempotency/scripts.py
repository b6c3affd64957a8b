"""What Redis is asked about keys and what it says: arguments in, values out.

It knows nothing of connections. The scripts are in `lua/`, and each says there what it takes and gives.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from serve.idempotency.law import KEPT_MS, LEASE_MS, Entry, State
from serve.idempotency.rows import Holder
from serve.redis.calls import Part, Reply, Script


def _text(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text()


CLAIM: Final = Script.of(_text("claim"))
FREE: Final = Script.of(_text("free"))
TELL: Final = Script.of("#!lua flags=allow-oom\n" + _text("tell"))
KEEP: Final = Script.of("#!lua\n" + _text("tell"))
ALL: Final = (CLAIM, FREE, TELL, KEEP)

Command = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A key as its holder knows it: enough to write it again.

    Attributes
    ----------
    created_ms
        When Redis gave it away, by Redis' clock.
    """

    holder: Holder
    fingerprint: bytes
    created_ms: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The key is the caller's since `created_ms`."""

    created_ms: int


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a key whose holder is another.

    Attributes
    ----------
    answer
        Packed; None where Redis has it not.
    """

    now_ms: int
    token: bytes
    entry: Entry
    answer: bytes | None


def entry_key(scope: bytes) -> str:
    """Key of what is known of an idempotency key."""
    return f"p402:once:{{{scope.hex()}}}"


def ask_claim(now_ms: int, holder: Holder, fingerprint: bytes, over: bytes) -> Command:
    """Command of `claim.lua`; `over` is the token of an entry that may be replaced."""
    return (*_head(CLAIM, holder), now_ms, holder.token, fingerprint, LEASE_MS, KEPT_MS, over)


def ask_tell(now_ms: int, held: Held, state: State, lease_ms: int) -> Command:
    """Command of `tell.lua` without an answer; `lease_ms` counts from now on."""
    return (*_head(TELL, held.holder), *_told(now_ms, held, state, lease_ms))


def ask_keep(now_ms: int, held: Held, answer: bytes, shared_ms: int) -> Command:
    """Command of `tell.lua` with an answer, which is there for `shared_ms`."""
    return (*_head(KEEP, held.holder), *_told(now_ms, held, State.ANSWERED, 0), shared_ms, answer)


def ask_free(holder: Holder) -> Command:
    """Command of `free.lua`."""
    return (*_head(FREE, holder), holder.token)


def read_claim(reply: Reply) -> Taken | Known:
    """Answer of `claim.lua`.

    Raises
    ------
    ValueError
        It is none.
    """
    match reply:
        case [b"claimed", bytes(now)]:
            return Taken(int(now))
        case [
            b"known", bytes(now), bytes(token), bytes(fingerprint), bytes(created), bytes(lease),
            bytes(state), (bytes() | None) as answer,
        ]:  # fmt: skip
            entry = Entry(fingerprint, int(created), int(lease), State(int(state)))
            return Known(int(now), token, entry, answer)
        case _:
            raise ValueError("Redis said of a key what no script of ours says")


def _head(script: Script, holder: Holder) -> Command:
    entry = entry_key(holder.scope)
    return ("EVALSHA", script.sha, 2, entry, f"{entry}:answer")


def _told(now_ms: int, held: Held, state: State, lease_ms: int) -> Command:
    return (now_ms, held.holder.token, held.fingerprint, held.created_ms, int(state), lease_ms, KEPT_MS)
