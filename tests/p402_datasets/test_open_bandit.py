"""The Open Bandit data are read as they are, from an unpacked package, if they are the pinned ones."""

from hashlib import sha256

import numpy as np
import pytest

from p402_datasets import open_bandit
from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.open_bandit import ITEMS, POLICIES, WITHIN, load


def write(root, policy="random", campaign="men", rows=None, header=None):
    items = ITEMS[campaign]
    if rows is None:
        rows = [
            (
                i,
                "2019-11-24 00:01:03.979311+00:00",
                i % items,
                1 + i % 3,
                int(i % 7 == 0),
                1 / items,
                "u",
                "v",
            )
            for i in range(20)
        ]
    names = header or [
        "",
        "timestamp",
        "item_id",
        "position",
        "click",
        "propensity_score",
        "user_feature_0",
        "user_feature_1",
    ]
    names = [*names, *(f"user-item_affinity_{k}" for k in range(items))]
    lines = [",".join(names)]
    lines += [",".join([*map(str, row), *(f"{(row[0] + k) % 3}.0" for k in range(items))]) for row in rows]
    path = root / policy / campaign / f"{campaign}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("within", ["", WITHIN, "obp-0.5.7" / WITHIN])
def test_rows_are_read_wherever_in_an_unpacked_package_they_lie(tmp_path, within):
    write(tmp_path / within)
    rounds = load("random", "men", tmp_path, pinned=False)
    assert (rounds.n_actions, len(rounds.action)) == (34, 20)
    assert rounds.action.tolist() == list(range(20))
    assert rounds.position.tolist() == [i % 3 for i in range(20)]
    assert rounds.reward.tolist() == [float(i % 7 == 0) for i in range(20)]
    assert np.array_equal(rounds.propensity, np.full(20, 1 / 34))
    assert rounds.ts_us[0] == 1_574_553_663_979_311
    assert rounds.features.shape == (20, 34)
    assert rounds.features[2, 3] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        rounds.reward[0] = 1.0


def test_a_batch_is_what_estimators_take(tmp_path):
    write(tmp_path)
    batch = load("random", "men", tmp_path, pinned=False).batch()
    assert (batch.n, batch.n_arms) == (20, 34)
    assert np.allclose(batch.propensity, 1 / 34, rtol=0, atol=2.0**-25)
    assert len(np.unique(batch.session)) == 20


@pytest.mark.parametrize(("change", "said"), [
    ({2: 34}, "an item outside 0 to 33 in row 1"), ({4: 2}, "a click"), ({5: 0.0}, "a propensity"),
    ({3: 4}, "a position"),
    ({1: "noon"}, "expected the columns"), ({4: "x"}, "expected the columns"),
])  # fmt: skip
def test_a_row_that_cannot_be_is_refused(tmp_path, change, said):
    row = [0, "2019-11-24 00:01:03.979311+00:00", 1, 1, 0, 0.5, "u", "v"]
    for place, value in change.items():
        row[place] = value
    write(tmp_path, rows=[row])
    with pytest.raises(CorruptData, match=said):
        load("random", "men", tmp_path, pinned=False)


def test_a_file_without_its_columns_is_refused(tmp_path):
    write(tmp_path, header=["", "when", "item_id", "position", "click", "propensity_score", "a", "b"])
    with pytest.raises(CorruptData, match="expected the columns of Open Bandit data"):
        load("random", "men", tmp_path, pinned=False)


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path):
    path = write(tmp_path)
    with pytest.raises(CorruptData, match=sha256(path.read_bytes()).hexdigest()):
        load("random", "men", tmp_path)


def test_where_there_are_none_the_message_says_how_to_get_them(tmp_path):
    with pytest.raises(MissingData, match=r"pip download .*obp==0\.5\.7.*--path"):
        load("random", "men", tmp_path)
    write(tmp_path)
    with pytest.raises(MissingData, match=r"bts.men.men\.csv"):
        load("bts", "men", tmp_path)
    with pytest.raises(MissingData, match="expected one of random, bts and of all, men, women"):
        load("greedy", "men", tmp_path)


def test_an_installed_package_is_found_without_being_imported(tmp_path, monkeypatch):
    made = tmp_path / "obp-0.5.7.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: obp\nVersion: 0.5.7\n")
    (tmp_path / "obp").mkdir()
    (tmp_path / "obp" / "__init__.py").write_text("raise SystemError('it was imported')")
    write(tmp_path / WITHIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert len(load("random", "men", pinned=False).action) == 20
    assert open_bandit.folder() == tmp_path / WITHIN


def test_every_file_of_the_package_is_pinned():
    assert set(open_bandit.DIGESTS) == {(p, c) for p in POLICIES for c in ITEMS}
    assert {len(digest) for digest in open_bandit.DIGESTS.values()} == {64}
