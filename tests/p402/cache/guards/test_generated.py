"""Of pairs made from templates, no near miss passes; most equivalents do."""

import os
from collections import Counter
from pathlib import Path

import pytest

from experiments.bench import fresh_pairs, held_out
from experiments.bench.prompt_pairs import equivalents, near_misses
from p402.cache.guards import disagreement, is_time_sensitive

GUARDS = {
    "number": "numbers",
    "sum": "numbers",
    "version": "numbers",
    "unit": "numbers",
    "date": "numbers",
    "negation": "negation",
    "antonym": "antonyms",
    "entity": "entities",
    "order": "order",
    "language": "entities",
}

COUNTS = {
    "whitespace", "line break", "quotes doubled", "quotes curled", "article left out", "a for the",
    "the best way", "really", "British spelling", "American spelling", "thousands without comma",
    "please behind", "good morning and thanks", "number spelled",
}  # fmt: skip
"""Rewordings that the guards no longer know: each stood for another answer in some prompt."""

HARMLESS = {"can"}  # how I can is how can I


def test_p11_no_near_miss_of_ten_thousand_passes():
    pairs = near_misses()
    assert len({(pair.asked, pair.kept) for pair in pairs}) >= 10_000
    assert [pair for pair in pairs if disagreement(pair.asked, pair.kept) is None] == []


def test_every_family_of_the_review_is_among_the_near_misses():
    told = Counter(pair.family for pair in near_misses())
    for family in ("layout", "stop", "comma", "swapped", "article", "capital", "manners"):
        assert told[family] >= 70, family


def test_near_misses_are_refused_for_what_differs_not_for_their_manners():
    pairs = near_misses()
    assert sum(disagreement(pair.bare, pair.kept) is None for pair in pairs) / len(pairs) >= 0.7
    assert [pair for pair in pairs if disagreement(pair.asked, pair.bare) is None] == []


def test_every_family_has_its_guard():
    told: dict[str, Counter[str | None]] = {}
    for pair in near_misses():
        told.setdefault(pair.family, Counter())[disagreement(pair.asked, pair.bare)] += 1
    for family, guard in GUARDS.items():
        assert told[family].most_common(1)[0][0] == guard, (family, told[family])


def test_most_equivalents_pass_but_where_the_rewording_counts():
    told: dict[str, list[bool]] = {}
    for pair in equivalents():
        told.setdefault(pair.family, []).append(disagreement(pair.asked, pair.kept) is None)
    assert {family for family, passed in told.items() if not any(passed)} == COUNTS
    passed = [one for family, all_ in told.items() if family not in COUNTS for one in all_]
    assert len(passed) >= 200
    assert sum(passed) / len(passed) >= 0.8


def test_of_a_prompts_words_none_may_be_left_out_or_moved():
    for text in {pair.asked for pair in equivalents()}:
        words = text.split()
        for at, word in enumerate(words):
            without = " ".join(words[:at] + words[at + 1 :])
            assert disagreement(text, without) is not None, (text, word)
            moved = " ".join([*words[:at], *words[at + 1 : at + 2], word, *words[at + 2 :]])
            near = {word, *words[at + 1 : at + 2]}
            assert near & HARMLESS or moved == text or disagreement(text, moved) is not None, (text, moved)


def test_templates_that_ask_for_nothing_of_the_hour_are_not_time_bound():
    texts = {pair.asked for pair in equivalents()}
    assert [text for text in sorted(texts) if is_time_sensitive(text)] == []


def test_what_the_lists_were_not_made_for_is_refused_as_well():
    pairs = held_out.near_misses()
    assert len(pairs) >= 900
    assert sum(disagreement(*pair) is not None for pair in pairs) / len(pairs) >= 0.99


def test_pairs_written_after_the_review_are_refused():
    """Those that passed at first were mended: see the room's README. Of two the label is in doubt."""
    for pairs in fresh_pairs.FAMILIES.values():
        assert len(pairs) >= 15
        assert [pair for pair in pairs if disagreement(*pair) is None] == []
    later = [pair for pairs in fresh_pairs.SECOND.values() for pair in pairs] + list(fresh_pairs.THIRD)
    assert {pair for pair in later if disagreement(*pair) is None} == fresh_pairs.IN_DOUBT


def test_a_fifth_of_the_held_out_equivalents_pass():
    pairs = held_out.equivalents()
    assert sum(disagreement(*pair) is None for pair in pairs) / len(pairs) >= 0.2


TABLE = Path(os.environ.get("P402_TABLES", "none")) / "paraphrase_pairs.parquet"


@pytest.mark.skipif(not TABLE.exists(), reason="P402_TABLES names no folder with paraphrase_pairs.parquet")
def test_real_near_misses_are_refused():
    import polars as pl

    rows = pl.read_parquet(TABLE).filter(pl.col("same_answer") == 0)
    told = [disagreement(a, b) for a, b in rows.select("prompt_a", "prompt_b").iter_rows()]
    assert sum(guard is not None for guard in told) / len(told) >= 0.999
