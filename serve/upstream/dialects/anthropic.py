"""Anthropic's Messages: where they are asked for, whole answers in OpenAI's form, errors to failures.

Sources: Anthropic API reference, Messages and Errors (read 2026-11-26).
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import chunks, failures
from serve.upstream.conversation import FIELDS, NEVER_TRANSLATED, conversation_of
from serve.upstream.dialects.anthropic_request import SAMPLING, generation, request, sampling
from serve.upstream.dialects.anthropic_stream import MessageTeller
from serve.upstream.dialects.anthropic_words import FINISH, error_of, spoken, usage_of
from serve.upstream.provider import Provider
from serve.upstream.sse import SseParser
from serve.upstream.tokens import estimated
from serve.upstream.translation import TranslatedReading, whole_of

VERSION: Final = "2023-06-01"
_NO_WORD: Final = frozenset({"seed", "frequency_penalty", "presence_penalty"})


class Anthropic:
    """The language of Anthropic and of whoever serves its models by its own API."""

    lacks: Final[frozenset[str]] = NEVER_TRANSLATED | {"n", "logprobs", "json_object"}

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where messages are answered."""
        del model, stream
        return provider.base_url.rstrip("/") + "/messages"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key, if there is one, and the version."""
        key = provider.api_key.reveal()
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields that Anthropic has no word for, or this model takes no more."""
        named = {name for name, value in call.body.items() if value is not None}
        left = named - FIELDS - provider.extra_fields
        left |= named & _NO_WORD
        taken = sampling(call.body, generation(provider.id_of(call.model)))
        left |= named.intersection(SAMPLING) - taken.keys()
        return tuple(left)

    def body(self, provider: Provider, call: Call) -> bytes:
        """JSON of one attempt."""
        model = provider.id_of(call.model)
        body = request(conversation_of(call.body), call, generation(model))
        extra = {name: call.body[name] for name in provider.extra_fields if name in call.body}
        return orjson.dumps({**extra, "model": model, **body})

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """A whole message in OpenAI's form."""
        return whole_of(
            provider,
            body,
            lambda reply: self._told(provider, call, reply, now_ms // 1_000),
            lambda reply: usage_of(reply.get("usage")),
        )

    def _told(
        self, provider: Provider, call: Call, reply: dict[str, Any], created_s: int
    ) -> Completion | Failure:
        reported = usage_of(reply.get("usage"))
        if reply.get("type") == "error" or reply.get("error") is not None:
            return error_of(provider, reply, reported)
        blocks, reason = reply.get("content"), reply.get("stop_reason")
        if not isinstance(blocks, list) or not isinstance(reason, str):
            return failures.broken(provider, "sent an answer without content or stop_reason", usage=reported)
        said = _message(blocks)
        usage = reported or estimated(call.prompt_tokens, said.size)
        whole = chunks.completion(
            str(reply.get("id") or call.request_id),
            str(reply.get("model") or call.model),
            created_s,
            [chunks.choice(0, said.fields(), FINISH.get(reason, chunks.STOP))],
            usage,
        )
        return Completion(whole, usage)

    def reading(self, provider: Provider, call: Call, now_ms: int) -> TranslatedReading:
        """Begin to read a stream."""
        return TranslatedReading(provider, call, SseParser(), MessageTeller(provider, call, now_ms // 1_000))

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200."""
        code, message = spoken(failures.parsed(body))
        return failures.classified(provider, status, code, message, failures.retry_after_ms(headers, now_ms))


def _message(blocks: list[Any]) -> chunks.Message:
    """Blocks as a message in OpenAI's form."""
    said = chunks.Message()
    for block in blocks:
        match block:
            case {"type": "text", "text": str(text)}:
                said.say(text)
            case {"type": "thinking", "thinking": str(text), **rest}:
                said.think(text)
                said.keep({"type": "thinking", "thinking": text, "signature": rest.get("signature")})
            case {"type": "redacted_thinking", "data": str(data)}:
                said.keep({"type": "redacted_thinking", "data": data})
            case {"type": "tool_use", "id": str(made), "name": str(name), **rest}:
                said.call(made, name, rest.get("input"))
    return said
