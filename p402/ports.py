"""What the flow asks of the world: seven protocols and the values that pass through them.

An eighth, `Cache`, is in `p402.cache.contract` with its own values.

`serve` brings the real clock, guard, upstream and alerts, `p402.store` the log, `sim` a guard in memory;
tests and `experiments` play the rest. `Guard`, `Board` and `Sessions` have a conformance suite in
`tests/conformance`, which all their hands pass. `Upstream` has one hand, and each of its transports plays
the scenes of `tests/serve/upstream`. `Clock`, `Log` and `Alerts` have one hand each, with tests of its own.
What plays a port in tests is held to no suite. Latencies are ms, money is nano-USD.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from p402.cache.contract import Cache
from p402.errors import Refusal
from p402.events import AnyEvent
from p402.guard.anomaly import NO_PAST, CostHistory
from p402.guard.explain import Standing
from p402.limits import Scope


class Clock(Protocol):
    """Time and chance."""

    def now_ms(self) -> int:
        """Wall time in ms since 1970 UTC."""
        ...

    def monotonic_ms(self) -> float:
        """Monotonic time in ms, for durations."""
        ...

    def random_bits(self) -> int:
        """74 or more random bits, for a request id."""
        ...


class Log(Protocol):
    """Where events go."""

    def append(self, event: AnyEvent) -> None:
        """Hand one event to the operating system before returning.

        Raises
        ------
        p402.errors.StoreError
            Nothing of this event is counted as written; `DiskFull` where that is why.
        """
        ...


class Hold(msgspec.Struct, frozen=True):
    """Money set aside for one request until it settles or expires."""

    id: str
    tenant: str
    amount_nano: int
    day: int
    """UTC day (days since 1970) whose cap it counts against."""
    history: CostHistory = NO_PAST
    """The tenant's past before this call, for layer 4."""
    scopes: tuple[Scope, ...] = ()
    """What it counts against beside the day."""
    rooms: tuple[int, ...] = ()
    """Nano-USD that each scope had left beside this call when it was granted, without what is set aside."""


