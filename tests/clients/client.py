"""A client under test, as the tests of this folder ask it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.clients.drivers import CLIENTS, Driver, Kind
from tests.clients.place import KEY, Place
from tests.clients.seats import Seat
from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.serve.upstream.dialects.conformance.openai_speaker import OpenAiSpeaker
from tests.serve.upstream.dialects.conformance.values import Heard, Speaker
from tests.upstreams.gemini import speaker_of
from tests.upstreams.journal import Entry
from tests.upstreams.scenario import Scenario


def heard(wire: str, entry: Entry) -> Heard:
    """What a provider that speaks a wire understood of a request."""
    speakers: dict[str, Speaker] = {
        "openai": OpenAiSpeaker(), "anthropic": AnthropicSpeaker(), "gemini": speaker_of(entry.model)
    }  # fmt: skip
    return speakers[wire].heard(entry.path, dict(entry.headers), entry.body)


@dataclass
class Drivers:
    """Processes of clients, begun when first asked."""

    _running: dict[str, Driver] = field(default_factory=dict)

    def of(self, name: str) -> Driver:
        """The client's process."""
        running = self._running.get(name)
        if running is None or not running.alive:
            running = self._running[name] = Driver(CLIENTS[name].command())
        return running

    def close(self) -> None:
        """End all."""
        for driver in self._running.values():
            driver.close()


@dataclass
class Client:
    """One client over one wire, and the providers behind the gateway it calls."""

    seat: Seat
    place: Place
    drivers: Drivers
    _before: int = 0
    _model: str = ""

    @property
    def name(self) -> str:
        """Of `CLIENTS`."""
        return self.seat.client

    @property
    def kind(self) -> Kind:
        """What it can do."""
        return CLIENTS[self.name]

    def has(self, what: str) -> bool:
        """Whether it has something that others may lack."""
        return what not in self.seat.lacks

    def task(self, do: str, scenario: str, **options: Any) -> dict[str, Any]:
        """One task in words of the drivers; `base`, `key` and `call`, the model, may be others than usual.

        What was asked is told of the scenario's model, or of the one that is called where the scenario is a
        whole name.
        """
        self._model = scenario if "." in scenario else self.seat.model(scenario)
        self._before = len(self.place.upstreams.journal.of(self._model))
        url = self.place.root + options.pop("base", "/v1")
        shape = "form" if scenario == "form" else "json"
        asked = options.pop("call", self._model)
        own = {"url": url, "key": KEY, "as": shape, "provider": self.seat.provider("acme")}
        return {"do": do, "model": asked, **own, **options}

    def ask(self, do: str, scenario: str, **options: Any) -> dict[str, Any]:
        """Do a task and give what the client tells; an error of the client is an AssertionError."""
        found = self.drivers.of(self.name).ask(self.task(do, scenario, **options))
        assert "error" not in found, found
        return found

    def fail(self, do: str, scenario: str, **options: Any) -> dict[str, Any]:
        """Do a task that raises in the client, and give what it tells."""
        found = self.drivers.of(self.name).ask(self.task(do, scenario, **options))
        assert "error" in found, f"{self.name} took this for an answer: {found}"
        return found

    def begin(self, do: str, scenario: str, **options: Any) -> Driver:
        """Begin a task that the client will not end."""
        driver = self.drivers.of(self.name)
        driver.begin(self.task(do, scenario, **options))
        return driver

    @contextmanager
    def played(self, scenario: str, *scenarios: Scenario) -> Iterator[None]:
        """Let requests for a scenario's model at its provider acme go otherwise than its name says."""
        model, providers = self.seat.model(scenario), self.place.upstreams
        providers.play(self.seat.provider("acme"), model, *scenarios)
        try:
            yield
        finally:
            providers.play(self.seat.provider("acme"), model)

    @property
    def asked(self) -> list[Entry]:
        """What the provider was asked since the last task began."""
        return self.place.upstreams.journal.of(self._model)[self._before :]

    @property
    def heard(self) -> Heard:
        """What its provider understood of the last request."""
        return heard(self.seat.wire, self.asked[-1])

    def wait(self, until: Callable[[Entry], bool], seconds: float = 20) -> Entry:
        """Wait until the last of what the provider was asked since is as it should be."""

        def seen(entries: list[Entry]) -> bool:
            return len(entries) > self._before and until(entries[-1])

        return self.place.upstreams.journal.wait(self._model, seen, seconds)[-1]
