"""A streamed message of Anthropic's, told as OpenAI's chunks.

Blocks become deltas as they come; a finished thinking block is told once more, whole and signed, in
`thinking_blocks`, so that a client can send it back. The finish is told only with `message_stop`.

Source: Anthropic API reference, Streaming Messages (read 2026-11-26).
"""

from typing import Any

import orjson
from msgspec.structs import replace

from p402.ports import Call, Failure, Usage
from serve.upstream import chunks, failures
from serve.upstream.chunks import Chunks
from serve.upstream.dialects.anthropic_words import FINISH, error_of, usage_of
from serve.upstream.provider import Provider
from serve.upstream.sse import Event
from serve.upstream.thoughts import Thoughts
from serve.upstream.tokens import estimated, utf8


class MessageTeller:
    """`serve.upstream.translation.Teller` of Anthropic's events."""

    def __init__(self, provider: Provider, call: Call, created_s: int) -> None:
        self._provider = provider
        self._chunks = Chunks(call.request_id, call.model, created_s)
        self._include_usage = call.include_usage
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        """Calls that have said no argument yet."""
        self._thoughts = Thoughts()
        self._counts: dict[str, Any] = {}
        self._counted = False
        self._reason: str | None = None
        self.committed = False
        self.finished = False
        self.failure: Failure | None = None
        self._text_bytes = 0

    @property
    def reported(self) -> Usage | None:
        """Tokens as `message_delta` has them: what `message_start` says of output is no count."""
        return usage_of(self._counts) if self._counted else None

    def so_far(self, prompt_tokens: int) -> Usage:
        """The prompt as `message_start` counted it, the output by its length."""
        begun = usage_of({**self._counts, "output_tokens": 0})
        if begun is None:
            return estimated(prompt_tokens, self._text_bytes)
        said = estimated(0, self._text_bytes).output
        return replace(begun, output=said, estimated=True)

    def take(self, event: Event) -> bytes:
        """Tell one event."""
        data = event.data.strip()
        if not data:
            return b""
        told = orjson.loads(data)
        match told["type"]:
            case "message_start":
                return self._begin(told["message"])
            case "content_block_start":
                return self._open(told["index"], told["content_block"])
            case "content_block_delta":
                return self._delta(told["index"], told["delta"])
            case "content_block_stop":
                return self._close(told["index"])
            case "message_delta":
                self._reason = told["delta"].get("stop_reason") or self._reason
                usage = told.get("usage")
                self._count(usage)
                if isinstance(usage, dict) and usage.get("output_tokens") is not None:
                    self._counted = True
            case "message_stop":
                return self._finish()
            case "error":
                self.failure = error_of(self._provider, told, self.reported)
        return b""  # a ping, or what tomorrow brings

    def end(self) -> bytes:
        """Usage, where the client asked for it."""
        used = self.reported
        return self._chunks.usage(used) if self._include_usage and used is not None else b""

    def _begin(self, message: dict[str, Any]) -> bytes:
        self._chunks.name(_word(message.get("id")), _word(message.get("model")))
        self._count(message.get("usage"))
        return self._chunks.delta({"role": "assistant", "content": ""})

    def _open(self, index: int, block: dict[str, Any]) -> bytes:
        match block["type"]:
            case "text":
                return self._say("content", chunks.text(block.get("text") or ""))
            case "thinking":
                self._thoughts.begin(index)
                return self._think(index, chunks.text(block.get("thinking") or ""))
            case "redacted_thinking":
                self._thoughts.seal(index, chunks.text(block["data"]))
                self.committed = True
            case "tool_use":
                return self._call(index, block)
        return b""

    def _call(self, index: int, block: dict[str, Any]) -> bytes:
        name, made = chunks.text(block["name"]), chunks.text(block["id"])
        number = self._calls[index] = len(self._calls)
        arguments = orjson.dumps(block["input"]).decode() if block.get("input") else ""
        if not arguments:
            self._silent.add(index)
        self.committed = True
        self._text_bytes += utf8(name) + utf8(arguments)
        function = {"name": name, "arguments": arguments}
        call = {"index": number, "id": made, "type": "function", "function": function}
        return self._chunks.delta({"tool_calls": [call]})

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        match delta["type"]:
            case "text_delta":
                return self._say("content", chunks.text(delta["text"]))
            case "thinking_delta":
                return self._think(index, chunks.text(delta["thinking"]))
            case "signature_delta":
                self._thoughts.sign(index, chunks.text(delta["signature"]))
            case "input_json_delta":
                part = chunks.text(delta["partial_json"])
                if part and index in self._calls:
                    return self._argue(index, part)
        return b""

    def _argue(self, index: int, part: str) -> bytes:
        self._silent.discard(index)
        self._text_bytes += utf8(part)
        call = {"index": self._calls[index], "function": {"arguments": part}}
        return self._chunks.delta({"tool_calls": [call]})

    def _say(self, name: str, text: str) -> bytes:
        if not text:
            return b""
        self.committed = True
        self._text_bytes += utf8(text)
        return self._chunks.delta({name: text})

    def _think(self, index: int, text: str) -> bytes:
        self._thoughts.add(index, text)
        return self._say("reasoning_content", text)

    def _close(self, index: int) -> bytes:
        if index in self._silent:
            return self._argue(index, "{}")
        thought = self._thoughts.end(index)
        return b"" if thought is None else self._chunks.delta({"thinking_blocks": [thought]})

    def _finish(self) -> bytes:
        if self._reason is None:
            what = "ended the stream without saying why"
            self.failure = failures.broken(self._provider, what, usage=self.reported)
            return b""
        self.committed = self.finished = True
        return self._chunks.delta({}, FINISH.get(self._reason, chunks.STOP))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._counts |= {name: count for name, count in usage.items() if count is not None}


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None
