"""Errors form the tree that their module draws, carry code and status, and name what was probably meant."""

import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402 import errors
from p402.errors import InvalidInput, InvalidMode, ModelNotFound, P402Error, Refusal, RequestError, nearest

CLASSES = {
    name: found
    for name, found in vars(errors).items()
    if inspect.isclass(found) and issubclass(found, Exception) and found.__module__ == errors.__name__
}


def drawn():
    """The tree of the module's docstring: name to (parent, status, code)."""
    tree, path = {}, {0: "P402Error"}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^ {4}([| ]*)\+- (\w+)(?: +(\d{3}) (\w+))?", line)
        if found:
            depth = len(found[1]) // 3 + 1
            path[depth] = found[2]
            tree[found[2]] = (path[depth - 1], found[3], found[4])
    return tree


def test_the_tree_is_as_it_is_drawn():
    tree = drawn()
    assert set(tree) == set(CLASSES) - {"P402Error"}
    for name, (parent, status, code) in tree.items():
        assert CLASSES[name].__base__.__name__ == parent, name
        if status is not None:
            assert (CLASSES[name].status, CLASSES[name].code) == (int(status), code), name


def test_every_error_of_ours_is_caught_at_the_root():
    assert all(issubclass(found, P402Error) for found in CLASSES.values())


@pytest.mark.parametrize("name", sorted(n for n, c in CLASSES.items() if issubclass(c, RequestError)))
def test_a_request_error_says_what_and_where(name):
    error = CLASSES[name]("found 1, expected 2", param="n")
    assert (error.message, error.param, str(error)) == ("found 1, expected 2", "n", "found 1, expected 2")
    assert 400 <= error.status < 500 or name == "RequestError"
    assert CLASSES[name]("x").param is None


def test_a_mode_that_is_none_is_invalid_input_of_its_own_code():
    assert issubclass(InvalidMode, InvalidInput)
    assert (InvalidMode.code, InvalidMode.status) == ("INVALID_MODE", 400)
    assert ModelNotFound.code == "model_not_found"


def test_a_refusal_is_a_value():
    refusal = Refusal("X", 402, "because")
    assert refusal == Refusal("X", 402, "because", None, None)
    assert not isinstance(refusal, Exception)
    with pytest.raises(AttributeError):
        refusal.code = "Y"


def test_the_nearest_names_are_said_and_nothing_where_none_is_near():
    assert nearest("balansed", ["balanced", "cost", "speed"]) == "; did you mean `balanced`?"
    assert nearest("gpt5", ("gpt-5", "gpt-5.4", "claude")) == "; did you mean `gpt-5` or `gpt-5.4`?"
    assert nearest("zzz", ["balanced", "cost"]) == ""
    assert nearest("x", []) == ""


def test_the_nearest_is_found_among_thousands_too():
    known = tuple(f"provider-{k % 60}/model-{k}-large" for k in range(2_000))
    assert "`provider-7/model-1207-large`" in nearest("provider-7/modle-1207-large", known)


@given(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=20))
def test_any_word_gets_a_hint_of_known_words_or_none(word, known):
    hint = nearest(word, known)
    assert (
        hint == ""
        or all(part in known for part in re.findall(r"`([^`]*)`", hint))
        or any("`" in k for k in known)
    )
