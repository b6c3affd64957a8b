"""What a header names: one tenant's key, and nothing that is not printable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput
from serve.idempotency.key import key_of


def scope(header: bytes, tenant: str = "t") -> bytes:
    return key_of(header, tenant, "/v1", b"").scope


@given(st.binary(max_size=300))
def test_a_key_is_1_to_255_characters_of_printable_ascii(header):
    if 1 <= len(header) <= 255 and header.decode("latin-1").isascii() and header.decode().isprintable():
        assert scope(header) == scope(header)
    else:
        with pytest.raises(InvalidInput, match="Idempotency-Key") as wrong:
            scope(header)
        assert wrong.value.param == "Idempotency-Key"


@given(*[st.tuples(st.text(max_size=4), st.text("ab:1", min_size=1, max_size=4)) for _ in range(2)])
def test_two_tenants_never_meet_under_one_key(one, other):
    same = scope(one[1].encode(), one[0]) == scope(other[1].encode(), other[0])
    assert same == (one == other)


def test_the_fingerprint_is_of_path_and_body():
    def fingerprint(path: str, body: bytes) -> bytes:
        return key_of(b"k", "t", path, body).fingerprint()

    assert fingerprint("/v1/x", b"{}") == fingerprint("/v1/x", b"{}")
    assert len({fingerprint("/v1/x", b"{}"), fingerprint("/v1/y", b"{}"), fingerprint("/v1/x", b"{ }")}) == 3


def test_the_key_itself_is_not_kept():
    assert b"my-secret-order" not in scope(b"my-secret-order")
