"""A run passes only if everything holds; one thing wrong fails it."""

from typing import Any

import msgspec
import pytest

from experiments.demonstration.checks import checks_of
from experiments.demonstration.figures import Books
from experiments.demonstration.result import Learned, Repeated, Replayed, Switch, Weights

_BOOKS = Books(
    calls=10,
    posted=8,
    rounds=10,
    probes=2,
    refusals=0,
    rewards=8,
    hits=1,
    without_decision=0,
    without_outcome=0,
    repeated=0,
    unknown=0,
    differing=0,
)
_WEIGHTS = Weights(0.5, 0.5, 0.0, 1)


def _sound_checks() -> dict[str, Any]:
    return {
        "books": _BOOKS,
        "replays": (Replayed(11, 10, 1, 1, 0, 0, 0.1), Replayed(13, 12, 1, 2, 0, 0, 0.1)),
        "learned": Learned("hold", ("not_better",), (), None, None, None, "r"),
        "switches": (Switch("f", _WEIGHTS, "aa", "bb", 0.1), Switch("r", _WEIGHTS, "bb", "aa", 0.1)),
        "repeated": Repeated(cached=True, cost_usd=0.0, similarity=1.0, first_ms=300.0, second_ms=1.0),
        "former": "aa",
        "planned": 10,
        "answered": 9,
        "exits": {"gateway": 0, "providers": 0},
    }


def test_a_sound_run_passes_every_check() -> None:
    assert [check.name for check in checks_of(**_sound_checks()) if not check.passed] == []


_GOOD = Replayed(11, 10, 1, 1, 0, 0, 0.1)
_LAST = Replayed(13, 12, 1, 2, 0, 0, 0.1)
_FORCED, _BACK = _sound_checks()["switches"]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"books": msgspec.structs.replace(_BOOKS, **{name: 1})} for name in _BOOKS.__struct_fields__[7:]),
        {"books": msgspec.structs.replace(_BOOKS, rewards=7)},
        {"books": msgspec.structs.replace(_BOOKS, calls=9)},
        {"replays": (msgspec.structs.replace(_GOOD, mismatched=1), _LAST)},
        {"replays": (msgspec.structs.replace(_GOOD, decisions=9), _LAST)},
        {"replays": (_GOOD, msgspec.structs.replace(_LAST, unverified=1))},
        {"replays": (_GOOD, msgspec.structs.replace(_LAST, decisions=11))},
        {"learned": Learned("none", (), (), None, None, None, "r")},
        {"switches": (msgspec.structs.replace(_FORCED, seconds=None), _BACK)},
        {"switches": (msgspec.structs.replace(_FORCED, snapshot_after="aa"), _BACK)},
        {"switches": (_FORCED, msgspec.structs.replace(_BACK, snapshot_after="cc"))},
        {"switches": (_FORCED, msgspec.structs.replace(_BACK, seconds=None))},
        {"repeated": Repeated(False, 0.0, None, 300.0, 300.0)},
        {"repeated": Repeated(True, 0.001, 1.0, 300.0, 1.0)},
        {"answered": 8},
        {"exits": {"gateway": -9, "providers": 0}},
    ],
)
def test_a_run_with_one_thing_wrong_fails(wrong: dict[str, Any]) -> None:
    failed = [check for check in checks_of(**_sound_checks() | wrong) if not check.passed]
    assert len(failed) == 1
