"""The seed prompts are sound, and training them again gives the head that is packaged."""

import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from p402.routing.cues import cues
from p402.routing.head import TaskHead
from p402.routing.spec import TASKS
from p402.routing.surface import marks
from p402.store.task_head import load_head

FOLDER = Path(__file__).parents[2] / "datasets" / "tasks"
LEARNED = set(TASKS) - {"tools"}


@pytest.fixture(scope="module")
def scripts():
    """The training scripts, which import each other by name and are no package."""
    sys.path.insert(0, str(FOLDER))
    try:
        import judge
        import sources
        import train

        yield sources, train, judge
    finally:
        sys.path.remove(str(FOLDER))
        for name in ("sources", "fit", "judge", "train"):
            sys.modules.pop(name, None)


def test_every_seed_source_has_every_task_and_no_prompt_twice(scripts):
    rows = [row for row in scripts[0].seed() if not row.variant]
    by_source = defaultdict(Counter)
    for row in rows:
        by_source[row.source][row.task] += 1
    assert len(by_source) >= 8
    for source, tasks in by_source.items():
        assert set(tasks) == LEARNED, source
    assert len({row.text for row in rows}) == len(rows) > 500


def test_every_passage_that_a_seed_names_is_there_and_variants_are_not_judged(scripts):
    sources, train, _ = scripts
    seeds = sources.seed()
    names = set(sources.PROSE)
    assert not [row for row in seeds if any("{" + name + "}" in row.text for name in names)]
    data = train.read(seeds[:40] + sources.lexicon()[:3])
    assert sum(data.judged) == sum(not row.variant for row in seeds[:40])


def test_the_lexicon_teaches_words_and_no_shapes(scripts):
    sources, train, _ = scripts
    data = train.read(sources.lexicon())
    assert {type(mark) for found in data.marks for mark in found} == {bytes, tuple}
    assert not [m for found in data.marks for m in found if m[0] == b"^"]
    assert {train.LEARNED[t] for t in data.task} == LEARNED


def test_a_seed_line_without_a_task_is_an_error_that_names_it(scripts, tmp_path):
    path = tmp_path / "odd.tsv"
    path.write_text("chat\thello\nno task here\n")
    with pytest.raises(ValueError, match=r"odd.tsv:2: found 'no task here'"):
        list(scripts[0]._seed_of(path, {}))


@pytest.mark.slow
def test_training_again_gives_the_head_that_is_packaged(scripts):
    sources, train, _ = scripts
    bias, weights = train.whole(train.trained(train.read(sources.everything())), 1.1)
    again, packaged = TaskHead(train.LEARNED, bias, weights, 0, 0), load_head()
    same = 0
    rows = [row for row in sources.seed() if not row.variant]
    for row in rows:
        found = marks(row.text, cues(row.text))
        one, two = (head.judge(head.evidence(found)) for head in (again, packaged))
        assert max(abs(a - b) for a, b in zip(one.counts, two.counts, strict=True)) < 128
        same += one.best == two.best
    assert same >= 0.995 * len(rows)  # other builds of BLAS move a weight by one unit here and there


def test_the_measures_are_those_of_a_world_where_they_are_known(scripts):
    judge = scripts[2]
    true, said = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert judge.accuracy(true, said) == 0.75
    assert judge.macro_f1(true, said) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert judge.calibration_error(np.array([0.75] * 4), true == said) == 0
    assert judge.calibration_error(np.array([0.95] * 4), true == said) == pytest.approx(0.2)
    assert judge.log_loss(np.array([0, 1]), np.array([[1.0, 0.0], [0.5, 0.5]])) == pytest.approx(
        np.log(2) / 2
    )


def test_trust_is_chosen_where_the_head_beats_the_rules_and_not_elsewhere(scripts):
    train = scripts[1]
    n = len(train.LEARNED)
    p = np.full((4, n), 0.5 / (n - 1))
    p[:, 1] = 0.5  # code, always, at one half
    data = train.Data([set()] * 4, np.array([1, 1, 2, 2]), ["s"] * 4, np.array([-1, -1, 2, 2]), [True] * 4)
    assert list(train.labels(p, data, (2_048, 1_024))) == [1, 1, 1, 1]
    assert list(train.labels(p, data, (2_049, 1_024))) == [1, 1, 2, 2]
    assert list(train.labels(p, data, (2_049, 2_049))) == [0, 0, 2, 2]
    on = train.onward(p, data, (2_049, 1_024))
    assert on.sum(1) == pytest.approx(np.ones(4))
    assert on.argmax(1).tolist() == [1, 1, 2, 2]
