"""What workers leave for each other on sessions, over whichever shelf: the port's hand.

It fails open. A look-up waits `BOUND_S` at most, and while the shelf is in trouble it does not wait; a note
is queued, and dropped where that does not help. Trouble is told once, and once when it is over, and counted.

An agent's next request may reach another worker before the last answer's word reached the shelf: where the
caller says how many answers its transcript has, a word of fewer is asked for again, within the bound.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from p402.errors import StoreError
from p402.ports import Warmth
from serve.errors import report
from serve.sessions.code import decode, encode, key_of
from serve.sessions.shelf import Shelf
from serve.sessions.trouble import Trouble

BOUND_S: Final = 0.05
"""The longest that a request waits for the shelf, all in all."""
AGAIN_S: Final = (0.002, 0.006, 0.014)
"""Pauses before the shelf is asked again for a word that is on its way."""
LEAVE_S: Final = 1.0
"""How long notes may take to be left, once they are begun; nobody waits for it but a stop."""
WAITING: Final = 4_096
"""Notes that wait; further ones are dropped."""
_log = logging.getLogger("p402.sessions")


class SharedSessions:
    """Sessions of one worker and of all others.

    Parameters
    ----------
    shelf
        The worker's own hand.
    now_ms
        The worker's wall clock.
    """

    def __init__(self, shelf: Shelf, now_ms: Callable[[], int], *, bound_s: float = BOUND_S) -> None:
        self._shelf = shelf
        self._now_ms = now_ms
        self._bound_s = bound_s
        self._reading, self._leaving = Trouble(), Trouble()
        self._waiting: dict[bytes, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._recalls = self._found = self._again = self._noted = self._dropped = 0
        self._closed = False

    async def open(self) -> None:
        """Make the shelf ready, if that is soon; what is wrong with it shows as it is asked."""
        try:
            async with asyncio.timeout(LEAVE_S):
                await self._shelf.open()
        except (StoreError, TimeoutError):
            pass

    async def recall(self, tenant: str, session: str, answers: int) -> Warmth | None:
        """Where another worker, or this one, served the session last; None too where nobody can say."""
        if self._closed:
            return None
        self._recalls += 1
        loop, key = asyncio.get_running_loop(), key_of(tenant, session)
        end_s = loop.time() + self._bound_s
        reads, found = await self._look(key, end_s)
        for pause_s in AGAIN_S if answers else ():
            if not reads or (found is not None and found.answers >= answers):
                break
            await asyncio.sleep(pause_s)
            if loop.time() >= end_s:
                break
            self._again += 1
            reads, later = await self._look(key, end_s)
            found = later or found
        self._found += found is not None
        return found

    def note(self, tenant: str, session: str, warmth: Warmth) -> None:
        """Leave where a session was served, soon."""
        self._noted += 1
        key = key_of(tenant, session)
        if self._closed or (len(self._waiting) >= WAITING and key not in self._waiting):
            self._dropped += 1
            return
        self._waiting[key] = encode(warmth)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._leave(), name="sessions")

    async def settled(self) -> None:
        """Wait until every note was left or dropped."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Leave what waits, for `LEAVE_S` at most, and let go of the shelf; idempotent."""
        self._closed = True
        await self.settled()
        await self._shelf.close()

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric."""
        return {
            "p402_sessions_recalls_total": self._recalls,
            "p402_sessions_found_total": self._found,
            "p402_sessions_again_total": self._again,
            "p402_sessions_failed_total": self._reading.failed,
            "p402_sessions_notes_total": self._noted,
            "p402_sessions_dropped_total": self._dropped,
        }

    async def _look(self, key: bytes, end_s: float) -> tuple[bool, Warmth | None]:
        """One look, and whether the shelf answered."""
        loop, asked_ms = asyncio.get_running_loop(), self._now_ms()
        if not self._reading.may_ask(loop.time()):
            return False, None
        try:
            async with asyncio.timeout_at(end_s):
                word = await self._shelf.get(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, the request goes on without it
            self._failed(self._reading, error, "sessions of other workers are not known")
            return False, None
        if self._reading.note_success():
            _log.warning("sessions of other workers are known again")
        return True, None if word is None else decode(word, asked_ms)

    async def _leave(self) -> None:
        """Leave all notes that wait, and those that come meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                words, self._waiting = self._waiting, {}
                if not self._leaving.may_ask(loop.time()):
                    self._dropped += len(words)
                    continue
                try:
                    async with asyncio.timeout(LEAVE_S):
                        await self._shelf.keep(words)
                except Exception as error:  # noqa: BLE001 - as above
                    self._dropped += len(words)
                    self._failed(self._leaving, error, "other workers do not hear of this one's sessions")
                else:
                    if self._leaving.note_success():
                        _log.warning("other workers hear of this one's sessions again")
        finally:
            self._task = None

    def _failed(self, trouble: Trouble, error: Exception, consequence: str) -> None:
        if not isinstance(error, StoreError | TimeoutError):
            report(error, "sessions")
        if trouble.note_failure(asyncio.get_running_loop().time()):
            why = (
                str(error) if isinstance(error, StoreError) else "sessions: the store did not answer in time"
            )
            _log.error("%s; until that is mended %s", why, consequence)
