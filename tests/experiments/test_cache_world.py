"""What a cache saves in a world: the study plays the same requests under every setting."""

import pytest

from experiments.cache_world import Unguarded, figures_of, rows_of, settings_of, study
from p402.cache.local import LocalCache
from sim.world import presets, run
from sim.world.gateway import Gateway

ROUNDS = 1_000


@pytest.fixture(scope="module")
def tables():
    return {
        setting.name: run(setting.spec, Gateway(), 2, rounds=ROUNDS, cache=setting.cache)
        for setting in settings_of(presets["repeats"])
    }


def test_every_setting_meets_the_same_requests(tables):
    asked = {
        tuple(zip(t.column("id").to_pylist(), t.column("question").to_pylist(), strict=True))
        for t in tables.values()
    }
    assert len(asked) == 1


def test_p11_more_of_a_cache_answers_more_and_costs_less(tables):
    found = {name: figures_of(table) for name, table in tables.items()}
    hits = [one.hits for one in found.values()]
    assert hits[0] == 0
    assert hits == sorted(hits)
    assert len(set(hits)) == 4
    assert found["cosine and guards"].cost_usd < found["no cache"].cost_usd


def test_p11_only_the_cosine_alone_gives_wrong_answers(tables):
    wrong = {name: figures_of(table).wrong for name, table in tables.items()}
    assert wrong["no cache"] == wrong["exact repeats"] == wrong["cosine and guards"] == 0
    assert wrong["cosine alone"] > 0


def test_what_the_cosine_alone_gives_exceeds_it(tables):
    given = [x for x in tables["cosine alone"].column("similarity").to_pylist() if x is not None]
    assert min(given) > 0.92
    assert min(given) < 0.999


def test_the_study_has_a_row_of_every_setting():
    rows = list(rows_of(study(presets["repeats"], 2, 150)))
    assert [row[0] for row in rows] == [s.name for s in settings_of(presets["repeats"])]
    assert [s.cache for s in settings_of(presets["repeats"])] == [LocalCache] * 3 + [Unguarded]
    assert rows[0][1].startswith("0.00%")
