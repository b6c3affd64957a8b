"""What the catalogue's list says a logged call cost, where its own log does not say.

By exact id, as everywhere: `provider/model` where the provider is known, the model's own lab where it is
not. A model that is not found so has no price: nothing is guessed from a similar name.
"""

from typing import Final

from p402.catalog.model import Catalog, Deployment
from p402.catalog.price import prices_at
from p402.routing.pricing import TokenPrices

PROVIDERS: Final = {
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
"""LiteLLM's names of providers that the catalogue calls otherwise; read 2026-11-26."""


def deployment_of(catalog: Catalog, provider: str | None, model: str) -> Deployment | None:
    """The deployment that a log names; None where the catalogue has none of that exact name."""
    if provider is not None:
        return catalog.find(f"{PROVIDERS.get(provider, provider)}/{model}")
    found = catalog.find(model)
    if found is not None:
        return found
    own = [d for d in catalog.named(model) if d.model == model and d.provider == d.family]
    return own[0] if len(own) == 1 else None


class ListPrices:
    """Prices of a catalogue by the names that logs use; each name is looked up once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._found: dict[tuple[str | None, str], Deployment | None] = {}

    def of(self, provider: str | None, model: str, ts_ms: int, prompt_tokens: int) -> TokenPrices | None:
        """Pico-USD per token that held for a call at an instant; None where they are unknown."""
        name = (provider, model)
        if name not in self._found:
            self._found[name] = deployment_of(self._catalog, provider, model)
        deployment = self._found[name]
        row = None if deployment is None else prices_at(deployment, ts_ms)
        if row is None:
            return None
        billed = row.price_for(prompt_tokens).billed()
        if billed.input is None or billed.output is None:
            return None
        read = billed.input if billed.cache_read is None else billed.cache_read
        write = billed.input if billed.cache_write is None else billed.cache_write
        hour = write if billed.cache_write_1h is None else billed.cache_write_1h
        return TokenPrices(billed.input, read, billed.output, write, hour)
