"""The steps after the traffic: compact, replay, learn, promote, roll back, each by its own command.

Every step is a process of its own that sees nothing of the others but files; what it found is read
from its JSON or from the registry's files. That a change of weights arrived is asked of the
running gateway, by requests like any other.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from openai import APIError

from experiments.demonstration.figures import PROBE
from experiments.demonstration.processes import P402, Finished, House, ProcessFailed
from experiments.demonstration.result import Estimator, Learned, Repeated, Replayed, Switch, Valued, Weights
from experiments.demonstration.world import Folder, World
from p402.assemble import START_WEIGHTS
from p402.registry.weights import WeightsRegistry
from p402.routing.scale import PARAM_ONE

STEP_S: Final = 120.0
"""How long any command may take."""

SEEN_S: Final = 10.0
"""How long the gateway may take to answer under new weights."""

BOUND: Final = "pessimistic_difference"
"""The gate's check that has the lower bound of a candidate's lead."""

PROMPT: Final = "Which snapshot answers this?"
REPEATED: Final = "Why is the sea salty, in one sentence?"
FORCED: Final = (0.6, 0.3, 0.1)
"""Quality, cost and speed that the operator forces: no hourly step of 0.05 reaches them from the start."""


@dataclass(frozen=True, slots=True)
class Loop:
    """The rest of the loop over one run's folder."""

    house: House
    world: World
    folder: Folder

    def compact(self, name: str) -> Finished:
        """Take what is logged so far into Parquet, the running gateway's segments included."""
        return self._p402(name, "log", "compact", "--live", "--log", self.folder.log)

    def log_says(self) -> str:
        """What `p402 log stats` and `p402 log du` print."""
        stats = self._p402("log-stats", "log", "stats", "--log", self.folder.log)
        weighed = self._p402("log-du", "log", "du", "--log", self.folder.log, "--store", self.folder.store)
        return stats.output + weighed.output

    def verify(self, name: str) -> Replayed:
        """Decide every logged choice again; a mismatch is a finding here, not an error."""
        finished = self.house.run(name, self._command("replay", "--verify", "--json", *self._data()), STEP_S)
        if finished.status not in {0, 1}:
            raise ProcessFailed(f"{name} ended with status {finished.status}:\n{finished.output}")
        found: Replayed = msgspec.convert(_json(finished), Replayed, strict=False)
        return found

    def value(self, policy: str) -> Valued:
        """What a strategy would have earned on the balanced rounds."""
        name = f"replay-{policy}"
        found = _json(self._p402(name, "replay", "--policy", policy, "--json", *self._data()))
        return Valued(
            found["policy"],
            found["behaviour"],
            found["rounds"],
            found["matured"],
            tuple(_estimator(line) for line in found["lines"]),
        )

    def weights(self) -> Weights:
        """What is published, as the registry's file says."""
        published = WeightsRegistry(self.folder.registry).current()
        if published is None:
            quality, cost, speed = START_WEIGHTS
            return Weights(quality / PARAM_ONE, cost / PARAM_ONE, speed / PARAM_ONE, 0)
        return Weights(*published.shares, version=published.version, forced=published.forced)

    def answering(self, wanted: Callable[[str], bool] = lambda _: True) -> tuple[str, float | None]:
        """Snapshot that answers cite, once it is a wanted one, and the seconds that took.

        After `SEEN_S` the last one seen, and None.
        """
        begun, seen = time.monotonic(), ""
        with self.world.client() as client:
            while (waited := time.monotonic() - begun) < SEEN_S:
                try:
                    answer = client.chat.completions.create(
                        model="auto",
                        messages=[{"role": "user", "content": PROMPT}],
                        extra_body={"p402": {"mode": "balanced", "tags": {"demo": PROBE}}},
                    )
                except APIError:  # a simulated provider failed on purpose; ask again
                    continue
                seen = (answer.model_extra or {})["p402_metadata"]["snapshot_id"]
                if wanted(seen):
                    return seen, waited
                time.sleep(0.05)
        return seen, None

    def repeat(self) -> Repeated:
        """Ask the same twice in cost mode, which uses the cache unless it is told not to.

        Raises
        ------
        ProcessFailed
            The gateway did not answer within `SEEN_S`.
        """
        begun = time.monotonic()
        told: list[dict[str, Any]] = []
        with self.world.client() as client:
            while len(told) < 2 and time.monotonic() - begun < SEEN_S:
                try:
                    answer = client.chat.completions.create(
                        model="p402/cost",
                        messages=[{"role": "user", "content": REPEATED}],
                        extra_body={"p402": {"tags": {"demo": PROBE}}},
                    )
                except APIError:  # as above
                    continue
                told.append((answer.model_extra or {})["p402_metadata"])
        if len(told) < 2:
            raise ProcessFailed(f"no two answers within {SEEN_S:.0f} s; see the gateway's output")
        first, second = told
        return Repeated(
            cached=second["cached"],
            cost_usd=second["cost_usd"],
            similarity=second["cache_similarity"],
            first_ms=first["latency_ms"],
            second_ms=second["latency_ms"],
        )

    def learn(self) -> Learned:
        """One step of the learner, with its own verdict, read from the documents of its MLflow run."""
        finished = self._p402("learn", "learn", "--once", *self._config())
        found = sorted(self.folder.tracking.glob("artifacts/*/artifacts/verdict.json"))
        if len(found) != 1:
            raise ProcessFailed(f"expected one MLflow run with a verdict, found {found}:\n{finished.output}")
        verdict = msgspec.json.decode(found[0].read_bytes())
        estimates = msgspec.json.decode(found[0].with_name("estimates.json").read_bytes())
        difference = estimates["difference"] or {}
        return Learned(
            verdict=verdict["action"],
            reasons=tuple(verdict["reasons"]),
            failed=tuple(_failing(check) for check in verdict["checks"] if not check["passed"]),
            candidate=_proposed(found[0].with_name("weights.json")),
            difference=difference.get("value"),
            pessimistic=next((c["seen"] for c in verdict["checks"] if c["name"] == BOUND), None),
            run_id=found[0].parent.parent.name,
        )

    def settled(self, learned: Learned, before: str) -> str:
        """Snapshot that answers after the learner's step: another one only if it promoted."""
        promoted = learned.verdict == "promote"
        return self.answering(lambda seen: (seen != before) == promoted)[0]

    def force(self, before: str) -> Switch:
        """Publish weights that no evidence asks for, as an operator may, and wait for the gateway."""
        quality, cost, speed = FORCED
        text = f"quality={quality},cost={cost},speed={speed}"
        options = ["--force", "--weights", text, "--reason", "demo: an operator's choice, no evidence"]
        self._p402("promote", "promote", *options, *self._config())
        return self._switched("operator-forced", before, lambda seen: seen != before)

    def roll_back(self, before: str, former: str) -> Switch:
        """Publish the former weights again, and wait for the gateway."""
        self._p402("rollback", "rollback", "--reason", "demo: back again", *self._config())
        return self._switched("rolled back", before, lambda seen: seen == former)

    def _switched(self, what: str, before: str, wanted: Callable[[str], bool]) -> Switch:
        after, seconds = self.answering(wanted)
        return Switch(what, self.weights(), before, after, seconds)

    def _data(self) -> tuple[object, ...]:
        return "--log", self.folder.log, "--store", self.folder.store

    def _config(self) -> tuple[object, ...]:
        return "--config", self.folder.config

    def _p402(self, name: str, *words: object) -> Finished:
        return self.house.must(name, self._command(*words), STEP_S)

    def _command(self, *words: object) -> list[str]:
        return [*P402, *map(str, words)]


def _json(finished: Finished) -> Any:
    """The document that a command printed."""
    text = finished.output
    try:
        return msgspec.json.decode(text[text.index("{") : text.rindex("}") + 1])
    except (ValueError, msgspec.DecodeError) as error:
        raise ProcessFailed(f"expected one JSON document, found:\n{text[-2000:]}") from error


def _failing(check: dict[str, Any]) -> str:
    seen = "unknown" if check["seen"] is None else f"{check['seen']:.4g}"
    return f"{check['name']} {seen}, expected {check['expected']}"


def _proposed(path: Path) -> tuple[float, float, float] | None:
    """Quality, cost and speed of the weights that a run proposed; None if it proposed none."""
    if not path.exists():
        return None
    shares = msgspec.json.decode(path.read_bytes())["shares"]
    return shares["quality"], shares["cost"], shares["speed"]


def _estimator(line: dict[str, Any]) -> Estimator:
    target, difference = line["target"], line["difference"] or {}
    return Estimator(
        line["name"],
        target["value"],
        target["lower"],
        target["upper"],
        difference.get("value"),
        difference.get("lower"),
        difference.get("upper"),
        target["ess"],
        tuple(target["warnings"]),
    )
