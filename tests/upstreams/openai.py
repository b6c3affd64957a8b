"""OpenAI's chat completions, as a provider of the tests speaks them.

Source: OpenAI API reference, chat completions and streaming, as its official clients parse them.
"""

from dataclasses import replace
from typing import Any, Final

import orjson

from tests.upstreams.scenario import Answer, ErrorEvent, Finish, Refuse, Tokens, ToolCall
from tests.upstreams.wire import Asked, Event

_FINISH: Final = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.FILTER: "content_filter",
}
_CREATED_S: Final = 1_790_000_000


class OpenAiChat:
    """`POST .../chat/completions`."""

    def asked(self, path: str, body: Any) -> Asked | None:
        if not path.endswith("/chat/completions") or not isinstance(body, dict):
            return None
        options = body.get("stream_options") or {}
        return Asked(
            model=body["model"],
            stream=body.get("stream") is True,
            n=body.get("n") or 1,
            usage=options.get("include_usage") is True,
            logprobs=body.get("logprobs") is True,
        )

    def whole(self, answer: Answer, asked: Asked) -> bytes:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(answer.text) or None,
            "refusal": None,
            "annotations": [],
        }
        if answer.reasoning:
            message["reasoning_content"] = "".join(answer.reasoning)
        if answer.calls:
            message["tool_calls"] = [_call(call) for call in answer.calls]
        logprobs = (
            {"content": [_logprob(t) for t in answer.text], "refusal": None} if asked.logprobs else None
        )
        choices = [
            {"index": i, "message": message, "logprobs": logprobs, "finish_reason": _FINISH[answer.finish]}
            for i in range(asked.n)
        ]
        found = _head("chat.completion", asked) | {"choices": choices}
        if answer.tokens is not None:
            found["usage"] = _usage(answer.tokens)
        return orjson.dumps(found)

    def events(self, answer: Answer, asked: Asked) -> list[Event]:
        def event(delta: dict[str, Any], finish: str | None = None, piece: str | None = None) -> list[Event]:
            logprobs = {"content": [_logprob(piece)]} if asked.logprobs and piece is not None else None
            choices = [
                {"index": i, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
                for i in range(asked.n)
            ]
            says = any(delta.get(name) for name in ("content", "reasoning_content", "tool_calls"))
            each = [[choice] for choice in choices]  # OpenAI sends one choice a chunk
            beside = {"usage": None} if asked.usage else {}
            head = _head("chat.completion.chunk", asked)
            return [Event(orjson.dumps(head | {"choices": one} | beside), content=says) for one in each]

        found = event({"role": "assistant", "content": "" if answer.text else None, "refusal": None})
        for piece in answer.reasoning:
            found += event({"reasoning_content": piece})
        for piece in answer.text:
            found += event({"content": piece}, piece=piece)
        for i, call in enumerate(answer.calls):
            whole = _call(call)
            text = whole["function"]["arguments"]
            opening = whole | {"index": i, "function": {"name": call.name, "arguments": ""}}
            found += event({"tool_calls": [opening]})
            for part in (text[: len(text) // 2], text[len(text) // 2 :]):
                found += event({"tool_calls": [{"index": i, "function": {"arguments": part}}]})
        found += event({}, _FINISH[answer.finish])
        if asked.usage and answer.tokens is not None:
            last = _head("chat.completion.chunk", asked) | {"choices": [], "usage": _usage(answer.tokens)}
            found.append(Event(orjson.dumps(last)))
        found.append(Event(b"[DONE]"))
        return found

    def refusal(self, refuse: Refuse) -> Refuse:
        return replace(refuse, body=orjson.dumps({"error": _error(refuse.code, refuse.message)}))

    def error_event(self, error: ErrorEvent) -> Event:
        return Event(orjson.dumps({"error": _error(error.code, error.message)}))


def _error(code: str, message: str) -> dict[str, Any]:
    return {"message": message, "type": code, "param": None, "code": code}


def _head(kind: str, asked: Asked) -> dict[str, Any]:
    return {
        "id": "chatcmpl-of-the-tests",
        "object": kind,
        "created": _CREATED_S,
        "model": asked.model,
        "service_tier": "default",
        "system_fingerprint": "fp_of_the_tests",
    }


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = orjson.dumps(call.arguments).decode()
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.prompt + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def _logprob(token: str) -> dict[str, Any]:
    found = {"token": token, "logprob": -0.25, "bytes": [*token.encode()]}
    return found | {"top_logprobs": [found]}
