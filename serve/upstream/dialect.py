"""A provider's language: what the rest of the upstream asks of it, whoever speaks it.

The port of the dialects in `serve.upstream.dialects`. Each is pure: a call to bytes, bytes to OpenAI's form,
usage and failures. None knows of sockets, time (which is an argument), retries or money.
"""

from collections.abc import Mapping
from typing import Protocol

from p402.ports import Call, Completion, Failure, Usage
from serve.upstream.provider import Provider


class Unsupported(Exception):
    """The language has no word for something that the call cannot do without."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class Reading(Protocol):
    """A fold over the bytes of one streamed answer: when it commits, what to hand on, how it ended.

    What comes before the first content is held back, so that an error there can still go to another
    provider. A stream ends well only by the provider's own word.
    """

    @property
    def committed(self) -> bool:
        """Whether content has come; what is fed from now on is handed on at once."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the provider has said its last, or `failure` is set; nothing more is fed."""
        ...

    @property
    def failure(self) -> Failure | None:
        """Why the stream broke."""
        ...

    def feed(self, chunk: bytes) -> bytes:
        """Whole events in OpenAI's form to hand on because of `chunk`; empty before the first content."""
        ...

    def end_of_body(self) -> None:
        """Say that the body ended cleanly; sets `failure` unless the provider had finished."""
        ...

    def interrupt(self, failure: Failure) -> None:
        """Say that the answer broke from outside: a timeout, a lost connection."""
        ...

    @property
    def usage(self) -> Usage:
        """Tokens so far: the provider's report, else an estimate from the text seen."""
        ...

    @property
    def reported(self) -> Usage | None:
        """Tokens the provider itself reported, if it has."""
        ...


class Dialect(Protocol):
    """One wire format, and how a host of it is addressed."""

    @property
    def lacks(self) -> frozenset[str]:
        """Forms of a request (`p402.request.FORMS`) that it cannot say."""
        ...

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where one model's answers are asked for; `model` is the provider's own id."""
        ...

    def headers(self, provider: Provider) -> dict[str, str]:
        """Headers of its own, by lower-case name: the key and the version."""
        ...

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields of the client's body that the language has no word for, and an answer can do without."""
        ...

    def body(self, provider: Provider, call: Call) -> bytes:
        """The body of one attempt.

        Raises
        ------
        Unsupported
            The language cannot say what was asked; another provider may.
        orjson.JSONEncodeError
            It cannot be written.
        """
        ...

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """Read a whole answer with status 200."""
        ...

    def reading(self, provider: Provider, call: Call, now_ms: int) -> Reading:
        """Begin to read a streamed answer with status 200."""
        ...

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read any other status; `headers` by lower-case name, `body` maybe cut."""
        ...
