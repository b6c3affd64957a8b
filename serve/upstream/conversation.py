"""What a chat body in OpenAI's form says, as typed values that another language is written from.

OpenAI's roles become turns of a user and an assistant that take turns: tool results are the user's, system
and developer messages stand apart, in their order. Nothing is fetched, nothing is made up: what no language
but OpenAI's can say is `Unsupported`. It knows nothing of providers.

Extensions that clients send in OpenAI's form are read too: `cache_control` on messages, parts and tools,
`thinking_blocks` of an assistant (Anthropic's, as LiteLLM carries them), and
`extra_content.google.thought_signature` of a tool call or a message (Google's own compatible endpoint).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final, Literal

import orjson

from serve.upstream.dialect import Unsupported

Json = Mapping[str, Any]
Role = Literal["user", "assistant"]

_ID_MOST: Final = 64
_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Text:
    """Words. `cache` is the marker that ends a prefix to be cached there, as the client sent it.

    `signature` is Google's of the thought behind them.
    """

    text: str
    cache: Json | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that came with the request, base64: an image, or a document where `name` says so."""

    media_type: str
    data: str
    name: str | None = None
    cache: Json | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is to be looked at."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """An image that the provider would have to fetch."""

    url: str
    cache: Json | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning that only its own lab reads back: text with a signature, or sealed data."""

    text: str = ""
    signature: str | None = None
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant asked for; `signature` is Google's of the thought behind it."""

    id: str
    name: str
    arguments: Json
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave; `name` is the called tool's where the transcript tells."""

    id: str
    name: str | None
    parts: tuple["Text | Blob | ImageUrl", ...]
    cache: Json | None = None


