"""Anthropic's Messages as Vertex AI serves them: the model is in the URL, the version in the body.

Answers are Anthropic's; refusals are its own or Google's.

Source: Anthropic API reference, Claude on Vertex AI (read 2026-11-26).
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import failures
from serve.upstream.conversation import conversation_of
from serve.upstream.dialects.anthropic import Anthropic
from serve.upstream.dialects.anthropic_request import generation, request
from serve.upstream.dialects.gemini_errors import refusal_of
from serve.upstream.provider import Provider
from serve.upstream.translation import TranslatedReading

VERSION: Final = "vertex-2023-10-16"


class VertexAnthropic:
    """Anthropic's language at Google's host of its models."""

    lacks: Final[frozenset[str]] = Anthropic.lacks

    def __init__(self) -> None:
        self._own = Anthropic()

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where one model answers."""
        verb = "streamRawPredict" if stream else "rawPredict"
        name = quote(model, safe="@")
        return f"{provider.base_url.rstrip('/')}/publishers/anthropic/models/{name}:{verb}"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key, if there is one; an account's token is signed on."""
        key = provider.api_key.reveal()
        return {"x-goog-api-key": key} if key else {}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields that Anthropic has no word for, or this model takes no more."""
        return self._own.ignored(provider, call)

    def body(self, provider: Provider, call: Call) -> bytes:
        """JSON of one attempt."""
        body = request(conversation_of(call.body), call, generation(provider.id_of(call.model)))
        extra = {name: call.body[name] for name in provider.extra_fields if name in call.body}
        return orjson.dumps({**extra, "anthropic_version": VERSION, **body})

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """A whole message in OpenAI's form."""
        return self._own.answer(provider, call, body, now_ms)

    def reading(self, provider: Provider, call: Call, now_ms: int) -> TranslatedReading:
        """Begin to read a stream."""
        return self._own.reading(provider, call, now_ms)

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200, of Anthropic's or of Google's."""
        reply = failures.parsed(body)
        if isinstance(reply, dict) and reply.get("type") == "error":
            return self._own.refusal(provider, status, headers, body, now_ms)
        return refusal_of(provider, status, reply, failures.retry_after_ms(headers, now_ms))
