"""Tool calls in a stream: whatever a provider numbers, each call is put together by its id."""

from hypothesis import given
from hypothesis import strategies as st

from serve.upstream.dialects.openai_tools import ToolCalls


def piece(index: int | None, made: str | None = None, name: str | None = None, more: str = "") -> dict:
    function = {"arguments": more, **({} if name is None else {"name": name})}
    fields: dict = {"function": function}
    if index is not None:
        fields["index"] = index
    if made is not None:
        fields["id"] = made
    return fields


def put_together(deltas: list[list[dict]]) -> dict[int, str]:
    """Arguments by index, as a client adds them up."""
    calls, whole = ToolCalls(None), {}
    for pieces in deltas:
        calls.mend(0, {"delta": {"tool_calls": pieces}})
        for found in pieces:
            index = found["index"]
            whole[index] = whole.get(index, "") + found["function"]["arguments"]
    return whole


def test_pieces_without_an_index_are_those_of_the_call_before_them() -> None:
    assert put_together(
        [
            [piece(None, "a", "f", "{")],
            [piece(None, more="}")],
            [piece(None, "b", "g", "[")],
            [piece(None, more="]")],
        ]
    ) == {0: "{}", 1: "[]"}


def test_two_calls_on_one_index_are_two() -> None:
    assert put_together([[piece(0, "a", "f", "{}"), piece(0, "b", "g", "[]")]]) == {0: "{}", 1: "[]"}
    assert put_together(
        [[piece(0, "a", "f", "{")], [piece(0, more="}")], [piece(0, "b", "g", "[")], [piece(0, more="]")]]
    ) == {0: "{}", 1: "[]"}


def test_an_id_that_is_said_with_every_piece_is_one_call() -> None:
    assert put_together(
        [[piece(0, "a", "f", "{")], [piece(0, "a", more="}")], [piece(1, "b", "g", "1")]]
    ) == {
        0: "{}",
        1: "1",
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.text("xyz", max_size=2)), max_size=12), st.data())
def test_what_is_right_is_not_touched(said: list[tuple[int, str]], data: st.DataObject) -> None:
    calls, begun = ToolCalls(None), set()
    for index, more in said:
        first = index not in begun
        begun.add(index)
        made = f"call_{index}" if first or data.draw(st.booleans()) else None
        found = piece(index, made, "f" if first else None, more)
        choice = {"delta": {"tool_calls": [found]}, "finish_reason": None}
        assert not calls.mend(0, choice)
        assert found["index"] == index


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.text("xyz", max_size=2)), max_size=12), st.data())
def test_calls_whose_pieces_all_carry_their_id_are_never_mixed(said: list, data: st.DataObject) -> None:
    deltas, true = [], {}
    for made, more in said:
        true[made] = true.get(made, "") + more
        deltas.append([piece(data.draw(st.none() | st.integers(0, 2)), made, "f", more)])
    assert sorted(put_together(deltas).values()) == sorted(true.values())


def test_a_stop_after_calls_is_said_as_tool_calls_and_no_other_word_is_changed() -> None:
    calls = ToolCalls("auto")
    assert not calls.mend(0, {"delta": {"content": "x"}, "finish_reason": "stop"})
    calls.mend(0, {"delta": {"tool_calls": [piece(0, "a", "f")]}})
    for finish, meant in (("stop", "tool_calls"), ("length", "length"), ("tool_calls", "tool_calls")):
        choice = {"delta": {}, "finish_reason": finish}
        assert calls.mend(0, choice) == (finish == "stop")
        assert choice["finish_reason"] == meant
    assert not calls.mend(1, {"delta": {}, "finish_reason": "stop"}), "another choice called nothing"


def test_a_function_that_the_client_demanded_ends_with_stop_as_openais_own_does() -> None:
    calls = ToolCalls({"type": "function", "function": {"name": "f"}})
    calls.mend(0, {"delta": {"tool_calls": [piece(0, "a", "f")]}})
    assert not calls.mend(0, {"delta": {}, "finish_reason": "stop"})


NAMES = st.sampled_from(["index", "id", "function", "x"])
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=2),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(NAMES, x, max_size=3),
)


@given(ANYTHING)
def test_nothing_that_a_provider_sends_raises(anything: object) -> None:
    calls = ToolCalls(None)
    for delta in (anything, {"tool_calls": anything}, {"tool_calls": [anything, anything]}):
        calls.mend(0, {"delta": delta, "finish_reason": anything})
