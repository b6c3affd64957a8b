import sys

import pytest

from sim.compare import job as module
from sim.compare.job import code_hash, jobs_of


def key(spec=b"spec", strategy="static", seed=3, code="code"):
    (made,) = jobs_of(spec, [strategy], [seed], code)
    return made.key


def test_equal_questions_have_equal_keys():
    assert key() == key()
    assert len(key()) == 64


@pytest.mark.parametrize("other", [{"spec": b"spec2"}, {"strategy": "p402"}, {"seed": 4}, {"code": "edited"}])
def test_what_a_run_depends_on_is_in_its_key(other):
    assert key(**other) != key()


def test_each_strategy_plays_each_seed_seed_by_seed():
    made = jobs_of(b"spec", ["static", "p402"], [3, 1], "code")
    assert [(j.seed, j.strategy) for j in made] == [(3, "static"), (3, "p402"), (1, "static"), (1, "p402")]
    assert len({j.key for j in made}) == 4


def test_an_edited_policy_of_ones_own_is_another_run(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "policy_of_mine.py"
    file.write_text("class Mine: pass\n")
    __import__("policy_of_mine")
    before = key(strategy="policy_of_mine:Mine")
    assert before == key(strategy="policy_of_mine:Mine")
    file.write_text("class Mine: pass  # better\n")
    assert key(strategy="policy_of_mine:Mine") != before
    del sys.modules["policy_of_mine"]


def test_the_code_that_plays_is_hashed_and_that_which_looks_is_not():
    names = {name for name, _ in module._sources()}
    assert {"p402/routing/decide.py", "sim/world/play.py", "sim/strategies/ours.py"} <= names
    assert "p402/routing/data/tasks.json" in names  # the head that infers the tasks of preset `table`
    assert not any(name.startswith("sim/compare/") for name in names)
    assert len(code_hash()) == 64


def test_another_numpy_is_another_run(monkeypatch):
    before = code_hash.__wrapped__()
    monkeypatch.setattr(module, "version", lambda _name: "0.0.1")
    assert code_hash.__wrapped__() != before
