"""Strategies are made from their names, and a name of nothing says what was expected."""

import sys
import textwrap

import pytest

from p402.routing.decide import decide_one
from sim.strategies.named import NAMES, POLICIES, named
from sim.strategies.own import UnknownPolicy, load


@pytest.mark.parametrize("text", ["p402", "static", *POLICIES, "cost", "speed", "weights:quality=1,cost=3"])
def test_every_name_makes_a_fresh_strategy_of_its_name(text):
    make = named(text)
    one, other = make(), make()
    assert one is not other
    assert one.name == text


def test_only_ours_decides_by_the_real_decide():
    assert named("p402")().decide is decide_one
    assert named("linucb")().decide is not decide_one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lin-ucb", "did you mean `linucb`"),
        ("statik", "did you mean `static`"),
        ("", "unknown policy ''"),
        ("weights:qualty=1", "did you mean `quality`"),
        ("weights:quality=-1,cost=2", "0 or more"),
        ("weights:quality=1,quality=2", "quality twice"),
        ("weights:quality=x", "found quality='x'"),
        (":Class", "expected mymodule:MyPolicy"),
        ("module:", "expected mymodule:MyPolicy"),
        ("no_such_module_of_mine:Policy", "cannot import 'no_such_module_of_mine': ModuleNotFoundError"),
        ("math:Policy", "math has no 'Policy'"),
        ("json:JSONDecodr", "did you mean `JSONDecoder`"),
        ("json:JSONDecoder", "JSONDecoder has no method probabilities"),
        ("fractions:gcd", "fractions has no|raised"),
    ],
)
def test_a_name_of_nothing_says_what_was_expected(text, said):
    with pytest.raises(UnknownPolicy, match=said):
        named(text)


def test_the_message_names_every_strategy():
    with pytest.raises(UnknownPolicy) as caught:
        named("nobody-of-that-name")
    assert all(name in str(caught.value) for name in NAMES)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module where the user stands."""
    monkeypatch.chdir(tmp_path)

    def write(name, text):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))

    yield write
    for path in tmp_path.glob("*.py"):
        sys.modules.pop(path.stem, None)


def test_a_policy_of_ones_own_is_found_where_one_stands(module):
    module(
        "my_policy_of_402",
        """
        import numpy as np

        class Mine:
            def probabilities(self, contexts):
                p = contexts.eligible.astype(float)
                return p / p.sum(axis=1, keepdims=True)
        """,
    )
    path = list(sys.path)
    strategy = named("my_policy_of_402:Mine")()
    assert strategy.name == "my_policy_of_402:Mine"
    assert sys.path == path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def (", "SyntaxError"),
        ("class Mine:\n    def __init__(self, alpha): ...", r"Mine\(\) raised TypeError"),
        ("class Mine:\n    probabilities = 3", "no method probabilities"),
        ("Mine = 3", "raised TypeError"),
    ],
)
def test_what_is_wrong_with_a_policy_of_ones_own_is_said(module, text, said):
    module("my_broken_policy_of_402", text)
    with pytest.raises(UnknownPolicy, match=said):
        load("my_broken_policy_of_402:Mine")
