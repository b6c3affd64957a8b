"""A conversation to the body of one of Anthropic's messages.

What a model takes depends on its generation, which is read from its id: from 4.6 on thinking is adaptive and
steered by effort, from 4.7 on no sampling is set; an id that tells none is taken for the newest.

Sources: Anthropic API reference, Messages, Extended and Adaptive thinking, Structured outputs, and the guide
to migrate to Claude Opus 4.7 (read 2026-11-26).
"""

import re
from typing import Any, Final

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

OUTPUT: Final = 4_096
"""Most output tokens asked for where neither the client nor P402 names a number: Anthropic demands one."""

_ADAPTIVE: Final = (4, 6)
_NO_SAMPLING: Final = (4, 7)
_ONE_SAMPLING: Final = (4, 5)
_THINKS: Final = (3, 7)
_NEWEST: Final = (99, 0)
_GENERATION: Final = re.compile(
    r"claude-(?:[a-z]+-(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?|(?P<old>\d)(?:[-.](?P<older>\d))?-[a-z])"
    r"(?![\d])"
)
_LEAST_BUDGET: Final = 1_024
_BUDGETS: Final = {
    "minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 32_768,
}  # fmt: skip
"""Thinking tokens by effort, of models that take a budget."""

_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
SAMPLING: Final = ("temperature", "top_p", "top_k")
_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_PDF: Final = "application/pdf"


def generation(model: str) -> tuple[int, int]:
    """Major and minor version that a model id tells; the newest where it tells none."""
    found = _GENERATION.search(model.lower())
    if found is None:
        return _NEWEST
    return int(found["major"] or found["old"]), int(found["minor"] or found["older"] or 0)


def request(said: Conversation, call: Call, made: tuple[int, int]) -> dict[str, Any]:
    """The body but for the model, for a model of some generation.

    Raises
    ------
    Unsupported
        Several choices, logprobs, any JSON object, or a form that Anthropic has not.
    """
    if said.n > 1:
        raise Unsupported(f"{said.n} choices of one answer (n)")
    if said.logprobs:
        raise Unsupported("logprobs")
    if said.json_object:
        raise Unsupported("an answer in any JSON (`json_object`); name a schema")
    if made >= _ADAPTIVE and said.turns and said.turns[-1].role == "assistant":
        raise Unsupported("a conversation that ends with the assistant's words")
    most = said.max_output or call.output_cap or OUTPUT
    body: dict[str, Any] = {"max_tokens": most, "messages": [_turn(turn) for turn in said.turns]}
    system = [_text(text) for text in said.system if not is_blank(text)]
    if system:
        body["system"] = system
    if said.tools:
        body["tools"] = [_tool(tool) for tool in said.tools]
        choice = _tool_choice(said)
        if choice is not None:
            body["tool_choice"] = choice
    stops = [stop for stop in said.stop if stop.strip()]
    if stops:
        body["stop_sequences"] = stops
    if said.user:
        body["metadata"] = {"user_id": said.user}
    thinking, effort = thinking_of(said, made, most)
    if thinking is not None:
        body["thinking"] = thinking
    output: dict[str, Any] = {} if effort is None else {"effort": effort}
    if said.schema is not None:
        output["format"] = {"type": "json_schema", "schema": closed(said.schema.schema)}
    if output:
        body["output_config"] = output
    if thinking is None or thinking.get("type") == "disabled":
        body |= sampling(call.body, made)
    if call.stream:
        body["stream"] = True
    return body


