"""Put weights in force by hand: `p402 promote` and `p402 rollback`.

`promote` publishes a version that passed its gate, or one that an operator forces, which then says so
in the file, in MLflow and here. `rollback` publishes earlier weights again, and works though MLflow
is away: the next step puts the record right.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from experiments.learning.places import Places, places_of
from experiments.learning.publication import document_of, moved, weights_of
from p402.errors import P402Error, StoreError, nearest
from p402.learner.weights import Weights
from p402.registry.tracking import CHALLENGER, Run, Tracking, Version, has_record
from p402.registry.weights import START, Candidate, Published, WeightsRegistry

Config = Annotated[Path | None, typer.Option(help="The gateway's p402.toml.")]
Registry = Annotated[Path | None, typer.Option(help="Folder of the published weights.")]
Record = Annotated[Path | None, typer.Option("--tracking", help="Folder of MLflow's record.")]

_NAMES = ("quality", "cost", "speed")

_ROUNDING = 0.001 + 1e-9
"""How far from 1 the sum of weights may be: three thirds as a person writes them."""


class NotPassed(P402Error):
    """What was to be published has no verdict to rest on."""


def publish_version(
    version: Annotated[int | None, typer.Option(min=1, help="Registered version; the challenger.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="quality=0.6,cost=0.4,speed=0, summing to 1; needs --force.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; needed with --force.")] = "",
    config: Config = None,
    registry: Registry = None,
    tracking: Record = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Publish without a verdict, labelled so.")] = False,
) -> None:
    """Publish the challenger, a registered version, or weights that you force."""
    places = places_of(config, os.environ, registry=registry, tracking=tracking)
    if force and not reason.strip():
        raise typer.BadParameter("--force needs --reason: it stays in the history", param_hint="--reason")
    if weights is not None and not force:
        raise typer.BadParameter("weights of your own need --force and --reason", param_hint="--weights")
    if weights is not None and version is not None:
        raise typer.BadParameter("give --weights or --version, not both", param_hint="--weights")
    asked = None if weights is None else parse_weights(weights)
    if asked is None and not has_record(places.tracking):  # looked at first: opening a record makes one
        seen = "there is no challenger" if version is None else f"there is no version {version}"
        raise NotPassed(
            f"{seen}: nothing is recorded in {places.tracking}; run p402 learn --once first, or force weights"
        )
    published = WeightsRegistry(places.registry, now_ms)
    before = published.current()
    record = Tracking(places.tracking)
    if asked is not None:
        candidate = _forced(record, asked, before, reason)
    else:
        candidate = _registered(record, version, before, force=force, reason=reason)
    after = published.publish(candidate, START if before is None else before.version)
    record.align(after)
    if after.run_id is not None:
        record.tag_run(after.run_id, published_version=str(after.version))
    _show(before, after)


def roll_back(
    reason: Annotated[str, typer.Option(help="Why: it stays in the history.")],
    to: Annotated[int | None, typer.Option(min=0, help="Version; 0 is the start, 50/50.")] = None,
    config: Config = None,
    registry: Registry = None,
    tracking: Record = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="The file in force is damaged; needs --to.")
    ] = False,
) -> None:
    """Publish the weights before these again, or those of a version."""
    if repair and to is None:
        raise typer.BadParameter("--repair needs --to: which version to put in force", param_hint="--to")
    places = places_of(config, os.environ, registry=registry, tracking=tracking)
    published = WeightsRegistry(places.registry, now_ms)
    if repair and to is not None:
        before, after = None, published.repair(to, reason)
    else:
        before = published.current()
        after = published.rollback(START if before is None else before.version, reason, to)
    _show(before, after)
    _put_right(places, after)


def promote(argv: list[str]) -> int:
    """Run `p402 promote ARGV`; 0 once it is published, 1 if it was refused, 2 for a bad call."""
    return _run(publish_version, argv, "p402 promote")


def rollback(argv: list[str]) -> int:
    """Run `p402 rollback ARGV`; 0 once it is published, 1 if it was refused, 2 for a bad call."""
    return _run(roll_back, argv, "p402 rollback")


def now_ms() -> int:
    """Wall time, ms since 1970 UTC."""
    return time.time_ns() // 1_000_000


def parse_weights(text: str) -> Weights:
    """Weights of `quality=0.6,cost=0.4,speed=0`; what is left out is 0.

    They go live at once, so a sum other than 1 (to 0.001) is taken for a slip and never scaled in silence.

    Raises
    ------
    typer.BadParameter
        A name is unknown or twice, a value is no number of 0 or more, or their sum is not 1.
    """
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in _NAMES:
            raise typer.BadParameter(
                f"found {name!r}; expected quality, cost or speed{nearest(name, _NAMES)}"
            )
        if name in given:
            raise typer.BadParameter(f"found {name} twice; expected it once")
        try:
            given[name] = float(value)
        except ValueError:
            raise typer.BadParameter(f"{name}: found {value!r}; expected a number, as in 0.6") from None
    try:
        scaled = Weights.of(given.get("cost", 0.0), given.get("quality", 0.0), given.get("speed", 0.0))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    total = sum(given.values())
    if abs(total - 1.0) > _ROUNDING:
        same = ",".join(f"{name}={given[name] / total:.4g}" for name in given)
        raise typer.BadParameter(f"found a sum of {total:.6g}; expected 1: {same} has the same proportions")
    return scaled


def _forced(record: Tracking, asked: Weights, before: Published | None, reason: str) -> Candidate:
    """A run and a version of its own for what an operator forces, labelled so."""
    from_version = START if before is None else before.version
    instant = now_ms()
    made = record.record(
        Run(
            name=f"forced {instant}",
            started_ms=instant,
            ended_ms=instant,
            params={"from_version": str(from_version), "previous": str(weights_of(before).shares)},
            tags={
                "verdict": "forced",
                "forced": "true",
                "reasons": reason,
                "from_version": str(from_version),
            },
            weights=document_of(asked, from_version=from_version, verdict="forced"),
        )
    )
    return _of(asked, reason, made.run_id, made.model_version, forced=True)


def _registered(
    record: Tracking, number: int | None, before: Published | None, *, force: bool, reason: str
) -> Candidate:
    """A registered version, if it passed its gate under the weights that are still in force."""
    number = record.alias(CHALLENGER) if number is None else number
    if number is None:
        raise NotPassed("there is no challenger; expected one: run p402 learn --once, or force weights")
    found = record.version(number)
    verdict, reasons = found.tags.get("verdict", "none"), found.tags.get("reasons", "")
    asked = _weights_in(found)
    if force:
        record.tag_run(found.run_id, forced="true", forced_reason=reason)
        return _of(asked, reason, found.run_id, number, forced=True)
    if verdict != "promote":
        raise NotPassed(
            f"version {number} has verdict {verdict} ({reasons}); expected promote: gather more evidence, or "
            f"publish it with --force --reason ..., labelled so"
        )
    in_force = START if before is None else before.version
    if found.tags.get("from_version") != str(in_force):
        raise NotPassed(
            f"version {number} was compared with weights version {found.tags.get('from_version')}; expected "
            f"{in_force}, which is in force: run p402 learn --once again"
        )
    return _of(asked, reason or reasons, found.run_id, number, forced=False)


def _of(weights: Weights, reason: str, run_id: str, number: int | None, *, forced: bool) -> Candidate:
    return Candidate(
        quality=weights.quality,
        cost=weights.cost,
        speed=weights.speed,
        reason=reason,
        run_id=run_id,
        model_version=number,
        forced=forced,
    )


def _weights_in(version: Version) -> Weights:
    parts: Mapping[str, Any] = version.weights
    try:
        return Weights(int(parts["cost"]), int(parts["quality"]), int(parts["speed"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"weights.json of version {version.number}: {error}; expected quality, cost and speed; "
            f"its artifact was edited: choose another version"
        ) from error


def _put_right(places: Places, after: Published) -> None:
    """Make MLflow call champion what was rolled back to; weights are in force whether it can or not."""
    if not has_record(places.tracking):
        return
    try:
        Tracking(places.tracking).align(after)
    except (StoreError, ModuleNotFoundError) as error:
        print(f"the record is behind: {error}; the next p402 learn puts it right", file=sys.stderr)


def _show(before: Published | None, after: Published) -> None:
    Console().print(moved(before, after))


def _run(command: Callable[..., None], argv: list[str], name: str) -> int:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    try:
        app(args=argv, prog_name=name)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except P402Error as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0
