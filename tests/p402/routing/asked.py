"""Row inputs as callers and the flow may bring them, plain, rich or at fault, for one snapshot."""

from hypothesis import strategies as st

from p402.events import RowInputs
from p402.ids import request_id
from p402.routing.compiled import MAX_FEATURE, MAX_TOKENS
from p402.routing.rows import MAX_BUDGET_PRICE
from p402.routing.scale import FEATURE_ONE, PARAM_ONE
from p402.routing.spec import MODES


def an_id(k):
    return request_id(1_800_000_000_000 + k, (k * 0x9E37_79B9_7F4A_7C15_F39D) & ((1 << 80) - 1))


@st.composite
def rows(draw, snapshot):
    """Inputs that can be decided; some names are of arms and providers that the snapshot does not have."""
    arms = st.sampled_from([*snapshot.spec.arms.arm, "gone/away"])
    providers = st.sampled_from([*snapshot.providers, "nobody"])
    width = len(snapshot.theta)
    mode = draw(st.sampled_from([*MODES, "custom"]))
    cut = sorted(draw(st.tuples(st.integers(0, PARAM_ONE), st.integers(0, PARAM_ONE))))
    prompt = draw(st.integers(1, 100_000))
    return RowInputs(
        mode=mode,
        features=draw(st.lists(st.integers(0, FEATURE_ONE), min_size=width, max_size=width)),
        task=draw(st.integers(0, len(snapshot.tasks) - 1)),
        prompt_tokens=prompt,
        prompt_bound=2 * prompt,
        expected_output=draw(st.integers(1, 2_000)),
        max_output=draw(st.none() | st.integers(1, 4_000)),
        n=draw(st.integers(1, 4)),
        needs=draw(st.integers(0, 127)),
        ceiling_pico=draw(st.sampled_from([0, 10**9, 50 * 10**12, 10**18])),
        weights=[cut[0], cut[1] - cut[0], PARAM_ONE - cut[1]] if mode == "custom" else None,
        budget_price=draw(st.sampled_from([0, 0, PARAM_ONE // 10])),
        previous_arm=draw(st.none() | arms),
        warm_tokens=draw(st.integers(0, prompt)),
        variant=draw(st.integers(0, 1)),
        explore=draw(st.booleans()),
        policy=draw(st.sampled_from(["default", "strict"])),
        exclude_providers=draw(st.lists(providers, max_size=3)),
        prefer_providers=draw(st.lists(providers, max_size=6)),
        model=draw(st.none() | st.sampled_from(list(snapshot.models))),
        family=draw(st.none() | st.sampled_from(list(snapshot.families))),
        tried=draw(st.lists(arms, max_size=3)),
        probed=draw(st.lists(providers, max_size=3)),
    )


PLAIN = {
    "needs": 0,
    "budget_price": 0,
    "previous_arm": None,
    "exclude_providers": [],
    "prefer_providers": [],
    "model": None,
    "family": None,
    "tried": [],
    "probed": [],
    "ceiling_pico": 50 * 10**12,
}
"""Changes that leave a row nothing rare."""

FAULTS = (
    {"policy": "defualt"},
    {"mode": "cheap"},
    {"model": "model-none"},
    {"family": "famly-1"},
    {"prompt_bound": MAX_TOKENS + 1},
    {"prompt_bound": -1},
    {"prompt_tokens": MAX_TOKENS + 1},
    {"expected_output": MAX_TOKENS + 1},
    {"max_output": MAX_TOKENS + 1},
    {"ceiling_pico": -1},
    {"budget_price": -1},
    {"budget_price": MAX_BUDGET_PRICE + 1},
    {"warm_tokens": -1},
    {"warm_tokens": MAX_TOKENS + 1},
    {"weights": [PARAM_ONE, PARAM_ONE, 1]},
    {"weights": [PARAM_ONE, -1, 0]},
    {"weights": [PARAM_ONE]},
    {"n": 0},
    {"n": -1},
    {"task": 99},
    {"task": -1},
    {"variant": 7},
    {"needs": 1 << 20},
    {"needs": -1},
    {"features": []},
    {"features": [MAX_FEATURE + 1] * 15},
    {"features": [0] * 14 + [-MAX_FEATURE - 1]},
)
"""Changes for which a row must be refused."""

EDGES = (
    {"prompt_tokens": 0, "prompt_bound": 0, "expected_output": 0},
    {"prompt_bound": MAX_TOKENS, "prompt_tokens": MAX_TOKENS, "n": 1},
    {"expected_output": MAX_TOKENS, "n": 1, "max_output": None},
    {"max_output": 0},
    {"features": [-MAX_FEATURE] * 15},
    {"mode": "custom", "weights": None},
    {"previous_arm": "", "model": "", "family": ""},
    {"weights": [1, 2, 3]},
    {"ceiling_pico": (1 << 52) + 1},
    {"budget_price": MAX_BUDGET_PRICE},
    {"mode": "custom", "weights": [PARAM_ONE, PARAM_ONE, 0]},
)
"""Changes at the edge of what is decided."""
