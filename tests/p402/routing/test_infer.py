"""Which word is believed about a task: the caller's, the body's, the head's, a rule's; then chat."""

import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewed import CONVERSATIONS, OTHERS, REASONING

from p402.request import Transcript
from p402.routing import infer as room
from p402.routing.cues import cues
from p402.routing.head import TaskHead
from p402.routing.infer import CERTAIN, REMEMBERED, RULE_ORDER, infer
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS
from p402.store.task_head import load_head

HEAD = load_head()
WORDS = [
    "translate",
    "sum of",
    "write",
    "a poem",
    "who is",
    "extract",
    "3 + 4",
    "?",
    "banana",
    "step by step",
    "qwx",
]
LEARNED = [task for task in TASKS if task != "tools"]


def said(last, system="", first=None, turns=1, tools=False, schema=False):
    return Transcript(
        system=system, first_user=last if first is None else first, last_user=last, text_bytes=len(last),
        turns=turns, images=0, has_tools=tools, has_schema=schema, binds_family=False,
    )  # fmt: skip


def task_of(last, head=HEAD, **given_):
    return infer(said(last, **given_), None, head).task


def a_head(sure, floor, **words):
    """A head that knows words, each by the nats that it speaks for a task with."""
    table = {
        word.encode(): [32 * nats * (name == task) for name in LEARNED]
        for word, (task, nats) in words.items()
    }
    return TaskHead(LEARNED, [0] * len(LEARNED), table, sure, floor)


HARD = {
    "You have a candle": "knowledge",
    "My neighbour's dog": "knowledge",
    "Analyse this claim": "code",
    "Find the contradiction": "translation",
    "Compare three ways": "math",
}


class TestP5Recognised:
    """Quality mode ranks by the task of the prompt, so reasoning and multi-step work must be recognised."""

    @pytest.mark.parametrize("prompt", REASONING, ids=[p[:30] for p in REASONING])
    def test_p5_reasoning_and_multi_step_work_is_recognised(self, prompt):
        missed = next((task for start, task in HARD.items() if prompt.startswith(start)), None)
        assert task_of(prompt) == (missed or "reasoning")

    def test_p5_of_thirty_such_prompts_the_head_misses_five_where_the_rules_miss_twenty_five(self):
        assert len(REASONING) == 30
        assert sum(task_of(p) == "reasoning" for p in REASONING) == 25
        assert sum(first_rule(p) == "reasoning" for p in REASONING) == 5

    @pytest.mark.parametrize("prompt", REASONING, ids=[p[:30] for p in REASONING])
    def test_p5_the_callers_word_recognises_what_the_head_misses(self, prompt):
        assert infer(said(prompt), "reasoning", HEAD)[:2] == ("reasoning", CERTAIN["reasoning"])


def first_rule(prompt):
    heard = cues(prompt)
    return next((task for task in RULE_ORDER if task in heard), "chat")


MISSED = {
    "Do you prefer cats": "knowledge",
    "Implement quicksort in Haskell": "translation",
    "My React component": "chat",
    "Condense this paragraph": "writing",
    "Can you write a short summary": "writing",
    "Convert this into Spanish": "chat",
}


@pytest.mark.parametrize(("prompt", "task"), OTHERS, ids=[f"{t}:{p[:24]}" for p, t in OTHERS])
def test_a_reviewed_prompt_has_the_task_that_a_reader_names_or_the_one_that_is_written_down(prompt, task):
    missed = next((said for start, said in MISSED.items() if prompt.startswith(start)), None)
    assert task_of(prompt) == (missed or task)
    assert missed != task


def test_the_head_is_right_on_more_of_the_reviewed_prompts_than_the_rules():
    assert len(OTHERS) == 48
    assert {task for _, task in OTHERS} == set(LEARNED) - {"reasoning"}
    assert sum(task_of(p) == task for p, task in OTHERS) == 42
    assert sum(first_rule(p) == task for p, task in OTHERS) == 29


@pytest.mark.parametrize(("system", "first", "last", "turns", "schema", "task"), CONVERSATIONS)
def test_system_prompt_and_first_message_tell_what_the_last_one_does_not(
    system, first, last, turns, schema, task
):
    found = task_of(last, system=system, first=first, turns=turns, schema=schema)
    assert found == ("reasoning" if last == "and the next one?" else task)  # the one that is missed


def test_the_seed_prompts_hold_none_of_the_reviewed_ones():
    folder = Path(__file__).parents[3] / "datasets" / "tasks"
    sys.path.insert(0, str(folder))
    try:
        from sources import seed
    finally:
        sys.path.remove(str(folder))
    taught = [words_of(row.text) for row in seed()]
    for prompt in [*REASONING, *(p for p, _ in OTHERS)]:
        own = words_of(prompt)
        shared = max(len(own & other) / min(len(own), len(other)) for other in taught if len(other) > 7)
        assert len(own) < 8 or shared < 0.75, prompt


def words_of(text):
    return set(pairwise(text.lower().split()))


