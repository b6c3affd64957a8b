"""A conversation to the body of Bedrock's Converse.

Most of it is the same for every vendor's models; reasoning and `top_k` are each vendor's own, told from the
model id. The ARN of a profile or a deployment tells no vendor: then only what all have in common is sent.

Sources: Amazon Bedrock API reference, Converse; User Guide, Prompt caching, Structured outputs, Extended
thinking (read 2026-11-26), and the service's own model in botocore 1.44.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

from p402.ports import Call
from serve.upstream.conversation import (
    Blob,
    Conversation,
    ImageUrl,
    Json,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
    id_within,
    is_blank,
)
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.anthropic_request import OUTPUT, closed, generation, sampling, thinking_of

_VENDOR: Final = re.compile(r"(?:^|[./:])(ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|"
                            r"moonshotai|moonshot|nvidia|openai|qwen|writer|zai)\.")  # fmt: skip
_NO_PREFILL: Final = (4, 6)
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
"""What OpenAI's open models take at Bedrock."""
_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_ID: Final = re.compile(r"[^a-zA-Z0-9_.:-]")
_NAME: Final = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_NAME_MOST: Final = 100


def vendor(model: str) -> str | None:
    """Whose model an id names; None where it does not tell."""
    found = _VENDOR.search(model.lower())
    return None if found is None else found[1]


def request(said: Conversation, call: Call, model: str) -> dict[str, Any]:
    """The body for a model by the provider's own id.

    Raises
    ------
    Unsupported
        Several choices, logprobs, any JSON object, an image at a URL, a kind of file or a turn that
        Converse has not.
    """
    _refuse(said, model)
    names: dict[str, int] = {}
    body: dict[str, Any] = {"messages": [_turn(turn, names, model) for turn in said.turns]}
    system = [text for text in said.system if not is_blank(text)]
    if system:
        body["system"] = [block for text in system for block in _marked({"text": text.text}, text.cache)]
    tools = () if said.tool_choice == "none" else said.tools
    if tools:
        body["toolConfig"] = {"tools": [block for tool in tools for block in _tool(tool)], **_choice(said)}
    most = said.max_output or call.output_cap
    extra, output = _own(said, call, model, most)
    if said.schema is not None:
        form = {"name": said.schema.name, "schema": orjson.dumps(closed(said.schema.schema)).decode()}
        output["textFormat"] = {"type": "json_schema", "structure": {"jsonSchema": form}}
    inference = _inference(said, call, model, most, thinks="thinking" in extra)
    parts = {
        "inferenceConfig": inference,
        "outputConfig": output,
        "additionalModelRequestFields": extra,
    }
    return body | {name: part for name, part in parts.items() if part}


def unsaid(said: Json, model: str) -> set[str]:
    """Fields of a body that this model is not told."""
    left = {
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "parallel_tool_calls",
        "user",
        "safety_identifier",
    }
    who = vendor(model)
    if who == "anthropic":
        left |= {"temperature", "top_p", "top_k"} - sampling(said, generation(model)).keys()
    else:
        left |= {"thinking"} if who is not None else set()
        left |= set() if who == "openai" else {"reasoning_effort"}
        left |= set() if who == "amazon" else {"top_k"}
    return left


def _refuse(said: Conversation, model: str) -> None:
    if said.n > 1:
        raise Unsupported(f"{said.n} choices of one answer (n)")
    if said.logprobs:
        raise Unsupported("logprobs")
    if said.json_object:
        raise Unsupported("an answer in any JSON (`json_object`); name a schema")
    if not said.turns or said.turns[0].role != "user":
        raise Unsupported("a conversation that does not begin with the user's words")
    if (
        said.turns[-1].role == "assistant"
        and vendor(model) == "anthropic"
        and generation(model) >= _NO_PREFILL
    ):
        raise Unsupported("a conversation that ends with the assistant's words")
    if (not said.tools or said.tool_choice == "none") and any(
        isinstance(part, ToolCall | ToolResult) for turn in said.turns for part in turn.parts
    ):
        raise Unsupported("a transcript with tool calls where no tool may be called")


