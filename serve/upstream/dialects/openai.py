"""OpenAI's chat completions: a call to bytes, bytes to usage and text.

The request is built from zero: body fields by allow-list, headers by ours alone, so
that nothing a client sends can steer the call to another URL, key, model or price list. Every
OpenAI-compatible provider is an entry of the configuration, not code here.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from p402.ports import Call, Completion, Failure
from serve.upstream import failures
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.openai_stream import StreamReading
from serve.upstream.dialects.openai_usage import choices_of, text_bytes, usage_of
from serve.upstream.provider import Provider
from serve.upstream.tokens import estimated, tier_of

FIELDS = frozenset(
    {
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
        "max_completion_tokens", "max_tokens", "messages", "metadata", "min_p", "modalities", "n",
        "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "reasoning",
        "reasoning_effort", "repetition_penalty", "response_format", "safety_identifier", "seed", "stop",
        "store", "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_k",
        "top_logprobs", "top_p", "user", "verbosity",
    }
)  # fmt: skip
"""`service_tier` and `web_search_options` are absent: they change the price the hold was computed at."""

_KNOWN = FIELDS | {"model"}
_OURS_TO_STRIP = frozenset(
    {
        "cache_control",
        "thinking_blocks",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "extra_content",
    }
)
"""What other languages put into messages and some providers refuse; a provider's `message_fields` stay."""


_CLIENTS_TOOLS: Final = ("function", "custom")
"""Types of tools that the client runs."""


class OpenAi:
    """The language of OpenAI and of whoever is compatible with it."""

    lacks: Final[frozenset[str]] = frozenset()

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where chat completions live."""
        del model, stream
        return provider.base_url.rstrip("/") + "/chat/completions"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The key, if there is one."""
        key = provider.api_key.reveal()
        return {"authorization": f"Bearer {key}"} if key else {}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """Fields that are not on the list, or that this provider refuses."""
        return ignored_of(provider, call)

    def body(self, provider: Provider, call: Call) -> bytes:
        """JSON of one attempt."""
        return body_of(provider, call)

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """A whole answer, as it came."""
        del now_ms
        reply = failures.parsed(body)
        if not isinstance(reply, dict):
            return failures.broken(provider, "sent an answer that is not a JSON object")
        tier = reply.get("service_tier")
        reported = usage_of(reply.get("usage"), tier)
        if reply.get("error") is not None:
            return failures.from_error_event(provider, reply["error"], reported)
        choices = choices_of(reply)
        if not choices:
            return failures.broken(provider, "sent an answer without choices", usage=reported)
        if reported is None:
            said = sum(text_bytes(c.get("message")) for c in choices)
            reported = estimated(call.prompt_tokens, said, tier_of(tier))
        return Completion(body, reported)

    def reading(self, provider: Provider, call: Call, now_ms: int) -> StreamReading:
        """Begin to read a stream."""
        del now_ms
        return StreamReading(provider, call)

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200."""
        return failures.from_status(provider, status, headers, body, now_ms)


def ignored_of(provider: Provider, call: Call) -> tuple[str, ...]:
    """Fields of the client's body that are not sent."""
    omitted = provider.omit_fields
    if call.body.keys() <= _KNOWN and omitted.isdisjoint(call.body):
        return ()
    named = {name for name, value in call.body.items() if value is not None}
    # What `stream_options` asks for is done by the gateway itself.
    refused = (named & omitted) - {"stream_options"}
    return tuple((call.body.keys() - _KNOWN - provider.extra_fields) | refused)


def body_of(provider: Provider, call: Call) -> bytes:
    """JSON body of one attempt."""
    body: dict[str, Any] = {
        name: value for name, value in call.body.items() if name in FIELDS or name in provider.extra_fields
    }
    for name in provider.omit_fields:
        body.pop(name, None)
    if body.get("tools"):
        _refuse_priced(body["tools"])
    stripped = _OURS_TO_STRIP - provider.message_fields
    if stripped or "cache_control" in provider.message_fields:
        for name in ("messages", "tools"):
            items = body.get(name)
            if isinstance(items, list) and _have_ours(items):
                body[name] = [_without(item, stripped) for item in items]
    body["model"] = provider.id_of(call.model)
    named = [body[f] for f in ("max_tokens", "max_completion_tokens") if body.get(f) is not None]
    cap = None if named else call.output_cap
    if named and provider.renames_cap:
        cap = min(named)  # a word that a provider does not know is a cap that it does not keep
    if cap is not None:
        body.pop("max_tokens", None)
        body.pop("max_completion_tokens", None)
        body[provider.output_field] = cap
    if call.stream:
        body["stream"] = True
        if "stream_options" not in provider.omit_fields:
            options = body.get("stream_options")
            known = options if isinstance(options, Mapping) else {}
            body["stream_options"] = {**known, "include_usage": True}
    else:
        body.pop("stream", None)
        body.pop("stream_options", None)
    return orjson.dumps(body)


def _refuse_priced(tools: Any) -> None:
    """Refuse tools that a provider runs itself, such as a search: they are billed by use, beyond any hold."""
    for tool in tools:
        kind = tool.get("type", "function")
        if kind not in _CLIENTS_TOOLS:
            raise Unsupported(f"a tool of type {str(kind)[:40]!r}, whose price P402 does not know")


def _have_ours(items: list[Any]) -> bool:
    """Whether a message, a part or a tool has a field that may have to go; few have, and all are asked."""
    apart = _OURS_TO_STRIP.isdisjoint
    for item in items:
        if type(item) is not dict:
            continue
        if not apart(item):
            return True
        content, calls = item.get("content"), item.get("tool_calls")
        if type(content) is list and not all(apart(x) for x in content if type(x) is dict):
            return True
        if type(calls) is list and not all(apart(x) for x in calls if type(x) is dict):
            return True
    return False


def _without(item: Any, names: frozenset[str]) -> Any:
    """A message, a part or a tool without some fields; itself where it has none of them.

    A cache marker that stays asks for the shortest time: usage in OpenAI's form tells no other apart.
    """
    if not isinstance(item, dict):
        return item
    found = names & item.keys()
    if found:
        item = {name: value for name, value in item.items() if name not in found}
    cache = item.get("cache_control")
    if isinstance(cache, dict) and "ttl" in cache:
        item = {**item, "cache_control": {name: value for name, value in cache.items() if name != "ttl"}}
    for name in ("content", "tool_calls"):
        inner = item.get(name)
        if isinstance(inner, list) and any(isinstance(x, dict) and _OURS_TO_STRIP & x.keys() for x in inner):
            item = {**item, name: [_without(x, names) for x in inner]}
    return item