def test_the_callers_word_and_offered_tools_are_certain():
    assert infer(said("write a poem", tools=True), "math", HEAD)[:2] == ("math", CERTAIN["math"])
    assert infer(said("write a poem", tools=True), None, HEAD)[:2] == ("tools", CERTAIN["tools"])
    for counts in CERTAIN.values():
        assert sorted(counts) == [0] * (len(TASKS) - 1) + [FEATURE_ONE]


def test_a_task_that_nobody_knows_is_no_word():
    assert infer(said("Hello!"), "poetry", HEAD).task == task_of("Hello!")


def test_a_sure_head_is_believed_over_a_rule_and_a_doubtful_one_is_not():
    head = a_head(2_048, 1_024, alpha=("math", 5), beta=("math", 1))
    assert task_of("alpha translate", head) == "math"
    assert task_of("beta translate", head) == "translation"
    assert task_of("beta", head) == "math"


def test_below_its_floor_the_head_abstains_and_without_a_rule_it_is_chat():
    head = a_head(2_048, 1_200, beta=("math", 1))
    assert task_of("beta", head) == "chat"
    assert task_of("beta translate", head) == "translation"
    assert task_of("beta", head, schema=True) == "extraction"


def test_probabilities_go_on_where_the_head_abstains():
    found = infer(said("beta"), None, a_head(2_048, 1_200, beta=("math", 1)))
    assert found.task == "chat"
    assert max(found.counts) == found.counts[TASKS.index("math")] < 1_200
    assert sum(found.counts) == FEATURE_ONE


def test_a_rule_that_decides_has_a_third_of_the_probability_and_is_the_likeliest():
    head = a_head(2_048, 600, beta=("math", 1))
    plain = infer(said("beta"), None, head).counts
    found = infer(said("beta translate"), None, head)
    assert found.task == "translation"
    assert found.counts.index(max(found.counts)) == TASKS.index("translation")
    assert sum(found.counts) == FEATURE_ONE
    assert found.counts[TASKS.index("math")] == plain[TASKS.index("math")] * 2 // 3


@settings(deadline=None)
@given(text=st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), schema=st.booleans())
def test_what_a_request_is_called_is_what_it_most_likely_is_unless_nothing_tells(text, schema):
    found = infer(said(text, schema=schema), None, HEAD)
    best = TASKS[found.counts.index(max(found.counts))]
    assert found.task == best or (found.task == "chat" and not found.heard and max(found.counts) < HEAD.floor)


def test_a_system_prompt_counts_only_where_it_is_sure():
    head = a_head(2_048, 600, alpha=("translation", 6), beta=("writing", 1), gamma=("math", 3))
    assert task_of("gamma", head, system="alpha") == "translation"
    assert task_of("gamma", head, system="beta") == "math"
    plain = infer(said("gamma"), None, head).counts
    assert infer(said("gamma", system="beta"), None, head).counts == plain


def test_the_first_message_is_asked_only_where_the_last_is_in_doubt():
    head = a_head(2_048, 600, alpha=("translation", 6), gamma=("math", 4))
    assert task_of("and this", head, first="alpha", turns=3) == "translation"
    assert task_of("gamma", head, first="alpha", turns=3) == "math"
    assert task_of("and this", head, first="alpha", turns=1) == "chat"


ANY = st.text(alphabet=st.characters(codec=None), max_size=600)


@settings(deadline=None)
@given(last=ANY, system=ANY, first=ANY, turns=st.integers(1, 50), schema=st.booleans())
def test_any_text_has_a_task_and_probabilities_that_sum_to_one(last, system, first, turns, schema):
    transcript = said(last, system=system, first=first, turns=turns, schema=schema)
    found = infer(transcript, None, HEAD)
    assert found == infer(transcript, None, HEAD)
    assert found.task in LEARNED
    assert sum(found.counts) == FEATURE_ONE
    assert all(type(c) is int and c >= 0 for c in found.counts)


@pytest.mark.parametrize("piece", ["\ud800", "é", "translate ", "Ab. ", "\n", "1 + "])
@pytest.mark.timeout(60)
def test_three_megabytes_are_no_trouble(piece):
    text = piece * (3_000_000 // len(piece))
    assert sum(infer(said(text, system=text, first=text + "x", turns=9), None, HEAD).counts) == FEATURE_ONE


@given(
    st.text(max_size=300)
    | st.sampled_from(["Translate all that follows into French.", "x" * (REMEMBERED + 1)])
)
def test_what_is_remembered_of_a_text_is_what_would_be_found(text):
    assert room._sure(text, HEAD) == room._sure(text, HEAD) == room._found(text, HEAD)


def test_a_long_text_is_not_kept():
    room._remembered.cache_clear()
    room._sure("y" * (REMEMBERED + 1), HEAD)
    assert room._remembered.cache_info().currsize == 0
    room._sure("y" * REMEMBERED, HEAD)
    assert room._remembered.cache_info().currsize == 1
