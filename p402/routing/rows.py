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
    return RequestBatch(
        key=np.array([key_of(i) for i in ids], np.uint64).reshape(n, 2),
        features=_features(snapshot, inputs),
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


def _codes(snapshot: Snapshot, row: RowInputs) -> tuple[int, int, int, int, int]:
    policy = _must(snapshot.policies, row.policy, "tenant policy")
    return row.task, MODE_CODES[row.mode], row.variant, policy, row.needs


def _numbers(row: RowInputs) -> tuple[int, int, int, int, int, int]:
    """Whole numbers of a row, each within the bounds that exact arithmetic rests on."""
    ceiling = min(row.ceiling_pico, MAX_CEILING_PICO)
    most = row.max_output or 0
    _within("prompt_bound", row.prompt_bound, MAX_TOKENS)
    _within("prompt_tokens", row.prompt_tokens, MAX_TOKENS)
    _within("output tokens of all choices", row.expected_output * row.n, MAX_TOKENS)
    _within("max_output of all choices", most * row.n, MAX_TOKENS)
    _within("ceiling_pico", ceiling, MAX_CEILING_PICO)
    return row.prompt_tokens, row.prompt_bound, row.expected_output, most, row.n, ceiling


def _within(name: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise InvalidInput(f"{name}: found {value}; decisions are exact from 0 to {most}")


def _must(known: Mapping[str, int], name: str, what: str) -> int:
    code = known.get(name)
    if code is None:
        raise InvalidInput(f"{what} {name!r} is not in the snapshot{nearest(name, tuple(known))}")
    return code


def _is_plain(row: RowInputs) -> bool:
    """Whether a row uses no rare column: most requests, and asked of every live one."""
    return not (
        row.mode == "custom"
        or row.budget_price
        or row.previous_arm
        or row.exclude_providers
        or row.prefer_providers
        or row.model
        or row.family
        or row.tried
    )


def _rare(snapshot: Snapshot, inputs: Sequence[RowInputs]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    if len(inputs) == 1 and _is_plain(inputs[0]):
        return columns
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


def _features(snapshot: Snapshot, inputs: Sequence[RowInputs]) -> NDArray[np.float64]:
    """(n, n_features), each row as wide as the snapshot's coefficients and within bounds."""
    width = snapshot.theta.shape[0]
    for row in inputs:
        if len(row.features) != width:
            raise InvalidInput(
                f"a row has {len(row.features)} features; snapshot {snapshot.id[:12]} expects {width}"
            )
        if width and (max(row.features) > MAX_FEATURE or min(row.features) < -MAX_FEATURE):
            worst = max(row.features, key=abs)
            raise InvalidInput(
                f"features: found {worst}; decisions are exact from 0 to {MAX_FEATURE} in size"
            )
    return np.array([row.features for row in inputs], np.float64).reshape(len(inputs), width)
