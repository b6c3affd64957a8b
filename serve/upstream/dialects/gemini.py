"""Gemini's generateContent: where it is asked for, and whole answers in OpenAI's form.

The same wire at Google's two hosts of it: the Gemini API, by key, and Vertex AI, by an account of Google
Cloud (`serve.upstream.google`) or a key. The key goes in a header and never into a URL, which ends in logs.

Source: Gemini API reference, models.generateContent; Vertex AI reference, publishers.models.generateContent
(read 2026-11-26).
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import chunks, failures
from serve.upstream.conversation import FIELDS, NEVER_TRANSLATED, conversation_of
from serve.upstream.dialects.gemini_errors import refusal_of
from serve.upstream.dialects.gemini_models import Model, model_of
from serve.upstream.dialects.gemini_request import request, without_words
from serve.upstream.dialects.gemini_stream import GeminiTeller
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
from serve.upstream.sse import SseParser
from serve.upstream.tokens import estimated
from serve.upstream.translation import TranslatedReading, whole_of

_OK: Final = 200


class Gemini:
    """The language of Gemini.

    Parameters
    ----------
    models
        Path of the host's models below its base URL.
    several
        Whether it gives several candidates of the newer models.
    """

    lacks: Final[frozenset[str]] = NEVER_TRANSLATED | {"image_url"}
    """Several choices are a matter of the model, not of the language."""

    def __init__(self, models: str, *, several: bool) -> None:
        self._models = models
        self._several = several

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where one model answers."""
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        name = quote(model.removeprefix("models/"), safe="@")
        return f"{provider.base_url.rstrip('/')}/{self._models}/{name}:{verb}"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key, if there is one."""
        key = provider.api_key.reveal()
        return {"x-goog-api-key": key} if key else {}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields that Gemini, or this model of it, has no word for."""
        named = {name for name, value in call.body.items() if value is not None}
        return tuple(
            named - FIELDS - provider.extra_fields | without_words(call.body, _model(provider, call))
        )

    def body(self, provider: Provider, call: Call) -> bytes:
        """JSON of one attempt."""
        model = _model(provider, call)
        body = request(conversation_of(call.body), call, model, several=self._several)
        extra = {name: call.body[name] for name in provider.extra_fields - FIELDS if name in call.body}
        return orjson.dumps({**extra, **body})

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """A whole answer in OpenAI's form."""
        return whole_of(
            provider,
            body,
            lambda reply: _answer(provider, call, reply, now_ms // 1_000),
            lambda reply: usage_of(reply.get("usageMetadata")),
        )

    def reading(self, provider: Provider, call: Call, now_ms: int) -> TranslatedReading:
        """Begin to read a stream."""
        teller = GeminiTeller(provider, call, now_ms // 1_000)
        return TranslatedReading(provider, call, SseParser(), teller, teller.may_end)

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200."""
        wait_ms = failures.retry_after_ms(headers, now_ms)
        return refusal_of(provider, status, failures.parsed(body), wait_ms)


def _model(provider: Provider, call: Call) -> Model:
    return model_of(provider.id_of(call.model))


def _answer(provider: Provider, call: Call, reply: Any, created_s: int) -> Completion | Failure:
    reported = usage_of(reply.get("usageMetadata"))
    if reply.get("error") is not None:
        return refusal_of(provider, _OK, reply, None, reported)
    size, choices = 0, []
    for candidate in reply.get("candidates") or ():
        number, reason = number_of(candidate), reason_of(candidate)
        if reason is None:
            return failures.broken(provider, "sent an answer without a finishReason", usage=reported)
        if reason not in FINISH:
            return failures.given_up(provider, unfinished(reason), usage=reported)
        said = said_of(candidate, call.request_id, number)
        size += said.size
        finish = chunks.TOOL_CALLS if said.calls and FINISH[reason] == chunks.STOP else FINISH[reason]
        message = {"content": None if said.calls else "", **said.fields()}
        choices.append(chunks.choice(number, message, finish, logprobs_of(candidate)))
    if not choices and blocked(reply):
        choices.append(chunks.choice(0, {"content": ""}, chunks.FILTERED))
    if not choices:
        return failures.broken(provider, "sent an answer without candidates", usage=reported)
    usage = reported or estimated(call.prompt_tokens, size)
    made, model = reply.get("responseId"), reply.get("modelVersion")
    whole = chunks.completion(
        made if isinstance(made, str) and made else call.request_id,
        model if isinstance(model, str) and model else call.model,
        created_s,
        sorted(choices, key=lambda choice: choice["index"]),
        usage,
    )
    return Completion(whole, usage)
