"""What routing knows of a request is inferred from its surface, deterministically, in bounded work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.request import Options, Transcript
from p402.routing.features import EXPECTED_OUTPUT, FEATURES, needs_of, read
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import CAPABILITIES, TASKS
from p402.store.task_head import load_head

HEAD = load_head()


def said(text, **changes):
    given = {
        "system": "",
        "first_user": text,
        "last_user": text,
        "text_bytes": len(text.encode()),
        "turns": 1,
        "images": 0,
        "has_tools": False,
        "has_schema": False,
        "binds_family": False,
    }
    return Transcript(**(given | changes))


def inferred(transcript):
    return read(transcript, Options(), None, HEAD).task


# Reviewed by hand on 2026-11-22: each prompt's task is what a reader would say.
PROMPTS = [
    ("Hi there! How was your weekend?", "chat"),
    ("I feel a bit down today and want to talk.", "chat"),
    ("Translate this paragraph to Dutch: The meeting is at noon.", "translation"),
    ("Put the following into German: I would like a coffee.", "translation"),
    ("Summarise the report below in three bullets.", "summary"),
    ("TL;DR of this thread please", "summary"),
    ("Extract every date from the contract.", "extraction"),
    ("Classify the following review as positive or negative: great shoes!", "extraction"),
    ("Find the named entities in this text and return JSON.", "extraction"),
    ("Write a short poem about the sea in winter.", "writing"),
    ("Draft a polite email to my landlord about the heating.", "writing"),
    ("Compose a heartfelt wedding speech for my sister.", "writing"),
    ("Write a Python function that reverses a linked list.", "code"),
    ("Why does this fail?\n```\nx = [1, 2\n```", "code"),
    ("def area(r):\n    return 3 * r", "code"),
    ("SELECT * FROM users WHERE id = 3 is slow, how come", "code"),
    ("Please fix the bug in my parser.", "code"),
    ("All cats are mammals. Premise two: Tom is a cat. Is the conclusion valid or invalid?", "reasoning"),
    ("Let's think step by step about who stole the cake.", "reasoning"),
    ("Solve for x: 3x + 7 = 22", "math"),
    ("A train leaves at noon. How many miles does it cover in 3 hours at 60 mph?", "math"),
    ("Is 12 * 12 larger than 150?", "math"),
    ("Show that \\frac{a}{b} is rational.", "math"),
    ("What is the capital of Australia?", "knowledge"),
    ("Who was the first woman to win a Nobel prize?", "knowledge"),
    ("Explain photosynthesis to a child.", "knowledge"),
    ("The largest planet?\nA) Mars\nB) Jupiter\n", "knowledge"),
]

# Reviewed by hand on the same day and, with the head in place, on 2026-11-26: what is got wrong, so that
# nobody thinks more of it. The rules alone had the first one right.
KNOWN_WRONG = [
    ("What are the key points of the attached minutes?", "summary", "knowledge"),
    ("Explain why merge sort is stable.", "code", "knowledge"),
    ("Which of these two essays is better?", "writing", "knowledge"),
]

# The rules alone had these wrong.
MENDED = [
    ("Is it ethical to label people by their star sign?", "knowledge"),
    ("Übersetze diesen Satz ins Englische: Guten Morgen.", "translation"),
    ("My hamster died and I solve nothing by crying.", "chat"),
]
PROMPTS += MENDED


@pytest.mark.parametrize(("prompt", "task"), PROMPTS, ids=[task + ":" + p[:24] for p, task in PROMPTS])
def test_a_plain_prompt_is_sorted_as_a_reader_would(prompt, task):
    assert inferred(said(prompt)) == task


def test_every_task_that_can_be_inferred_is_in_the_reviewed_table():
    assert {task for _, task in PROMPTS} == set(TASKS) - {"tools"}


@pytest.mark.parametrize(("prompt", "reader", "found"), KNOWN_WRONG)
def test_what_is_got_wrong_is_written_down(prompt, reader, found):
    assert reader in TASKS
    assert inferred(said(prompt)) == found != reader


def test_offered_tools_make_a_tools_task_whatever_the_text_says():
    assert inferred(said("Write a poem", has_tools=True)) == "tools"


def test_the_callers_word_overrides_the_inferred_task():
    signals = read(said("Write a Python function"), Options(task="math"), None, HEAD)
    assert signals.task == "math"
    assert signals.features[FEATURES.index("task_math")] == FEATURE_ONE
    assert signals.features[FEATURES.index("task_code")] == 0
    assert signals.features[FEATURES.index("code")] == FEATURE_ONE  # the text is what it is


def test_an_instruction_after_long_material_is_heard():
    assert inferred(said("lorem ipsum dolor " * 2_000 + "\nSummarise the text above.")) == "summary"
    assert inferred(said("Translate:\n" + "lorem ipsum dolor " * 2_000)) == "translation"


texts = st.text(max_size=300)


@given(
    text=texts,
    turns=st.integers(1, 3_000),
    images=st.integers(0, 20),
    max_output=st.none() | st.integers(1, 1 << 20),
    tools=st.booleans(),
    schema=st.booleans(),
)
def test_signals_are_within_their_bounds_for_any_transcript(text, turns, images, max_output, tools, schema):
    transcript = said(text, turns=turns, images=images, has_tools=tools, has_schema=schema)
    signals = read(transcript, Options(), max_output, HEAD)
    assert signals == read(transcript, Options(), max_output, HEAD)
    assert signals.prompt_bound >= signals.prompt_tokens >= 1
    assert len(signals.features) == len(FEATURES)
    assert all(isinstance(v, int) and 0 <= v <= FEATURE_ONE for v in signals.features)
    assert signals.features[0] == FEATURE_ONE
    assert sum(signals.features[1 : 1 + len(TASKS)]) == FEATURE_ONE
    assert 1 <= signals.expected_output <= EXPECTED_OUTPUT[signals.task]
    if max_output is not None:
        assert signals.expected_output <= max_output


@given(text=texts, more=texts)
def test_more_text_never_means_fewer_tokens(text, more):
    short, long = (read(said(t), Options(), None, HEAD) for t in (text, text + more))
    assert long.prompt_tokens >= short.prompt_tokens
    assert long.prompt_bound >= short.prompt_bound


def test_needs_are_what_was_asked_and_what_the_body_shows():
    options = Options(require_capabilities=("code", "vision"))
    transcript = said("x", has_tools=True, has_schema=True, images=1)
    named = {c for bit, c in enumerate(CAPABILITIES) if needs_of(transcript, options) >> bit & 1}
    assert named == {"code", "vision", "function_calling", "json_schema"}
    assert needs_of(said("x"), Options()) == 0