Part = Text | Blob | ImageUrl | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said at once."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function on offer; `schema` is the JSON schema of its arguments."""

    name: str
    description: str | None
    schema: Json
    strict: bool | None = None
    cache: Json | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """The form an answer must have."""

    name: str
    schema: Json
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A chat body.

    Attributes
    ----------
    tool_choice
        `auto`, `none`, `required`, or None where nothing was said; `tool_named` is the one that is demanded.
    parallel
        Whether several calls at once are allowed; None where nothing was said.
    schema, json_object
        The form of the answer: by schema, or any JSON object.
    max_output
        Most output tokens that the client named.
    effort
        `reasoning_effort`: none, minimal, low, medium, high, xhigh or max; None where nothing was said.
    thinking
        Anthropic's own `thinking` object, where the client sent it.
    """

    system: tuple[Text, ...]
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...]
    tool_choice: str | None
    tool_named: str | None
    parallel: bool | None
    schema: Schema | None
    json_object: bool
    stop: tuple[str, ...]
    max_output: int | None
    n: int
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    frequency_penalty: float | None
    presence_penalty: float | None
    logprobs: bool
    top_logprobs: int | None
    effort: str | None
    thinking: Json | None
    user: str | None


FIELDS: Final = frozenset(
    {
        "messages", "model", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls",
        "response_format", "stop", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p",
        "top_k", "seed", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs",
        "reasoning_effort", "thinking", "user", "safety_identifier",
    }
)  # fmt: skip
"""Fields of a body that `conversation_of` reads."""

_CANNOT_BE_SAID: Final = {
    "functions": "the old `functions`",
    "audio": "spoken answers",
    "prediction": "a predicted answer",
    "logit_bias": "`logit_bias`",
    "previous_response_id": "an earlier answer by its id",
}


NEVER_TRANSLATED: Final = frozenset({"audio", "functions", "logit_bias", "prediction"})
"""Of `p402.request.FORMS`, what `conversation_of` refuses for every language."""


def conversation_of(body: Json) -> Conversation:
    """Read a body whose shape `serve.wire` has checked.

    Raises
    ------
    Unsupported
        It asks for what no language but OpenAI's can say, or in a shape that is nobody's.
    """
    for name, what in _CANNOT_BE_SAID.items():
        if body.get(name):
            raise Unsupported(what)
    choice, named = _tool_choice(body.get("tool_choice"))
    schema, json_object = _response_format(body.get("response_format"))
    system, turns = _turns(body["messages"])
    named_most = [body[f] for f in ("max_completion_tokens", "max_tokens") if body.get(f) is not None]
    stop = body.get("stop")
    return Conversation(
        system=system,
        turns=turns,
        tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
        tool_choice=choice,
        tool_named=named,
        parallel=body.get("parallel_tool_calls"),
        schema=schema,
        json_object=json_object,
        stop=(stop,) if isinstance(stop, str) else tuple(s for s in stop or () if isinstance(s, str)),
        max_output=named_most[0] if named_most else None,
        n=body.get("n") or 1,
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=_whole(body.get("top_k")),
        seed=body.get("seed"),
        frequency_penalty=body.get("frequency_penalty"),
        presence_penalty=body.get("presence_penalty"),
        logprobs=bool(body.get("logprobs")),
        top_logprobs=body.get("top_logprobs"),
        effort=body.get("reasoning_effort"),
        thinking=thinking if isinstance(thinking := body.get("thinking"), dict) else None,
        user=body.get("safety_identifier") or body.get("user"),
    )


def id_within(made: str, others: re.Pattern[str]) -> str:
    """A call's id without characters that match `others`, of at most 64.

    The same id always becomes the same, and one that had to be changed ends in a digest of itself, lest two
    calls have one id.
    """
    plain = others.sub("_", made)
    if made == plain and 0 < len(made) <= _ID_MOST:
        return made
    digest = blake2b(made.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{plain[: _ID_MOST - 1 - len(digest)]}_{digest}"


def _turns(messages: Iterable[Json]) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    system: list[Text] = []
    turns: list[tuple[Role, list[Part]]] = []
    called: dict[str, str] = {}
    for message in messages:
        role: Role
        match message["role"]:
            case "system" | "developer":
                system += [part for part in _content(message) if isinstance(part, Text)]
                continue
            case "assistant":
                role, parts = "assistant", list(_assistant(message, called))
            case "tool":
                role, parts = "user", [_result(message, called)]
            case "function":
                raise Unsupported("the old `function` role")
            case _:
                role, parts = "user", list(_content(message))
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    for (_, asked), (role, parts) in pairwise(turns):
        if role == "user":
            _order(parts, asked)
    return tuple(system), tuple(Turn(role, tuple(parts)) for role, parts in turns)


def _order(parts: list[Part], asked: Iterable[Part]) -> None:
    """Put results first, in the order of the calls: without ids, that is all that tells them apart."""
    if sum(isinstance(part, ToolResult) for part in parts) > 1:
        place = {call.id: i for i, call in enumerate(asked) if isinstance(call, ToolCall)}
        last = len(place) + len(parts)
        parts.sort(key=lambda part: place.get(part.id, last) if isinstance(part, ToolResult) else last + 1)


def _assistant(message: Json, called: dict[str, str]) -> Iterator[Part]:
    if message.get("function_call"):
        raise Unsupported("the old `function_call`")
    blocks = message.get("thinking_blocks")
    for block in blocks if isinstance(blocks, list) else ():
        if isinstance(block, dict):
            yield from _thinking(block)
    said = list(_content(message))
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        said.append(Text(refusal))
    signature = _signature(message)
    if signature is not None and said and isinstance(last := said[-1], Text):
        said[-1] = replace(last, signature=signature)
    yield from said
    for call in message.get("tool_calls") or ():
        made = _call(call)
        called[made.id] = made.name
        yield made


def _thinking(block: Json) -> Iterator[Thinking]:
    text, signature, data = block.get("thinking"), block.get("signature"), block.get("data")
    if isinstance(data, str) and data:
        yield Thinking(sealed=data)
    elif isinstance(signature, str) and signature:
        yield Thinking(text if isinstance(text, str) else "", signature)


def _content(message: Json) -> Iterator[Text | Blob | ImageUrl]:
    """The parts of a message; a marker on the message itself is its last part's.

    A message of nothing but blanks says nothing, and several languages refuse it.
    """
    content, cache = message.get("content"), _cache(message)
    if isinstance(content, str):
        if _says(content):
            yield Text(content, cache)
        return
    parts = content if isinstance(content, list) else []
    if all(part.get("type") == "text" and not _says(part["text"]) for part in parts):
        return
    for i, part in enumerate(parts):
        own = _cache(part) or (cache if i == len(parts) - 1 else None)
        match part.get("type"):
            case "text":
                if part["text"]:
                    yield Text(part["text"], own)
            case "refusal":
                if part.get("refusal"):
                    yield Text(str(part["refusal"]), own)
            case "image_url":
                yield _image(part["image_url"]["url"], own)
            case "file":
                yield _file(part.get("file"), own)
            case "thinking" | "redacted_thinking":
                continue  # read from `thinking_blocks`, where clients of OpenAI's form keep it
            case other:
                raise Unsupported(f"a part of type {str(other)[:40]!r}")


def _says(text: str) -> bool:
    return bool(text) and not text.isspace()


def is_blank(part: Part) -> bool:
    """Whether a part is text without a word in it, which some languages refuse wherever it stands."""
    return isinstance(part, Text) and not _says(part.text)


def _image(url: str, cache: Json | None) -> Blob | ImageUrl:
    found = _DATA_URL.match(url)
    if found is not None:
        return Blob(found[1].lower(), url[found.end() :], cache=cache)
    if url.lower().startswith(("http://", "https://")):
        return ImageUrl(url, cache)
    raise Unsupported("an image that is neither base64 data nor at an http(s) URL")


def _file(file: Any, cache: Json | None) -> Blob:
    data = file.get("file_data") if isinstance(file, dict) else None
    if not isinstance(data, str) or (found := _DATA_URL.match(data)) is None:
        raise Unsupported("a file by its id")
    name = file.get("filename")
    return Blob(found[1].lower(), data[found.end() :], name if isinstance(name, str) else "file", cache)


def _call(call: Json) -> ToolCall:
    function = call.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unsupported("a tool call that is not of a function")
    arguments: Any = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            arguments = None
    if not isinstance(arguments, dict):
        raise Unsupported("a tool call whose arguments are not a JSON object")
    return ToolCall(
        id=str(call.get("id") or ""),
        name=function["name"],
        arguments=arguments,
        signature=_signature(call),
    )


def _signature(holder: Json) -> str | None:
    """Google's signature of the thought behind a message or a call, where a client sends it back."""
    extra = holder.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _result(message: Json, called: Mapping[str, str]) -> ToolResult:
    made, cache = str(message.get("tool_call_id") or ""), _cache(message)
    name = message.get("name")
    parts = tuple(_content({"content": message.get("content")}))
    return ToolResult(made, called.get(made) or (name if isinstance(name, str) else None), parts, cache)


