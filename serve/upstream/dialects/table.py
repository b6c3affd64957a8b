"""Every language a provider may speak, by the name that the configuration gives it."""

from collections.abc import Mapping
from typing import Final

from serve.upstream.dialect import Dialect
from serve.upstream.dialects.gemini import Gemini
from serve.upstream.dialects.openai import OpenAi

DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": OpenAi(),
    "gemini": Gemini("models", several=False),
    "vertex-gemini": Gemini("publishers/google/models", several=True),
}
