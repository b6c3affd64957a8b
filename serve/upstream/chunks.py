"""Answers in OpenAI's form, written by us: a whole one, or chunk by chunk.

For languages that are not OpenAI's. Every event is one `data:` line. It knows nothing of where the words
came from.

Source: OpenAI API reference, chat completion objects and chunks (read 2026-11-26).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from p402.ports import Usage
from serve.upstream.tokens import utf8

STOP: Final = "stop"
LENGTH: Final = "length"
TOOL_CALLS: Final = "tool_calls"
FILTERED: Final = "content_filter"


def usage_fields(usage: Usage) -> dict[str, Any]:
    """Tokens in OpenAI's form; `cache_write_tokens` beside it, as OpenRouter has it."""
    prompt: dict[str, int] = {"cached_tokens": usage.cached}
    if usage.cache_write:
        prompt["cache_write_tokens"] = usage.cache_write
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def choice(
    index: int, message: Mapping[str, Any], finish: str, logprobs: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One choice of a whole answer; `content` is null only beside tool calls, as OpenAI's is."""
    said = {"role": "assistant", "content": None if message.get("tool_calls") else "", **message}
    return {"index": index, "message": said, "finish_reason": finish, "logprobs": logprobs}


def completion(
    made: str, model: str, created_s: int, choices: Sequence[Mapping[str, Any]], usage: Usage
) -> bytes:
    """A whole answer; `made` is its id."""
    return orjson.dumps(
        {
            "id": made,
            "object": "chat.completion",
            "created": created_s,
            "model": model,
            "choices": choices,
            "usage": usage_fields(usage),
        }
    )


def text(value: Any) -> str:
    """What clients add up piece by piece; raises `TypeError` where a provider's value is no text."""
    if not isinstance(value, str):
        raise TypeError("expected text")
    return value


class Message:
    """What an assistant said at once, gathered piece by piece."""

    __slots__ = ("_calls", "_kept", "_texts", "_thoughts", "size")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._kept: list[dict[str, Any]] = []
        self._calls: list[dict[str, Any]] = []
        self.size = 0
        """UTF-8 bytes of all that was said."""

    def say(self, text: str) -> None:
        """Words."""
        self._texts.append(text)
        self.size += utf8(text)

    def think(self, text: str) -> None:
        """Reasoning that may be read."""
        self._thoughts.append(text)
        self.size += utf8(text)

    def keep(self, block: dict[str, Any]) -> None:
        """Reasoning that only its own lab reads back."""
        self._kept.append(block)

    def call(self, made: str, name: str, arguments: Any) -> None:
        """A tool; `arguments` as JSON has them."""
        told = orjson.dumps(arguments or {}).decode()
        self._calls.append({"id": made, "type": "function", "function": {"name": name, "arguments": told}})
        self.size += utf8(name) + utf8(told)

    def fields(self) -> dict[str, Any]:
        """The message, without what was not said."""
        said: dict[str, Any] = {}
        if self._texts:
            said["content"] = "".join(self._texts)
        if self._thoughts:
            said["reasoning_content"] = "".join(self._thoughts)
        if self._kept:
            said["thinking_blocks"] = self._kept
        if self._calls:
            said["tool_calls"] = self._calls
        return said


class Chunks:
    """Writes the chunks of one stream."""

    __slots__ = ("_created_s", "_made", "_model")

    def __init__(self, made: str, model: str, created_s: int) -> None:
        self._made = made
        self._model = model
        self._created_s = created_s

    def name(self, made: str | None, model: str | None) -> None:
        """Take the id and the model that the provider tells with its first event."""
        self._made, self._model = made or self._made, model or self._model

    def delta(
        self,
        delta: Mapping[str, Any],
        finish: str | None = None,
        *,
        index: int = 0,
        logprobs: Mapping[str, Any] | None = None,
    ) -> bytes:
        """One event that says something of one choice."""
        said: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
        if logprobs is not None:
            said["logprobs"] = logprobs
        return self._event([said], None)

    def usage(self, usage: Usage) -> bytes:
        """The event that tells of tokens, and of nothing else."""
        return self._event([], usage)

    def _event(self, choices: list[dict[str, Any]], usage: Usage | None) -> bytes:
        chunk: dict[str, Any] = {
            "id": self._made,
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": self._model,
            "choices": choices,
        }
        if usage is not None:
            chunk["usage"] = usage_fields(usage)
        return b"data: %b\n\n" % orjson.dumps(chunk)