class Guard(Protocol):
    """Spending protection that needs state."""

    async def reserve(
        self,
        tenant: str,
        request_id: str,
        amount_nano: int,
        expected_nano: int = 0,
        scopes: tuple[Scope, ...] = (),
    ) -> Hold | Refusal:
        """Take a slot and set aside the most a call may cost, or say which layer or scope refuses.

        Repeating a request id gives the same hold; an id is one worker's own. Nothing is consumed by a
        refusal. `expected_nano` is what layer 4 judges where a tenant has it refuse; 0 where nobody knows.
        `scopes` are budgets within the tenant's that the call counts against as well, and for good: a
        repeat's are not asked again.
        """
        ...

    async def admit(self, tenant: str) -> Refusal | None:
        """Take one request from the rate, for an answer that costs nothing; a refusal takes nothing."""
        ...

    async def top_up(self, hold: Hold, amount_nano: int) -> Hold | Refusal:
        """Raise a hold to `amount_nano` for a dearer attempt; a refusal leaves the hold as it was.

        Hold and slot get a new lease; a hand renews those of its own calls by itself while it lives.
        """
        ...

    def settle(self, hold: Hold, actual_nano: int) -> None:
        """Replace the hold by what was spent, give its slot back; queued, idempotent, never awaited."""
        ...

    async def spent(self, tenant: str) -> tuple[int, int]:
        """Nano-USD spent and held on the tenant's current UTC day."""
        ...

    async def left(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> int:
        """Nano-USD that a call may cost at most now: what the day has left, or the scope with the least.

        Raises
        ------
        p402.errors.StoreError
            The ledger cannot be read.
        """
        ...

    async def standing(self, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
        """Where a tenant and some scopes stand, with the calls that hold the tenant's money.

        Raises
        ------
        p402.errors.StoreError
            The ledger cannot be read.
        """
        ...


class Usage(msgspec.Struct, frozen=True):
    """Tokens per class, in the one form that every dialect reads its provider's report into.

    `cached` and `cache_write` are apart from each other and both part of `prompt`; `reasoning` is part of
    `output`, and billed as it.

    Attributes
    ----------
    cached
        Read from the provider's prompt cache.
    cache_write
        Written to it, for however long.
    cache_write_1h
        Written to it for an hour: part of `cache_write`.
    tier
        Service tier that the provider says it billed, where that is not its standard one; what is billed at
        another has a cost that nobody here knows. `audio` where it billed tokens of sound, `image` where it
        billed those of an image that it drew, likewise.
    """

    prompt: int
    output: int
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cache_write_1h: int = 0
    tier: str | None = None


class Call(msgspec.Struct, frozen=True):
    """One attempt to be made.

    Attributes
    ----------
    provider, model
        Whom to call, and the model's id there.
    body
        The client's OpenAI body, without `p402`.
    output_cap
        `max_tokens` to send where the client named none; None leaves the body's own.
    stream
        Whether the answer is streamed; usage is always asked for.
    include_usage
        Whether the client asked for a usage chunk.
    prompt_tokens
        Our estimate, used where the provider reports no usage.
    """

    request_id: str
    provider: str
    model: str
    body: Mapping[str, Any]
    output_cap: int | None
    stream: bool
    include_usage: bool
    prompt_tokens: int


class Failure(msgspec.Struct, frozen=True):
    """An attempt that gave no answer.

    Attributes
    ----------
    code
        PROVIDER_ERROR, PROVIDER_AUTH, PROVIDER_TIMEOUT, or a code clients act on
        (context_length_exceeded, insufficient_quota, RATE_LIMIT_EXCEEDED, INVALID_INPUT).
    status
        HTTP status for the client if this failure is the last word.
    fail_over
        Whether another provider may answer.
    counts
        Whether it counts against the provider; a client's own 4xx does not.
    usage
        What was billed all the same, if anything is known.
    of_provider
        Whether every arm of the provider would fail alike: it cannot be reached, or will not have our key.
    unsent
        Whether nothing was sent, since the provider's language cannot say what was asked.
    """

    code: str
    status: int
    message: str
    fail_over: bool
    counts: bool
    retry_after_ms: int | None = None
    usage: Usage | None = None
    of_provider: bool = False
    unsent: bool = False


class Completion(msgspec.Struct, frozen=True):
    """A whole answer: JSON bytes in OpenAI's form, what it used, and what of the request was left out."""

    body: bytes
    usage: Usage
    warnings: tuple[str, ...] = ()


class Stream(Protocol):
    """An answer under way, committed by its first content.

    Iterating gives SSE bytes in OpenAI form, whole events, from the first event on, without a
    usage-only chunk the client did not ask for and without `[DONE]`. After the last item
    `failure` is None only if the provider's own terminal marker was seen.
    """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Events as they come."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens used so far; final after the last item; estimated where the provider said nothing."""
        ...

    @property
    def failure(self) -> Failure | None:
        """Why the stream broke, after the last item; None for a clean end."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the request was left out, since the provider has no word for it."""
        ...

    async def aclose(self) -> None:
        """Abort the upstream call and wait until its connection is given back or closed; idempotent."""
        ...


class Upstream(Protocol):
    """The far side of the socket."""

    async def complete(self, call: Call) -> Completion | Failure:
        """Make one attempt and read the whole answer."""
        ...

    async def open_stream(self, call: Call) -> Stream | Failure:
        """Make one attempt and return when the first content has come, or with the failure before it."""
        ...


WORD_MS: Final = 10_000
"""A word that is older is given to nobody: whoever left it has died or cannot reach the board."""


class Word(msgspec.Struct, frozen=True, gc=False):
    """What one worker left for the others, and how long ago, by the board's own clock."""

    age_ms: int
    data: bytes


class Board(Protocol):
    """Where workers leave word of what they saw, each its last, for all others to read."""

    async def exchange(self, worker: str, data: bytes) -> Sequence[Word]:
        """Leave a word in place of the last, and take those of the others that are not too old.

        Raises
        ------
        p402.errors.StoreError
            The board is away. The word may have been left all the same.
        """
        ...

    async def close(self) -> None:
        """Let go of the board; idempotent. What was left grows old and is forgotten."""
        ...


WARM_MS: Final = 300_000
"""How long a provider's prompt cache is taken to stay warm."""


class Warmth(msgspec.Struct, frozen=True):
    """Where a session was last served, and the prompt tokens that may be warm there.

    Attributes
    ----------
    at_ms
        When, by the wall clock of the worker that reads it, in ms since 1970 UTC.
    answers
        Assistant turns of the conversation, the answer that was given then included.
    """

    arm: str
    tokens: int
    at_ms: int
    answers: int = 0

    def is_warm(self, now_ms: int) -> bool:
        """Whether the provider may still have the prompt in its cache."""
        return now_ms - self.at_ms <= WARM_MS


SESSION_MS: Final = 3_600_000
"""What a worker shared of a session is forgotten after so long."""


class Sessions(Protocol):
    """Where sessions were last served, as far as other workers may have to know.

    It fails open and never raises: what cannot be read is not known, and what cannot be left is not left.
    """

    async def recall(self, tenant: str, session: str, answers: int) -> Warmth | None:
        """Where the session was last served, if a worker shared that within `SESSION_MS`.

        What was left last counts, by the store's own clock, and its age is told by that clock too. It
        returns within a bound of its own, a few tens of ms, whatever state the store is in.

        Parameters
        ----------
        answers
            Assistant turns of the transcript: where what is found has fewer, a later word may be on its way,
            and is waited for within the bound. 0 waits for none.
        """
        ...

    def note(self, tenant: str, session: str, warmth: Warmth) -> None:
        """Leave where a session was served, in place of what was left before; queued, never awaited."""
        ...

    async def close(self) -> None:
        """Let go of the store, once what is queued was left, if that is soon; idempotent."""
        ...


class Anomaly(msgspec.Struct, frozen=True):
    """Layer 4: a call's charge was out of line with its tenant's past; it was made, and is paid for.

    Attributes
    ----------
    ts_ms
        When it was settled, wall time in ms since 1970 UTC.
    arm
        Of its last attempt.
    charged_nano
        What the ledger booked and the score is of: cost and fee.
    z
        Standard deviations of ln(cost) above the mean of the past.
    past_calls
        Calls that the past is made of.
    """

    tenant: str
    ts_ms: int
    request_id: str
    arm: str
    charged_nano: int
    z: float
    past_calls: int


class CapReached(msgspec.Struct, frozen=True):
    """Layer 2: a call was refused, since what its tenant has left of the UTC day would not cover it."""

    tenant: str
    ts_ms: int
    request_id: str
    cap_nano: int


Alert = Anomaly | CapReached
"""What an operator is told of at once, and not only by the log."""


class Alerts(Protocol):
    """Where alerts go."""

    def tell(self, alert: Alert) -> None:
        """Take note of one alert: never waits, never raises; a day's cap may be told of more than once."""
        ...


class NobodyTold:
    """Where nobody is to be told."""

    def tell(self, alert: Alert) -> None:
        """Let it go."""


NOBODY: Final = NobodyTold()


@dataclass(frozen=True, slots=True)
class Ports:
    """The hands that the flow works with."""

    clock: Clock
    log: Log
    guard: Guard
    upstream: Upstream
    alerts: Alerts = NOBODY
    sessions: Sessions | None = None
    """None where no other worker serves: nothing is shared, and nothing awaited."""
    cache: Cache | None = None
    """None where there is none: every request is sent on."""
