"""A provider that speaks Bedrock's Converse, in frames written by hand."""

import json
import struct
from binascii import crc32
from urllib.parse import unquote

from tests.serve.upstream.dialects.conformance.values import Heard, Said

FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "guardrail_intervened",
}


def frame(payload: bytes, **headers: str) -> bytes:
    """One frame: lengths, their checksum, headers as type 7 strings, payload, checksum of it all."""
    raw = b""
    for name, value in headers.items():
        key = (":" + name.replace("_", "-")).encode()
        raw += bytes([len(key)]) + key + b"\x07" + struct.pack("!H", len(value)) + value.encode()
    lengths = struct.pack("!II", 16 + len(raw) + len(payload), len(raw))
    whole = lengths + struct.pack("!I", crc32(lengths)) + raw + payload
    return whole + struct.pack("!I", crc32(whole))


def event(kind: str, **fields: object) -> bytes:
    said = json.dumps({**fields, "p": "abcd"}).encode()  # Bedrock pads its events
    return frame(said, message_type="event", event_type=kind, content_type="application/json")


def fault(kind: str, message: str) -> bytes:
    return frame(json.dumps({"message": message}).encode(), message_type="exception", exception_type=kind)


def _usage(said: Said) -> dict:
    used = said.usage
    if used is None:
        return {}
    return {
        "usage": {
            "inputTokens": used.prompt - used.cached - used.cache_write,
            "outputTokens": used.output,
            "totalTokens": used.prompt + used.output,
            "cacheReadInputTokens": used.cached,
            "cacheWriteInputTokens": used.cache_write,
        }
    }


class BedrockSpeaker:
    dialect = "bedrock"
    model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    lacks = frozenset({"n", "logprobs", "json_object", "image_url", "tool_choice_none"})
    marks = True

    def content_type(self, *, stream: bool) -> str:
        return "application/vnd.amazon.eventstream" if stream else "application/json"

    def whole(self, said: Said) -> bytes:
        content: list[dict] = []
        if said.thoughts:
            thought = {"text": "".join(said.thoughts), "signature": said.seal}
            content.append({"reasoningContent": {"reasoningText": thought}})
        if said.texts:
            content.append({"text": "".join(said.texts)})
        content += [
            {"toolUse": {"toolUseId": c.id, "name": c.name, "input": c.arguments}} for c in said.calls
        ]
        return json.dumps(
            {
                "output": {"message": {"role": "assistant", "content": content}},
                "stopReason": FINISH[said.finish],
                "metrics": {"latencyMs": 5},
                **_usage(said),
            }
        ).encode()

    def pieces(self, said: Said) -> list[bytes]:
        out = [event("messageStart", role="assistant")]
        index = 0

        def block(*deltas: dict, start: dict | None = None) -> None:
            nonlocal index
            if start is not None:
                out.append(event("contentBlockStart", start=start, contentBlockIndex=index))
            out.extend(event("contentBlockDelta", delta=d, contentBlockIndex=index) for d in deltas)
            out.append(event("contentBlockStop", contentBlockIndex=index))
            index += 1

        if said.thoughts:
            block(
                *({"reasoningContent": {"text": t}} for t in said.thoughts),
                {"reasoningContent": {"signature": said.seal}},
            )
        if said.texts:
            block(*({"text": t} for t in said.texts))
        for call in said.calls:
            arguments = json.dumps(call.arguments) if call.arguments else ""
            middle = len(arguments) // 2
            block(
                *({"toolUse": {"input": part}} for part in (arguments[:middle], arguments[middle:]) if part),
                start={"toolUse": {"toolUseId": call.id, "name": call.name}},
            )
        out.append(event("messageStop", stopReason=FINISH[said.finish]))
        out.append(event("metadata", metrics={"latencyMs": 5}, **_usage(said)))
        return out

    def broken(self) -> bytes:
        return fault("serviceUnavailableException", "Overloaded, come back later")

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        status, name, message = {
            "rate": (429, "ThrottlingException", "Too many requests, please wait before trying again."),
            "overloaded": (503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
            "key": (403, "UnrecognizedClientException", "The security token in the request is invalid."),
            "context": (400, "ValidationException", "Input is too long for requested model."),
            "bad_request": (400, "ValidationException", "The value at toolConfig.tools.0 is wrong."),
            "quota": (400, "ServiceQuotaExceededException", "Your request exceeds the service quota."),
        }[kind]
        headers = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
        retry = {"retry-after": "7"} if kind == "rate" else {}
        return status, {**headers, **retry}, json.dumps({"message": message}).encode()

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        _, model, how = path.rsplit("/", 2)
        assert path.startswith("/v1/model/")
        assert ":" not in model, "a model id is escaped in the path"
        assert headers["authorization"].startswith("Bearer ")
        names = {
            b["toolUse"]["toolUseId"]: b["toolUse"]["name"]
            for m in body["messages"] for b in m["content"] if "toolUse" in b
        }  # fmt: skip
        config, output = body.get("toolConfig") or {}, body.get("outputConfig") or {}
        inference = body.get("inferenceConfig") or {}
        form = output.get("textFormat", {}).get("structure", {}).get("jsonSchema", {}).get("schema")
        choice = config.get("toolChoice")
        return Heard(
            model=unquote(model),
            stream=how == "converse-stream",
            system=tuple(b["text"] for b in body.get("system") or () if "text" in b),
            turns=tuple(
                (m["role"], tuple(self._part(b, names) for b in m["content"] if "cachePoint" not in b))
                for m in body["messages"]
            ),
            tools=tuple(
                (t["name"], t.get("description"), tuple(t["inputSchema"]["json"]["properties"]))
                for t in (entry["toolSpec"] for entry in config.get("tools") or () if "toolSpec" in entry)
            ),
            choice=self._choice(choice) if choice else None,
            schema=None if form is None else json.loads(form),
            stop=tuple(inference.get("stopSequences") or ()),
            most=inference.get("maxTokens"),
            temperature=inference.get("temperature"),
        )

    def _choice(self, choice: dict) -> str:
        ((kind, of),) = choice.items()
        return {"auto": "auto", "any": "required"}.get(kind) or of["name"]

    def _part(self, block: dict, names: dict[str, str]) -> tuple:
        match block:
            case {"text": text}:
                return ("text", text)
            case {"image": {"format": kind, "source": {"bytes": data}}}:
                return ("image", f"image/{kind}", data)
            case {"toolUse": {"name": name, "input": arguments}}:
                return ("call", name, arguments)
            case {"toolResult": {"toolUseId": made, "content": content}}:
                return ("result", names[made], "".join(inner["text"] for inner in content))
            case {"reasoningContent": {"reasoningText": {"text": text, "signature": seal}}}:
                return ("thought", text, seal)
        raise AssertionError(block)

    def cached(self, body: dict) -> int:
        return json.dumps(body).count('"cachePoint"')
