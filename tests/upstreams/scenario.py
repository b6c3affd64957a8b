"""What a provider of the tests does with one request: what it answers, and how it fails.

Values only, the same for every wire format: a wire module turns them into its own bytes and the
server plays them. They know no JSON, socket or clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Finish(Enum):
    """Why an answer ends; each wire has its own words."""

    STOP = "stop"
    LENGTH = "length"
    TOOLS = "tools"
    FILTER = "filter"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for; `arguments` are an object."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What is billed. `prompt` holds the cached ones and `output` the reasoning, whatever a wire does."""

    prompt: int = 11
    output: int = 5
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says.

    Attributes
    ----------
    text
        Pieces, each an event of a stream.
    reasoning
        Pieces of what it thinks aloud, before the text.
    calls
        Tool calls, after the text; several are parallel calls.
    tokens
        None: the provider says nothing of usage.
    """

    text: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    tokens: Tokens | None = field(default_factory=Tokens)
    finish: Finish = Finish.STOP


@dataclass(frozen=True, slots=True)
class Refuse:
    """An HTTP status in place of an answer, in OpenAI's words; a wire says it in its own.

    Attributes
    ----------
    body
        Sent as it is; None for an error object of the wire with `code` and `message`.
    """

    status: int
    code: str = "server_error"
    message: str = "refused on purpose"
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """An error inside a 200, after so many content events; 0 is before any. Streams only."""

    after: int = 0
    code: str = "server_error"
    message: str = "broke on purpose"


@dataclass(frozen=True, slots=True)
class Cut:
    """The answer stops after so many content events; a whole answer, in its middle.

    Attributes
    ----------
    clean
        The body ends as HTTP asks for, yet without the wire's own end; else the connection is reset.
    """

    after: int
    clean: bool = False


@dataclass(frozen=True, slots=True)
class Stall:
    """Silence of so many seconds, after so many content events; `after` None is before the first byte."""

    seconds: float
    after: int | None = None


Fault = Refuse | ErrorEvent | Cut | Stall


@dataclass(frozen=True, slots=True)
class Scenario:
    """One request's course.

    Attributes
    ----------
    gap_s
        Between two events.
    piece_bytes
        Largest write; small ones cut lines, JSON and UTF-8 sequences in two.
    crlf
        Lines of a stream end in CR LF.
    """

    answer: Answer = field(default_factory=lambda: Answer(("Fo", "ur")))
    fault: Fault | None = None
    gap_s: float = 0.0
    piece_bytes: int | None = None
    crlf: bool = False


def failing(fault: Fault, scenario: Scenario | None = None) -> Scenario:
    """The scenario, plain if none is given, with this fault."""
    return replace(scenario or Scenario(), fault=fault)
