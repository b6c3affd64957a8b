"""A streamed answer in another language, read as OpenAI's: the shell around a dialect's teller.

It cuts the bytes into frames, hands each to the teller, holds back what comes before content, and says how
the stream ended. What an event means is the teller's alone.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from p402.ports import Call, Completion, Failure, Usage
from serve.upstream import failures
from serve.upstream.holding import Holding
from serve.upstream.provider import Provider
from serve.upstream.sse import Event


class Frames(Protocol):
    """Bytes in, whole events out, however they were cut."""

    dropped: int
    """Events that were too large or not whole, and are lost."""

    def feed(self, chunk: bytes) -> Iterable[Event]:
        """Events that end within `chunk`."""
        ...


class Teller(Protocol):
    """A fold over one answer's events that writes OpenAI's chunks."""

    @property
    def committed(self) -> bool:
        """Whether something was said: text, reasoning, a tool call, a refusal, or an empty answer's end."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the provider's own terminal marker has come; nothing more is expected."""
        ...

    @property
    def failure(self) -> Failure | None:
        """What an event said went wrong."""
        ...

    @property
    def reported(self) -> Usage | None:
        """Tokens as the provider's last word has them; None before it."""
        ...

    def so_far(self, prompt_tokens: int) -> Usage:
        """Tokens of an answer that breaks off here, flagged as estimated; `prompt_tokens` is our estimate."""
        ...

    def take(self, event: Event) -> bytes:
        """Chunks to hand on because of one event; empty where it says nothing to a client.

        Raises
        ------
        ValueError, KeyError, TypeError, AttributeError
            The event has not the shape that its language gives it; the stream is broken.
        """
        ...

    def end(self) -> bytes:
        """What is left to say once the provider has finished: usage, where the client asked for it."""
        ...


MISSHAPEN: Final = (ValueError, KeyError, TypeError, AttributeError)
"""What reading JSON of no known shape may raise, and writing it again: orjson reads deeper nesting than it
writes, and says that by a TypeError. A JSONDecodeError is a ValueError."""


def whole_of(
    provider: Provider,
    body: bytes,
    told: Callable[[dict[str, Any]], Completion | Failure],
    used: Callable[[dict[str, Any]], Usage | None],
) -> Completion | Failure:
    """A whole answer with status 200, read by `told`; one that it cannot read is billed as `used` has it."""
    reply = failures.parsed(body)
    if not isinstance(reply, dict):
        return failures.broken(provider, "sent an answer that is not a JSON object")
    try:
        return told(reply)
    except MISSHAPEN:
        try:
            billed = used(reply)
        except MISSHAPEN:
            billed = None
        return failures.broken(provider, "sent an answer that is not in its language", usage=billed)


def _never() -> bool:
    return False


class TranslatedReading:
    """`serve.upstream.dialect.Reading` of another language.

    Parameters
    ----------
    may_end
        Whether a clean end of the body ends the answer now, in a language without a terminal marker.
    """

    def __init__(
        self,
        provider: Provider,
        call: Call,
        frames: Frames,
        teller: Teller,
        may_end: Callable[[], bool] = _never,
    ) -> None:
        self._provider = provider
        self._call = call
        self._frames = frames
        self._teller = teller
        self._may_end = may_end
        self._holding = Holding()
        self.ended = False
        self.failure: Failure | None = None

    @property
    def committed(self) -> bool:
        """Whether content has come."""
        return self._teller.committed

    def feed(self, chunk: bytes) -> bytes:
        """Chunks to hand on because of `chunk`; empty before the first content."""
        teller, out = self._teller, []
        for event in self._frames.feed(chunk):
            try:
                said = teller.take(event)
            except MISSHAPEN:
                self._break("sent an event that is not in its language")
                break
            if said:
                out.append(said)
            if teller.failure is not None:
                self.interrupt(teller.failure)
                break
            if teller.finished:
                self.ended = True
                out.append(teller.end())
                break
        if self._frames.dropped and not self.ended:
            self._break("sent an event that P402 cannot read whole")
        on = self._holding.release(out, committed=teller.committed)
        if self._holding.too_much and not self.ended:
            self._break("sent more than 1 MiB before any content")
        return on

    def end_of_body(self) -> bytes:
        """Say that the body ended cleanly; a provider that had not finished has broken off."""
        if self.ended:
            return b""
        if self._may_end():
            self.ended = True
            return self._holding.release([self._teller.end()], committed=True)
        said = "without saying why" if self.committed else "before any content"
        self._break(f"ended the stream {said}")
        return b""

    def interrupt(self, failure: Failure) -> None:
        """Say that the answer broke."""
        self.ended = True
        self.failure = failure

    @property
    def usage(self) -> Usage:
        """Tokens so far."""
        return self._teller.reported or self._teller.so_far(self._call.prompt_tokens)

    @property
    def reported(self) -> Usage | None:
        """Tokens the provider itself reported, if it has."""
        return self._teller.reported

    def _break(self, what: str) -> None:
        self.interrupt(failures.broken(self._provider, what, usage=self.reported))
