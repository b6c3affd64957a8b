"""Request ids are UUIDs of version 7: they sort by time, never meet, and key chance with all their bits."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.ids import PREFIX, key_of, request_id

times = st.integers(0, (1 << 48) - 1)
chance = st.integers(0, (1 << 80) - 1)


@given(times, chance)
def test_an_id_is_a_uuid_of_version_7(now_ms, bits):
    made = request_id(now_ms, bits)
    uuid = UUID(made.removeprefix(PREFIX))
    assert uuid.version == 7
    assert uuid.variant == "specified in RFC 4122"
    assert uuid.int >> 80 == now_ms
    assert len(made) == 36


@given(times, times, chance, chance)
def test_ids_sort_by_time(one, two, bits, other):
    if one < two:
        assert request_id(one, bits) < request_id(two, other)


@given(times, st.integers(0, (1 << 74) - 1), st.integers(0, (1 << 74) - 1))
def test_every_one_of_74_random_bits_counts(now_ms, one, two):
    assert (request_id(now_ms, one) == request_id(now_ms, two)) == (one == two)


@given(times, chance)
def test_its_key_is_all_of_it(now_ms, bits):
    made = request_id(now_ms, bits)
    high, low = key_of(made)
    assert f"{PREFIX}{high:016x}{low:016x}" == made


def test_an_id_of_today_is_known():
    made = request_id(1_795_384_000_000, 0)
    assert made == "req_01a20539be0070008000000000000000"
    assert key_of(made) == (0x01A2_0539_BE00_7000, 0x8000_0000_0000_0000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "01a2051be60070008000000000000000",
        "req_01a2",
        "req_" + "0" * 33,
        "req_" + "g" * 32,
        "req_" + "0_" * 16,
        "req_+" + "0" * 31,
        "req_" + "٣" * 32,
    ],
)
def test_what_is_no_id_of_ours_keys_nothing(text):
    with pytest.raises(ValueError, match=r"not a request id|invalid literal"):
        key_of(text)
