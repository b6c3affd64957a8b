"""Requests are read as OpenAI means them, and answers say that they are simulated."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.errors import InvalidInput, MissingField
from p402_datasets.outcomes import OutcomeTable
from sim.providers import wire
from sim.providers.world import Ask, World

MODEL = "mistral-large-2512"


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        (b"{", InvalidInput, "not JSON"),
        (b"[]", InvalidInput, "not a JSON object"),
        (b'{"messages": []}', MissingField, "`model`"),
        (body(messages=[]), MissingField, "`messages`"),
        (body(messages=[1]), InvalidInput, r"`messages\[0\]`"),
        (body(messages=[{"role": "user", "content": 5}]), InvalidInput, "neither text"),
        (body(max_tokens=0), InvalidInput, "`max_tokens` is 0"),
        (body(max_completion_tokens="7"), InvalidInput, "'7'"),
        (body(n=True), InvalidInput, "`n` is True"),
        (body(n=9), InvalidInput, "1 to 8"),
    ],
)
def test_a_malformed_request_is_told_what_was_expected(bad: bytes, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        wire.parse(bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        assert wire.parse(data).prompt is not None


def test_the_prompt_is_the_last_user_message_and_the_rest_is_counted() -> None:
    question = wire.parse(
        body(
            messages=[
                {"role": "system", "content": "four"},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": None},
                {"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url"}]},
            ]
        )
    )
    assert question.prompt == "last"
    assert question.other_bytes == len("fourfirst")
    assert [size for _, size in question.prefixes] == [4, 9, 9]


def test_the_newer_name_of_the_output_cap_wins() -> None:
    assert wire.parse(body(max_tokens=5, max_completion_tokens=9)).cap == 9
    assert wire.parse(body(max_tokens=5)).cap == 5


@given(tokens=st.integers(1, 400), stream=st.booleans())
def test_text_is_as_long_as_its_tokens_and_opens_by_saying_simulated(
    tokens: int, stream: bool, small: OutcomeTable
) -> None:
    question = wire.parse(body(stream=stream))
    answer = World(7, small).answer(Ask("sim-alder", MODEL, "hi", cap=tokens))
    text = wire.text_of("sim-alder", question, answer)
    assert len(text) == 4 * answer.visible_tokens
    assert text.startswith("[simulated"[: len(text)])


def test_streamed_pieces_join_to_the_whole_text(small: OutcomeTable) -> None:
    question = wire.parse(body(stream=True, stream_options={"include_usage": True}, n=2))
    answer = World(7, small).answer(Ask("sim-alder", MODEL, "hi", n=2))
    events = list(wire.chunks("sim-alder", question, answer, 0))
    assert events[-1] == wire.DONE
    parsed = [json.loads(e.removeprefix(b"data: ")) for e in events[:-1]]
    whole = json.loads(wire.completion("sim-alder", question, answer, 0))
    for i in range(2):
        pieces = [e["choices"][i]["delta"].get("content", "") for e in parsed[:-1]]
        assert "".join(pieces) == whole["choices"][i]["message"]["content"]
    assert parsed[-2]["choices"][0]["finish_reason"] == "stop"
    assert parsed[-1]["choices"] == []
    assert (parsed[-1]["usage"], parsed[-1]["sim"]) == (whole["usage"], whole["sim"])


def test_a_forced_tool_is_called_and_json_is_json(small: OutcomeTable) -> None:
    answer = World(7, small).answer(Ask("sim-alder", MODEL, "hi"))
    tools = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]
    for choice in ("required", tools[0]):
        question = wire.parse(body(tools=tools, tool_choice=choice))
        choices = json.loads(wire.completion("sim-alder", question, answer, 0))["choices"]
        assert choices[0]["message"]["tool_calls"][0]["function"]["name"] == "look_up"
        assert choices[0]["finish_reason"] == "tool_calls"
    question = wire.parse(body(response_format={"type": "json_object"}))
    message = json.loads(wire.completion("sim-alder", question, answer, 0))["choices"][0]["message"]
    assert json.loads(message["content"])["simulated"] is True
