"""What a streamed answer has said so far: when it commits, what to hand on, how it ended.

A pure fold over the bytes of one 200 answer in the OpenAI dialect. Events before the first content
are held back, so that an error among them can still go to another provider. It knows nothing of
sockets, tasks or time.

A stream ends well only by the provider's own word: `[DONE]`, or a `finish_reason` for every choice
followed by a clean end of the body. Anything else is a failure; nothing is made up.
"""

from typing import Any

import orjson
from msgspec.structs import replace

from p402.ports import Call, Failure, Usage
from serve.upstream import failures
from serve.upstream.dialects import openai_usage as openai
from serve.upstream.dialects.openai_tools import ToolCalls
from serve.upstream.holding import Holding
from serve.upstream.provider import Provider
from serve.upstream.sse import Event, SseParser
from serve.upstream.tokens import estimated, tier_of


class StreamReading:
    """Fold of one stream.

    Parameters
    ----------
    only_deltas
        Whether chunks stay behind that say nothing in OpenAI's form: without choices, or with choices
        that have no delta.

    Attributes
    ----------
    committed
        Content has come; what is fed from now on is handed on at once.
    ended
        The provider said `[DONE]`, or `failure` is set; nothing more is read.
    failure
        Why the stream broke.
    """

    def __init__(self, provider: Provider, call: Call, *, only_deltas: bool = False) -> None:
        self._provider = provider
        self._call = call
        self._only_deltas = only_deltas
        self._sse = SseParser()
        self._holding = Holding()
        self._tools = ToolCalls(call.body.get("tool_choice"))
        self._reported: Usage | None = None
        self._tier: Any = None
        self._text_bytes = 0
        self._seen: set[int] = set()
        self._finished: set[int] = set()
        self.committed = False
        self.ended = False
        self.failure: Failure | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Whole events to hand on because of `chunk`; empty before the first content."""
        out: list[bytes] = []
        for event in self._sse.feed(chunk):
            taken = self._take(event)
            if taken:
                out.append(taken)
            if self.ended:
                break
        if self._sse.dropped and not self.ended:
            self._break("sent an event larger than P402 reads")
        on = self._holding.release(out, committed=self.committed)
        if self._holding.too_much:
            self._break("sent more than 1 MiB before any content")
        return on

    def end_of_body(self) -> bytes:
        """Say that the body ended cleanly; sets `failure` unless the provider had finished."""
        if self.ended:
            return b""
        wanted = self._call.body.get("n")
        choices = max(wanted if isinstance(wanted, int) else 1, len(self._seen))
        if len(self._finished) >= choices:
            self.ended = True
        elif self.committed:
            self._break("ended the stream without a finish_reason or [DONE]")
        else:
            self._break("ended the stream before any content")
        return b""

    def interrupt(self, failure: Failure) -> None:
        """Say that the answer broke from outside: a timeout, a lost connection."""
        self.ended = True
        self.failure = failure

    @property
    def usage(self) -> Usage:
        """Tokens so far: the provider's report, else an estimate from the text seen.

        A count of no output is only of the prompt, unless it was the last word of an answer that ended well.
        """
        told, said = self._reported, self._text_bytes
        if told is None:
            return estimated(self._call.prompt_tokens, said, tier_of(self._tier))
        if told.output or not said or (self.ended and self.failure is None):
            return told
        return replace(told, output=estimated(0, said).output, estimated=True)

    @property
    def reported(self) -> Usage | None:
        """Tokens the provider itself reported, if it has."""
        return self._reported

    def _take(self, event: Event) -> bytes:
        """Take one event in; what of it is to be handed on, mostly itself."""
        data = event.data.strip()
        if not data:
            return b""
        if data == b"[DONE]":
            if not self.committed:
                self._break("ended the stream before any content")
            self.ended = True
            return b""
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            chunk = None
        if not isinstance(chunk, dict):
            self._break("sent an event that is not a JSON object")
            return b""
        if chunk.get("error") is not None or event.kind == b"error":
            error = chunk.get("error") or chunk
            self.interrupt(failures.from_error_event(self._provider, error, self._reported))
            return b""
        self._tier = chunk.get("service_tier") or self._tier
        reported = openai.usage_of(chunk.get("usage"), self._tier)
        if reported is not None:
            self._reported = reported
        choices = openai.choices_of(chunk)
        mended = False
        for choice in choices:
            mended |= self._choice(choice)
        if self._only_deltas and reported is None:
            wanted = any(isinstance(choice.get("delta"), dict) for choice in choices)
        else:
            wanted = self._call.include_usage or reported is None or bool(choices)
        if not wanted:
            return b""
        if not mended:
            return event.wire
        try:
            return b"data: %b\n\n" % orjson.dumps(chunk)
        except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
            self._break("sent an event nested deeper than P402 writes")
            return b""

    def _choice(self, choice: dict[str, Any]) -> bool:
        """Take one choice in, and put its tool calls right; whether they were not."""
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        self._seen.add(index)
        delta = choice.get("delta")
        self._text_bytes += openai.text_bytes(delta)
        finish = choice.get("finish_reason")
        if finish:
            self._finished.add(index)
            self.committed = True  # an answer may be empty and finished
        elif not self.committed and openai.has_content(delta):
            self.committed = True
        calls = isinstance(delta, dict) and "tool_calls" in delta
        return bool(finish or calls) and self._tools.mend(index, choice)

    def _break(self, what: str) -> None:
        self.interrupt(failures.broken(self._provider, what, usage=self._reported))
