"""A conversation to the body of Gemini's generateContent.

Thoughts behind calls go back where they came from, in `thoughtSignature`. A call without one, made by another
lab's model or by one that signs nothing, gets the placeholder that Google documents for it: its newer models
refuse a transcript without any. Results of one round of calls make one turn.

Sources: Gemini API reference, models.generateContent; guides on Function calling, Structured outputs and
Thought signatures (read 2026-11-26).
"""

from collections.abc import Iterator
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
)
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.gemini_models import Model

UNSIGNED: Final = "skip_thought_signature_validator"
"""Stands for the signature of a call that has none. Gemini API, Thought signatures, FAQ."""

_SEEDS: Final = 1 << 31
"""A seed is a whole number of 32 bits, with its sign."""

_ROLES: Final = {"user": "user", "assistant": "model"}
_CHOICES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


def request(said: Conversation, call: Call, model: Model, *, several: bool) -> dict[str, Any]:
    """Write the body; the model's name is not in it.

    Parameters
    ----------
    several
        Whether the host gives several candidates of a newer model.

    Raises
    ------
    Unsupported
        Gemini, or this model, has no word for something.
    """
    if not said.turns:
        raise Unsupported("a conversation in which nobody but the system speaks")
    body: dict[str, Any] = {"contents": [entry for turn in said.turns for entry in _entries(turn, model)]}
    if said.system:
        body["systemInstruction"] = {"parts": [{"text": text.text} for text in said.system]}
    if said.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in said.tools]}]
        if said.tool_choice is not None:
            body["toolConfig"] = {"functionCallingConfig": _choice(said)}
    config = {
        **_sampling(said, call, model),
        **_form(said, model),
        **_number(said, call, model, several=several),
        **_thinking(said, model),
    }
    if config:
        body["generationConfig"] = config
    return body


def without_words(body: Json, model: Model) -> set[str]:
    """Fields of a client's body that Gemini, or this model, has no word for and an answer can do without."""
    left = {name for name in ("user", "safety_identifier") if body.get(name)}
    if not model.takes_penalties:
        left |= {name for name in ("frequency_penalty", "presence_penalty") if body.get(name)}
    seed, effort = body.get("seed"), body.get("reasoning_effort")
    if seed is not None and not _is_seed(seed):
        left.add("seed")
    if body.get("parallel_tool_calls") is False and body.get("tools"):
        left.add("parallel_tool_calls")
    if effort is not None and (not model.thinks or (effort == "none" and model.always_thinks)):
        left.add("reasoning_effort")
    if body.get("thinking") is not None and not model.thinks:
        left.add("thinking")
    return left


def _entries(turn: Turn, model: Model) -> Iterator[dict[str, Any]]:
    """A turn; results of tools stand in one of their own, before what the user says beside them."""
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    if results:
        yield {"role": "user", "parts": [_result(result, model) for result in results]}
    signed, parts = False, []
    for part in turn.parts:
        match part:
            case ToolResult() | Thinking():  # another lab's thought is sealed to this one
                continue
            case ToolCall():
                parts.append(_call(part, model, first=not signed))
                signed = True
            case _:
                parts.append(_said(part))
    if parts:
        yield {"role": _ROLES[turn.role], "parts": parts}


def _said(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            signed = {} if part.signature is None else {"thoughtSignature": part.signature}
            return {"text": part.text, **signed}
        case Blob():
            return {"inlineData": {"mimeType": part.media_type, "data": part.data}}
        case ImageUrl():
            raise Unsupported("an image at a URL; send it as base64 data")
        case _:
            raise Unsupported(f"a {type(part).__name__} here")


def _call(call: ToolCall, model: Model, *, first: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": call.name, "args": call.arguments}
    if model.names_calls and call.id:
        function["id"] = call.id
    part: dict[str, Any] = {"functionCall": function}
    signature = call.signature or (UNSIGNED if first and model.names_calls else None)
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def _result(result: ToolResult, model: Model) -> dict[str, Any]:
    if result.name is None:
        raise Unsupported("a tool's result without the call that it answers")
    words = [part.text for part in result.parts if isinstance(part, Text)]
    shown = [_said(part) for part in result.parts if not isinstance(part, Text)]
    # As text: Gemini's own JSON has doubles for all numbers.
    response: dict[str, Any] = {"name": result.name, "response": {"output": "".join(words)}}
    if model.names_calls and result.id:
        response["id"] = result.id
    if shown:
        if not model.shows_results:
            raise Unsupported("an image in a tool's result")
        response["parts"] = shown
    return {"functionResponse": response}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {} if tool.description is None else {"description": tool.description}
    return {"name": tool.name, **described, "parametersJsonSchema": tool.schema}


def _choice(said: Conversation) -> dict[str, Any]:
    if said.tool_named is not None:
        return {"mode": "ANY", "allowedFunctionNames": [said.tool_named]}
    return {"mode": _CHOICES[said.tool_choice or "auto"]}


def _is_seed(value: Any) -> bool:
    return type(value) is int and -_SEEDS <= value < _SEEDS


def _sampling(said: Conversation, call: Call, model: Model) -> dict[str, Any]:
    penalties = model.takes_penalties
    named = {
        "maxOutputTokens": said.max_output or call.output_cap,
        "temperature": said.temperature,
        "topP": said.top_p,
        "topK": said.top_k,
        "seed": said.seed if _is_seed(said.seed) else None,
        "stopSequences": list(said.stop) or None,
        "frequencyPenalty": said.frequency_penalty if penalties else None,
        "presencePenalty": said.presence_penalty if penalties else None,
        "responseLogprobs": said.logprobs or None,
        "logprobs": said.top_logprobs if said.logprobs else None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _form(said: Conversation, model: Model) -> dict[str, Any]:
    if said.schema is None and not said.json_object:
        return {}
    if said.tools and not model.forms_with_tools:
        raise Unsupported("an answer in JSON where tools are on offer")
    schema = {} if said.schema is None else {"responseJsonSchema": said.schema.schema}
    return {"responseMimeType": "application/json", **schema}


def _number(said: Conversation, call: Call, model: Model, *, several: bool) -> dict[str, Any]:
    if said.n == 1:
        return {}
    if call.stream:
        raise Unsupported("several choices (n) of a streamed answer")
    if model.names_calls and not several:
        raise Unsupported("several choices (n)")
    return {"candidateCount": said.n}


def _thinking(said: Conversation, model: Model) -> dict[str, Any]:
    if not model.thinks:
        return {}
    if said.effort is not None:
        return {"thinkingConfig": model.of_effort(said.effort)}
    match said.thinking:
        case {"type": "disabled"}:
            return {"thinkingConfig": model.of_effort("none")}
        case {"type": "enabled", "budget_tokens": int(tokens)}:
            return {"thinkingConfig": model.of_budget(tokens)}
        case {"type": "enabled" | "adaptive"}:
            return {"thinkingConfig": {"includeThoughts": True}}
        case _:
            return {}
