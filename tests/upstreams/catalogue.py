"""Scenarios by the name that a model has: whoever asks for the model `cut` is cut.

What stands after the last dot of a model's name is left off, so that each user of one scenario can have a
deployment of its own (`cut.langchain`), whose failures nobody else's breaker sees.
"""

from typing import Final

from tests.upstreams.scenario import (
    Answer,
    Cut,
    ErrorEvent,
    Finish,
    Refuse,
    Scenario,
    Stall,
    Tokens,
    ToolCall,
    failing,
)

PARIS: Final = ToolCall("call_1", "weather", {"city": "Paris"})
OSLO: Final = ToolCall("call_2", "weather", {"city": "Oslo"})
CITY: Final = {"name": "Zürich", "people": 443_000}
CITY_PIECES: Final = ('{"name": "Zür', 'ich", ', '"people": ', "443", "000", "}")
"""Six pieces of JSON: what breaks after two of them is no object yet, and text for whoever reads text."""
SILENCE_S: Final = 8.0
"""Longer than any test waits for what must come sooner."""

_CITY: Final = Scenario(Answer(CITY_PIECES))

SCENARIOS: Final = {
    "plain": Scenario(),
    "json": _CITY,
    "form": Scenario(Answer(calls=(ToolCall("call_1", "City", CITY),), finish=Finish.TOOLS)),
    "unicode": Scenario(Answer(("Grüße ", "aus ", "東京 🗼")), piece_bytes=1, crlf=True),
    "silent-usage": Scenario(Answer(("Fo", "ur"), tokens=None)),
    "reasoning": Scenario(Answer(("Four",), ("2 and 2 ", "is 4"), tokens=Tokens(11, 9, 4, 6))),
    "short": Scenario(Answer(("Fo",), finish=Finish.LENGTH)),
    "filtered": Scenario(Answer(("Fo",), finish=Finish.FILTER)),
    "look": Scenario(Answer(("Let me ", "look"), calls=(PARIS, OSLO), finish=Finish.TOOLS)),
    "tools": Scenario(Answer(calls=(PARIS, OSLO), finish=Finish.TOOLS)),
    "slow": Scenario(Answer(CITY_PIECES), gap_s=0.05),
    "limited": failing(Refuse(429, "rate_limit_exceeded", headers=(("retry-after", "1"),))),
    "quota": failing(Refuse(429, "insufficient_quota", "You exceeded your current quota")),
    "long": failing(
        Refuse(400, "context_length_exceeded", "This model's maximum context length is 8 tokens")
    ),
    "bad": failing(Refuse(400, "invalid_value", "temperature is too high")),
    "locked": failing(Refuse(401, "invalid_api_key", "Incorrect API key provided")),
    "down": failing(Refuse(503, "overloaded", "The engine is overloaded")),
    "html": failing(Refuse(502, body=b"<html>Bad gateway</html>", headers=(("content-type", "text/html"),))),
    "error-first": failing(ErrorEvent(), _CITY),
    "error-limited": failing(ErrorEvent(code="rate_limit_exceeded"), _CITY),
    "error-later": failing(ErrorEvent(2), _CITY),
    "cut-first": failing(Cut(0), _CITY),
    "cut": failing(Cut(2), _CITY),
    "no-end": failing(Cut(2, clean=True), _CITY),
    "no-finish": failing(Cut(len(CITY_PIECES), clean=True), _CITY),
    "stall-first": failing(Stall(SILENCE_S), _CITY),
    "stall": failing(Stall(SILENCE_S, after=2), _CITY),
    "quiet": failing(Stall(SILENCE_S, after=2), _CITY),
}
"""`stall` and `quiet` are one course: what is patient differs, their provider or the client."""


def base_of(model: str) -> str:
    """A model's name without what stands after its last dot."""
    return model.rpartition(".")[0] or model


def scenario_of(model: str) -> Scenario | None:
    """The scenario that a model's name asks for."""
    return SCENARIOS.get(base_of(model))
