"""Every language a provider may speak, by the name that the configuration gives it."""

from collections.abc import Mapping
from typing import Final

from serve.upstream.dialect import Dialect
from serve.upstream.dialects.anthropic import Anthropic
from serve.upstream.dialects.azure import Azure
from serve.upstream.dialects.bedrock import Bedrock
from serve.upstream.dialects.gemini import Gemini
from serve.upstream.dialects.openai import OpenAi
from serve.upstream.dialects.vertex_anthropic import VertexAnthropic

DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": OpenAi(),
    "anthropic": Anthropic(),
    "azure": Azure(),
    "bedrock": Bedrock(),
    "gemini": Gemini("models", several=False),
    "vertex-gemini": Gemini("publishers/google/models", several=True),
    "vertex-anthropic": VertexAnthropic(),
}
