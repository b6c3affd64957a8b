"""Urls, and that no message of theirs tells the password."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import ConfigError
from serve.redis.address import Address, ClusterAddress, read_address, read_addresses


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


@pytest.mark.parametrize(
    ("url", "seeds", "text"),
    [
        ("redis+cluster://h", [Address("h")], "redis+cluster://h:6379"),
        (
            "redis+cluster://h1:7000,h2,h1:7000/0",
            [Address("h1", 7000), Address("h2")],
            "redis+cluster://h1:7000,h2:6379",
        ),
        (
            "rediss+cluster://u:p%2C,@[::1]:1,h:2/",
            [
                Address("::1", 1, tls=True, user="u", password="p,,"),
                Address("h", 2, tls=True, user="u", password="p,,"),
            ],
            "rediss+cluster://[::1]:1,h:2",
        ),
    ],
)
def test_a_clusters_url_says_where_some_nodes_are_and_as_whom_all_are_asked(
    url: str, seeds: list[Address], text: str
) -> None:
    address = read_addresses(url)
    assert address == ClusterAddress(tuple(seeds))
    assert str(address) == text
    assert address.node("n", 9) == replace(seeds[0], host="n", port=9)


@given(st.sampled_from(["redis://h", "rediss://:p@h:1/2", "unix:///s", "http://h", "", "redis+other://h"]))
def test_any_other_url_is_read_as_one_redis(url: str) -> None:
    def outcome(read: Callable[[str], object]) -> object:
        try:
            return read(url)
        except ConfigError as error:
            return str(error)

    assert outcome(read_addresses) == outcome(read_address)


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://", "redis+cluster:", "redis+cluster://h/1", "redis+cluster://h1,,h2", "redis+cluster://h,",
        "redis+cluster://h:x,h", "redis+cluster://h?db=0", "redis+cluster://h#1", "redis+cluster://u@h,h2",
        "redis+cluster:///s", "redis+cluster://u:p@h1,u:p@h2",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_cluster_is_refused_with_what_is_expected(url: str) -> None:
    with pytest.raises(
        ConfigError, match=r"the Redis url cannot be used: .*; expected redis://.*redis\+cluster"
    ):
        read_addresses(url)


@given(
    st.sampled_from(
        [
            "redis://",
            "rediss://",
            "unix://",
            "http://",
            "",
            "redis+cluster://",
            "rediss+cluster://",
            "cluster://",
        ]
    ),
    st.sampled_from(["", "user"]),
    st.text(st.sampled_from("/#?@:[]% 7z,"), max_size=4),
    st.sampled_from(
        ["host:6379/0", "h1:1,h2:2", "h1,h2/0", "host", "", "/run/redis.sock", "host:x", "host/x"]
    ),
)
def test_no_message_and_no_name_shows_a_password_however_it_is_written(
    scheme: str, user: str, odd: str, rest: str
) -> None:
    secret = f"hunter{odd}2secret"
    try:
        address = read_addresses(f"{scheme}{user}:{secret}@{rest}")
    except ConfigError as error:
        said = f"{error!r} {error.__cause__!r}" + (
            "" if error.__suppress_context__ else repr(error.__context__)
        )
    else:
        said = f"{address} {address!r}"
    assert "hunter" not in said
    assert "2secret" not in said
