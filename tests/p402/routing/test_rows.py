"""A request becomes a batch one way only, and a logged row becomes the same batch again."""

import msgspec
import numpy as np
import pytest
from asked import an_id, rows
from hypothesis import given
from hypothesis import strategies as st
from worlds import a_snapshot

from p402.errors import InvalidInput
from p402.events import AnyEvent, Decision, RowInputs
from p402.routing.batch import COLUMNS
from p402.routing.compiled import MAX_TOKENS
from p402.routing.decide import decide
from p402.routing.features import FEATURES
from p402.routing.live import LiveState
from p402.routing.rows import MAX_CEILING_PICO, to_batch
from p402.routing.scale import FEATURE_ONE

SNAPSHOT = a_snapshot(24)
ARMS = SNAPSHOT.spec.arms
LIVE = (LiveState.at_start(SNAPSHOT.n_arms),)


def batch_of(inputs, first=0):
    ids = [an_id(first + k) for k in range(len(inputs))]
    return to_batch(SNAPSHOT, ids, inputs, LIVE, [0] * len(inputs))


def columns(batch):
    return {name: getattr(batch, name) for name in COLUMNS if getattr(batch, name) is not None}


@given(rows(SNAPSHOT))
def test_row_inputs_survive_the_log(row):
    event = Decision(
        ts_ms=1, id=an_id(0), tenant="t", session="s", worker="w", snapshot="x", live_seq=0, inputs=row,
        arm=None, count=0, n_eligible=0, n_explored=0, task="chat", baseline=None,
    )  # fmt: skip
    read = msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent)
    assert read == event
    written, again = columns(batch_of([row])), columns(batch_of([read.inputs]))
    assert written.keys() == again.keys()
    for name, column in written.items():
        assert np.array_equal(column, again[name]), name


@given(st.lists(rows(SNAPSHOT), min_size=2, max_size=8))
def test_a_row_decides_the_same_alone_and_in_company(inputs):
    together = decide(SNAPSHOT, batch_of(inputs))
    for k, row in enumerate(inputs):
        alone = decide(SNAPSHOT, batch_of([row], first=k))
        for name in ("arm", "count", "incumbent", "n_eligible", "n_explored"):
            assert getattr(alone, name).item() == getattr(together, name)[k], name


PLAIN = RowInputs(
    mode="balanced",
    features=[FEATURE_ONE, *[0] * (len(FEATURES) - 1)],
    task=0,
    prompt_tokens=10,
    prompt_bound=20,
    expected_output=100,
    ceiling_pico=50 * 10**12,
)


def with_(**changes):
    return msgspec.structs.replace(PLAIN, **changes)


def test_a_plain_row_carries_no_rare_columns_and_a_short_line():
    batch = batch_of([PLAIN])
    rare = (
        "weights",
        "budget_price",
        "previous_arm",
        "warm_tokens",
        "excluded",
        "preferred",
        "model",
        "family",
        "tried",
    )
    assert all(getattr(batch, name) is None for name in rare)
    assert len(msgspec.json.encode(PLAIN)) < 220


def test_an_excluded_or_preferred_provider_that_nobody_has_is_passed_over():
    strange = with_(exclude_providers=["nobody"], prefer_providers=["nobody"], tried=["gone/away"])
    plain, odd = decide(SNAPSHOT, batch_of([PLAIN])), decide(SNAPSHOT, batch_of([strange]))
    assert plain.arm.item() == odd.arm.item()
    assert plain.count.item() == odd.count.item()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": "defualt"}, "tenant policy 'defualt' is not in the snapshot; did you mean `default`"),
        ({"model": "model-99"}, "model 'model-99' is not in the snapshot"),
        ({"family": "famly-1"}, "did you mean `family-1`"),
        ({"prompt_bound": MAX_TOKENS + 1}, "decisions are exact"),
        ({"prompt_tokens": -1}, "decisions are exact"),
        ({"max_output": MAX_TOKENS, "n": 2}, "max_output of all choices"),
        ({"expected_output": MAX_TOKENS, "n": 2}, "output tokens of all choices"),
        ({"mode": "cheap"}, "mode 'cheap' is not in the snapshot"),
        ({"task": 99}, "task: found 99; snapshot"),
        ({"variant": -1}, "variant: found -1; snapshot"),
        ({"needs": 1 << 20}, "needs: found 1048576; snapshot"),
        ({"n": 0}, "n: found 0; expected 1 or more"),
        ({"budget_price": 1 << 60}, "budget_price: found 1152921504606846976; decisions are exact"),
        ({"warm_tokens": -1}, "warm_tokens: found -1; decisions are exact"),
        (
            {"mode": "custom", "weights": [1 << 40, 0, 0]},
            "weights: found [1099511627776, 0, 0]; expected quality",
        ),
        ({"features": [FEATURE_ONE]}, "1 features; snapshot"),
        ({"features": [5 * FEATURE_ONE, *[0] * (len(FEATURES) - 1)]}, "features"),
    ],
)
def test_what_would_change_the_choice_or_its_exactness_is_refused(changes, said):
    with pytest.raises(InvalidInput) as raised:
        batch_of([with_(**changes)])
    assert said in raised.value.message


def test_a_ceiling_beyond_exact_arithmetic_is_lowered_to_it():
    batch = batch_of([with_(ceiling_pico=10**18)])
    assert batch.ceiling_pico.item() == MAX_CEILING_PICO == 1 << 52


def test_an_id_that_is_none_of_ours_keys_no_draw():
    with pytest.raises(ValueError, match="not a request id"):
        to_batch(SNAPSHOT, ["req_1"], [PLAIN], LIVE, [0])
