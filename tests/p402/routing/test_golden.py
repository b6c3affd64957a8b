"""The golden decisions stand: as they lie in the file, and as they are taken today."""

from hashlib import sha256

import numpy as np
import pytest
from golden import ADDED, PATH, PATH_2, load, narrowed, pin, table

from p402.routing.batch import COLUMNS
from p402.routing.decide import decide
from p402.routing.eligibility import REASONS, reasons
from p402.routing.spec import CUSTOM


@pytest.fixture(scope="module")
def worlds():
    return load()


@pytest.mark.parametrize("path", [PATH, PATH_2], ids=["v1", "v2"])
def test_the_golden_file_is_the_one_that_was_pinned(path):
    assert sha256(path.read_bytes()).hexdigest() == pin(path).read_text(encoding="utf-8").split()[0]


def test_p20_half_open_breakers_are_decided_again_as_version_2_holds_them():
    ((snapshot, batch, decided),) = load(PATH_2).values()
    assert np.array_equal(table(decide(snapshot, batch)), decided)
    shut = REASONS.index("circuit_open")
    codes = reasons(snapshot, batch)
    half = np.stack([live.half_open for live in batch.lives])[batch.live_row]
    tried = (snapshot.provider_bit & batch.probed.astype(np.uint64)[:, None]) != 0
    assert (codes == shut)[half & tried].any()  # another request tries them
    assert not (codes == shut)[half & ~tried].any()
    served = np.flatnonzero(decided[:, 0] >= 0)
    assert (half & ~tried)[served, decided[served, 0]].any()  # chosen to be tried


def test_p20_the_golden_decisions_are_taken_again(worlds):
    assert {name: len(batch) for name, (_, batch, _) in worlds.items()} == {"24": 5_000, "300": 5_000}
    for snapshot, batch, decided in worlds.values():
        assert np.array_equal(table(decide(snapshot, batch)), decided)


def test_the_golden_rows_use_every_column_every_rule_and_every_size_of_set(worlds):
    seen = set()
    for snapshot, batch, decided in worlds.values():
        assert all(getattr(batch, name) is not None for name in set(COLUMNS) - ADDED)
        seen |= set(np.unique(reasons(snapshot, batch)).tolist())
        assert set(batch.mode.tolist()) == {0, 1, 2, 3, CUSTOM}
        assert (decided[:, 0] != decided[:, 2]).sum() > 500  # chance took another arm than the best
    assert seen == set(range(len(REASONS)))
    assert set(worlds["300"][2][:, 4].tolist()) == set(range(33))


def test_the_golden_columns_are_as_narrow_as_they_can_be(worlds):
    for _, batch, _ in worlds.values():
        for name in set(COLUMNS) - ADDED:
            assert getattr(batch, name).dtype == getattr(narrowed(batch), name).dtype
