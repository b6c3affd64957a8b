"""The packaged head is sound and small; one that is not there or damaged says so."""

from importlib.resources import files

import pytest

from p402.errors import StoreError
from p402.routing.scale import FEATURE_ONE
from p402.store.task_head import load_head

PACKAGED = files("p402.routing") / "data" / "tasks.json"


def test_the_packaged_head_is_sound_and_below_150_kilobytes():
    head = load_head()
    assert head.version
    assert FEATURE_ONE // 4 <= head.floor <= head.sure <= FEATURE_ONE // 2
    assert len(PACKAGED.read_bytes()) < 150_000


def test_a_missing_file_is_an_error_that_says_how_to_get_it(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere.json: No such file.*reinstall p402, or train it"):
        load_head(tmp_path / "nowhere.json")


def test_a_damaged_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_bytes(PACKAGED.read_bytes().replace(b"-9", b"-8", 1))
    with pytest.raises(StoreError, match=r"tasks.json: task head .* has other contents"):
        load_head(path)
    path.write_bytes(PACKAGED.read_bytes()[:1_000])
    with pytest.raises(StoreError, match=r"tasks.json: not a task head"):
        load_head(path)
