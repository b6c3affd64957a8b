"""What an hour's step leaves in MLflow: everything that led to its verdict, and nothing secret.

Pure but for drawing: a proposal and its evidence in, a `tracking.Run` out.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from experiments.learning.evidence import Window
from experiments.learning.plots import by_candidate, over_time
from experiments.learning.publication import document_of
from p402.evaluation.estimate import Estimate
from p402.learner.reweight import Candidate, Proposal, Settings
from p402.registry.published import Published
from p402.registry.tracking import Dataset, Run


def run_of(
    proposal: Proposal,
    settings: Settings,
    window: Window | None,
    *,
    digest: str,
    log: Path,
    span_ms: tuple[int, int],
    ended_ms: int,
    history: Sequence[Published],
    in_force: Published | None,
    dry_run: bool,
) -> Run:
    """The run of a step.

    Parameters
    ----------
    window
        Its evidence; None if there was none.
    digest
        Of the compacted log.
    span_ms
        From when to when evidence was looked for, ms since 1970 UTC; the step began at its end.
    history
        Published versions, oldest first, for the plot.
    in_force
        What is in force; None for the start.
    dry_run
        Nothing will be published, whatever the verdict.
    """
    verdict = proposal.verdict
    from_version = 0 if in_force is None else in_force.version
    tags = {
        "verdict": verdict.action,
        "reasons": ",".join(verdict.reasons),
        "from_version": str(from_version),
        "forced": "false",
        "dry_run": str(dry_run).lower(),
        "evidence": _kind_of(window),
    }
    return Run(
        name=f"reweight {span_ms[1]}",
        started_ms=span_ms[1],
        ended_ms=ended_ms,
        params=_params(proposal, settings, window, digest, span_ms, from_version),
        metrics=_metrics(proposal, window),
        tags=tags,
        documents={
            "verdict.json": _plain(verdict),
            "evidence.json": _evidence(window, digest, span_ms),
            "estimates.json": {
                "difference": _plain(proposal.difference),
                "current": _plain(proposal.current_value),
                "candidate": _plain(proposal.candidate_value),
                "left_out": _plain(proposal.left_out),
                "candidates": _plain(proposal.candidates),
            },
        },
        tables={"candidates.json": _table(proposal.candidates)} if proposal.candidates else {},
        figures=_figures(proposal, history, span_ms[1]),
        dataset=Dataset("p402-log", log.name, digest),
        weights=None
        if proposal.candidate is None
        else document_of(proposal.candidate, from_version=from_version, verdict=verdict.action),
    )


def _evidence(window: Window | None, digest: str, span_ms: tuple[int, int]) -> dict[str, Any]:
    """What it takes to read the same rounds again."""
    return {
        "dataset_digest": digest,
        "since_ms": span_ms[0],
        "until_ms": span_ms[1],
        "snapshots": [] if window is None else list(window.snapshots),
        "arms": [] if window is None else list(window.arms),
        "tenants": [] if window is None else list(window.evidence.tenants),
        "sources": [] if window is None else list(window.evidence.sources),
    }


def _kind_of(window: Window | None) -> str:
    if window is None:
        return "none"
    rounds = window.evidence.batch.n
    return {0: "real", rounds: "simulated"}.get(window.simulated, "mixed")


def _params(
    proposal: Proposal,
    settings: Settings,
    window: Window | None,
    digest: str,
    span_ms: tuple[int, int],
    from_version: int,
) -> dict[str, str]:
    gate, limits = settings.gate, settings.gate.limits
    ids = () if window is None else window.snapshots
    values: dict[str, object] = {
        "window_since_ms": span_ms[0],
        "window_until_ms": span_ms[1],
        "dataset_digest": digest,
        "snapshots": len(ids),
        "snapshots_sha256": sha256("\n".join(ids).encode()).hexdigest(),
        "from_version": from_version,
        "look": proposal.look,
        "step": settings.step,
        "least": settings.least,
        "most": settings.most,
        "holdout": settings.holdout,
        "folds": settings.folds,
        "shrinkage": settings.shrinkage,
        "selection_alpha": settings.selection_alpha,
        "tenant_cap": settings.tenant_cap,
        "gate_alpha_month": gate.alpha,
        "gate_min_matured": gate.min_matured,
        "gate_min_quality": gate.min_quality,
        "gate_margin": gate.margin,
        "gate_max_support_gap": gate.max_support_gap,
        "gate_min_ess": limits.min_ess,
        "gate_min_changed": limits.min_changed,
        "gate_max_share": limits.max_share,
        "gate_max_disagreement": limits.max_disagreement,
        "gate_hold_when_alone": gate.hold_when_alone,
        "candidates": len(proposal.candidates),
    }
    return {name: str(value) for name, value in values.items()}


def _metrics(proposal: Proposal, window: Window | None) -> dict[str, float]:
    cost, quality, speed = proposal.current.shares
    found = {
        "matured": float(proposal.matured),
        "quality_outcomes": float(proposal.quality_outcomes),
        "rounds": 0.0 if window is None else float(window.evidence.batch.n),
        "rounds_found": 0.0 if window is None else float(window.found),
        "alpha_spent": proposal.alpha,
        "promoted": float(proposal.verdict.action == "promote"),
        "current_quality": quality,
        "current_cost": cost,
        "current_speed": speed,
    }
    if proposal.candidate is not None:
        cost, quality, speed = proposal.candidate.shares
        found |= {"candidate_quality": quality, "candidate_cost": cost, "candidate_speed": speed}
    if (difference := proposal.difference) is not None:
        names = ("value", "stderr", "lower", "upper", "pessimistic", "ess", "max_weight", "max_share")
        found |= {f"difference_{name}": float(getattr(difference, name)) for name in names}
        found |= {
            "difference_n": float(difference.n),
            "difference_sessions": float(difference.n_sessions),
            "difference_changed": float(difference.n_changed),
            "difference_support_gap": difference.support_gap,
            "difference_disagreement": difference.disagreement,
        }
    for side, values in (("current", proposal.current_value), ("candidate", proposal.candidate_value)):
        for value in values:
            found[f"{side}_{value.name}"] = value.value
            found[f"{side}_{value.name}_lower"] = value.lower
            found[f"{side}_{value.name}_upper"] = value.upper
    return found


def _table(candidates: Sequence[Candidate]) -> dict[str, list[Any]]:
    """A row per candidate, best first."""

    def column(name: str) -> list[float]:
        return [float(getattr(c.difference, name)) for c in candidates]

    shares = [c.weights.shares for c in candidates]
    return {
        "quality": [share[1] for share in shares],
        "cost": [share[0] for share in shares],
        "speed": [share[2] for share in shares],
        **{
            name: column(name)
            for name in (
                "value",
                "lower",
                "upper",
                "pessimistic",
                "ess",
                "n_changed",
                "max_share",
                "support_gap",
            )
        },
        "warnings": ["; ".join(_codes(c.difference)) for c in candidates],
    }


def _codes(estimate: Estimate) -> list[str]:
    return [warning.partition(":")[0] for warning in estimate.warnings]


def _figures(proposal: Proposal, history: Sequence[Published], now_ms: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"weights.png": over_time(history, now_ms)}
    if proposal.candidates:
        figures["candidates.png"] = by_candidate(proposal.candidates)
    return figures


def _plain(value: object) -> Any:
    """Built-in types that JSON has; numbers that it has not become null."""
    return msgspec.json.decode(msgspec.json.encode(value))
