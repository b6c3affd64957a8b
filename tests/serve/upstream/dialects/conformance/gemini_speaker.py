"""A provider that speaks Gemini's generateContent, at either of Google's hosts."""

import json

from tests.serve.upstream.dialects.conformance.values import Heard, Said

FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


def _usage(said: Said) -> dict:
    used = said.usage
    if used is None:
        return {}
    counts = {
        "promptTokenCount": used.prompt,
        "cachedContentTokenCount": used.cached,
        "candidatesTokenCount": used.output - used.reasoning,
        "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": used.prompt + used.output,
    }
    return {"usageMetadata": {name: count for name, count in counts.items() if count}}


def _response(parts: list[dict], finish: str | None = None, **over: object) -> dict:
    candidate: dict = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-x-001", "responseId": "r-1", **over}


def _event(response: dict) -> bytes:
    return f"data: {json.dumps(response)}\r\n\r\n".encode()


class GeminiSpeaker:
    lacks = frozenset({"seal", "image_url", "cache_write"})
    marks = False

    def __init__(self, dialect: str, model: str, path: str) -> None:
        self.dialect = dialect
        self.model = model
        self._path = path
        self._ids = "-3" in model

    def content_type(self, *, stream: bool) -> str:
        return "text/event-stream" if stream else "application/json; charset=UTF-8"

    def _call(self, call, seal: str | None) -> dict:
        made = {"id": call.id} if self._ids else {}
        part: dict = {"functionCall": {"name": call.name, "args": call.arguments, **made}}
        return {**part, "thoughtSignature": seal} if seal else part

    def _parts(self, said: Said) -> list[dict]:
        parts: list[dict] = [{"text": t, "thought": True} for t in said.thoughts]
        parts += [{"text": t} for t in said.texts]
        parts += [self._call(c, said.seal if i == 0 else None) for i, c in enumerate(said.calls)]
        return parts

    def whole(self, said: Said) -> bytes:
        return json.dumps(
            _response(self._parts(said), FINISH[said.finish], **_usage(said)), indent=2
        ).encode()

    def pieces(self, said: Said) -> list[bytes]:
        begun = {"usageMetadata": {"promptTokenCount": said.usage.prompt}} if said.usage else {}
        return [
            _event(_response([{"text": ""}], **begun)),
            *(_event(_response([part], **begun)) for part in self._parts(said)),
            _event(_response([{"text": ""}], FINISH[said.finish], **_usage(said))),
        ]

    def broken(self) -> bytes:
        error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
        return f"data: {json.dumps({'error': error})}\r\n\r\n".encode()

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        retry = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        bad = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        status, word, message, details = {
            "rate": (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", retry),
            "overloaded": (503, "UNAVAILABLE", "The model is overloaded.", []),
            "key": (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", bad),
            "context": (
                400,
                "INVALID_ARGUMENT",
                "The input token count (1091639) exceeds the maximum number of tokens allowed (1048576).",
                [],
            ),
            "bad_request": (400, "INVALID_ARGUMENT", "Invalid value at 'contents'", []),
            "quota": (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", []),
        }[kind]
        error = {"code": status, "message": message, "status": word, "details": details}
        return status, {}, json.dumps({"error": error}).encode()

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        place, _, verb = path.partition("?")[0].rpartition(":")
        before, _, model = place.rpartition("/")
        assert before.endswith(self._path)
        assert path.endswith("?alt=sse") == (verb == "streamGenerateContent")
        assert headers["x-goog-api-key"]
        assert "authorization" not in headers
        assert "model" not in body
        config = body.get("generationConfig") or {}
        turns: list[tuple[str, list[tuple]]] = []
        for content in body["contents"]:
            role = {"user": "user", "model": "assistant"}[content["role"]]
            parts = [self._part(part) for part in content["parts"]]
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(parts)
            else:
                turns.append((role, parts))
        called = (body.get("toolConfig") or {}).get("functionCallingConfig")
        return Heard(
            model=model,
            stream=verb == "streamGenerateContent",
            system=tuple(part["text"] for part in (body.get("systemInstruction") or {}).get("parts", ())),
            turns=tuple((role, tuple(parts)) for role, parts in turns),
            tools=tuple(
                (f["name"], f.get("description"), tuple(f["parametersJsonSchema"]["properties"]))
                for tool in body.get("tools") or ()
                for f in tool["functionDeclarations"]
            ),
            choice=None if called is None else self._choice(called),
            schema=config.get("responseJsonSchema"),
            stop=tuple(config.get("stopSequences") or ()),
            most=config.get("maxOutputTokens"),
            temperature=config.get("temperature"),
            n=config.get("candidateCount", 1),
        )

    def _choice(self, called: dict) -> str:
        (named,) = called.get("allowedFunctionNames") or (None,)
        return named or {"AUTO": "auto", "ANY": "required", "NONE": "none"}[called["mode"]]

    def _part(self, part: dict) -> tuple:
        match part:
            case {"functionCall": {"name": name, "args": arguments, **rest}}:
                assert ("id" in rest) == self._ids
                return ("call", name, arguments)
            case {"functionResponse": {"name": name, "response": {"output": words}, **rest}}:
                assert ("id" in rest) == self._ids
                return ("result", name, words)
            case {"inlineData": {"mimeType": kind, "data": data}}:
                return ("image", kind, data)
            case {"text": text}:
                return ("text", text)
        raise AssertionError(part)

    def cached(self, body: dict) -> int:
        return json.dumps(body).count("cache_control")
