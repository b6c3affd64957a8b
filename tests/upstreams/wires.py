"""Every wire format that a provider of the tests speaks, by its dialect's name in the configuration."""

from collections.abc import Mapping
from typing import Final

from tests.upstreams.anthropic import AnthropicMessages
from tests.upstreams.gemini import GeminiContent
from tests.upstreams.openai import OpenAiChat
from tests.upstreams.wire import Wire

WIRES: Final[Mapping[str, Wire]] = {
    "openai": OpenAiChat(),
    "anthropic": AnthropicMessages(),
    "gemini": GeminiContent(),
}
