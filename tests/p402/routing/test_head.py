"""Probabilities are whole, sum to one and follow the softmax; a file that is not sound is not read."""

import json
import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.routing.head import _EXP, MAX_WEIGHT, NAT, TaskHead, dump, mark_of, name_of, parse
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS

LEARNED = [task for task in TASKS if task != "tools"]
weights = st.integers(-MAX_WEIGHT, MAX_WEIGHT)
rows = st.lists(weights, min_size=len(LEARNED), max_size=len(LEARNED))
stem = st.binary(min_size=1, max_size=6).map(lambda b: bytes(97 + byte % 26 for byte in b))
marks = stem | st.tuples(stem, stem) | st.sampled_from(["#has ?", "#length 3", "#cue code"])


@given(bias=rows, table=st.dictionaries(marks, rows, max_size=20), found=st.sets(marks, max_size=20))
def test_probabilities_are_the_softmax_of_the_summed_weights_in_whole_counts_that_sum_to_one(
    bias, table, found
):
    head = TaskHead(LEARNED, bias, table, 0, 0)
    judged = head.judge(head.evidence(found | set(table)))
    sums = [
        b + sum(row[k] for mark, row in table.items() if mark in found | set(table))
        for k, b in enumerate(bias)
    ]
    odds = [math.exp((s - max(sums)) / NAT) for s in sums]
    assert sum(judged.counts) == FEATURE_ONE
    assert all(isinstance(c, int) and c >= 0 for c in judged.counts)
    assert TASKS[judged.best] == LEARNED[sums.index(max(sums))]
    assert judged.counts[judged.best] == max(judged.counts)
    assert judged.counts[TASKS.index("tools")] == 0
    for task, odd in zip(LEARNED, odds, strict=True):
        assert abs(judged.counts[TASKS.index(task)] - FEATURE_ONE * odd / sum(odds)) < len(LEARNED) + 1


def test_what_is_not_known_is_no_evidence():
    head = TaskHead(LEARNED, [0] * 9, {b"sum": [1] * 9}, 0, 0)
    assert head.evidence({b"never", ("a", "b"), "#no such shape"}) == 0


def test_pieces_of_evidence_add_up():
    table = {b"a": [3, -MAX_WEIGHT, 0, 9, 1, 2, 3, 4, 5], b"b": [-7, 1, 2, 3, -4, -5, -6, MAX_WEIGHT, -8]}
    head = TaskHead(LEARNED, [1] * 9, table, 0, 0)
    assert head.evidence({b"a", b"b"}) == head.evidence({b"a"}) + head.evidence({b"b"})


def test_the_table_of_powers_is_exp_to_its_last_place_but_two():
    assert len(_EXP) > 8 * NAT
    for d, power in enumerate(_EXP):
        assert abs(power - math.exp(-d / NAT) * (1 << 30)) < 2
    assert all(a > b for a, b in pairwise(_EXP))


A_FILE = dump(
    LEARNED, [0] * 9, {b"sum": [1] * 9, (b"how", b"many"): [2] * 9, "#has ?": [-3] * 9}, 9, 5, "day"
)


@given(table=st.dictionaries(marks, rows, max_size=8), bias=rows)
def test_a_head_is_read_as_it_was_written(table, bias):
    data = dump(LEARNED, bias, table, 2_000, 1_000, "2026-11-26")
    head = parse(data)
    assert (head.sure, head.floor) == (2_000, 1_000)
    plain = TaskHead(LEARNED, bias, table, 0, 0)
    for mark in table:
        assert head.judge(head.evidence({mark})) == plain.judge(plain.evidence({mark}))
        assert mark_of(name_of(mark)) == mark
    assert dump(LEARNED, bias, dict(reversed(table.items())), 2_000, 1_000, "2026-11-26") == data


def rewritten(**changes):
    """A file with other contents and a version that fits them."""
    given_ = json.loads(A_FILE) | changes
    return dump(
        given_["tasks"], given_["bias"], {mark_of(n): r for n, r in given_["marks"].items()},
        given_["sure"], given_["floor"], given_["made_on"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a task head"),
        (A_FILE[:-20], "not a task head"),
        (A_FILE.replace(b'"format":1', b'"format":2'), "format 2 found, 1 expected"),
        (A_FILE.replace(b'"sure":9', b'"sure":8'), "other contents than its version says"),
        (A_FILE.replace(b'"made_on"', b'"made_at"'), "not a task head"),
        (rewritten(tasks=["poetry", *LEARNED[1:]]), "poetry"),
        (rewritten(tasks=["code", *LEARNED[1:]]), "expected different ones"),
        (rewritten(marks={"sum": [1] * 8}), "of 'sum' found; expected 9"),
        (rewritten(bias=[MAX_WEIGHT + 1] * 9), "of 'bias' found"),
        (rewritten(marks={"sum": [-MAX_WEIGHT - 1] * 9}), "-1024"),
        (rewritten(sure=3, floor=4), "expected 0 <= floor <= sure"),
        (rewritten(sure=FEATURE_ONE // 2 + 1), "expected 0 <= floor <= sure"),
    ],
)
def test_a_damaged_file_is_refused_with_what_is_wrong(data, says):
    with pytest.raises(ValueError, match=says):
        parse(data)


PROBE = """
from p402.routing.infer import infer
from p402.request import Transcript
from p402.store.task_head import load_head
from reviewed import OTHERS, REASONING
head = load_head()
for text in [*REASONING, *(text for text, _ in OTHERS)]:
    print(infer(Transcript("", text, text, 9, 1, 0, False, False, False), None, head)[:2])
"""


def test_another_process_with_another_hash_seed_says_the_same():
    def said(seed):
        code = f"import sys; sys.path.insert(0, {str(HERE)!r})\n{PROBE}"
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        return subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    assert said("1") == said("2") != ""


HERE = __import__("pathlib").Path(__file__).parent
