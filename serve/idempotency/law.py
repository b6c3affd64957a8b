"""Whether a request under an idempotency key is the first of its key, and if not, what it is told.

The law behind `Idempotency-Key` (WIRE.md): what is known of the key comes in, a verdict goes out. One
sentence rules it: within `KEPT_MS` no key is sent twice once money may have been spent under it. So a first
request whose end nobody knows, because its worker was killed, is neither waited for without end nor sent
again: the caller is told, and whoever wants to pay a second time says so with another key.

It knows no clock and no file, no tenant, and not what an answer is.

Source: IETF draft-ietf-httpapi-idempotency-key-header-07, sections 2.6 and 2.7, read 2026-11-24.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from p402.errors import Refusal

KEPT_MS: Final = 24 * 3_600_000
"""From the first request on, its key means that request and no other."""
LEASE_MS: Final = 60_000
"""A first request whose worker has not been heard of for so long has ended in a way that nobody knows."""
RETRY_MS: Final = 1_000
"""When to ask again for an answer that is being made."""


class State(IntEnum):
    """How far the first request of a key has come; the numbers are stored."""

    IN_FLIGHT = 0
    ANSWERED = 1
    GONE = 2
    """Answered, but the answer is not kept: it was too large, or made room for later ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key.

    Attributes
    ----------
    fingerprint
        Digest of the first request's path and body.
    created_ms, lease_ms
        Wall time in ms at which it was claimed, and until which its worker lives for certain.
    """

    fingerprint: bytes
    created_ms: int
    lease_ms: int
    state: State = State.IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Claim:
    """The request is the first: it is to be sent, and its key is taken."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The first answer is to be given again."""


Verdict = Claim | Replay | Refusal

OTHER_BODY: Final = Refusal(
    "INVALID_INPUT",
    422,
    "this `Idempotency-Key` came with another body or path before; expected the same bytes within 24 h; "
    "send a new key with a new request",
    param="Idempotency-Key",
)
IN_FLIGHT: Final = Refusal(
    "IDEMPOTENCY_IN_FLIGHT",
    409,
    "the first request with this `Idempotency-Key` is still being answered; "
    "ask again with the same key to get its answer",
    RETRY_MS,
    param="Idempotency-Key",
)
UNKNOWN: Final = Refusal(
    "IDEMPOTENCY_NO_REPLAY",
    409,
    "the gateway broke off while it answered the first request with this `Idempotency-Key`: it may have been "
    "billed, and its answer is lost; it is not sent again, for that could bill it twice; send a new key if "
    "you want to pay for another try",
    param="Idempotency-Key",
)
GONE: Final = Refusal(
    "IDEMPOTENCY_NO_REPLAY",
    409,
    "the first request with this `Idempotency-Key` was answered and billed, but its answer was too large to "
    "keep or has made room for later ones; send a new key if you want to pay for another try",
    param="Idempotency-Key",
)
ELSEWHERE: Final = Refusal(
    "IDEMPOTENCY_NO_REPLAY",
    409,
    "the first request with this `Idempotency-Key` was answered and billed, and its answer is not on this "
    "host: hosts share small answers for 15 minutes, and otherwise only the host that gave one may have it; "
    "send a new key if you want to pay for another try",
    param="Idempotency-Key",
)


def judge(entry: Entry | None, fingerprint: bytes, now_ms: int) -> Verdict:
    """Say what becomes of a request whose path and body have this fingerprint.

    Parameters
    ----------
    entry
        What is known of its key; None for a key nobody used.
    now_ms
        Wall time. One that was set back only makes keys last longer.
    """
    if entry is None or is_forgotten(entry, now_ms):
        return Claim()
    if entry.fingerprint != fingerprint:
        return OTHER_BODY
    match entry.state:
        case State.ANSWERED:
            return Replay()
        case State.GONE:
            return GONE
        case State.IN_FLIGHT:
            return IN_FLIGHT if now_ms < entry.lease_ms else UNKNOWN


def is_forgotten(entry: Entry, now_ms: int) -> bool:
    """Whether a key may be used for something else; one in flight never, however old."""
    alive = entry.state is State.IN_FLIGHT and now_ms < entry.lease_ms
    return now_ms >= entry.created_ms + KEPT_MS and not alive


def is_kept(status: int, *, spent: bool) -> bool:
    """Whether an answer is the last word on its key; otherwise the key is free again.

    Parameters
    ----------
    spent
        Money was or may have been spent on it: then even a failure is kept, for a retry would spend more.
    """
    return spent or status < 300
