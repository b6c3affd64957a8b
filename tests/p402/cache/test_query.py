"""What may be asked of a cache, and what has to be equal for two requests to share an answer."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.cache.contract import Query
from p402.cache.query import MAX_REQUEST, MAX_TEXT, is_on, query_of
from p402.limits import CacheRules
from serve.wire import parse_chat
from tests.p402.flow.world import a_tenant

ASKED = {
    "messages": [
        {"role": "system", "content": "You answer in one line."},
        {"role": "user", "content": "Which sea is the saltiest?"},
        {"role": "assistant", "content": "The Red Sea."},
        {"role": "user", "content": "And how deep is it on average?"},
    ],
    "temperature": 0.2,
    "p402": {"mode": "cost"},
}


def parsed(body):
    import orjson

    return parse_chat(orjson.dumps(body))


def changed(path, value):
    """The request with one thing changed; `path` is keys and places."""
    body = copy.deepcopy(ASKED)
    where = body
    for step in path[:-1]:
        where = where.setdefault(step, {}) if isinstance(where, dict) else where[step]
    where[path[-1]] = value
    return body


def query(body=None, tenant=None) -> Query:
    found = query_of(parsed(ASKED if body is None else body), tenant or a_tenant())
    assert isinstance(found, Query), found
    return found


SAME = query()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("stream",), True),
        (("user",), "u-1"),
        (("metadata",), {"k": "v"}),
        (("store",), False),
        (("safety_identifier",), "s"),
        (("prompt_cache_key",), "k"),
        (("model",), "auto"),
        (("seed",), None),
        (("web_search_options",), None),
        (("conversation",), None),
        (("modalities",), ["text"]),
        (("tools",), []),
        (("n",), 1),
        (("p402", "session_id"), "s-1"),
        (("p402", "tags"), {"k": "v"}),
        (("p402", "cache_ttl"), 5),
        (("p402", "failover"), False),
        (("messages", 3, "content"), [{"type": "text", "text": "And how deep is it on average?"}]),
    ],
)
def test_what_no_model_reads_parts_no_two_requests(path, value):
    assert query(changed(path, value)) == SAME


def test_a_mode_in_the_models_name_is_the_same_as_a_mode():
    body = changed(("model",), "p402/cost")
    del body["p402"]
    assert query(body) == SAME


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("messages", 0, "content"), "You answer in two lines."),
        (("messages", 1, "content"), "Which sea is the coldest?"),
        (("messages", 2, "content"), "The Dead Sea."),
        (("messages", 3, "name"), "ann"),
        (("temperature",), 0.3),
        (("top_p",), 0.5),
        (("seed",), 7),
        (("stop",), ["\n"]),
        (("max_tokens",), 50),
        (("response_format",), {"type": "json_object"}),
        (("reasoning_effort",), "low"),
        (("frequency_penalty",), 0.1),
        (("max_completion_tokens",), 50),
        (("model",), "gpt-5.4"),
        (("p402", "mode"), "quality"),
        (("p402", "mode"), {"cost": 0.5, "quality": 0.25, "speed": 0.25}),
        (("p402", "exclude_providers"), ["alpha"]),
        (("p402", "prefer_providers"), ["alpha"]),
        (("p402", "require_capabilities"), ["reasoning"]),
        (("p402", "max_cost"), 0.01),
        (("p402", "task"), "math"),
    ],
)
def test_p11_anything_else_that_differs_is_another_scope(path, value):
    other = query(changed(path, value))
    assert other.scope != SAME.scope
    assert other.exact != SAME.exact


def test_p11_another_tenant_or_policy_is_another_scope():
    for changes in ({"name": "other"}, {"policy": "narrow"}, {"route_named_models": "on"}):
        other = query(tenant=a_tenant(**changes))
        assert other.scope != SAME.scope
        assert other.exact != SAME.exact


def test_other_last_words_are_the_same_scope_and_another_exact_digest():
    other = query(changed(("messages", 3, "content"), "And how warm is it on average?"))
    assert other.scope == SAME.scope
    assert other.exact != SAME.exact
    assert (SAME.text, other.text) == ("And how deep is it on average?", "And how warm is it on average?")


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_texts_share_an_exact_digest_only_if_they_are_equal(one, other):
    request = parsed(ASKED)
    from msgspec.structs import replace

    first, second = (
        query_of(replace(request, transcript=replace(request.transcript, last_user=text)), a_tenant())
        for text in (one, other)
    )
    if isinstance(first, Query) and isinstance(second, Query):
        assert (first.exact == second.exact) == (one == other)
        assert first.scope == second.scope


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("tools",), [TOOL], "tools"),
        (("functions",), [{"name": "f", "parameters": {}}], "tools"),
        (("n",), 2, "choices"),
        (("logprobs",), True, "logprobs"),
        (("temperature",), 1.1, "temperature"),
        (("messages", 3, "content"), [{"type": "text", "text": "What is it?"}, PICTURE], "images"),
        (("messages", 1, "content"), [{"type": "text", "text": "What is it?"}, PICTURE], "images"),
        (("messages", 3, "content"), [{"type": "file", "file": {"file_id": "f"}}], "files"),
        (("messages", 3, "content"), [{"type": "input_audio", "input_audio": {"data": "A"}}], "audio"),
        (("messages", 3), {"role": "assistant", "content": "It is"}, "last_message"),
        (("messages", 3), {"role": "tool", "tool_call_id": "t", "content": "9"}, "tools"),
        (("messages", 3, "content"), "What is the weather today?", "time_sensitive"),
        (("messages", 1, "content"), "What is the weather today?", "time_sensitive"),
        (("messages", 1, "content"), [{"type": "text", "text": "Weather today?"}], "time_sensitive"),
        (("messages", 3, "content"), "Generate a strong password", "chance"),
        (("messages", 3, "content"), "Another one, please", "chance"),
        (("messages", 1, "content"), "Flip a coin", "chance"),
        (("messages", 0, "content"), "Generate a random password for whatever site is named.", "chance"),
        (("web_search_options",), {}, "field"),
        (("search_parameters",), {"mode": "auto"}, "field"),
        (("enable_search",), True, "field"),
        (("plugins",), [{"id": "web"}], "field"),
        (("extra_body",), {"google": {"cached_content": "c"}}, "field"),
        (("models",), ["perplexity/sonar"], "field"),
        (("mcp_servers",), [{"url": "https://a.test"}], "field"),
        (("modalities",), ["text", "audio"], "field"),
        (("logit_bias",), {"5": 1}, "field"),
        (("something_new",), 1, "field"),
        (
            ("messages", 3, "content"),
            [{"type": "text", "text": "Hi", "image_url": {"url": "u"}}],
            "last_message",
        ),
        (("model",), "gpt-4o-search-preview", "search"),
        (("conversation",), "conv_1", "field"),
        (("previous_response_id",), "resp_1", "tools"),
        (("prompt",), {"id": "pmpt_1"}, "field"),
    ],
)
def test_p11_what_is_never_kept_nor_answered(path, value, why):
    assert query_of(parsed(changed(path, value)), a_tenant()) == why


@pytest.mark.parametrize("name", ["enable_search", "plugins", "conversation"])
def test_a_switch_that_is_off_is_no_search_and_no_state(name):
    for off in (False, [], ""):
        assert isinstance(query_of(parsed(changed((name,), off)), a_tenant()), Query)


def test_a_follow_up_to_a_question_of_the_hour_is_not_kept():
    said = ["weather in Paris today", "It rains.", "And in London?"]
    roles = ["user", "assistant", "user"]
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    assert query_of(parsed({"messages": messages}), a_tenant()) == "time_sensitive"


def test_four_of_the_users_turns_before_the_last_are_read():
    def asked(between):
        turns = ["weather in Paris today", *["And the sea?"] * between, "And the land?"]
        messages = [
            {"role": role, "content": text}
            for turn in turns
            for role, text in (("user", turn), ("assistant", "It is so."))
        ]
        return query_of(parsed({"messages": messages[:-1]}), a_tenant())

    assert asked(3) == "time_sensitive"
    assert isinstance(asked(4), Query)


def test_the_ends_of_an_earlier_turn_are_read():
    filler = "The sea is deep. " * 500
    for text in (f"weather in Paris today?\n{filler}", f"{filler}\nweather in Paris today?"):
        assert query_of(parsed(changed(("messages", 1, "content"), text)), a_tenant()) == "time_sensitive"


def test_what_is_longer_than_is_looked_up_is_not_hashed(monkeypatch):
    requests = [parsed(changed(("messages", place, "content"), "a" * MAX_REQUEST)) for place in (1, 2, 3)]
    monkeypatch.setattr("p402.cache.query._digest", None)
    for request in requests:
        assert query_of(request, a_tenant()) == "long"


def test_the_longest_text_is_still_looked_up():
    told = sum(len(one["content"]) for one in ASKED["messages"])
    room = MAX_REQUEST - told + len(ASKED["messages"][3]["content"])
    assert isinstance(query_of(parsed(changed(("messages", 3, "content"), "a" * room)), a_tenant()), Query)
    assert query_of(parsed(changed(("messages", 3, "content"), "a" * (room + 1))), a_tenant()) == "long"


def test_a_long_field_that_is_no_text_is_long_as_well():
    assert query_of(parsed(changed(("stop",), "a" * (8 * MAX_REQUEST))), a_tenant()) == "long"


def test_words_in_several_parts_are_another_request_and_are_compared_with_none():
    def parts(*texts):
        return query(changed(("messages", 3, "content"), [{"type": "text", "text": text} for text in texts]))

    found = [parts("What is 1", "2 plus 3?"), parts("What is 12", " plus 3?"), parts("What is 1\n2 plus 3?")]
    assert len({one.exact for one in found}) == 3
    assert [one.text for one in found] == [None, None, "What is 1\n2 plus 3?"]
    assert parts().exact != parts("").exact


def test_each_of_two_caps_counts():
    body = changed(("max_tokens",), 5) | {"max_completion_tokens": 500}
    assert query(body).scope != query(changed(("max_completion_tokens",), 500)).scope


def test_a_high_temperature_is_answered_where_the_request_says_so_itself():
    body = changed(("temperature",), 1.5)
    assert query_of(parsed(body), a_tenant()) == "temperature"
    body["p402"]["cache"] = True
    assert isinstance(query_of(parsed(body), a_tenant()), Query)


@pytest.mark.parametrize("text", ["a" * (MAX_TEXT + 1), "", " \n"])
def test_long_or_empty_words_are_answered_by_exact_repeats_alone(text):
    assert query(changed(("messages", 3, "content"), text)).text is None


def test_a_tenant_that_wants_exact_repeats_alone_has_no_prompts_compared():
    assert query(tenant=a_tenant(cache=CacheRules(similarity=1.0))).text is None
    assert query(tenant=a_tenant(cache=CacheRules(similarity=0.99))).text is not None


@pytest.mark.parametrize(
    ("options", "rules", "on"),
    [
        ({}, {}, False),
        ({"mode": "cost"}, {}, True),
        ({"mode": "cost"}, {"in_cost_mode": False}, False),
        ({"mode": "cost", "cache": False}, {}, False),
        ({"mode": "quality"}, {}, False),
        ({"mode": "balanced"}, {}, False),
        ({"mode": "speed"}, {}, False),
        ({"cache": True}, {"in_cost_mode": False}, True),
        ({"mode": "quality", "cache": True}, {}, True),
    ],
)
def test_p4_cost_mode_uses_the_cache_and_others_where_they_ask(options, rules, on):
    body = {"messages": ASKED["messages"], "p402": options}
    assert is_on(parsed(body), a_tenant(cache=CacheRules(**rules))) is on


@pytest.mark.parametrize(
    ("named", "mode", "on"),
    [("observe", None, False), ("off", None, False), ("on", None, True), ("observe", "cost", True)],
)
def test_a_model_that_is_called_by_its_name_is_cached_only_where_that_is_said(named, mode, on):
    tenant = a_tenant(default_mode="cost", route_named_models=named)
    body = {"messages": ASKED["messages"], "model": "gpt-5.4"} | (
        {} if mode is None else {"p402": {"mode": mode}}
    )
    assert is_on(parsed(body), tenant) is on
