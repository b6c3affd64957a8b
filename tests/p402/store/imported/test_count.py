"""Imported calls are counted apart, wherever they lie."""

from p402.store.compactor import compact
from p402.store.imported.count import LINE, imported_calls


def test_calls_are_counted_in_segments_and_in_parquet(tmp_path, make, write):
    assert imported_calls(tmp_path) == 0
    write(tmp_path, [make.imported(0), make.decision(1), make.imported(2)])
    assert imported_calls(tmp_path) == 2
    compact(tmp_path)
    assert imported_calls(tmp_path) == 2
    write(tmp_path, [make.decision(3, task=LINE.decode()), make.imported(4)], "w1")
    assert imported_calls(tmp_path) == 3
