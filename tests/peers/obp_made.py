"""What `obp` says of the made rounds, as JSON; its frozen form is `tests/golden/peers/obp.json`.

Runs in `.venv/peers`. `python -m tests.peers.obp_made > tests/golden/peers/obp.json` freezes it again.
"""

import json
import warnings

import numpy as np
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    DoublyRobustWithShrinkage,
    DoublyRobustWithShrinkageTuning,
    InverseProbabilityWeighting,
    InverseProbabilityWeightingTuning,
    SelfNormalizedDoublyRobust,
    SelfNormalizedInverseProbabilityWeighting,
    SwitchDoublyRobust,
    SwitchDoublyRobustTuning,
)

from p402.evaluation.tuning import DELTA, caps_for, strengths_for
from tests.peers.made import CAPS, CASES, STRENGTHS, Made, made


def shown(rounds: Made, q: np.ndarray | None = None) -> dict:
    """Rounds in `obp`'s words."""
    words = {
        "reward": rounds.reward,
        "action": rounds.action,
        "pscore": rounds.propensity,
        "action_dist": rounds.target[:, :, None],
        "position": np.zeros(rounds.n, dtype=int),  # its tuning fails without
    }
    return words if q is None else words | {"estimated_rewards_by_reg_model": q[:, :, None]}


def values_of(rounds: Made) -> dict[str, float]:
    """Every estimate of `obp` that we have too, by our name for it."""
    plain, modelled, robust = shown(rounds), shown(rounds, rounds.q_hat), shown(rounds, rounds.q_mrdr)
    found = {
        "ips": InverseProbabilityWeighting().estimate_policy_value(**plain),
        "snips": SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**plain),
        "dm": DirectMethod().estimate_policy_value(
            action_dist=modelled["action_dist"],
            estimated_rewards_by_reg_model=modelled["estimated_rewards_by_reg_model"],
        ),
        "dr": DoublyRobust().estimate_policy_value(**modelled),
        "sndr": SelfNormalizedDoublyRobust().estimate_policy_value(**modelled),
        "mrdr": DoublyRobust().estimate_policy_value(**robust),
    }
    for cap in CAPS:
        found[f"clipped_ips({cap:g})"] = InverseProbabilityWeighting(lambda_=cap).estimate_policy_value(
            **plain
        )
        found[f"switch_dr({cap:g})"] = SwitchDoublyRobust(lambda_=cap).estimate_policy_value(**modelled)
    for strength in STRENGTHS[1:]:
        found[f"dros({strength:g})"] = DoublyRobustWithShrinkage(lambda_=strength).estimate_policy_value(
            **modelled
        )
    return found | tuned(rounds)


def tuned(rounds: Made) -> dict[str, float]:
    """Its estimates with the bend that its own SLOPE chooses among our candidates."""
    plain, modelled = shown(rounds), shown(rounds, rounds.q_hat)
    weight = rounds.target[np.arange(rounds.n), rounds.action] / rounds.propensity
    rule = {"tuning_method": "slope", "delta": DELTA}
    caps, strengths = list(caps_for(weight)), list(strengths_for(weight))
    return {
        "clipped_ips": InverseProbabilityWeightingTuning(caps, **rule).estimate_policy_value_with_tuning(
            **plain
        ),
        "switch_dr": SwitchDoublyRobustTuning(caps, **rule).estimate_policy_value_with_tuning(**modelled),
        "dros": DoublyRobustWithShrinkageTuning(strengths, **rule).estimate_policy_value_with_tuning(
            **modelled
        ),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps({name: values_of(made(**case)) for name, case in CASES.items()}, indent=1))
