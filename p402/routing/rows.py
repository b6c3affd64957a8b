"""Logged row inputs to what `decide` reads: one row as numbers, live; many as columns, in replay.

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
from p402.routing.lens import Lens, Rare
from p402.routing.live import LiveState
from p402.routing.look import lone, rare_of
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import CUSTOM, MODES

MAX_CEILING_PICO: Final = 1 << 52
"""Largest ceiling that stays exact: about 4,500 USD."""

MAX_WEIGHTS: Final = 2 * PARAM_ONE
"""Most that custom weights may add up to, as a mode's own."""

MAX_BUDGET_PRICE: Final = 16 * PARAM_ONE
"""Most that money may be worth beside a mode's own weight of cost: its term stays below 2**45."""

MODE_CODES: Final = {name: code for code, name in enumerate((*MODES, "custom"))}

PREFERRED: Final = 4
"""Preferred providers that are read of a row."""

_NO_WEIGHTS: Final = (0, 0, 0)


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
    key = np.array([key_of(i) for i in ids], np.uint64).reshape(n, 2)
    whole = np.array([_codes(snapshot, r) for r in inputs], np.int64).reshape(n, 5).T.copy()
    real = np.array([_numbers(r) for r in inputs], np.float64).reshape(n, 6).T.copy()
    task, mode, variant, policy, needs = whole
    features = [_features(snapshot, r) for r in inputs]
    prompt_tokens, prompt_bound, expected_output, max_output, n_choices, ceiling = real
    return RequestBatch(
        key=key,
        features=np.array(features, np.float64).reshape(n, len(snapshot.theta)),
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


def lens_of(snapshot: Snapshot, row: RowInputs, live: LiveState) -> Lens:
    """One request as numbers: what `look` sees of the batch that `to_batch` makes of it.

    Raises
    ------
    InvalidInput
        As of `to_batch`.
    """
    task, mode, variant, policy, needs = _codes(snapshot, row)
    prompt_tokens, prompt_bound, expected_output, max_output, n_choices, ceiling = _numbers(row)
    features = np.array(_features(snapshot, row), np.float64)
    weights = [float(w) for w in row.weights or _NO_WEIGHTS] if mode == CUSTOM else None
    lens = lone(
        snapshot, mode, variant, weights, prompt_tokens, prompt_bound, expected_output, max_output, n_choices
    )
    lens.features = features
    lens.task = task
    lens.policy = policy
    lens.needs = needs
    lens.ceiling = ceiling
    lens.explore = row.explore
    lens.lives = (live,)
    lens.rare = None if _is_plain(row) else _rare_of(snapshot, row)
    return lens


def _rare_of(snapshot: Snapshot, row: RowInputs) -> Rare | None:
    return rare_of(
        float(row.budget_price),
        _previous(snapshot, row),
        float(row.warm_tokens),
        _mask(snapshot, row.exclude_providers),
        _preferred(snapshot, row),
        _model(snapshot, row),
        _family(snapshot, row),
        _tried(snapshot, row),
        _mask(snapshot, row.probed),
    )


def _codes(snapshot: Snapshot, row: RowInputs) -> tuple[int, int, int, int, int]:
    """Numbers of a row that index the snapshot's tables, each within its table."""
    policy = _must(snapshot.policies, row.policy, "tenant policy")
    mode = _must(MODE_CODES, row.mode, "mode")
    if not (
        0 <= row.task < len(snapshot.optimism)
        and 0 <= row.variant < len(snapshot.spec.policy.variants)
        and 0 <= row.needs < len(snapshot.capable)
    ):
        raise _outside(snapshot, row)
    return row.task, mode, row.variant, policy, row.needs


def _outside(snapshot: Snapshot, row: RowInputs) -> InvalidInput:
    """What to say of a row with a number that is in no table."""
    found = (
        ("task", row.task, len(snapshot.optimism)),
        ("variant", row.variant, len(snapshot.spec.policy.variants)),
        ("needs", row.needs, len(snapshot.capable)),
    )
    name, value, size = next(f for f in found if not 0 <= f[1] < f[2])
    return InvalidInput(f"{name}: found {value}; snapshot {snapshot.id[:12]} expects 0 to {size - 1}")


def _numbers(row: RowInputs) -> tuple[float, float, float, float, float, float]:
    """Whole numbers of a row, each within the bounds that exact arithmetic rests on."""
    prompt, bound, output, choices = row.prompt_tokens, row.prompt_bound, row.expected_output, row.n
    most = row.max_output or 0
    if not (
        0 <= bound <= MAX_TOKENS
        and 0 <= prompt <= MAX_TOKENS
        and 0 <= output * choices <= MAX_TOKENS
        and 0 <= most * choices <= MAX_TOKENS
        and choices >= 1
        and row.ceiling_pico >= 0
        and 0 <= row.budget_price <= MAX_BUDGET_PRICE
        and 0 <= row.warm_tokens <= MAX_TOKENS
        and (row.weights is None or _are_weights(row.weights))
    ):
        raise _beyond(row)
    ceiling = min(row.ceiling_pico, MAX_CEILING_PICO)
    return float(prompt), float(bound), float(output), float(most), float(choices), float(ceiling)


def _beyond(row: RowInputs) -> InvalidInput:
    """What to say of a row with a number that is out of bounds."""
    found = (
        ("prompt_bound", row.prompt_bound, MAX_TOKENS),
        ("prompt_tokens", row.prompt_tokens, MAX_TOKENS),
        ("output tokens of all choices", row.expected_output * row.n, MAX_TOKENS),
        ("max_output of all choices", (row.max_output or 0) * row.n, MAX_TOKENS),
        ("ceiling_pico", row.ceiling_pico, MAX_CEILING_PICO),
        ("budget_price", row.budget_price, MAX_BUDGET_PRICE),
        ("warm_tokens", row.warm_tokens, MAX_TOKENS),
    )
    for name, value, most in found:
        if value < 0 or (value > most and name != "ceiling_pico"):
            return InvalidInput(f"{name}: found {value}; decisions are exact from 0 to {most}")
    if row.n < 1:
        return InvalidInput(f"n: found {row.n}; expected 1 or more")
    return InvalidInput(
        f"weights: found {row.weights}; expected quality, cost and speed of 0 or more, "
        f"together at most {MAX_WEIGHTS}"
    )


def _are_weights(weights: Sequence[int]) -> bool:
    return len(weights) == len(_NO_WEIGHTS) and min(weights) >= 0 and sum(weights) <= MAX_WEIGHTS


def _must(known: Mapping[str, int], name: str, what: str) -> int:
    code = known.get(name)
    if code is None:
        raise InvalidInput(f"{what} {name!r} is not in the snapshot{nearest(name, tuple(known))}")
    return code


def _is_plain(row: RowInputs) -> bool:
    """Whether a row uses no rare column but custom weights: most requests, and asked of every live one."""
    return not (
        row.budget_price
        or row.previous_arm
        or row.exclude_providers
        or row.prefer_providers
        or row.model
        or row.family
        or row.tried
        or row.probed
    )


def _rare(snapshot: Snapshot, inputs: Sequence[RowInputs]) -> dict[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = {}
    if any(r.mode == "custom" for r in inputs):
        columns["weights"] = np.array([r.weights or _NO_WEIGHTS for r in inputs], np.float64)
    if all(_is_plain(r) for r in inputs):
        return columns
    if any(r.budget_price for r in inputs):
        columns["budget_price"] = np.array([r.budget_price for r in inputs], np.float64)
    if any(r.previous_arm for r in inputs):
        columns["previous_arm"] = np.array([_previous(snapshot, r) for r in inputs], np.int64)
        columns["warm_tokens"] = np.array([r.warm_tokens for r in inputs], np.float64)
    if any(r.exclude_providers for r in inputs):
        columns["excluded"] = np.array([_mask(snapshot, r.exclude_providers) for r in inputs], np.uint64)
    if any(r.prefer_providers for r in inputs):
        preferred = [_preferred(snapshot, r) for r in inputs]
        columns["preferred"] = np.array(preferred, np.int64)
    if any(r.model for r in inputs):
        columns["model"] = np.array([_model(snapshot, r) for r in inputs], np.int64)
    if any(r.family for r in inputs):
        columns["family"] = np.array([_family(snapshot, r) for r in inputs], np.int64)
    if any(r.tried for r in inputs):
        width = max(len(r.tried) for r in inputs)
        tried = [_tried(snapshot, r) + [-1] * (width - len(r.tried)) for r in inputs]
        columns["tried"] = np.array(tried, np.int64)
    if any(r.probed for r in inputs):
        columns["probed"] = np.array([_mask(snapshot, r.probed) for r in inputs], np.uint64)
    return columns


def _previous(snapshot: Snapshot, row: RowInputs) -> int:
    return snapshot.index.get(row.previous_arm, -1) if row.previous_arm else -1


def _mask(snapshot: Snapshot, providers: Sequence[str]) -> int:
    known = snapshot.providers
    return sum(1 << known[p] for p in set(providers) if p in known)


def _preferred(snapshot: Snapshot, row: RowInputs) -> list[int]:
    known = snapshot.providers
    codes = [known[p] for p in row.prefer_providers if p in known][:PREFERRED]
    return codes + [-1] * (PREFERRED - len(codes))


def _model(snapshot: Snapshot, row: RowInputs) -> int:
    return _must(snapshot.models, row.model, "model") if row.model else -1


def _family(snapshot: Snapshot, row: RowInputs) -> int:
    return _must(snapshot.families, row.family, "family") if row.family else -1


def _tried(snapshot: Snapshot, row: RowInputs) -> list[int]:
    return [snapshot.index.get(arm, -1) for arm in row.tried]


def _features(snapshot: Snapshot, row: RowInputs) -> list[int]:
    """Features of a row, as many as the snapshot's coefficients and within bounds."""
    found, width = row.features, len(snapshot.theta)
    if len(found) != width:
        raise InvalidInput(f"a row has {len(found)} features; snapshot {snapshot.id[:12]} expects {width}")
    if max(found) > MAX_FEATURE or min(found) < -MAX_FEATURE:
        worst = max(found, key=abs)
        raise InvalidInput(f"features: found {worst}; decisions are exact from 0 to {MAX_FEATURE} in size")
    return found
