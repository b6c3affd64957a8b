"""Common questions: texts that differ wherever questions or words do, and none that asks when it is."""

from math import gcd

from p402.cache.guards import is_time_sensitive
from sim.world.frames import FOLLOW_UPS, FRAMES
from sim.world.questions import BASE, Said, capacity, misses, text_of, wordings


def everything():
    return [
        Said(task, number, miss, wording)
        for task in FRAMES
        for number in range(capacity(task))
        for miss in range(misses(task, number) + 1)
        for wording in range(wordings(task, number))
    ]


def test_no_two_questions_wordings_or_near_misses_have_the_same_words():
    texts = [text_of(said) for said in everything()]
    assert len(texts) > 3_000
    assert len(set(texts)) == len(texts)
    assert not any("{" in text for text in texts)


def test_a_question_has_one_name_in_all_its_wordings_and_its_near_misses_have_others():
    names = {}
    for said in everything():
        names.setdefault((said.task, said.number, said.miss), set()).add(said.question)
    assert all(len(found) == 1 for found in names.values())
    assert len(set.union(*names.values())) == len(names)
    assert Said("chat", 1).question == "chat.1"
    assert Said("chat", 1, 3).question == "chat.1-number"


def test_a_near_miss_in_the_same_wording_differs_in_a_word_or_a_few():
    for said in everything():
        if said.miss != BASE:
            base = text_of(Said(said.task, said.number, BASE, said.wording)).split()
            near = text_of(said).split()
            assert len(set(base) ^ set(near)) <= 6
            assert abs(len(base) - len(near)) <= 1


def test_no_text_depends_on_when_it_is_asked():
    assert not [text_of(said) for said in everything() if is_time_sensitive(text_of(said))]
    assert not any(map(is_time_sensitive, FOLLOW_UPS))


def test_fillings_have_no_common_divisor_so_that_every_combination_is_met():
    for frames in FRAMES.values():
        for frame in frames:
            sizes = [len(pairs) for pairs in frame.slots.values()]
            assert all(gcd(a, b) == 1 for i, a in enumerate(sizes) for b in sizes[:i])


def test_a_task_that_nobody_wrote_questions_for_has_none():
    assert capacity("translation") == 0
    assert all(capacity(task) >= 30 for task in FRAMES)
