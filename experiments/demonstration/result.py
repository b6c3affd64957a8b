"""What a run of the demonstration found, as values: the JSON it leaves, and whether it holds.

Every figure comes from a step that was run; every check keeps what was seen and what was expected.
"""

import msgspec

from experiments.demonstration.figures import Books, ModeFigures


class Replayed(msgspec.Struct, frozen=True):
    """What `p402 replay --verify --json` said: choices taken again, and those that came out otherwise."""

    rows: int
    decisions: int
    attempts: int
    snapshots: int
    mismatched: int
    unverified: int
    seconds: float


class Estimator(msgspec.Struct, frozen=True):
    """A strategy's value by one estimator, and how far from the log's own, each with its 95 % interval.

    Numbers are null where the estimator has none; `warnings` are reasons not to believe it.
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    ess: float | None
    warnings: tuple[str, ...]


class Valued(msgspec.Struct, frozen=True):
    """What `p402 replay --policy ... --json` said."""

    policy: str
    behaviour: str
    rounds: int
    matured: int
    estimators: tuple[Estimator, ...]


class Weights(msgspec.Struct, frozen=True):
    """Weights of balanced mode, shares of 1, and the version they were published under (0: the start)."""

    quality: float
    cost: float
    speed: float
    version: int
    forced: bool = False


class Learned(msgspec.Struct, frozen=True):
    """What `p402 learn --once` decided: `promote` or `hold`, and why.

    Attributes
    ----------
    failed
        Checks of the gate that did not pass, with what was seen.
    candidate
        Quality, cost and speed of the weights that it compared with the current ones on the holdout.
    difference, pessimistic
        What the candidate would have earned beyond them a round, and the lower bound of that.
    """

    verdict: str
    reasons: tuple[str, ...]
    failed: tuple[str, ...]
    candidate: tuple[float, float, float] | None
    difference: float | None
    pessimistic: float | None
    run_id: str


class Switch(msgspec.Struct, frozen=True):
    """A change of weights under a running gateway, as its clients saw it.

    Attributes
    ----------
    seconds
        From the end of the command to the first answer under the new snapshot; None if none came in time.
    snapshot_before, snapshot_after
        Cited by answers before and after.
    """

    what: str
    weights: Weights
    snapshot_before: str
    snapshot_after: str
    seconds: float | None


class Repeated(msgspec.Struct, frozen=True):
    """One question asked twice in cost mode: what the second answer said of itself."""

    cached: bool
    cost_usd: float | None
    similarity: float | None
    first_ms: float
    second_ms: float


class Check(msgspec.Struct, frozen=True):
    """One thing that has to be so."""

    name: str
    passed: bool
    seen: str
    expected: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Everything: what `demo.json` holds.

    Attributes
    ----------
    at
        When the run began, UTC.
    exits
        Exit status of every process by name.
    seconds
        Wall seconds of each stage.
    places
        Files and folders of the run by name.
    """

    at: str
    version: str
    seed: int
    rounds: int
    other_rounds: int
    baseline: str
    modes: tuple[ModeFigures, ...]
    books: Books
    replayed: Replayed
    valued: tuple[Valued, ...]
    weights_before: Weights
    learned: Learned
    switches: tuple[Switch, ...]
    weights_after: Weights
    repeated: Repeated
    replayed_at_end: Replayed
    exits: dict[str, int]
    checks: tuple[Check, ...]
    seconds: dict[str, float]
    places: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.passed for check in self.checks)