def _tool(tool: Json) -> Tool:
    function = tool.get("function")
    if tool.get("type", "function") != "function" or not isinstance(function, dict):
        raise Unsupported(f"a tool of type {str(tool.get('type'))[:40]!r}")
    name, description, schema = (function.get(key) for key in ("name", "description", "parameters"))
    if not isinstance(name, str):
        raise Unsupported("a tool without a name")
    return Tool(
        name=name,
        description=description if isinstance(description, str) else None,
        schema=schema if isinstance(schema, dict) else {"type": "object", "properties": {}},
        strict=function.get("strict") if isinstance(function.get("strict"), bool) else None,
        cache=_cache(tool) or _cache(function),
    )


def _tool_choice(choice: Any) -> tuple[str | None, str | None]:
    if choice is None or choice in ("auto", "none", "required"):
        return choice, None
    function = choice.get("function") if isinstance(choice, dict) else None
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return "required", function["name"]
    raise Unsupported("this `tool_choice`")


def _response_format(wanted: Any) -> tuple[Schema | None, bool]:
    match wanted:
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema, **rest}}:
            name, strict = rest.get("name"), rest.get("strict")
            return Schema(
                name if isinstance(name, str) else "answer",
                schema,
                strict if isinstance(strict, bool) else None,
            ), False
        case {"type": "json_object"}:
            return None, True
        case None | {"type": "text"}:
            return None, False
        case _:
            raise Unsupported("this `response_format`")


def _cache(holder: Json) -> Json | None:
    found = holder.get("cache_control")
    return found if isinstance(found, dict) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
