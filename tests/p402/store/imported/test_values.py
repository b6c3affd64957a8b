"""Fields of others' logs are read exactly, or refused."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p402.store.imported.values import (
    Unreadable,
    instant,
    nano,
    number,
    span_ms,
    table,
    text,
    unpacked,
    whole,
)

nanos = st.integers(0, 10**15)


@settings(deadline=None)
@given(nanos, st.booleans())
def test_an_amount_in_usd_is_the_same_amount_in_nano_usd(amount, plain):
    written = Decimal(amount).scaleb(-9)
    assert nano(f"{written:f}" if plain else str(written), "spend") == amount


@pytest.mark.parametrize(("said", "expected"), [
    ("0.0000125", 12_500), (Decimal("1.2345e-05"), 12_345), ("1e-10", 0), (" 0.5 ", 500_000_000),
    (3, 3_000_000_000), ("0.0000000015", 2), (None, None), ("", None),
])  # fmt: skip
def test_money_is_read_as_it_is_written(said, expected):
    assert nano(said, "spend") == expected


@pytest.mark.parametrize("said", ["NaN", "Infinity", "-0.1", "1e9", "a lot", True, [1]])
def test_what_is_no_bill_is_refused_by_its_field(said):
    with pytest.raises(Unreadable, match=r"^spend: found .*, expected"):
        nano(said, "spend")


@pytest.mark.parametrize("said", ["1.5", -1, "1e13", Decimal("0.1"), False])
def test_tokens_are_whole(said):
    with pytest.raises(Unreadable, match="prompt_tokens"):
        whole(said, "prompt_tokens")


def test_a_whole_number_may_be_written_as_a_decimal():
    assert (whole("12.0", "x"), whole(Decimal("3E+2"), "x"), whole("", "x")) == (12, 300, None)


@settings(deadline=None)
@given(st.integers(0, 250_000_000_000_000), st.sampled_from([0, 330, -480]))
def test_a_time_is_the_same_instant_in_every_form(ms, minutes):
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    there = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert instant(there.isoformat(), "t") == ms
    assert instant(at.replace(tzinfo=None).isoformat(sep=" "), "t") == ms
    if ms >= 10**11:
        assert instant(ms, "t") == ms
    if ms // 1000 < 10**11:
        assert instant(Decimal(ms) / 1000, "t") == ms


@pytest.mark.parametrize("said", ["yesterday", "1969-12-31T23:59:59Z", -5, True])
def test_what_is_no_time_is_refused(said):
    with pytest.raises(Unreadable, match="startTime"):
        instant(said, "startTime")


def test_an_error_shows_no_more_than_a_little_of_what_was_found():
    with pytest.raises(Unreadable) as caught:
        number("a secret prompt " * 50, "spend")
    assert len(str(caught.value)) < 100


def test_objects_within_text_are_read_and_what_is_none_is_left():
    assert table('{"a": 0.1}') == {"a": Decimal("0.1")}
    assert (table("{"), table(None), table("[1]")) == ({}, {}, {})
    assert (unpacked("[1"), unpacked("plain"), unpacked(3)) == ("[1", "plain", 3)


def test_a_span_that_runs_backwards_is_unknown():
    assert (span_ms(5, 7), span_ms(7, 5), span_ms(None, 5)) == (2.0, None, None)


def test_texts_are_stripped_and_empty_ones_are_none():
    assert (text("  a "), text(" "), text(7), text(True), text({"a": 1})) == ("a", None, "7", None, None)


@pytest.mark.parametrize("said", ["1764101511234", " 1764101511234 ", 1764101511234])
def test_milliseconds_whose_digits_look_like_a_date_are_milliseconds(said):
    assert instant(said, "startTime") == 1764101511234  # as ISO 8601 it is 15 October 1764, 23:41


@given(st.integers(10**9, 2 * 10**12))
def test_a_bare_number_is_the_same_moment_as_text(at):
    assert instant(str(at), "ts") == instant(at, "ts")


@pytest.mark.parametrize("said", ["1e999999999", Decimal("1e999999999"), "-1e999999999", "1e19"])
@pytest.mark.parametrize("read", [instant, number, nano, whole])
def test_a_number_that_no_arithmetic_comes_to_an_end_with_is_refused(read, said):
    with pytest.raises(Unreadable, match="found"):
        read(said, "x")


@pytest.mark.parametrize("said", ["1_0", "\uff11"])
def test_only_plain_digits_are_money(said):
    with pytest.raises(Unreadable, match="plain digits"):
        nano(said, "spend")


def test_text_that_nests_too_deep_to_be_read_stays_text():
    assert unpacked("[" * 100_000) == "[" * 100_000
