"""A streamed answer of Gemini's, told as OpenAI's chunks.

Each event is a whole response with a few more parts. There is no terminal marker: an answer ends well where
every candidate has said why it ended and the body ends cleanly. So the finish is told last of all, and one
that comes early (some models name it in every event) cuts nothing off.

Source: Gemini API reference, models.streamGenerateContent (read 2026-11-26).
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from msgspec.structs import replace

from p402.ports import Call, Failure, Usage
from serve.upstream import chunks, failures
from serve.upstream.chunks import Chunks
from serve.upstream.dialects.gemini_errors import refusal_of
from serve.upstream.dialects.gemini_words import (
    FINISH,
    blocked,
    logprobs_of,
    number_of,
    reason_of,
    said_of,
    unfinished,
    usage_of,
)
from serve.upstream.provider import Provider
from serve.upstream.sse import Event
from serve.upstream.tokens import estimated

_OK: Final = 200


class GeminiTeller:
    """`serve.upstream.translation.Teller` of Gemini's events."""

    finished: Final = False
    """Never by an event: see `may_end`."""

    def __init__(self, provider: Provider, call: Call, created_s: int) -> None:
        self._provider = provider
        self._request_id = call.request_id
        self._chunks = Chunks(call.request_id, call.model, created_s)
        self._include_usage = call.include_usage
        self._calls: dict[int, int] = {}
        """How many tools each candidate has called; a candidate is in it from its first event on."""
        self._spoken: set[int] = set()
        self._finish: dict[int, str] = {}
        self._counts: Any = None
        """What the last event said of tokens; read only where it is asked for."""
        self._text_bytes = 0
        self.committed = False
        self.failure: Failure | None = None

    @property
    def reported(self) -> Usage | None:
        """Tokens, once every candidate has finished: before, they are those of the parts so far."""
        return usage_of(self._counts) if self.may_end() else None

    def so_far(self, prompt_tokens: int) -> Usage:
        """The prompt as it was last counted, the output by its length where that is more."""
        said = estimated(prompt_tokens, self._text_bytes)
        used = usage_of(self._counts)
        if used is None:
            return said
        return replace(used, output=max(used.output, said.output), estimated=True)

    def may_end(self) -> bool:
        """Whether every candidate has said why it ended."""
        return bool(self._finish) and self._calls.keys() <= self._finish.keys()

    def take(self, event: Event) -> bytes:
        """Tell one event."""
        data = event.data.strip()
        if not data:
            return b""
        told = orjson.loads(data)
        if told.get("error") is not None or event.kind == b"error":
            self.failure = refusal_of(self._provider, _OK, told, None, self.reported)
            return b""
        self._counts = told.get("usageMetadata") or self._counts
        if not self._calls:
            self._chunks.name(_word(told.get("responseId")), _word(told.get("modelVersion")))
        if blocked(told):
            self._finish[0] = chunks.FILTERED
            self.committed = True
        out = [self._candidate(candidate) for candidate in told.get("candidates") or ()]
        return b"".join(out) if self.failure is None else b""

    def end(self) -> bytes:
        """Why each candidate ended; then usage, where the client asked for it."""
        out = []
        for number, finish in sorted(self._finish.items()):
            if finish == chunks.STOP and self._calls.get(number):
                finish = chunks.TOOL_CALLS  # noqa: PLW2901
            out.append(self._chunks.delta(self._begun(number, {}), finish, index=number))
        used = self.reported
        if self._include_usage and used is not None:
            out.append(self._chunks.usage(used))
        return b"".join(out)

    def _candidate(self, candidate: Mapping[str, Any]) -> bytes:
        number = number_of(candidate)
        called = self._calls.setdefault(number, 0)
        said = said_of(candidate, self._request_id, number, called)
        size, delta, logprobs = said.size, said.fields(), logprobs_of(candidate)
        reason = reason_of(candidate)
        if reason is not None:
            self._end_of(number, reason)
        if not delta and logprobs is None:
            return b""
        for index, call in enumerate(said.calls, called):
            call["index"] = index
        self._calls[number] = called + len(said.calls)
        self._text_bytes += size
        self.committed = self.committed or size > 0
        return self._chunks.delta(self._begun(number, delta), index=number, logprobs=logprobs)

    def _begun(self, number: int, delta: dict[str, Any]) -> dict[str, Any]:
        """A delta, with the role where it is the candidate's first."""
        if number in self._spoken:
            return delta
        self._spoken.add(number)
        return {"role": "assistant", "content": "", **delta}

    def _end_of(self, number: int, reason: Any) -> None:
        finish = FINISH.get(reason)
        if finish is None:
            self.failure = failures.given_up(self._provider, unfinished(reason), usage=usage_of(self._counts))
            return
        self._finish[number] = finish
        self.committed = True  # an answer may be empty and finished


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
