"""How replay's results look: tables for people, plain values for programs. It computes nothing."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from p402.evaluation.estimate import Estimate
from p402.evaluation.units import UNITS
from sim.replay.explain import Explained
from sim.replay.value import Line, Valuation
from sim.replay.verify import Mismatch, Verification


def plain(result: Verification) -> dict[str, Any]:
    """What was verified as plain values, and whether all is well."""
    return {**msgspec.to_builtins(result), "ok": result.ok}


def verification(result: Verification) -> Iterator[RenderableType]:
    """What was verified, then everything that was wrong."""
    table = Table("replay", title="logged choices, decided again", title_justify="left")
    table.add_column("count", justify="right")
    for name, number in (
        ("decisions", result.decisions),
        ("attempts", result.attempts),
        ("snapshots", result.snapshots),
        ("mismatches", result.mismatched),
        ("could not be decided again", result.unverified - result.unfounded),
        ("outcomes", result.outcomes),
        ("outcomes that no logged choice bears out", result.unfounded),
        ("decisions without an outcome, no fault", result.unended),
        ("imported calls, decided elsewhere", result.imported),
        ("torn lines, never acknowledged", result.torn),
        ("malformed lines, skipped", result.malformed),
    ):
        table.add_row(name, f"{number:,}")
    rate = result.rows / result.seconds if result.seconds else 0.0
    table.caption = f"{result.seconds:.2f} s, {rate:,.0f} rows a second, {result.peak_mib:,.0f} MiB at most"
    if result.bytes_per_million is not None:
        table.caption += f"; on disk {result.bytes_per_million / (1 << 20):,.0f} MiB a million rounds"
    yield table
    if result.mismatches:
        yield _mismatches(result)
    if result.strays:
        yield _strays(result)
    for fault in result.faults:
        yield f"[bold red]{fault.rows:,} rows:[/] {escape(fault.what)}"
    if result.ok:
        yield (
            f"[bold green]{result.rows:,} of {result.rows:,} replay bit for bit[/], "
            f"and bear {result.outcomes:,} of {result.outcomes:,} outcomes out"
        )
    if lost := result.mismatched + result.unverified - result.unfounded:
        yield f"[bold red]{lost:,} of {result.rows:,} do not replay[/]"
    if result.unfounded:
        yield f"[bold red]{result.unfounded:,} of {result.outcomes:,} outcomes are not borne out[/]"


def _mismatches(result: Verification) -> Table:
    title = f"mismatches, {len(result.mismatches)} of {result.mismatched:,}"
    table = Table("row", "worker:live", "snapshot", "difference", title=title, title_justify="left")
    for row in result.mismatches:
        table.add_row(
            _name(row),
            escape(f"{row.worker}:{row.live_seq}"),
            row.snapshot[:12],
            escape("; ".join(f"{d.column}: logged {d.logged}, now {d.recomputed}" for d in row.differences)),
        )
    return table


def _strays(result: Verification) -> Table:
    title = f"outcomes that no logged choice bears out, {len(result.strays)} of {result.unfounded:,}"
    table = Table("outcome", "attempt", "went to", "logged choice", title=title, title_justify="left")
    for row in result.strays:
        table.add_row(
            escape(f"{row.id} of {row.tenant}"),
            "" if row.attempt is None else str(row.attempt),
            escape(row.called or "nobody"),
            escape(row.chosen or ("no decision" if row.attempt is None else "none")),
        )
    return table


def _name(row: Mismatch | Explained) -> str:
    return escape(row.id if row.attempt is None else f"{row.id} attempt {row.attempt}")


def valuation(result: Valuation) -> Iterator[RenderableType]:
    """The strategy beside the behaviour by every estimator, then what speaks against believing it."""
    title = f"policy {result.policy} on {result.rounds:,} rounds logged in mode {result.behaviour}"
    table = Table("estimator", title=escape(title), title_justify="left")
    for name in ("value", "95 % interval", "behaviour", "difference", "95 % interval", "ESS", "max weight"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in result.lines:
        table.add_row(*_cells(line))
    table.caption = (
        f"{result.matured:,} matured, {result.judged:,} judged, {_units(result.sessions)}, "
        f"{result.arms} arms, {result.snapshots} snapshots"
    )
    yield table
    if result.parts:
        yield _breakdown(result)
    yield f"estimand: {result.estimand}"
    yield (
        f"propensities: mean 1/p {result.calibration.seen:.3f}, expected {result.calibration.expected:.3f} "
        f"(z {result.calibration.z:.1f}); sample ratio p {result.ratio.p_value:.3g}"
    )
    for warning in result.warnings:
        yield f"[bold yellow]{escape(warning)}[/]"
    for warning, names in _warnings(result).items():
        yield f"[yellow]{', '.join(names)}[/]: {escape(warning)}"


def _breakdown(result: Valuation) -> Table:
    """Each task or tenant by DR; a mark says that an estimate warns."""
    table = Table(str(result.by), title=f"by {result.by}, dr", title_justify="left")
    for name in ("rounds", "value", "95 % interval", "behaviour", "difference", "95 % interval", "ESS"):
        table.add_column(name, justify="right", no_wrap=True)
    for part in result.parts:
        doubted = part.target.warnings or part.difference.warnings
        table.add_row(
            escape(part.name),
            f"{part.rounds:,}",
            _number(part.target.value) + ("*" if doubted else ""),
            _interval(part.target),
            _number(part.behaviour.value),
            _number(part.difference.value, "+"),
            _interval(part.difference, "+"),
            f"{part.target.ess:,.0f}",
        )
    table.caption = "* warns that it should not be believed; --json says why"
    return table


def _units(number: int) -> str:
    """What errors are clustered by, in words."""
    return f"{number:,} sessions" if number < UNITS else f"{number:,} buckets of sessions"


def _cells(line: Line) -> tuple[str, ...]:
    ours, gap = line.target, line.difference
    return (
        line.name,
        _number(ours.value),
        _interval(ours),
        _number(line.behaviour.value),
        "" if gap is None else f"{gap.value:+.4f}",
        "" if gap is None else _interval(gap, "+"),
        f"{ours.ess:,.0f}",
        f"{ours.max_weight:.1f}",
    )


def _warnings(result: Valuation) -> dict[str, list[str]]:
    """What the estimates say against themselves, each warning once, with who says it."""
    found: dict[str, list[str]] = {}
    for line in result.lines:
        for warning in line.target.warnings:
            found.setdefault(warning, []).append(line.name)
        if line.difference is not None:
            for warning in line.difference.warnings:
                found.setdefault(warning, []).append(f"{line.name} difference")
    return found


def _number(number: float, sign: str = "") -> str:
    return f"{number:{sign}.4f}" if isfinite(number) else "unknown"


def _interval(estimate: Estimate, sign: str = "") -> str:
    if not (isfinite(estimate.lower) and isfinite(estimate.upper)):
        return "unknown"
    return f"[{estimate.lower:{sign}.4f}, {estimate.upper:{sign}.4f}]".replace("[", r"\[")


def explained(rows: tuple[Explained, ...]) -> Iterator[RenderableType]:
    """Each choice of a round: its arms by score, best first."""
    for row in rows:
        what = "decision" if row.attempt is None else f"attempt {row.attempt}"
        chance = "" if row.propensity is None else f", propensity {row.propensity:.6f}"
        title = f"{what} of {row.id}: {row.arm or 'no arm'}{chance}"
        yield f"[italic]{escape(title)}[/]"
        table = Table("arm")
        table.add_column("score", justify="right")
        table.add_column("propensity", justify="right")
        table.add_column("reason")
        table.add_column("quality from", overflow="fold")
        for view in sorted(row.arms, key=lambda v: (v.score is None, -(v.score or 0.0), v.arm)):
            mark = "chosen" if view.arm == row.arm else ""
            table.add_row(
                escape(view.arm),
                "" if view.score is None else f"{view.score:.6f}",
                f"{view.propensity:.6f}",
                view.reason or mark,
                escape(row.quality_source[view.arm]),
            )
        yield table
        yield escape(f"mode {row.mode}, snapshot {row.snapshot}, worker {row.worker}, live {row.live_seq}")
        if row.recomputed != row.arm:
            yield f"[bold red]logged {escape(str(row.arm))}, decided again {escape(str(row.recomputed))}[/]"