def closed(schema: Any) -> Any:
    """A JSON schema whose objects take no further properties, as Anthropic demands; its own word stays."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    whole = {name: closed(value) for name, value in schema.items()}
    if whole.get("type") == "object" and isinstance(whole.get("properties", {}), dict):
        whole.setdefault("additionalProperties", False)
    return whole


def sampling(body: Json, made: tuple[int, int]) -> dict[str, Any]:
    """Temperature and its like, as far as the model takes them."""
    if made >= _NO_SAMPLING:
        return {}
    named = {name: body[name] for name in SAMPLING if body.get(name) is not None}
    if "temperature" in named:
        named["temperature"] = min(named["temperature"], 1.0)  # OpenAI's goes to 2
        if made >= _ONE_SAMPLING:
            named.pop("top_p", None)
    return named


def thinking_of(
    said: Conversation, made: tuple[int, int], most: int
) -> tuple[dict[str, Any] | None, str | None]:
    """The `thinking` object and the effort to send; a thread that lost its thoughts is not thought on in."""
    wanted = dict(said.thinking) if said.thinking is not None else None
    if wanted is None and said.effort not in _BUDGETS:
        return None, None
    effort = None if said.effort is None else _EFFORTS.get(said.effort)
    if wanted is not None and wanted.get("type") == "disabled":
        return (wanted if made >= _THINKS else None), None
    if made >= _ADAPTIVE:
        if made < _NO_SAMPLING and wanted is not None and wanted.get("type") == "enabled":
            return wanted, None
        if effort == "xhigh" and made < _NO_SAMPLING:
            effort = "high"
        own = wanted if wanted is not None and wanted.get("type") == "adaptive" else {}
        return {"display": "summarized", **own, "type": "adaptive"}, effort
    if made < _THINKS or _lost_its_thoughts(said.turns):
        return None, None
    budget = (wanted or {}).get("budget_tokens") or _BUDGETS.get(said.effort or "medium", _BUDGETS["medium"])
    budget = min(budget, most - 1) if isinstance(budget, int) else 0
    return ({"type": "enabled", "budget_tokens": budget}, None) if budget >= _LEAST_BUDGET else (None, None)


def _lost_its_thoughts(turns: tuple[Turn, ...]) -> bool:
    """Whether the last thing the assistant did was to call a tool, and the thought behind it is not there."""
    last = next((turn for turn in reversed(turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    return not any(isinstance(part, Thinking) for part in last.parts)


def _turn(turn: Turn) -> dict[str, Any]:
    # What a user says beside tool results has to follow them.
    parts = sorted(turn.parts, key=lambda part: not isinstance(part, ToolResult))
    if turn.role == "assistant":
        parts = sorted(turn.parts, key=lambda part: not isinstance(part, Thinking))
    return {"role": turn.role, "content": [_part(part) for part in parts if not is_blank(part)]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return _text(part)
        case Blob():
            return _blob(part)
        case ImageUrl(url, cache):
            return _marked({"type": "image", "source": {"type": "url", "url": url}}, cache)
        case Thinking(sealed=str(sealed)):
            return {"type": "redacted_thinking", "data": sealed}
        case Thinking(text, signature):
            return {"type": "thinking", "thinking": text, "signature": signature}
        case ToolCall(made, name, arguments):
            return {"type": "tool_use", "id": id_within(made, _ID), "name": name, "input": arguments}
        case ToolResult(made, _, parts, cache):
            content = [_part(inner) for inner in parts]
            return _marked(
                {"type": "tool_result", "tool_use_id": id_within(made, _ID), "content": content}, cache
            )


def _text(text: Text) -> dict[str, Any]:
    return _marked({"type": "text", "text": text.text}, text.cache)


def _blob(blob: Blob) -> dict[str, Any]:
    source: dict[str, Any] = {"type": "base64", "media_type": blob.media_type, "data": blob.data}
    if blob.is_image:
        return _marked({"type": "image", "source": source}, blob.cache)
    if blob.media_type != _PDF:
        raise Unsupported(f"a file of type {blob.media_type}")
    return _marked({"type": "document", "source": source, "title": blob.name or "file"}, blob.cache)


def _marked(block: dict[str, Any], cache: Json | None) -> dict[str, Any]:
    return block if cache is None else {**block, "cache_control": cache}


def _tool(tool: Tool) -> dict[str, Any]:
    made: dict[str, Any] = {"name": tool.name, "input_schema": {"type": "object", **tool.schema}}
    if tool.description is not None:
        made["description"] = tool.description
    if tool.strict:
        made["strict"] = True
        made["input_schema"] = closed(made["input_schema"])
    return _marked(made, tool.cache)


def _tool_choice(said: Conversation) -> dict[str, Any] | None:
    one_at_a_time = {"disable_parallel_tool_use": True} if said.parallel is False else {}
    if said.tool_named is not None:
        return {"type": "tool", "name": said.tool_named, **one_at_a_time}
    match said.tool_choice:
        case "required":
            return {"type": "any", **one_at_a_time}
        case "none":
            return {"type": "none"}
        case "auto":
            return {"type": "auto", **one_at_a_time}
        case _:
            return {"type": "auto", **one_at_a_time} if one_at_a_time else None
