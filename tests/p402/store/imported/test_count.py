"""Imported calls and their bytes are counted apart, wherever they lie."""

from p402.store import manifest
from p402.store.compactor import compact
from p402.store.imported.count import LINE, imported_in
from p402.store.reader import uncompacted


def test_calls_are_counted_in_segments_and_in_parquet(tmp_path, make, write):
    assert imported_in(tmp_path) == (0, 0)
    write(tmp_path, [make.imported(0), make.imported(2)])
    alone = imported_in(tmp_path)
    assert alone == (2, sum(size for _, size in uncompacted(tmp_path)[1]))
    write(tmp_path, [make.decision(1, task=LINE.decode())], "w1")
    assert imported_in(tmp_path) == alone
    compact(tmp_path)
    parts = manifest.load(tmp_path).of_kind("imported")
    assert imported_in(tmp_path) == (2, sum(part.size_bytes for part in parts))
    write(tmp_path, [make.imported(4)], "w2")
    assert imported_in(tmp_path).calls == 3