def _own(
    said: Conversation, call: Call, model: str, most: int | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What only some vendors' models take: further fields, and the effort of an answer."""
    extra: dict[str, Any] = {}
    output: dict[str, Any] = {}
    match vendor(model):
        case "anthropic":
            thinking, effort = thinking_of(said, generation(model), most or OUTPUT)
            if thinking is not None:
                extra["thinking"] = thinking
            if effort is not None:
                output["effort"] = effort
            top_k = sampling(call.body, generation(model)).get("top_k")
            if top_k is not None and not _thinks(thinking):
                extra["top_k"] = top_k
        case "openai":
            effort = None if said.effort is None else _EFFORTS.get(said.effort)
            if effort is not None:
                extra["reasoning_effort"] = effort
        case "amazon":
            if said.top_k is not None:
                extra["inferenceConfig"] = {"topK": said.top_k}
        case None:
            if said.thinking is not None:
                extra["thinking"] = dict(said.thinking)
    return extra, output


def _thinks(thinking: Json | None) -> bool:
    return thinking is not None and thinking.get("type") != "disabled"


def _inference(
    said: Conversation, call: Call, model: str, most: int | None, *, thinks: bool
) -> dict[str, Any]:
    made: dict[str, Any] = {} if most is None else {"maxTokens": most}
    if vendor(model) == "anthropic":
        told = {} if thinks else sampling(call.body, generation(model))
    else:
        told = {name: call.body[name] for name in ("temperature", "top_p") if call.body.get(name) is not None}
    if "temperature" in told:
        made["temperature"] = min(told["temperature"], 1.0)  # OpenAI's goes to 2
    if "top_p" in told:
        made["topP"] = told["top_p"]
    stops = [stop for stop in said.stop if stop.strip()]
    if stops:
        made["stopSequences"] = stops
    return made


def _turn(turn: Turn, names: dict[str, int], model: str) -> dict[str, Any]:
    first = Thinking if turn.role == "assistant" else ToolResult
    parts = sorted(turn.parts, key=lambda part: not isinstance(part, first))
    if vendor(model) not in ("anthropic", None):
        parts = [part for part in parts if not isinstance(part, Thinking)]  # only its own lab reads it back
    said = [part for part in parts if not is_blank(part)]
    return {"role": turn.role, "content": [block for part in said for block in _part(part, names)]}


def _part(part: Part, names: dict[str, int]) -> Iterable[dict[str, Any]]:
    match part:
        case Text(text, cache):
            return _marked({"text": text}, cache)
        case Blob():
            return _marked(_blob(part, names), part.cache)
        case ImageUrl():
            raise Unsupported("an image at a URL; send its bytes")
        case Thinking(sealed=str(sealed)):
            return ({"reasoningContent": {"redactedContent": sealed}},)
        case Thinking(text, signature):
            return ({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}},)
        case ToolCall(made, name, arguments):
            return ({"toolUse": {"toolUseId": id_within(made, _ID), "name": name, "input": arguments}},)
        case ToolResult(made, _, parts, cache):
            content = [_inner(inner, names) for inner in parts]
            return _marked({"toolResult": {"toolUseId": id_within(made, _ID), "content": content}}, cache)


def _inner(part: Text | Blob | ImageUrl, names: dict[str, int]) -> dict[str, Any]:
    """A part of a tool's result, where no cache point may stand."""
    (block, *_) = _part(part, names)
    return block


def _blob(blob: Blob, names: dict[str, int]) -> dict[str, Any]:
    if blob.is_image:
        form = _IMAGES.get(blob.media_type)
        if form is None:
            raise Unsupported(f"an image of type {blob.media_type}")
        return {"image": {"format": form, "source": {"bytes": blob.data}}}
    form = _DOCUMENTS.get(blob.media_type)
    if form is None:
        raise Unsupported(f"a file of type {blob.media_type}")
    stem = (blob.name or "file").rpartition(".")[0] or blob.name or "file"
    name = " ".join(_NAME.sub(" ", stem).split())[:_NAME_MOST] or "file"
    names[name] = nth = names.get(name, 0) + 1
    return {
        "document": {
            "format": form,
            "name": name if nth == 1 else f"{name} ({nth})",  # two of one name are refused
            "source": {"bytes": blob.data},
        }
    }


def _marked(block: dict[str, Any], cache: Json | None) -> Iterable[dict[str, Any]]:
    if cache is None:
        return (block,)
    ttl = cache.get("ttl")
    point = {"type": "default", **({"ttl": ttl} if ttl in ("5m", "1h") else {})}
    return block, {"cachePoint": point}


def _tool(tool: Tool) -> Iterable[dict[str, Any]]:
    schema = {"type": "object", **tool.schema}
    made: dict[str, Any] = {"name": tool.name}
    if tool.description:
        made["description"] = tool.description
    if tool.strict:
        made["strict"], schema = True, closed(schema)
    made["inputSchema"] = {"json": schema}
    return _marked({"toolSpec": made}, tool.cache)


def _choice(said: Conversation) -> dict[str, Any]:
    if said.tool_named is not None:
        return {"toolChoice": {"tool": {"name": said.tool_named}}}
    match said.tool_choice:
        case "required":
            return {"toolChoice": {"any": {}}}
        case "auto":
            return {"toolChoice": {"auto": {}}}
        case _:
            return {}
