"""A stream of Bedrock's, told as OpenAI's chunks.

Blocks become deltas as they come; a finished thinking block is told once more, whole and signed, in
`thinking_blocks`, so that a client can send it back. The finish is told with `metadata`, the last frame,
which has the tokens; `messageStop` before it has the reason.

Source: Amazon Bedrock API reference, ConverseStream (read 2026-11-26).
"""

from typing import Any

import orjson

from p402.ports import Call, Failure, Usage
from serve.upstream import chunks, failures
from serve.upstream.aws.frames import FAULT
from serve.upstream.chunks import Chunks
from serve.upstream.dialects.bedrock_words import FINISH, MALFORMED, meant, usage_of, words
from serve.upstream.provider import Provider
from serve.upstream.sse import Event
from serve.upstream.thoughts import Thoughts
from serve.upstream.tokens import estimated, utf8


class ConverseTeller:
    """`serve.upstream.translation.Teller` of Bedrock's frames."""

    def __init__(self, provider: Provider, call: Call, created_s: int) -> None:
        self._provider = provider
        self._chunks = Chunks(call.request_id, call.model, created_s)
        self._include_usage = call.include_usage
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        self._thoughts = Thoughts()
        self._reason: str | None = None
        self._text_bytes = 0
        self.committed = False
        self.finished = False
        self.failure: Failure | None = None
        self.reported: Usage | None = None

    def so_far(self, prompt_tokens: int) -> Usage:
        """Both from lengths: nothing is counted before the end."""
        return estimated(prompt_tokens, self._text_bytes)

    def take(self, event: Event) -> bytes:
        """Tell one frame."""
        kind = event.kind.decode()
        if event.kind.startswith(FAULT):
            self._fault(kind[len(FAULT) :], event.data)
            return b""
        told = orjson.loads(event.data) if event.data else {}
        match kind:
            case "messageStart":
                return self._chunks.delta({"role": "assistant", "content": ""})
            case "contentBlockStart":
                start = told["start"]
                return self._open(told["contentBlockIndex"], start) if "toolUse" in start else b""
            case "contentBlockDelta":
                return self._delta(told["contentBlockIndex"], told["delta"])
            case "contentBlockStop":
                return self._close(told["contentBlockIndex"])
            case "messageStop":
                self._reason = told["stopReason"]
            case "metadata":
                self.reported = usage_of(told.get("usage"), told.get("serviceTier"))
                return self._finish()
        return b""  # what tomorrow brings

    def end(self) -> bytes:
        """Usage, where the client asked for it."""
        used = self.reported
        return self._chunks.usage(used) if self._include_usage and used is not None else b""

    def _open(self, index: int, start: dict[str, Any]) -> bytes:
        use = start["toolUse"]
        if use.get("type") == "server_tool_use":
            return b""  # the provider's own tool, which it answers itself
        name, made = chunks.text(use["name"]), chunks.text(use["toolUseId"])
        number = self._calls[index] = len(self._calls)
        self._silent.add(index)
        self.committed = True
        self._text_bytes += utf8(name)
        function = {"name": name, "arguments": ""}
        call = {"index": number, "id": made, "type": "function", "function": function}
        return self._chunks.delta({"tool_calls": [call]})

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        match delta:
            case {"text": str(text)}:
                return self._say("content", text)
            case {"toolUse": {"input": str(part)}}:
                if not part or index not in self._calls:
                    return b""
                return self._argue(index, part)
            case {"reasoningContent": dict(thought)}:
                return self._think(index, thought)
        return b""  # a citation

    def _argue(self, index: int, part: str) -> bytes:
        self._silent.discard(index)
        self._text_bytes += utf8(part)
        call = {"index": self._calls[index], "function": {"arguments": part}}
        return self._chunks.delta({"tool_calls": [call]})

    def _think(self, index: int, thought: dict[str, Any]) -> bytes:
        sealed = thought.get("redactedContent")
        if isinstance(sealed, str):
            self._thoughts.seal(index, sealed)
            self.committed = True
            return b""
        self._thoughts.begin(index)
        if isinstance(signature := thought.get("signature"), str):
            self._thoughts.sign(index, signature)
        text = thought.get("text")
        if not isinstance(text, str):
            return b""
        self._thoughts.add(index, text)
        return self._say("reasoning_content", text)

    def _say(self, name: str, text: str) -> bytes:
        if not text:
            return b""
        self.committed = True
        self._text_bytes += utf8(text)
        return self._chunks.delta({name: text})

    def _close(self, index: int) -> bytes:
        if index in self._silent:
            return self._argue(index, "{}")  # a call without arguments has no input at all
        thought = self._thoughts.end(index)
        if thought is None or (thought["type"] == "thinking" and thought["signature"] is None):
            return b""  # unsigned, nobody reads it back
        return self._chunks.delta({"thinking_blocks": [thought]})

    def _finish(self) -> bytes:
        if self._reason is None:
            what = "ended the stream without saying why"
            self.failure = failures.broken(self._provider, what, usage=self.reported)
            return b""
        if self._reason in MALFORMED:
            what = f"ended in {self._reason}"
            self.failure = failures.given_up(self._provider, what, usage=self.reported)
            return b""
        self.committed = self.finished = True
        return self._chunks.delta({}, FINISH.get(self._reason, chunks.STOP))

    def _fault(self, name: str, data: bytes) -> None:
        name = (
            name[:1].upper() + name[1:]
        )  # `throttlingException` of a frame is `ThrottlingException` of a head
        self.failure = meant(self._provider, name, words(failures.parsed(data)), 0, None, self.reported)
