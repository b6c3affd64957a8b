"""The bench of the cache's guards judges every set that is there and says which is not."""

from experiments.bench import cache_guards


def test_without_a_table_only_made_pairs_are_judged(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("P402_TABLES", str(tmp_path))
    figures = {figure.name: figure for figure in cache_guards.run()}
    assert "real pairs skipped" in capsys.readouterr().err
    assert figures["made: near misses refused"].ok
    assert figures["made: equivalents passed"].ok
    assert not any(name.startswith("kmemo") for name in figures)


def test_a_table_is_judged_by_its_sources(monkeypatch, tmp_path):
    import polars as pl

    pl.DataFrame(
        {
            "prompt_a": ["Is 2 prime?", "Is 2 prime?", "Is 4 even?"],
            "prompt_b": ["Is 3 prime?", "is 2 prime", "is 4 even"],
            "same_answer": [0, 1, 0],
            "category": ["x", "x", "x"],
            "source": ["one", "one", "other"],
        }
    ).write_parquet(tmp_path / cache_guards.TABLE)
    monkeypatch.setenv("P402_TABLES", str(tmp_path))
    figures = {figure.name: figure.value for figure in cache_guards.run()}
    assert figures["one: near misses refused"] == 1.0
    assert figures["one: equivalents passed"] == 1.0
    assert "other: pairs" not in figures
