"""Logged row inputs to columns: the one way a request becomes a batch, live and in replay.

Names of arms, providers, models, families and policies become the snapshot's indices. A name
that the snapshot does not have is passed over where it could only have excluded something,
and is an error where it would change what may be chosen.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import InvalidInput, nearest
from p402.events import RowInputs
from p402.ids import key_of
from p402.routing.batch import RequestBatch
from p402.routing.compiled import MAX_FEATURE, MAX_TOKENS, Snapshot
from p402.routing.live import LiveState
from p402.routing.spec import MODES

MAX_CEILING_PICO: Final = 1 << 52
"""Largest ceiling that stays exact: about 4,500 USD."""

MODE_CODES: Final = {name: code for code, name in enumerate((*MODES, "custom"))}

_PREFERRED: Final = 4


def to_batch(
    snapshot: Snapshot,
    ids: Sequence[str],
    inputs: Sequence[RowInputs],
    lives: tuple[LiveState, ...],
    live_row: Sequence[int],
) -> RequestBatch:
    """Columns of n requests.

    Parameters
    ----------
    ids
        Request ids, which key chance.
    inputs
        What each row was or will be logged with.
    lives, live_row
        `lives[live_row[i]]` is the live state of row i.

    Raises
    ------
    InvalidInput
        A value is out of the range in which arithmetic is exact, or a policy, model or family
        is not in the snapshot.
    """
    n = len(inputs)
    whole = np.array([_codes(snapshot, r) for r in inputs], np.int64).reshape(n, 5).T.copy()
    real = np.array([_numbers(r) for r in inputs], np.float64).reshape(n, 6).T.copy()
    task, mode, variant, policy, needs = whole
    prompt_tokens, prompt_bound, expected_output, max_output, n_choices, ceiling = real
    batch = RequestBatch(
        key=np.array([key_of(i) for i in ids], np.uint64).reshape(n, 2),
        features=np.array([r.features for r in inputs], np.float64).reshape(n, -1),
        task=task,
        mode=mode,
        variant=variant,
        policy=policy,
        prompt_tokens=prompt_tokens,
        prompt_bound=prompt_bound,
        expected_output=expected_output,
        max_output=max_output,
        n_choices=n_choices,
        needs=needs,
        ceiling_pico=ceiling,
        explore=np.array([r.explore for r in inputs], np.bool_),
        live_row=np.array(live_row, np.int64),
        lives=lives,
        **_rare(snapshot, inputs),
    )
    _check(snapshot, batch)
    return batch


def _codes(snapshot: Snapshot, row: RowInputs) -> tuple[int, int, int, int, int]:
    policy = _must(snapshot.policies, row.policy, "tenant policy")
    return row.task, MODE_CODES[row.mode], row.variant, policy, row.needs


def _numbers(row: RowInputs) -> tuple[int, int, int, int, int, int]:
    ceiling = min(row.ceiling_pico, MAX_CEILING_PICO)
    return row.prompt_tokens, row.prompt_bound, row.expected_output, row.max_output or 0, row.n, ceiling


def _must(known: Mapping[str, int], name: str, what: str) -> int:
    code = known.get(name)
    if code is None:
        raise InvalidInput(f"{what} {name!r} is not in the snapshot{nearest(name, tuple(known))}")
    return code


def _rare(snapshot: Snapshot, inputs: Sequence[RowInputs]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    if any(r.mode == "custom" for r in inputs):
        columns["weights"] = np.array([r.weights or (0, 0, 0) for r in inputs], np.float64)
    if any(r.budget_price for r in inputs):
        columns["budget_price"] = np.array([r.budget_price for r in inputs], np.float64)
    if any(r.previous_arm for r in inputs):
        arms = [-1 if r.previous_arm is None else snapshot.index.get(r.previous_arm, -1) for r in inputs]
        columns["previous_arm"] = np.array(arms, np.int64)
        columns["warm_tokens"] = np.array([r.warm_tokens for r in inputs], np.float64)
    if any(r.exclude_providers for r in inputs):
        bits = [
            sum(1 << snapshot.providers[p] for p in set(r.exclude_providers) if p in snapshot.providers)
            for r in inputs
        ]
        columns["excluded"] = np.array(bits, np.uint64)
    if any(r.prefer_providers for r in inputs):
        columns["preferred"] = np.array([_preferred(snapshot, r) for r in inputs], np.int64)
    if any(r.model for r in inputs):
        models = [-1 if r.model is None else _must(snapshot.models, r.model, "model") for r in inputs]
        columns["model"] = np.array(models, np.int64)
    if any(r.family for r in inputs):
        families = [-1 if r.family is None else _must(snapshot.families, r.family, "family") for r in inputs]
        columns["family"] = np.array(families, np.int64)
    if any(r.tried for r in inputs):
        width = max(len(r.tried) for r in inputs)
        tried = [[snapshot.index.get(a, -1) for a in r.tried] + [-1] * (width - len(r.tried)) for r in inputs]
        columns["tried"] = np.array(tried, np.int64)
    return columns


def _preferred(snapshot: Snapshot, row: RowInputs) -> list[int]:
    known = [snapshot.providers[p] for p in row.prefer_providers if p in snapshot.providers][:_PREFERRED]
    return known + [-1] * (_PREFERRED - len(known))


def _check(snapshot: Snapshot, batch: RequestBatch) -> None:
    """Assert the bounds that exact arithmetic rests on."""
    if batch.features.shape[1] != snapshot.theta.shape[0]:
        raise InvalidInput(
            f"rows have {batch.features.shape[1]} features; "
            f"snapshot {snapshot.id[:12]} expects {snapshot.theta.shape[0]}"
        )
    for name, column, most in (
        ("features", np.abs(batch.features), MAX_FEATURE),
        ("prompt_bound", batch.prompt_bound, MAX_TOKENS),
        ("prompt_tokens", batch.prompt_tokens, MAX_TOKENS),
        ("output tokens of all choices", batch.expected_output * batch.n_choices, MAX_TOKENS),
        ("max_output of all choices", batch.max_output * batch.n_choices, MAX_TOKENS),
    ):
        if len(batch) and (column.max() > most or column.min() < 0):
            raise InvalidInput(f"{name}: found {column.max():.0f}; decisions are exact from 0 to {most}")
