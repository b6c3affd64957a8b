"""Frames of AWS' event stream: whole, however they were cut, or not at all."""

import struct
from binascii import crc32
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.upstream.aws.frames import AwsFrames
from tests.serve.upstream.dialects.conformance.bedrock_speaker import event, fault, frame

STREAM = [event("messageStart", role="assistant"), event("contentBlockDelta", delta={"text": "é" * 50}),
          fault("throttlingException", "slow"), event("metadata")]  # fmt: skip


def read(*chunks: bytes, **limits: int) -> tuple[list[tuple[bytes, bytes]], int]:
    frames = AwsFrames(**limits)
    found = [(e.kind, e.data) for chunk in chunks for e in frames.feed(chunk)]
    return found, frames.dropped


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted({i % (len(data) + 1) for i in at}), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def test_kinds_are_those_of_the_headers() -> None:
    found, dropped = read(*STREAM)
    assert [kind for kind, _ in found] == [
        b"messageStart",
        b"contentBlockDelta",
        b"!throttlingException",
        b"metadata",
    ]
    assert dropped == 0
    said = frame(b"", message_type="error", error_code="InternalError", error_message='a "b"')
    assert read(said)[0] == [(b"!InternalError", b'{"message":"a \\"b\\""}')]


@given(st.lists(st.integers(0, 1 << 16), max_size=30))
def test_any_cutting_gives_the_same_frames(at: list[int]) -> None:
    whole = b"".join(STREAM)
    assert read(*cut(whole, at)) == read(whole)


@given(
    st.integers(0, len(b"".join(STREAM)) - 1),
    st.integers(1, 255),
    st.lists(st.integers(0, 1 << 16), max_size=9),
)
def test_a_changed_byte_is_never_read_as_another_frame(at: int, change: int, cuts: list[int]) -> None:
    whole = bytearray(b"".join(STREAM))
    whole[at] ^= change
    good, _ = read(*STREAM)
    found, _ = read(*cut(bytes(whole), cuts))
    assert found == good[: len(found)], "what comes before it stays, what comes after it is not read"
    ends = [sum(map(len, STREAM[: i + 1])) for i in range(len(STREAM))]
    assert len(found) <= sum(end <= at for end in ends)


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_any_bytes_are_read_without_an_error(data: bytes, at: list[int]) -> None:
    read(*cut(data, at))
    read(STREAM[0], *cut(data, at))


@pytest.mark.parametrize("total", [0, 1, 12, 15, 1 << 31])
def test_a_length_that_cannot_be_is_no_frame(total: int) -> None:
    lengths = struct.pack("!II", total, 0)
    head = lengths + struct.pack("!I", crc32(lengths))
    found, dropped = read(head + b"\x00" * 64)
    assert (found, dropped) == ([], 1)


def test_a_frame_that_is_too_large_ends_the_stream_however_it_comes() -> None:
    large = event("contentBlockDelta", delta={"text": "x" * 2_000})
    for chunks in ([large], cut(large, list(range(0, 3_000, 100)))):
        assert read(STREAM[0], *chunks, STREAM[0], max_event=1_000) == (read(STREAM[0])[0], 1)


def test_nothing_is_read_after_what_is_no_frame() -> None:
    broken = bytearray(STREAM[1])
    broken[-1] ^= 1
    assert read(STREAM[0], bytes(broken), STREAM[3]) == (read(STREAM[0])[0], 1)
