"""The lines that the flow writes before a dispatch: a round's decision and a failover's choice.

The outcome's line is made by the account, from the figures that the answer shows.
"""

from p402.events import Attempt, Decision, RowInputs
from p402.flow.plan import Choice, Plan
from p402.routing.live import LiveState


def decision_row(ts_ms: int, worker: str, plan: Plan, called: Choice, watched: Choice | None) -> Decision:
    """A round's first line.

    Parameters
    ----------
    called
        Whom the first attempt goes to.
    watched
        What would have been chosen, where the caller's named model is called and only observed;
        the row is of this decision then, and a row of attempt 0 tells whom was called.
    """
    logged, inputs = called, plan.inputs
    if watched is not None and plan.watched is not None:
        logged, inputs = watched, plan.watched
    return Decision(
        ts_ms=ts_ms,
        id=plan.request_id,
        tenant=plan.tenant.name,
        session=plan.session,
        worker=worker,
        snapshot=plan.snapshot.id,
        live_seq=plan.live.seq,
        inputs=inputs,
        arm=logged.name,
        count=logged.count,
        n_eligible=logged.n_eligible,
        n_explored=logged.n_explored,
        task=plan.signals.task,
        baseline=None if plan.baseline is None else plan.baseline[1],
        observe=watched is not None,
        simulated=plan.snapshot.spec.arms.simulated[called.arm],
        tags=dict(plan.request.options.tags),
    )


def attempt_row(
    ts_ms: int, worker: str, plan: Plan, number: int, inputs: RowInputs, live: LiveState, choice: Choice
) -> Attempt:
    """The line of a failover's attempt `number`, or of attempt 0 where a named model is called."""
    return Attempt(
        ts_ms=ts_ms,
        id=plan.request_id,
        attempt=number,
        worker=worker,
        snapshot=plan.snapshot.id,
        live_seq=live.seq,
        inputs=inputs,
        arm=choice.name,
    )
