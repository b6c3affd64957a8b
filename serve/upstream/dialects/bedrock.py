"""Amazon Bedrock's Converse: where it is asked, whole answers in OpenAI's form, errors to failures.

Signing is not here: a provider with a key sends it as a bearer, any other is signed by `serve.upstream.aws`.

Sources: Amazon Bedrock API reference, Converse and ConverseStream; Bedrock API keys (read 2026-11-26).
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import chunks, failures
from serve.upstream.aws.frames import AwsFrames
from serve.upstream.conversation import FIELDS, NEVER_TRANSLATED, conversation_of
from serve.upstream.dialects.bedrock_request import request, unsaid
from serve.upstream.dialects.bedrock_stream import ConverseTeller
from serve.upstream.dialects.bedrock_words import FINISH, MALFORMED, meant, named, usage_of, words
from serve.upstream.provider import Provider
from serve.upstream.tokens import estimated
from serve.upstream.translation import TranslatedReading, whole_of


class Bedrock:
    """The language of Bedrock, whoever's model it is."""

    lacks: Final[frozenset[str]] = NEVER_TRANSLATED | {"n", "logprobs", "json_object", "image_url"}

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where one model is asked; its id may be an ARN, with colons and slashes."""
        how = "converse-stream" if stream else "converse"
        return f"{provider.base_url.rstrip('/')}/model/{quote(model, safe='')}/{how}"

    def headers(self, provider: Provider) -> dict[str, str]:
        """A Bedrock key, if there is one."""
        key = provider.api_key.reveal()
        return {"accept": "*/*", **({"authorization": f"Bearer {key}"} if key else {})}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields that Converse has no word for, or this model is not told."""
        given = {name for name, value in call.body.items() if value is not None}
        return tuple(
            (given - FIELDS - provider.extra_fields) | (given & unsaid(call.body, provider.id_of(call.model)))
        )

    def body(self, provider: Provider, call: Call) -> bytes:
        """JSON of one attempt; the model is in the path."""
        body = request(conversation_of(call.body), call, provider.id_of(call.model))
        extra = {name: call.body[name] for name in provider.extra_fields if name in call.body}
        return orjson.dumps({**extra, **body})

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """A whole answer in OpenAI's form."""
        return whole_of(
            provider,
            body,
            lambda reply: self._told(provider, call, reply, now_ms // 1_000),
            lambda reply: usage_of(reply.get("usage"), reply.get("serviceTier")),
        )

    def _told(
        self, provider: Provider, call: Call, reply: dict[str, Any], created_s: int
    ) -> Completion | Failure:
        reported = usage_of(reply.get("usage"), reply.get("serviceTier"))
        reason = reply.get("stopReason")
        match reply.get("output"):
            case {"message": {"content": list(blocks)}} if isinstance(reason, str):
                pass
            case _:
                return failures.broken(
                    provider, "sent an answer without content or stopReason", usage=reported
                )
        if reason in MALFORMED:
            return failures.given_up(provider, f"ended in {reason}", usage=reported)
        said = _message(blocks)
        usage = reported or estimated(call.prompt_tokens, said.size)
        finish = FINISH.get(reason, chunks.STOP)
        choices = [chunks.choice(0, said.fields(), finish)]
        whole = chunks.completion(call.request_id, call.model, created_s, choices, usage)
        return Completion(whole, usage)

    def reading(self, provider: Provider, call: Call, now_ms: int) -> TranslatedReading:
        """Begin to read a stream."""
        teller = ConverseTeller(provider, call, now_ms // 1_000)
        return TranslatedReading(provider, call, AwsFrames(), teller)

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200."""
        reply = failures.parsed(body)
        retry = failures.retry_after_ms(headers, now_ms)
        return meant(provider, named(headers, reply), words(reply), status, retry)


def _message(blocks: list[Any]) -> chunks.Message:
    """Blocks as a message in OpenAI's form."""
    said = chunks.Message()
    for block in blocks:
        match block:
            case {"text": str(text)}:
                said.say(text)
            case {"citationsContent": {"content": list(cited)}}:
                for part in cited:
                    if isinstance(part, dict) and isinstance(part.get("text"), str):
                        said.say(part["text"])
            case {"reasoningContent": {"reasoningText": {"text": str(text), **rest}}}:
                said.think(text)
                if isinstance(signature := rest.get("signature"), str):
                    said.keep({"type": "thinking", "thinking": text, "signature": signature})
            case {"reasoningContent": {"redactedContent": str(sealed)}}:
                said.keep({"type": "redacted_thinking", "data": sealed})
            case {"toolUse": {"type": "server_tool_use"}}:
                continue
            case {"toolUse": {"toolUseId": str(made), "name": str(name), **rest}}:
                said.call(made, name, rest.get("input"))
    return said
