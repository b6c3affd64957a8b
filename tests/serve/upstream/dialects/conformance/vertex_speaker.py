"""A Vertex AI that serves Anthropic's models."""

from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.serve.upstream.dialects.conformance.gemini_speaker import GeminiSpeaker
from tests.serve.upstream.dialects.conformance.values import Heard


class VertexAnthropicSpeaker(AnthropicSpeaker):
    dialect = "vertex-anthropic"
    model = "claude-sonnet-4-5@20250929"

    def refusal(self, kind: str) -> tuple[int, dict[str, str], bytes]:
        if kind in ("rate", "quota", "key"):
            return GeminiSpeaker("vertex-gemini", "", "").refusal(kind)  # Google's own
        return super().refusal(kind)

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        place, _, verb = path.rpartition(":")
        before, _, model = place.rpartition("/")
        assert before.endswith("/publishers/anthropic/models")
        assert verb == ("streamRawPredict" if body.get("stream") else "rawPredict")
        assert headers["x-goog-api-key"]
        assert headers.keys().isdisjoint({"authorization", "x-api-key", "anthropic-version"})
        assert body["anthropic_version"] == "vertex-2023-10-16"
        assert "model" not in body
        as_its_own = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
        return super().heard("/v1/messages", as_its_own, {**body, "model": model})
