"""Probabilities that `vowpalwabbit`'s SquareCB gives arms of known cost; prints JSON.

Runs in `.venv/peers`; `python -m tests.peers.vw_squarecb > tests/golden/peers/squarecb.json` freezes them.
Its regressor is told each arm's cost until it knows it to float32, so what is compared is the rule.
"""

import json

import vowpalwabbit

CASES = {
    "four": ([0.8125, 0.5, 0.1875, 0.875], 12.0),
    "close": ([0.5, 0.515625, 0.53125], 64.0),
    "tied": ([0.25, 0.25, 0.75], 8.0),
    "many": ([i / 16 for i in range(10)], 36.0),
}
"""Costs of the arms, and gamma; all are short binary fractions."""


def probabilities(costs: list[float], gamma: float) -> list[float]:
    workspace = vowpalwabbit.Workspace(
        f"--cb_explore_adf --squarecb --gamma_scale {gamma} --gamma_exponent 0 --noconstant --quiet"
    )
    arms, share = range(len(costs)), 1.0 / len(costs)
    for step in range(500 * len(costs)):
        taken = step % len(costs)
        workspace.learn([(f"0:{costs[a]}:{share} " if a == taken else "") + f"| arm{a}" for a in arms])
    found = workspace.predict([f"| arm{a}" for a in arms])
    workspace.finish()
    return found


if __name__ == "__main__":
    print(
        json.dumps(
            {
                name: {"costs": costs, "gamma": gamma, "probabilities": probabilities(costs, gamma)}
                for name, (costs, gamma) in CASES.items()
            },
            indent=1,
        )
    )
