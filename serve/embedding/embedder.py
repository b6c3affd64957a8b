"""A prompt's vector, in time or not at all: the hand of the semantic cache.

It fails open: whoever asks gets None where there is no vector, and goes on without the semantic tier. Nothing
is computed on the event loop; one thread does one text after another. What waits is bounded, what nobody
waits for any more is not begun, and what cannot be ready in time is not either. Trouble is told once, and
once when it is over, and counted. It knows no cache.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum, auto
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from serve.embedding.pace import Pace
from serve.embedding.unread import Unread
from serve.errors import report
from serve.sessions.trouble import Trouble

WAIT_MS: Final = 8.0
"""The longest that a request waits for its vector, its turn included: the 10 ms of P10 are the request's."""
WAITING: Final = 4
"""Texts in the thread's hands, the one it works at included; at 2 to 8 ms each, a fifth would be late."""
QUIET_S: Final = 60.0
"""Trouble so soon after the last is only counted: with too many prompts it comes and goes."""
PROBE: Final = 16
"""Tokens of which nobody wants the vector, to see what a token takes; once a second at most."""
_LATE: Final = "the embedder did not answer in time"
_log = logging.getLogger("p402.embedding")


class Reader(Protocol):
    """Tokens of texts."""

    @property
    def most_characters(self) -> int:
        """Texts of more are too long, and need not be read."""

    def read(self, text: str) -> NDArray[np.int64] | Unread:
        """Tokens, or why there are none."""


class Vectors(Protocol):
    """Vectors of tokens."""

    def vector(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The unit vector."""


class _Late(Enum):
    """Why a text was not begun."""

    TURN = auto()
    """Its turn came too late: trouble, as if it had not come."""
    LENGTH = auto()
    """So many tokens cannot be done in the time: none."""
    CLOSED = auto()


class Embedder:
    """Vectors of prompts.

    Parameters
    ----------
    id_
        Embedders of the same id have vectors that may be compared; of another, not.
    dims
        Of every vector.
    thread
        An executor of one thread, which is the embedder's from now on.
    token_s
        What a token took so far.
    now_s
        Monotonic seconds; called on the thread too.
    cpu_s
        Seconds that the calling thread had a core.
    """

    def __init__(
        self,
        id_: str,
        dims: int,
        reader: Reader,
        vectors: Vectors,
        thread: ThreadPoolExecutor,
        *,
        token_s: float = 0.0,
        wait_ms: float = WAIT_MS,
        waiting: int = WAITING,
        now_s: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.id, self.dims = id_, dims
        self._reader, self._vectors = reader, vectors
        self._thread = thread
        self._pace = Pace(token_s)
        self._wait_ms, self._waiting = wait_ms, waiting
        self._now_s, self._cpu_s = now_s, cpu_s
        self._jobs: list[Future[NDArray[np.float32] | Unread | _Late]] = []
        self._trouble = Trouble()
        self._given = self._late = self._full = self._failed = 0
        self._unread = dict.fromkeys(Unread, 0)
        self._spent_s, self._tokens = 0.0, 0
        self._telling, self._quiet_until_s = False, float("-inf")
        self._closed = False

    async def embed(self, text: str, *, wait_ms: float | None = None) -> NDArray[np.float32] | None:
        """Unit vector of a text, `(dims,)`, read-only. Raises nothing but its caller's cancellation.

        None where the text is empty, too long or not to be read in whole; where too many wait; where the
        vector was not ready in time, or would not be; and after `close`.

        Parameters
        ----------
        wait_ms
            How long to wait, turn included, if not the embedder's own time: longer where no request waits.
        """
        try:
            return await self._embed(text, (self._wait_ms if wait_ms is None else wait_ms) / 1e3)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request goes on without a vector
            self._failed += 1
            if not self._trouble.told:
                report(error, "embedding")
            self._troubled("the embedder failed")
            return None

    async def close(self) -> None:
        """Let go of the model when the text at hand is done; idempotent. Who waits gets None."""
        if self._closed:
            return
        self._closed = True
        await asyncio.wrap_future(self._thread.submit(self._let_go))
        self._thread.shutdown(wait=False)

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric."""
        return {
            "p402_cache_embeds_total": self._given,
            "p402_cache_embeds_late_total": self._late,
            "p402_cache_embeds_full_total": self._full,
            "p402_cache_embeds_failed_total": self._failed,
            "p402_cache_embeds_too_long_total": self._unread[Unread.TOO_LONG],
            "p402_cache_embeds_unknown_total": self._unread[Unread.UNKNOWN],
            "p402_cache_embeds_seconds_total": self._spent_s,
            "p402_cache_embeds_tokens_total": self._tokens,
        }

    async def _embed(self, text: str, wait_s: float) -> NDArray[np.float32] | None:
        if self._closed or not text:
            return None
        if len(text) > self._reader.most_characters:
            self._unread[Unread.TOO_LONG] += 1
            return None
        self._jobs = [job for job in self._jobs if not job.done()]
        if len(self._jobs) >= self._waiting:
            self._full += 1
            return None
        job = self._thread.submit(self._work, text, self._now_s() + wait_s)
        self._jobs.append(job)
        try:
            async with asyncio.timeout(wait_s):
                found = await asyncio.wrap_future(job)  # cancelled with its caller: then it is not begun
        except TimeoutError:
            self._late += 1
            self._troubled(_LATE)
            return None
        return self._sorted(found)

    def _sorted(self, found: NDArray[np.float32] | Unread | _Late) -> NDArray[np.float32] | None:
        match found:
            case Unread():
                self._unread[found] += 1
                return None
            case _Late():
                self._late += 1
                if found is _Late.TURN:
                    self._troubled(_LATE)
                return None
            case vector:
                self._given += 1
                self._well()
                return vector

    def _work(self, text: str, until_s: float) -> NDArray[np.float32] | Unread | _Late:
        """On the thread: read and run, unless that is of no use any more."""
        if self._closed:
            return _Late.CLOSED
        if self._now_s() >= until_s:
            return _Late.TURN
        began_s = self._cpu_s()
        try:
            ids = self._reader.read(text)
            if isinstance(ids, Unread):
                return ids
            now_s = self._now_s()
            if self._pace.fits(len(ids), until_s - now_s):
                return self._run(ids)
            if self._pace.stale(now_s):
                self._thread.submit(self._probe, ids[:PROBE])
            return _Late.LENGTH
        finally:
            self._spent_s += self._cpu_s() - began_s

    def _run(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        began_s = self._cpu_s()
        vector = self._vectors.vector(ids)
        self._pace.note(len(ids), self._cpu_s() - began_s, self._now_s())
        self._tokens += len(ids)
        return vector

    def _probe(self, ids: NDArray[np.int64]) -> None:
        """On the thread, when nothing fits any more: find out what a token takes now."""
        if not self._closed:
            began_s = self._cpu_s()
            self._run(ids)
            self._spent_s += self._cpu_s() - began_s

    def _let_go(self) -> None:
        """On the thread, behind everything that waited."""
        del self._reader, self._vectors

    def _troubled(self, why: str) -> None:
        now_s = self._now_s()
        if self._trouble.note_failure(now_s) and now_s >= self._quiet_until_s:
            self._telling = True
            _log.error("%s; until that is over prompts are looked up in the cache word for word only", why)

    def _well(self) -> None:
        if self._trouble.note_success() and self._telling:
            self._telling, self._quiet_until_s = False, self._now_s() + QUIET_S
            _log.warning("prompts are embedded again")
