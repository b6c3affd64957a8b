"""The rules of every mode as tables, and the bounds within which scores are exact.

A rule is a (variant, mode) pair and has one row in each table, at `RULES * variant + mode`;
custom weights are a mode of their own that keeps balanced mode's rules. It knows nothing of requests.

Scores differ by less than one `CHAIN_STEP` but for the chain: quality lies within 64 and its
optimism within 16, weights add up to 2 at most, and what else is added stays below 2**47.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p402.errors import ConfigError
from p402.routing.scale import PARAM_ONE
from p402.routing.spec import MODES, Mode, Policy

Float = NDArray[np.float64]

RULES: Final = len(MODES) + 1
"""Rows per variant: the named modes, then custom weights."""

BALANCED: Final = MODES.index("balanced")

CHAIN_STEP: Final = 1 << 49
"""Score that one step of a fallback chain is worth: more than scores can differ otherwise."""

MAX_CHAIN: Final = 15
"""Arms of a chain that count, of those the snapshot has: 15 steps and a score stay below 2**53."""

MAX_LEAN: Final = 4 * PARAM_ONE
"""Most that a warm cache or a preferred provider may be worth."""

MAX_HALF: Final = 1 << 30
"""Half points, so that price and half point together stay below 2**31 a token."""


@dataclass(frozen=True, slots=True, eq=False)
class ModeTable:
    """Rules of every (variant, mode), whole numbers in float64.

    `columns` is (n_rules, 8): quality, cost and speed weight, tolerance, loss cap and floor in
    2**-20, 1 where the mode explores, and the cost ratio as a plain number. `rows` is the same as
    plain numbers, for one request.
    `own` is the (n_rules, 3) weights alone, 0 for custom mode, whose requests bring them.
    `chain` is the (n_rules, n_arms) score that chains add.
    """

    columns: Float
    rows: tuple[tuple[float, ...], ...]
    own: Float
    chain: Float


def mode_table(policy: Policy, index: Mapping[str, int]) -> ModeTable:
    """Turn a policy's modes into tables; `index` numbers the snapshot's arms.

    Raises
    ------
    ConfigError
        A number of the policy is out of the bounds that exact arithmetic rests on.
    """
    _check(policy)
    rows: list[tuple[float, ...]] = []
    chains: list[Float] = []
    for variant in policy.variants:
        if len(variant) != len(MODES):
            raise ConfigError(f"policy variant has {len(variant)} modes; expected {', '.join(MODES)}")
        for name, mode in zip((*MODES, "custom"), (*variant, variant[BALANCED]), strict=True):
            rows.append(_row(name, mode))
            chain = np.zeros(len(index))
            known = [arm for arm in dict.fromkeys(mode.chain) if arm in index]
            for step, arm in enumerate(known[:MAX_CHAIN]):
                chain[index[arm]] = (MAX_CHAIN - step) * CHAIN_STEP
            chains.append(chain)
    columns = np.array(rows)
    own = columns[:, :3].copy()
    own[BALANCED + 1 :: RULES] = 0.0
    return ModeTable(columns, tuple(rows), own, np.array(chains))


def _check(policy: Policy) -> None:
    if not policy.variants:
        raise ConfigError("policy has no variant of the modes; expected at least the promoted one")
    for name, value, least, most in (
        ("salt", policy.salt, 0, (1 << 64) - 1),
        ("cost_half_pico per 1k tokens", policy.cost_half_pico // 1000, 1, MAX_HALF),
        ("ttft_half_ms", policy.ttft_half_ms, 1, MAX_HALF),
        ("switch_cost", policy.switch_cost, 0, MAX_LEAN),
        ("prefer_bonus", policy.prefer_bonus, 0, MAX_LEAN),
        ("set_size", policy.set_size, 1, 1 << 10),
        ("default_max_output", policy.default_max_output, 1, 1 << 21),
    ):
        if not least <= value <= most:
            raise ConfigError(f"policy {name} is {value}; expected {least} to {most}")


def _row(name: str, mode: Mode) -> tuple[float, ...]:
    weights = (mode.quality, mode.cost, mode.speed)
    if min(weights) < 0 or sum(weights) > 2 * PARAM_ONE:
        raise ConfigError(f"weights of {name} are {weights}; expected 0 or more, together at most 2")
    for rule, value, least, most in (
        ("tolerance", mode.tolerance, 0, CHAIN_STEP // PARAM_ONE - 1),
        ("loss_cap", mode.loss_cap, 1, CHAIN_STEP // PARAM_ONE - 1),
        ("floor", mode.floor, 0, PARAM_ONE),
        ("cost_ratio", mode.cost_ratio, PARAM_ONE, PARAM_ONE << 10),
    ):
        if not least <= value <= most:
            raise ConfigError(f"{rule} of {name} is {value}; expected {least} to {most} (2**-20)")
    rules = (*weights, mode.tolerance, mode.loss_cap, mode.floor, mode.explore)
    return (*(float(v) for v in rules), mode.cost_ratio / PARAM_ONE)
