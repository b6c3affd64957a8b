"""Who plays in the suite: one speaker for each dialect, and what its provider is set to besides."""

from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.serve.upstream.dialects.conformance.azure_speaker import AzureSpeaker
from tests.serve.upstream.dialects.conformance.bedrock_speaker import BedrockSpeaker
from tests.serve.upstream.dialects.conformance.gemini_speaker import GeminiSpeaker
from tests.serve.upstream.dialects.conformance.openai_speaker import OpenAiSpeaker
from tests.serve.upstream.dialects.conformance.values import Speaker
from tests.serve.upstream.dialects.conformance.vertex_speaker import VertexAnthropicSpeaker

SPEAKERS: tuple[Speaker, ...] = (
    OpenAiSpeaker(),
    AnthropicSpeaker(),
    AzureSpeaker(),
    BedrockSpeaker(),
    GeminiSpeaker("gemini", "gemini-2.5-flash", "/v1/models"),
    GeminiSpeaker("vertex-gemini", "gemini-3.1-pro-preview", "/v1/publishers/google/models"),
    VertexAnthropicSpeaker(),
)
_SETTINGS = {"bedrock": {"region": "eu-central-1"}}


def setting(speaker: Speaker) -> dict[str, object]:
    """Fields of `Provider` that a dialect's provider needs beside name, url and key."""
    return dict(_SETTINGS.get(speaker.dialect, {}))
