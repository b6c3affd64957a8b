"""Benchmarks are of P402's tasks by their names, however a source spells them; an unknown one is of none."""

import pytest

from p402.routing.spec import TASKS
from p402_datasets import paretobandit
from p402_datasets.tasks import TASK_OF, UNKNOWN, task_of


@pytest.mark.parametrize(("name", "task"), [
    ("gsm8k", "math"), ("grade-school-math", "math"), ("MMLU/anatomy", "knowledge"),
    ("mmlu-anatomy", "knowledge"),
    ("mmlu/college_mathematics", "math"), ("mmlu_pro/law", "knowledge"), ("mmlu_pro/math", "math"),
    ("SWE-Bench", "code"), ("bbh/snarks", "reasoning"), ("arc-challenge", "knowledge"), ("mbpp", "code"),
    ("wmt/19.de-en", "translation"), ("code", "code"), ("tau2", "tools"), ("logiqa2", None), ("arcade", None),
    ("", None),
])  # fmt: skip
def test_a_benchmark_has_the_task_of_its_longest_known_beginning(name, task):
    assert task_of(name) == task


def test_every_task_is_one_of_p402s():
    assert {*TASK_OF.values(), UNKNOWN} <= set(TASKS)


@pytest.mark.parametrize("benchmark", [*paretobandit.TASK_OF_BENCHMARK, "bbh/navigate"])
def test_the_loader_of_the_wheel_and_the_table_agree(benchmark):
    assert task_of(benchmark) == paretobandit.task_of(benchmark)
