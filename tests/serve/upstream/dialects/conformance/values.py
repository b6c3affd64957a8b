"""What a model says and what a provider understood, in nobody's wire format.

A `Speaker` is the far side of the socket for one dialect: it writes a `Said` in its wire, and reads a `Heard`
out of a request. Speakers share no code with what they test.
"""

from dataclasses import dataclass, field
from typing import Protocol

from p402.ports import Usage


@dataclass(frozen=True)
class Asked:
    """A call for a tool, as the model makes it."""

    name: str
    arguments: dict
    id: str


@dataclass(frozen=True)
class Said:
    """One answer.

    `finish` is OpenAI's word: stop, length, tool_calls or content_filter. `usage` is the normal form.
    `thoughts` is reasoning; `seal` its signature, where the wire has signatures.
    """

    texts: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    seal: str | None = None
    calls: tuple[Asked, ...] = ()
    finish: str = "stop"
    usage: Usage | None = field(default_factory=lambda: Usage(11, 3))


@dataclass(frozen=True)
class Heard:
    """What a provider understood of a request; what it was not told is None or empty.

    `turns` are `(role, parts)` with parts as tuples: `("text", words)`, `("image", media_type, base64)`,
    `("call", name, arguments)`, `("result", name or id, words)`, `("thought", words, seal)`.
    `choice` is auto, none, required or the name of the tool that is demanded.
    """

    model: str
    stream: bool
    system: tuple[str, ...]
    turns: tuple[tuple[str, tuple[tuple, ...]], ...]
    tools: tuple[tuple[str, str | None, tuple[str, ...]], ...] = ()
    choice: str | None = None
    schema: dict | None = None
    stop: tuple[str, ...] = ()
    most: int | None = None
    temperature: float | None = None
    n: int = 1


class Speaker(Protocol):
    """One wire format, spoken by a provider.

    Attributes
    ----------
    dialect
        Its name in the configuration.
    model
        A model id of it that takes temperature and, where it can, thinks.
    lacks
        What the wire cannot say: a subset of `n`, `logprobs`, `thoughts`, `seal`, `image_url`, `json_object`,
        `tool_choice_none`.
    marks
        Whether prompt-cache markers are passed on.
    """

    dialect: str
    model: str
    lacks: frozenset[str]
    marks: bool

    def whole(self, said: Said) -> bytes:
        """The body of a whole answer."""

    def pieces(self, said: Said) -> list[bytes]:
        """The frames of a streamed answer, the terminal marker last."""

    def content_type(self, *, stream: bool) -> str:
        """Of an answer."""

    def broken(self) -> bytes:
        """A frame that says, inside a 200, that the provider is overloaded."""

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a refusal.

        Kinds: rate (429, come back in 7 s), overloaded, key, context, bad_request, quota.
        """

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        """What a request said; headers by lower-case name."""

    def cached(self, body: dict) -> int:
        """How many cache markers a request carries."""
