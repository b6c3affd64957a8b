"""Whether a request may be answered from a cache, and what has to be equal for that.

All but the last user's words is in the scope, digest for digest: the tenant, every rule that says which
models may answer, the system prompt, the turns before and the parameters. Two requests of one scope differ
in their last words alone, and only those are ever compared by meaning.

Source: the partition of vLLM's semantic router (tenant, decision, models, protocol, epoch), 2026; caches that
are keyed by the last message alone answered 98 % of conversations wrongly (fow-cache 0.1.0, its README).
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final

import orjson

from p402.cache.contract import Query
from p402.cache.guards import is_time_sensitive, wants_chance
from p402.request import ChatRequest, Tenant

MAX_TEXT: Final = 8_192
"""Bytes of last words that are compared by meaning; longer ones are answered by exact repeats alone."""

MAX_TEMPERATURE: Final = 1.0
"""Whoever asks for more wants variety: such a request is cached only where it says so itself."""

MAX_REQUEST: Final = 262_144
"""Bytes of text in a request that is looked up: to hash 20 MB held the event loop for 64 ms."""

_MOST_HASHED: Final = 8 * MAX_REQUEST
"""Bytes of JSON: text that is escaped to six times its length, and as much again of other fields."""

_TURNS_READ: Final = 4
_TURN_HEAD: Final = 750
_TURN_TAIL: Final = 250
"""User's turns before the last that are read for their wishes, and characters at either end of each."""

_APART: Final = frozenset(
    {
        "messages", "model", "n", "tools", "functions",  # in the key in another form, or refused
        "stream", "stream_options",  # one answer serves both
        "metadata", "prompt_cache_key", "safety_identifier", "store", "user",  # no model reads them
    }
)  # fmt: skip
"""Fields of the body that stand in no digest as they are."""

_KNOWN: Final = frozenset(
    {
        "frequency_penalty", "logprobs", "max_completion_tokens", "max_tokens", "min_p",
        "parallel_tool_calls", "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty",
        "response_format", "seed",
        "service_tier", "stop", "temperature", "thinking", "tool_choice", "top_k", "top_logprobs", "top_p",
        "verbosity",
    }
)  # fmt: skip
"""Fields that say how a model answers, and stand in the digest. Whatever else is set may let a provider
search, go on from what it keeps, or call another model: such a request is neither answered nor kept."""

_BY_FORM: Final = {"audio": "audio", "file": "files", "image_url": "images", "logprobs": "logprobs"}

_SEARCH_MODELS: Final = ("search", "sonar", ":online", "deep-research", "compound")
"""What stands in the names of models that search by themselves."""

_SIZE: Final = 16
_WORDS: Final = frozenset({"role", "content"})
_PART: Final = frozenset({"type", "text", "cache_control"})


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
    if transcript.text_bytes > MAX_REQUEST:
        return "long"
    if transcript.has_tools or transcript.binds_family or "functions" in transcript.forms:
        return "tools"
    if transcript.images:
        return "images"
    for form, word in _BY_FORM.items():
        if form in transcript.forms:
            return word
    if request.n != 1:
        return "choices"
    if any(name in (request.model or "").lower() for name in _SEARCH_MODELS):
        return "search"
    if any(_is_set(body[name]) for name in body.keys() - _KNOWN - _APART):
        return "field"
    if not request.options.cache and (body.get("temperature") or 0) > MAX_TEMPERATURE:
        return "temperature"
    last = _last_words(body)
    if last is None:
        return "last_message"
    text = transcript.last_user
    earlier = _earlier_turns(body["messages"])
    if is_time_sensitive(text) or any(map(is_time_sensitive, earlier)):
        return "time_sensitive"
    if any(map(wants_chance, (text, transcript.system, *earlier))):
        return "chance"
    scope = _digest(b"p402.scope", _scope(request, tenant, last))
    if scope is None:
        return "long"
    said = text.encode("utf-8", "surrogatepass")
    parts = last["content"]
    one = isinstance(parts, str) or len(parts) == 1
    compared = one and tenant.cache.similarity < 1 and len(said) <= MAX_TEXT and bool(text.strip())
    person = b"p402.exact"
    if not one:  # providers put parts together in ways of their own
        said, person = orjson.dumps([part["text"] for part in parts]), b"p402.parts"
    return Query(
        tenant=tenant.name,
        scope=scope,
        exact=blake2b(said, digest_size=_SIZE, key=scope, person=person).digest(),
        text=text if compared else None,
        similarity=tenant.cache.similarity,
    )


def _is_set(value: object) -> bool:
    """Whether a field is; an empty object is, as its defaults hold; `modalities` of text says nothing."""
    return value is not None and value is not False and value not in ([], "", ["text"])


def _earlier_turns(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """The user's turns before the last message, newest first: what `And in London?` asks stands in them."""
    said = (one.get("content") for one in reversed(messages[:-1]) if one.get("role") == "user")
    return [_ends(_text(content)) for content in islice(said, _TURNS_READ)]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))


def _ends(text: str) -> str:
    whole = len(text) <= _TURN_HEAD + _TURN_TAIL
    return text if whole else f"{text[:_TURN_HEAD]}\n{text[-_TURN_TAIL:]}"


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
    words = all(
        isinstance(part, Mapping) and part.get("type") == "text" and part.keys() <= _PART for part in content
    )
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
        {name: body[name] for name in _KNOWN & body.keys() if body[name] is not None},
        body["messages"][:-1],
        {name: value for name, value in last.items() if name not in _WORDS},
    ]


def _digest(person: bytes, values: list[Any]) -> bytes | None:
    """The digest; None where fields that hold no text make it long all the same."""
    said = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    if len(said) > _MOST_HASHED:
        return None
    return blake2b(said, digest_size=_SIZE, person=person).digest()
