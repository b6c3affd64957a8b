"""Whether a request may be answered from a cache, and what has to be equal for that.

All but the last user's words is in the scope, digest for digest: the tenant, every rule that says which
models may answer, the system prompt, the turns before and the parameters. Two requests of one scope differ
in their last words alone, and only those are ever compared by meaning.

Source: the partition of vLLM's semantic router (tenant, decision, models, protocol, epoch), 2026; caches that
are keyed by the last message alone answered 98 % of conversations wrongly (fow-cache 0.1.0, its README).
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import orjson

from p402.cache.contract import Query
from p402.cache.guards import is_time_sensitive
from p402.request import ChatRequest, Tenant

MAX_TEXT: Final = 8_192
"""Bytes of last words that are compared by meaning; longer ones are answered by exact repeats alone."""

MAX_TEMPERATURE: Final = 1.0
"""Whoever asks for more wants variety: such a request is cached only where it says so itself."""

_APART: Final = frozenset(
    {
        "messages", "model",  # in the key in another form
        "max_completion_tokens", "max_tokens",
        "stream", "stream_options",  # one answer serves both
        "metadata", "prompt_cache_key", "safety_identifier", "store", "user",  # no model reads them
    }
)  # fmt: skip
"""Fields of the body that stand in no digest as they are."""

_BY_FORM: Final = {"audio": "audio", "file": "files", "image_url": "images", "logprobs": "logprobs"}
_SIZE: Final = 16
_WORDS: Final = frozenset({"role", "content"})


def is_on(request: ChatRequest, tenant: Tenant) -> bool:
    """Whether the cache is used: as the request says, else in `cost` mode where the tenant has not said no.

    A named model that is called by its name is not routed, so that its mode is nobody's wish.
    """
    options = request.options
    if options.cache is not None:
        return options.cache
    if request.model is not None and options.mode is None and tenant.route_named_models != "on":
        return False
    return tenant.cache.in_cost_mode and (options.mode or tenant.default_mode) == "cost"


def query_of(request: ChatRequest, tenant: Tenant) -> Query | str:
    """The query, or in a word why this request is neither answered from a cache nor kept in it."""
    transcript, body = request.transcript, request.body
    if transcript.has_tools or transcript.binds_family or "functions" in transcript.forms:
        return "tools"
    if transcript.images:
        return "images"
    for form, word in _BY_FORM.items():
        if form in transcript.forms:
            return word
    if request.n != 1:
        return "choices"
    if not request.options.cache and (body.get("temperature") or 0) > MAX_TEMPERATURE:
        return "temperature"
    last = _last_words(body)
    if last is None:
        return "last_message"
    text = transcript.last_user
    if is_time_sensitive(text):
        return "time_sensitive"
    scope = _digest(b"p402.scope", _scope(request, tenant, last))
    said = text.encode("utf-8", "surrogatepass")
    compared = tenant.cache.similarity < 1 and len(said) <= MAX_TEXT and bool(text.strip())
    return Query(
        tenant=tenant.name,
        scope=scope,
        exact=blake2b(said, digest_size=_SIZE, key=scope, person=b"p402.exact").digest(),
        text=text if compared else None,
        similarity=tenant.cache.similarity,
    )


def _last_words(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last message, where it is a user's and nothing but words."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return None
    last = messages[-1]
    if not isinstance(last, Mapping) or last.get("role") != "user":
        return None
    content = last.get("content")
    if isinstance(content, str):
        return last
    if not isinstance(content, list):
        return None
    words = all(isinstance(part, Mapping) and part.get("type") == "text" for part in content)
    return last if words else None


def _scope(request: ChatRequest, tenant: Tenant, last: Mapping[str, Any]) -> list[Any]:
    """Everything that has to be equal, as JSON values."""
    options, body = request.options, request.body
    weights = options.weights
    return [
        tenant.name,
        tenant.policy,
        tenant.route_named_models,
        request.model,
        options.mode or tenant.default_mode,
        None if weights is None else [weights.quality, weights.cost, weights.speed],
        options.task,
        sorted(set(options.require_capabilities)),
        sorted(set(options.exclude_providers)),
        list(options.prefer_providers),
        options.max_cost_pico,
        request.max_output,
        {name: value for name, value in body.items() if name not in _APART and value is not None},
        body["messages"][:-1],
        {name: value for name, value in last.items() if name not in _WORDS},
    ]


def _digest(person: bytes, values: list[Any]) -> bytes:
    return blake2b(
        orjson.dumps(values, option=orjson.OPT_SORT_KEYS), digest_size=_SIZE, person=person
    ).digest()
