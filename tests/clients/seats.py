"""Which client is tested over which wire format of the providers behind the gateway.

One client goes through all there is over every wire: what a dialect does to an answer does not depend on who
reads it. The others do over OpenAI's, and over the other wires what is marked `wires`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Final

from tests.clients.drivers import CLIENTS

OPENAI: Final = "openai"
WIRES: Final[Mapping[str, str]] = {
    OPENAI: "",
    "anthropic": "claude-sonnet-4-5-",
    "gemini": "gemini-2-5-flash-",
}
"""How a model's name begins after its scenario: dialects take its generation from it."""

THOROUGH: Final = "openai"
"""The client that goes through everything over every wire."""

LACKS: Final[Mapping[str, Mapping[str, str]]] = {
    OPENAI: {},
    "anthropic": {
        "n": "its API gives one answer",
        "streamed_n": "its API gives one answer",
        "logprobs": "its API tells none",
        "json_object": "its API promises an object by its schema only",
        "reasoning_tokens": "its API counts them as output",
    },
    "gemini": {
        "streamed_n": "its API gives several answers whole only, and of its older models",
        "image_url": "its API fetches nothing",
    },
}
"""What a wire cannot say, with the reason; `test_wires` has what happens instead."""

ACROSS: Final = tuple(permutations(WIRES, 2))
"""Whose wire fails, and whose answers."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A client over a wire."""

    client: str
    wire: str = OPENAI

    @property
    def id(self) -> str:
        """Its name in a test's."""
        return self.client if self.wire == OPENAI else f"{self.client}@{self.wire}"

    @property
    def thorough(self) -> bool:
        """Whether it goes through everything."""
        return self.wire == OPENAI or self.client == THOROUGH

    @property
    def lacks(self) -> frozenset[str]:
        """What the client has not, or the wire cannot say."""
        return frozenset(CLIENTS[self.client].lacks) | LACKS[self.wire].keys()

    @property
    def slug(self) -> str:
        """Its part of names in the configuration."""
        return f"{self.client}-{self.wire}"

    def model(self, scenario: str) -> str:
        """The model that plays a scenario for it."""
        return f"{scenario}.{WIRES[self.wire]}{self.client}"

    def provider(self, role: str) -> str:
        """Who plays a role on its wire: `acme` answers, `zeta` too but dearer, `broke` fails as a whole."""
        return provider_of(role, self.wire)

    def own(self, role: str) -> str:
        """Who plays a role for it alone, with a budget of failovers: `frail` fails, `hasty` waits little."""
        return f"{role}-{self.slug}"


def provider_of(role: str, wire: str) -> str:
    """Who plays a role on a wire for everybody."""
    return role if wire == OPENAI else f"{role}-{wire}"


SEATS: Final = {seat.id: seat for seat in (Seat(client, wire) for wire in WIRES for client in CLIENTS)}
