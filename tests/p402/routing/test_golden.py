"""The golden decisions stand: as they lie in the file, and as they are taken today."""

from hashlib import sha256

import numpy as np
import pytest
from golden import PATH, PIN, load, narrowed, table

from p402.routing.batch import COLUMNS
from p402.routing.decide import decide
from p402.routing.eligibility import REASONS, reasons
from p402.routing.spec import CUSTOM


@pytest.fixture(scope="module")
def worlds():
    return load()


def test_the_golden_file_is_the_one_that_was_pinned():
    assert sha256(PATH.read_bytes()).hexdigest() == PIN.read_text(encoding="utf-8").split()[0]


def test_p20_the_golden_decisions_are_taken_again(worlds):
    assert {name: len(batch) for name, (_, batch, _) in worlds.items()} == {"24": 5_000, "300": 5_000}
    for snapshot, batch, decided in worlds.values():
        assert np.array_equal(table(decide(snapshot, batch)), decided)


def test_the_golden_rows_use_every_column_every_rule_and_every_size_of_set(worlds):
    seen = set()
    for snapshot, batch, decided in worlds.values():
        assert all(getattr(batch, name) is not None for name in COLUMNS)
        seen |= set(np.unique(reasons(snapshot, batch)).tolist())
        assert set(batch.mode.tolist()) == {0, 1, 2, 3, CUSTOM}
        assert (decided[:, 0] != decided[:, 2]).sum() > 500  # chance took another arm than the best
    assert seen == set(range(len(REASONS)))
    assert set(worlds["300"][2][:, 4].tolist()) == set(range(33))


def test_the_golden_columns_are_as_narrow_as_they_can_be(worlds):
    for _, batch, _ in worlds.values():
        for name in COLUMNS:
            assert getattr(batch, name).dtype == getattr(narrowed(batch), name).dtype
