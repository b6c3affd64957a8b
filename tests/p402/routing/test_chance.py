"""Chance keyed by request: the right generator, the same draws in any company, nothing else in them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import words

from p402.routing.chance import block, draw24

WORD = st.integers(0, 2**32 - 1)
LONG = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_blocks_are_the_known_answers_of_random123(counter, key, answer):
    assert " ".join(f"{word:08x}" for word in words(counter, key)) == answer
    assert f"{made(counter, key):032x}" == "".join(reversed(answer.split()))


def made(counter, key):
    return block(sum(word << 32 * place for place, word in enumerate(counter)), key)


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
def test_a_block_made_in_pairs_is_the_block_made_word_by_word(counter, key):
    assert made(counter, key) == sum(w << 32 * place for place, w in enumerate(words(counter, key)))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(LONG, LONG), min_size=1, max_size=40), LONG, WORD)
def test_a_draw_is_the_top_of_the_first_word_in_a_batch_of_any_size(ids, salt, stream):
    drawn = draw24(np.array(ids, np.uint64), salt, stream)
    low = 2**32 - 1
    for (high, below), value in zip(ids, drawn.tolist(), strict=True):
        counter = (below & low, below >> 32, high & low, high >> 32)
        assert value == words(counter, (salt & low, (salt >> 32) ^ stream))[0] >> 8
    assert drawn.tolist() == [draw24(np.array([i], np.uint64), salt, stream).item() for i in ids]


def test_draws_are_uniform_below_two_to_the_24():
    n = 200_000
    keys = np.stack([np.full(n, 7, np.uint64), np.arange(n, dtype=np.uint64)], 1)
    drawn = draw24(keys, 0x5EED)
    assert drawn.min() >= 0
    assert drawn.max() < 2**24
    seen = np.bincount(drawn >> 16, minlength=256)
    assert np.sum((seen - n / 256) ** 2 / (n / 256)) < 350  # 255 degrees of freedom: 1 in 30,000


@pytest.mark.parametrize("changed", ["high", "low", "salt", "stream"])
def test_every_half_of_the_id_the_salt_and_the_stream_move_the_draw(changed):
    base = {"high": 11, "low": 12, "salt": 13, "stream": 0}

    def draws(**given):
        key = np.array([[given["high"], given["low"]]], np.uint64)
        return draw24(key, given["salt"], given["stream"]).item()

    for bit in (0, 31) if changed == "stream" else (0, 31, 32, 63):
        assert draws(**base) != draws(**(base | {changed: base[changed] ^ (1 << bit)}))


def test_streams_of_one_request_are_independent():
    n = 50_000
    keys = np.stack([np.arange(n, dtype=np.uint64), np.arange(n, dtype=np.uint64)], 1)
    one, two = (draw24(keys, 1, stream) / 2**24 for stream in (0, 1))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
