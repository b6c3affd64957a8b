"""The parser gives the same events however the bytes were cut, and holds a bounded number of them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from serve.upstream.sse import Event, SseParser

PIECES = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b"event: error",
        b": ping",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b'{"a":1}',
        "né€😀".encode(),
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"[DONE]",
        b"id: 7",
        b" ",
        b"x" * 40,
    ]
)
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(ends)]


def parse(chunks: list[bytes], max_event: int = 1 << 20) -> tuple[list[Event], int]:
    parser = SseParser(max_event)
    return [event for chunk in chunks for event in parser.feed(chunk)], parser.dropped


def oracle(data: bytes) -> list[tuple[bytes, bytes]]:
    """The standard's algorithm, line by line, on the whole input."""
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    events, fields, kind = [], [], b"message"
    for line in lines:
        if not line:
            if fields:
                events.append((kind, b"\n".join(fields)))
            fields, kind = [], b"message"
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            fields.append(value)
        elif name == b"event":
            kind = value or b"message"
    return events


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=30))
def test_any_cut_gives_the_events_of_the_standard(data: bytes, cuts: list[int]) -> None:
    events, dropped = parse(cut(data, cuts))
    assert [(e.kind, e.data) for e in events] == oracle(data)
    assert dropped == 0


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=30))
def test_a_cap_drops_the_same_events_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    whole = parse([data], max_event=30)
    assert parse(cut(data, cuts), max_event=30) == whole
    assert parse([data[i : i + 1] for i in range(len(data))], max_event=30) == whole


@given(STREAMS)
def test_what_is_handed_on_parses_to_the_same_events(data: bytes) -> None:
    events, _ = parse([data])
    again, _ = parse([b"".join(e.wire for e in events)])
    assert [e.data for e in again] == [e.data for e in events]


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_garbage_never_raises(data: bytes, cuts: list[int]) -> None:
    parse(cut(data, cuts))


def test_an_endless_line_is_bounded_in_memory() -> None:
    parser = SseParser(max_event=1_000)
    for _ in range(200):
        parser.feed(b"x" * 1_000)
    assert len(parser._buffer) <= 2_001
    assert parser.dropped == 1
    assert [e.data for e in parser.feed(b"\n\ndata: ok\n\n")] == [b"ok"]


COMMON = st.sampled_from([b'data: {"a":1}\n\n', b"data: [DONE]\n\n", b"data: \n\n", "data: né€\n\n".encode()])
ODD = st.sampled_from(
    [
        b"data:{}\n\n",
        b"data: a\ndata: b\n\n",
        b": ping\n\n",
        b"data: a\r\n\r\n",
        b"data: a\r\r",
        b"data: a\rb\n\n",
        b"\n",
        b"\r",
        b"data: " + b"x" * 40 + b"\n\n",
        b"\xef\xbb\xbfdata: a\n\n",
        b"data: ",
    ]
)


@given(st.lists(st.lists(COMMON | COMMON | ODD, min_size=1, max_size=4).map(b"".join), max_size=12))
def test_events_that_come_whole_are_those_that_come_byte_by_byte(chunks: list[bytes]) -> None:
    data = b"".join(chunks)
    for most in (30, 1 << 20):
        assert parse(chunks, most) == parse([data[i : i + 1] for i in range(len(data))], most)
    events, _ = parse(chunks)
    assert [(e.kind, e.data) for e in events] == oracle(data)


def test_a_mark_in_the_middle_of_a_stream_is_no_byte_order_mark() -> None:
    events, _ = parse([b"data: a\n\n", b"\xef\xbb\xbfdata: b\n\n"])
    assert [e.data for e in events] == [b"a"]


def test_the_common_form_is_handed_on_byte_for_byte() -> None:
    wire = b'data: {"choices":[]}\n\n'
    (event,) = SseParser().feed(wire)
    assert event.wire == wire
