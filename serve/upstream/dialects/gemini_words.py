"""What Gemini's words mean in OpenAI's: why an answer ended, its parts, its tokens, its log probabilities.

Whole answers and events of a stream have one shape. Nothing here is of a stream's order, nor of providers.

Sources: Gemini API reference, GenerateContentResponse, Candidate and UsageMetadata (read 2026-11-26);
BerriAI/litellm 24622 and vercel/ai 6082 on what the counts hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from p402.ports import Usage
from serve.upstream import chunks
from serve.upstream.tokens import AUDIO, counted, tier_of, utf8

FINISH: Final = {
    "STOP": chunks.STOP,
    "MAX_TOKENS": chunks.LENGTH,
    **dict.fromkeys(
        (
            "SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        ),
        chunks.FILTERED,
    ),
}  # fmt: skip
"""Any other reason, such as MALFORMED_FUNCTION_CALL or OTHER, says that there is no answer."""

_WORD: Final = re.compile(r"[A-Z_]{1,60}")

MOST_CANDIDATES: Final = 128
"""Gemini gives at most 8; what names a higher one is not its language."""


@dataclass(slots=True)
class Said:
    """What a candidate says, at once or so far.

    Attributes
    ----------
    text, thoughts
        Words for the user, and words of reasoning.
    calls
        Tool calls in OpenAI's form.
    signature
        Google's signature over the thought behind the text.
    """

    text: str = ""
    thoughts: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    signature: str | None = None

    @property
    def size(self) -> int:
        """UTF-8 bytes that the model made."""
        functions = (call["function"] for call in self.calls)
        called = sum(utf8(f["name"]) + utf8(f["arguments"]) for f in functions)
        return utf8(self.text) + utf8(self.thoughts) + called

    def fields(self) -> dict[str, Any]:
        """Fields of a message or a delta in OpenAI's form; none for what is not there."""
        named: dict[str, Any] = {}
        if self.thoughts:
            named["reasoning_content"] = self.thoughts
        if self.text:
            named["content"] = self.text
        if self.calls:
            named["tool_calls"] = self.calls
        if self.signature:
            named["extra_content"] = _signed(self.signature)
        return named


def said_of(candidate: Mapping[str, Any], request_id: str, number: int, calls: int = 0) -> Said:
    """Parts of a candidate.

    Parameters
    ----------
    number
        The candidate's.
    calls
        Tool calls it had made before; ids that Gemini does not give are made of all three.

    Raises
    ------
    ValueError, KeyError, TypeError, AttributeError
        It is not in Gemini's language, or holds an image, which OpenAI's has no place for.
    """
    said = Said()
    for part in (candidate.get("content") or {}).get("parts") or ():
        signature = part.get("thoughtSignature")
        if part.get("functionCall") is not None:
            said.calls.append(_call(part["functionCall"], signature, (request_id, number, calls)))
            calls += 1
        elif part.get("inlineData") is not None:
            raise ValueError("a part that is no text")
        else:
            text = part.get("text") or ""
            if part.get("thought"):
                said.thoughts += text
            else:
                said.text += text
                said.signature = signature or said.signature
    return said


def _call(call: Mapping[str, Any], signature: Any, place: tuple[str, int, int]) -> dict[str, Any]:
    name, made, arguments = call["name"], call.get("id"), call.get("args") or {}
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise TypeError("a call without a name or arguments")
    written: dict[str, Any] = {
        "id": made if isinstance(made, str) and made else _made_id(place),
        "type": "function",
        "function": {"name": name, "arguments": orjson.dumps(arguments).decode()},
    }
    if isinstance(signature, str) and signature:
        written["extra_content"] = _signed(signature)
    return written


def _made_id(place: tuple[str, int, int]) -> str:
    return "call_" + blake2b(repr(place).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _signed(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}


def number_of(candidate: Mapping[str, Any]) -> int:
    """A candidate's number; 0 is left out on the wire.

    Raises
    ------
    ValueError
        It is none.
    """
    number = candidate.get("index", 0)
    if type(number) is not int or not 0 <= number < MOST_CANDIDATES:
        raise ValueError("a candidate with an impossible number")
    return number


def reason_of(candidate: Mapping[str, Any]) -> Any:
    """Why a candidate ended; None where it has not."""
    reason = candidate.get("finishReason")
    return None if reason in ("", "FINISH_REASON_UNSPECIFIED") else reason


def usage_of(reported: Any) -> Usage | None:
    """Tokens in the normal form, or None where nothing usable is said.

    `promptTokenCount` holds what was read from the cache; what server-side tools put into the prompt stands
    beside it. `candidatesTokenCount` is without thoughts, except where the total says otherwise. Counts of
    zero are left out on the wire.
    """
    if not isinstance(reported, dict):
        return None
    prompt = counted(reported, "promptTokenCount")
    names = ("candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    if prompt is None or any(counted({name: reported.get(name) or 0}, name) is None for name in names):
        return None
    answered, thought, by_tools = (reported.get(name) or 0 for name in names)
    prompt += by_tools
    total = counted(reported, "totalTokenCount")
    if total is None:
        output = answered + thought
    elif total == prompt + answered:
        output = max(answered, thought)
    else:
        output = max(answered + thought, total - prompt)
    cached = min(counted(reported, "cachedContentTokenCount") or 0, prompt)
    return Usage(prompt, output, cached, reasoning=min(thought, output), tier=_tier(reported))


def _tier(reported: Mapping[str, Any]) -> str | None:
    """`serviceTier` of the Gemini API, `trafficType` of Vertex AI; None where it is the standard one.

    Sound is none, but stands for one: Gemini's smaller models bill it at several times the price of text.
    """
    told = reported.get("serviceTier") or reported.get("trafficType")
    tier = None
    if isinstance(told, str) and not told.endswith("_UNSPECIFIED"):
        tier = tier_of(told.lower().removeprefix("on_demand_"))
    return tier or (AUDIO if _has_sound(reported) else None)


def _has_sound(reported: Mapping[str, Any]) -> bool:
    for name in ("promptTokensDetails", "candidatesTokensDetails"):
        details = reported.get(name)
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and detail.get("modality") == "AUDIO" and detail.get("tokenCount"):
                return True
    return False


def logprobs_of(candidate: Mapping[str, Any]) -> dict[str, Any] | None:
    """`logprobs` of a choice, or None where there are none."""
    result = candidate.get("logprobsResult")
    if not isinstance(result, dict):
        return None
    chosen, tops = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    content = []
    for i, token in enumerate(chosen):
        others = (tops[i].get("candidates") or []) if i < len(tops) else []
        content.append({**_logprob(token), "top_logprobs": [_logprob(other) for other in others]})
    return {"content": content, "refusal": None}


def _logprob(token: Mapping[str, Any]) -> dict[str, Any]:
    text, value = token.get("token", ""), token.get("logProbability", 0.0)
    if not isinstance(text, str) or not isinstance(value, int | float):
        raise TypeError("a log probability of nothing")
    return {"token": text, "logprob": float(value), "bytes": list(text.encode())}


def blocked(reply: Mapping[str, Any]) -> bool:
    """Whether the prompt was blocked, so that there is no candidate."""
    feedback = reply.get("promptFeedback")
    return isinstance(feedback, dict) and bool(feedback.get("blockReason"))


def unfinished(reason: Any) -> str:
    """What is said of a candidate that ended for a reason that is no end of an answer."""
    word = reason if isinstance(reason, str) and _WORD.fullmatch(reason) else "a word of its own"
    return f"gave up its answer ({word})"
