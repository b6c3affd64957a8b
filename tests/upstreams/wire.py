"""What a wire format tells the server: whether a request is its own, and what its answers look like.

A new format is a module with one class of this shape (`openai.py` is the first) and an entry in
`wires.py`. Scenarios are the same for all of them; framing, pace and faults are the server's.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from tests.upstreams.scenario import Answer, ErrorEvent, Refuse


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as far as every wire has it.

    Attributes
    ----------
    n
        Answers that are wanted.
    usage
        The caller wants usage in a stream; wires that always give it ignore it.
    logprobs
        The caller wants them.
    """

    model: str
    stream: bool
    n: int = 1
    usage: bool = False
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream; `content` where it says something of the answer, and faults count it."""

    data: bytes
    name: str | None = None
    content: bool = False


class Wire(Protocol):
    """One wire format."""

    def asked(self, path: str, body: Any) -> Asked | None:
        """Read a POST; None where path or body are not of this format."""
        ...

    def whole(self, answer: Answer, asked: Asked) -> bytes:
        """Body of an answer that is not streamed."""
        ...

    def events(self, answer: Answer, asked: Asked) -> list[Event]:
        """Every event of a streamed answer, its end included."""
        ...

    def refusal(self, refuse: Refuse) -> Refuse:
        """The refusal as this wire has it: its status, its headers, and its error object as the body."""
        ...

    def error_event(self, error: ErrorEvent) -> Event:
        """The error inside a stream."""
        ...
