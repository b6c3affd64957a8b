"""A provider that speaks Anthropic's Messages."""

import json

from tests.serve.upstream.dialects.conformance.values import Heard, Said

FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}

BEGUN = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5-20250929",
    "stop_reason": None,
    "stop_sequence": None,
}


def _input(said: Said) -> dict:
    used = said.usage
    if used is None:
        return {}
    return {
        "input_tokens": used.prompt - used.cached - used.cache_write,
        "cache_read_input_tokens": used.cached,
        "cache_creation_input_tokens": used.cache_write,
    }


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


class AnthropicSpeaker:
    dialect = "anthropic"
    model = "claude-sonnet-4-5"
    lacks = frozenset({"n", "logprobs", "json_object", "reasoning_tokens"})
    marks = True

    def content_type(self, *, stream: bool) -> str:
        return "text/event-stream; charset=utf-8" if stream else "application/json"

    def whole(self, said: Said) -> bytes:
        content: list[dict] = []
        if said.thoughts:
            content.append({"type": "thinking", "thinking": "".join(said.thoughts), "signature": said.seal})
        if said.texts:
            content.append({"type": "text", "text": "".join(said.texts)})
        content += [
            {"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in said.calls
        ]
        usage = {"usage": {**_input(said), "output_tokens": said.usage.output}} if said.usage else {}
        message = {**BEGUN, "content": content, "stop_reason": FINISH[said.finish], **usage}
        return json.dumps(message).encode()

    def pieces(self, said: Said) -> list[bytes]:
        message = {**BEGUN, "content": [], "usage": {**_input(said), "output_tokens": 1}}
        out = [_event("message_start", message=message), _event("ping")]
        index = 0

        def block(start: dict, *deltas: dict) -> None:
            nonlocal index
            out.append(_event("content_block_start", index=index, content_block=start))
            out.extend(_event("content_block_delta", index=index, delta=d) for d in deltas)
            out.append(_event("content_block_stop", index=index))
            index += 1

        if said.thoughts:
            block(
                {"type": "thinking", "thinking": "", "signature": ""},
                *({"type": "thinking_delta", "thinking": t} for t in said.thoughts),
                {"type": "signature_delta", "signature": said.seal},
            )
        if said.texts:
            block({"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in said.texts))
        for call in said.calls:
            arguments = json.dumps(call.arguments)
            middle = len(arguments) // 2
            block(
                {"type": "tool_use", "id": call.id, "name": call.name, "input": {}},
                {"type": "input_json_delta", "partial_json": ""},
                {"type": "input_json_delta", "partial_json": arguments[:middle]},
                {"type": "input_json_delta", "partial_json": arguments[middle:]},
            )
        usage = {"usage": {"output_tokens": said.usage.output}} if said.usage else {}
        out.append(
            _event(
                "message_delta", delta={"stop_reason": FINISH[said.finish], "stop_sequence": None}, **usage
            )
        )
        out.append(_event("message_stop"))
        return out

    def broken(self) -> bytes:
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        status, name, message = {
            "rate": (429, "rate_limit_error", "slow down"),
            "overloaded": (529, "overloaded_error", "Overloaded"),
            "key": (401, "authentication_error", "invalid x-api-key"),
            "context": (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            "bad_request": (400, "invalid_request_error", "tools.0: bad"),
            "quota": (
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the API.",
            ),
        }[kind]
        error = {"type": "error", "error": {"type": name, "message": message}}
        return status, {"retry-after": "7"} if kind == "rate" else {}, json.dumps(error).encode()

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        assert path.endswith("/messages")
        assert headers["x-api-key"]
        assert headers["anthropic-version"] == "2023-06-01"
        assert "authorization" not in headers
        names = {
            b["id"]: b["name"] for m in body["messages"] for b in m["content"] if b["type"] == "tool_use"
        }
        assert body["messages"][0]["role"] == "user"
        choice = body.get("tool_choice")
        return Heard(
            model=body["model"],
            stream=body.get("stream", False),
            system=tuple(b["text"] for b in body.get("system") or ()),
            turns=tuple(
                (m["role"], tuple(self._part(b, names) for b in m["content"])) for m in body["messages"]
            ),
            tools=tuple(
                (t["name"], t.get("description"), tuple(t["input_schema"]["properties"]))
                for t in body.get("tools") or ()
            ),
            choice={"auto": "auto", "any": "required", "none": "none"}.get(choice["type"], choice.get("name"))
            if choice
            else None,
            schema=body.get("output_config", {}).get("format", {}).get("schema"),
            stop=tuple(body.get("stop_sequences") or ()),
            most=body["max_tokens"],
            temperature=body.get("temperature"),
        )

    def _part(self, block: dict, names: dict[str, str]) -> tuple:
        match block:
            case {"type": "text", "text": text}:
                return ("text", text)
            case {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}:
                return ("image", kind, data)
            case {"type": "tool_use", "name": name, "input": arguments}:
                return ("call", name, arguments)
            case {"type": "tool_result", "tool_use_id": made, "content": content}:
                return ("result", names[made], "".join(inner["text"] for inner in content))
            case {"type": "thinking", "thinking": text, "signature": seal}:
                return ("thought", text, seal)
        raise AssertionError(block)

    def cached(self, body: dict) -> int:
        return json.dumps(body).count('"cache_control"')
