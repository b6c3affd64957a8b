"""Urls, and that no message of theirs tells the password."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import ConfigError
from serve.redis.address import Address, read_address


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("localhost")),
        ("redis://10.0.0.1:6380/3", Address("10.0.0.1", 6380, db=3)),
        ("redis://:p%40ss@h/", Address("h", password="p@ss")),
        ("rediss://u:p@[::1]:1/0", Address("::1", 1, tls=True, user="u", password="p")),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        ("unix://u:p@/run/r%20s?db=2", Address(path="/run/r s", db=2, user="u", password="p")),
    ],
)
def test_a_url_says_where_and_as_whom(url: str, address: Address) -> None:
    assert read_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:6379", "http://h", "redis:", "redis://", "redis://:6379", "redis://h:99999", "redis://h:x",
        "redis://h/zero", "redis://h/-1", "redis://h/0/1", "redis://h?db=1", "redis://h#1", "redis://u@h",
        "unix://h/path", "unix://run", "unix:///", "unix:///s?db=x", "unix:///s?ssl=1", "redis://[::1", "redis://h/²",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(ConfigError, match=r"the Redis url cannot be used: .*; expected redis://"):
        read_address(url)


@given(
    st.sampled_from(["redis://", "rediss://", "unix://", "http://", ""]),
    st.sampled_from(["", "user"]),
    st.text(st.sampled_from("/#?@:[]% 7z"), max_size=4),
    st.sampled_from(["host:6379/0", "host", "", "/run/redis.sock", "host:x", "host/x"]),
)
def test_no_message_and_no_name_shows_a_password_however_it_is_written(
    scheme: str, user: str, odd: str, rest: str
) -> None:
    secret = f"hunter{odd}2secret"
    try:
        address = read_address(f"{scheme}{user}:{secret}@{rest}")
    except ConfigError as error:
        said = f"{error!r} {error.__cause__!r}" + (
            "" if error.__suppress_context__ else repr(error.__context__)
        )
    else:
        said = f"{address} {address!r}"
    assert "hunter" not in said
    assert "2secret" not in said
