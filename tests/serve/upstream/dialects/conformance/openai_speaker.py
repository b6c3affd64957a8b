"""A provider that speaks OpenAI's chat completions."""

import json

from tests.serve.upstream.dialects.conformance.values import Heard, Said


def _usage(said: Said) -> dict | None:
    if said.usage is None:
        return None
    used = said.usage
    return {
        "prompt_tokens": used.prompt,
        "completion_tokens": used.output,
        "total_tokens": used.prompt + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.cache_write},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def _calls(said: Said, *, indexed: bool) -> list[dict]:
    calls = []
    for i, call in enumerate(said.calls):
        function = {"name": call.name, "arguments": json.dumps(call.arguments)}
        calls.append(
            {"id": call.id, "type": "function", "function": function, **({"index": i} if indexed else {})}
        )
    return calls


def _event(choices: list, **over: object) -> bytes:
    return b"data: " + json.dumps({"id": "c-1", "model": "m", "choices": choices, **over}).encode() + b"\n\n"


class OpenAiSpeaker:
    dialect = "openai"
    model = "gpt-x"
    lacks = frozenset({"seal"})
    marks = False

    def content_type(self, *, stream: bool) -> str:
        return "text/event-stream" if stream else "application/json"

    def whole(self, said: Said) -> bytes:
        message: dict = {"role": "assistant", "content": "".join(said.texts) or None}
        if said.thoughts:
            message["reasoning_content"] = "".join(said.thoughts)
        if said.calls:
            message["tool_calls"] = _calls(said, indexed=False)
        choice = {"index": 0, "message": message, "finish_reason": said.finish}
        usage = _usage(said)
        return json.dumps(
            {"id": "c-1", "model": "m", "choices": [choice], **({"usage": usage} if usage else {})}
        ).encode()

    def pieces(self, said: Said) -> list[bytes]:
        def delta(finish: str | None = None, **said: object) -> bytes:
            return _event([{"index": 0, "delta": said, "finish_reason": finish}])

        usage = _usage(said)
        return [
            delta(role="assistant", content=""),
            *(delta(reasoning_content=t) for t in said.thoughts),
            *(delta(content=t) for t in said.texts),
            *(delta(tool_calls=[call]) for call in _calls(said, indexed=True)),
            delta(said.finish),
            *([_event([], usage=usage)] if usage else []),
            b"data: [DONE]\n\n",
        ]

    def broken(self) -> bytes:
        return b'data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n'

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        status, code, message = {
            "rate": (429, "rate_limit_exceeded", "slow down"),
            "overloaded": (503, "server_error", "overloaded"),
            "key": (401, "invalid_api_key", "Incorrect API key"),
            "context": (400, "context_length_exceeded", "maximum context length is 8192 tokens"),
            "bad_request": (400, "invalid_value", "tools[0]: bad"),
            "quota": (429, "insufficient_quota", "You exceeded your current quota"),
        }[kind]
        error = {"message": message, "type": "x", "code": code}
        return status, {"retry-after": "7"} if kind == "rate" else {}, json.dumps({"error": error}).encode()

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        assert path.endswith("/chat/completions")
        assert headers["authorization"].startswith("Bearer ")
        names = {c["id"]: c["function"]["name"] for m in body["messages"] for c in m.get("tool_calls") or ()}
        system, turns = [], []
        for message in body["messages"]:
            parts = [self._part(p) for p in self._content(message)]
            if message["role"] in ("system", "developer"):
                system += [p[1] for p in parts]
                continue
            if message["role"] == "tool":
                words = "".join(p[1] for p in parts)
                parts = [("result", names[message["tool_call_id"]], words)]
            for call in message.get("tool_calls") or ():
                function = call["function"]
                parts.append(("call", function["name"], json.loads(function["arguments"])))
            role = "assistant" if message["role"] == "assistant" else "user"
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(parts)
            else:
                turns.append((role, parts))
        choice, wanted = body.get("tool_choice"), body.get("response_format") or {}
        return Heard(
            model=body["model"],
            stream=body.get("stream", False),
            system=tuple(system),
            turns=tuple((role, tuple(parts)) for role, parts in turns),
            tools=tuple(
                (
                    t["function"]["name"],
                    t["function"].get("description"),
                    tuple(t["function"]["parameters"]["properties"]),
                )
                for t in body.get("tools") or ()
            ),
            choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
            schema=wanted.get("json_schema", {}).get("schema"),
            stop=tuple([s] if isinstance(s := body.get("stop") or (), str) else s),
            most=body.get("max_tokens") or body.get("max_completion_tokens"),
            temperature=body.get("temperature"),
            n=body.get("n", 1),
        )

    def _content(self, message: dict) -> list[dict]:
        content = message.get("content") or []
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    def _part(self, part: dict) -> tuple:
        if part["type"] == "text":
            return ("text", part["text"])
        head, data = part["image_url"]["url"].split(",", 1)
        return ("image", head.removeprefix("data:").split(";")[0], data)

    def cached(self, body: dict) -> int:
        return json.dumps(body).count('"cache_control"')
