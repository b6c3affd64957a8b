"""Keys of many ids are those of each."""

import numpy as np
from asked import an_id
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.ids import key_of
from p402.routing.keys import ID_BYTES, keys_of

HEX = st.text("0123456789abcdefABCDEF", min_size=32, max_size=32).map(lambda digits: "req_" + digits)
ANY = st.text([chr(c) for c in range(128)], min_size=ID_BYTES, max_size=ID_BYTES)


def bytes_of(ids):
    return np.frombuffer("".join(ids).encode(), np.uint8).reshape(-1, ID_BYTES)


@settings(deadline=None)
@given(st.lists(st.one_of(st.integers(0, 99).map(an_id), HEX, ANY)))
def test_keys_of_many_ids_are_those_of_each_and_others_are_told(ids):
    key, ours = keys_of(bytes_of(ids))
    assert key.shape == (len(ids), 2)
    for k, text in enumerate(ids):
        try:
            one = key_of(text)
        except ValueError:
            assert not ours[k]
        else:
            assert ours[k]
            assert key[k].tolist() == list(one)


def test_a_prefix_of_another_kind_is_no_id_of_ours():
    assert keys_of(bytes_of(["run_" + "0" * 32]))[1].tolist() == [False]
