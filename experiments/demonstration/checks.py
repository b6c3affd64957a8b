"""What has to hold for a run of the demonstration to have shown what it says."""

from typing import Final

from experiments.demonstration.figures import Books
from experiments.demonstration.result import Check, Learned, Repeated, Replayed, Switch

LEAST_ANSWERED: Final = 0.9
"""Providers fail on purpose; failover has to cover for them."""


def checks_of(
    books: Books,
    replays: tuple[Replayed, Replayed],
    learned: Learned,
    switches: tuple[Switch, Switch],
    repeated: Repeated,
    former: str,
    planned: int,
    answered: int,
    exits: dict[str, int],
) -> tuple[Check, ...]:
    """All that must hold for the demonstration to have shown what it says.

    Parameters
    ----------
    switches
        The forced version and its rollback.
    former
        Snapshot that answered before the forced version.
    planned, answered
        Requests of the plan, and those that were answered.
    """
    forced, back = switches
    bad = {name: status for name, status in exits.items() if status != 0}
    return (
        _equal("every request has its line", books.calls, planned),
        _equal("every request is one decision, one refusal or one hit", books.without_decision, 0),
        _equal("every round has an outcome", books.without_outcome, 0),
        _equal("no decision or outcome is there twice", books.repeated, 0),
        _equal("no round is unknown to the client", books.unknown, 0),
        _equal("cost, direct cost, mode and snapshot agree with the log", books.differing, 0),
        _equal("every posted outcome is in the log once", books.rewards, books.posted),
        Check(
            "requests are answered",
            answered >= LEAST_ANSWERED * planned,
            f"{answered} of {planned}",
            f"at least {LEAST_ANSWERED:.0%}",
        ),
        _equal("replay agrees, after the traffic", _wrong(replays[0]), 0),
        _equal("replay covers the traffic", replays[0].decisions, books.rounds),
        Check("learning gave a verdict", learned.verdict in {"promote", "hold"}, learned.verdict, "any"),
        Check(
            "the forced version reached the running gateway",
            forced.seconds is not None and forced.snapshot_after != former,
            forced.snapshot_after[:12],
            f"another snapshot than {former[:12]}",
        ),
        Check(
            "the rollback brought the former snapshot back",
            back.seconds is not None and back.snapshot_after == former,
            back.snapshot_after[:12],
            former[:12],
        ),
        Check(
            "a repeat is answered from the cache, for nothing",
            repeated.cached and repeated.cost_usd == 0,
            f"cached {repeated.cached}, ${repeated.cost_usd}",
            "cached True, $0.0",
        ),
        _equal("replay agrees, over everything", _wrong(replays[1]), 0),
        _equal("replay covers everything", replays[1].decisions, books.rounds + books.probes),
        Check("all processes ended well", not bad, str(bad or "all with status 0"), "status 0 of each"),
    )


def _wrong(replayed: Replayed) -> int:
    return replayed.mismatched + replayed.unverified


def _equal(name: str, seen: int, expected: int) -> Check:
    return Check(name, seen == expected, str(seen), str(expected))
