"""The nearest by cosine, and what is kept of whom and for how long."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from p402.cache.contract import EXACT, SEMANTIC, Entry, Query
from p402.cache.index import Index
from p402.cache.shelf import OVERHEAD, Shelf

NOW = 1_790_000_000_000
DIMS = 8


def unit(*values) -> np.ndarray:
    vector = np.zeros(DIMS, np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def at(cosine: float, axis: int = 1) -> np.ndarray:
    """A vector whose cosine with the first axis is this."""
    vector = np.zeros(DIMS, np.float32)
    vector[0], vector[axis] = cosine, np.sqrt(1 - cosine**2)
    return vector


def asked(text="How deep is the sea?", tenant="t", scope=b"s", similarity=0.92) -> Query:
    return Query(tenant, scope, tenant.encode() + scope + text.encode(), text, similarity)


def an_entry(name="r1", body=b"{}", ttl_ms=60_000, now=NOW) -> Entry:
    return Entry(name, "p/m", "qa", body, 3, 4, 0, 0, 0, 0, False, now, now + ttl_ms)


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 12), st.integers(0, 200)), max_size=60
    ),
    st.integers(0, 200),
    st.floats(-1, 1, width=32),
    st.integers(1, 5),
)
@settings(max_examples=200)
def test_the_index_gives_what_a_plain_search_gives(steps, sought, cosine, most):
    def vector(seed):
        found = np.random.default_rng(seed).standard_normal(DIMS).astype(np.float32)
        return found / np.linalg.norm(found)

    index, plain = Index(), {}
    for what, key, seed in steps:
        name = b"%d" % key
        if what == "put":
            index.put(name, vector(seed))
            plain[name] = vector(seed)
        else:
            index.drop(name)
            plain.pop(name, None)
    assert len(index) == len(plain)
    found = index.above(vector(sought), cosine, most)
    expected = sorted((min(float(v @ vector(sought)), 1.0) for v in plain.values()), reverse=True)
    expected = [c for c in expected if c > cosine][:most]
    assert [c for _, c in found] == pytest.approx(expected, abs=1e-6)
    for key, c in found:
        assert float(plain[key] @ vector(sought)) == pytest.approx(c, abs=1e-6)


def test_another_length_of_vector_is_an_error():
    index = Index()
    index.put(b"a", unit(1))
    with pytest.raises(ValueError, match="broadcast"):
        index.put(b"b", np.ones(3, np.float32))


def test_an_exact_repeat_is_found_with_all_that_was_kept():
    shelf, entry = Shelf(), an_entry()
    shelf.put(asked(), None, entry, NOW)
    hit = shelf.exact(asked(), NOW)
    assert (hit.entry, hit.tier, hit.similarity) == (entry, EXACT, 1.0)
    assert shelf.exact(asked("How wide is the sea?"), NOW) is None


def test_p11_exactly_at_the_cosine_is_not_above_it():
    shelf = Shelf()
    shelf.put(asked("Hi, how deep is the sea?"), unit(1), an_entry(), NOW)
    same = replace(asked("How deep is the sea?"), similarity=0.95)
    at_it = float(unit(1) @ at(0.95))
    assert shelf.alike(replace(same, similarity=at_it), at(0.95), NOW) is None
    hit = shelf.alike(replace(same, similarity=np.nextafter(at_it, 0)), at(0.95), NOW)
    assert (hit.tier, hit.similarity) == (SEMANTIC, pytest.approx(0.95, abs=1e-6))


def test_p11_a_cosine_of_one_is_not_enough_where_the_words_differ_in_a_number():
    shelf = Shelf()
    shelf.put(asked("What is 2 + 2?"), unit(1), an_entry(), NOW)
    assert shelf.alike(asked("What is 2 + 3?"), unit(1), NOW) is None


def test_the_next_nearest_is_asked_where_the_guards_refuse_the_nearest():
    shelf = Shelf()
    shelf.put(asked("What is 2 + 2?"), unit(1), an_entry("near"), NOW)
    shelf.put(asked("Hi, what is 2 + 3?"), at(0.95), an_entry("next"), NOW)
    assert shelf.alike(asked("What is 2 + 3?"), unit(1), NOW).entry.id == "next"


@pytest.mark.parametrize("other", [{"tenant": "u"}, {"scope": b"z"}])
def test_p11_nothing_is_found_in_another_scope_or_of_another_tenant(other):
    shelf = Shelf()
    shelf.put(asked(), unit(1), an_entry(), NOW)
    assert shelf.exact(asked(**other), NOW) is None
    assert shelf.alike(asked(**other), unit(1), NOW) is None
    assert shelf.drop("u", "r1") is False
    assert shelf.clear("u") == 0
    assert shelf.exact(asked(), NOW) is not None


def test_what_has_expired_is_given_no_more():
    shelf = Shelf()
    shelf.put(asked("a  b"), unit(1), an_entry(ttl_ms=100), NOW)
    assert shelf.exact(asked("a  b"), NOW + 99)
    assert shelf.count("t", NOW + 99) == 1
    assert shelf.count("t", NOW + 100) == 0
    assert shelf.alike(asked("a b"), unit(1), NOW + 100) is None
    assert shelf.exact(asked("a  b"), NOW + 100) is None
    shelf.put(asked(), None, an_entry(ttl_ms=0), NOW)
    assert shelf.exact(asked(), NOW) is None


def test_what_has_expired_hides_no_other_even_where_the_guards_refuse_it():
    shelf = Shelf()
    for number in range(9):
        shelf.put(asked(f"What is 2 + {number}?"), unit(1), an_entry(f"r{number}", ttl_ms=100), NOW)
    shelf.put(asked("Hi, how deep is the sea?"), at(0.95), an_entry("sea"), NOW)
    assert shelf.alike(asked("How deep is the sea?"), unit(1), NOW + 99) is None
    assert shelf.alike(asked("How deep is the sea?"), unit(1), NOW + 100).entry.id == "sea"


def test_a_later_answer_takes_the_place_of_an_earlier_one():
    shelf = Shelf()
    shelf.put(asked(), unit(1), an_entry("old"), NOW)
    shelf.put(asked(), None, an_entry("new"), NOW)
    assert shelf.exact(asked(), NOW).entry.id == "new"
    assert shelf.alike(asked("How deep is  the sea?"), unit(1), NOW) is None, "its vector went with it"
    assert shelf.drop("t", "old") is False
    assert shelf.drop("t", "new") is True
    assert shelf.exact(asked(), NOW) is None


def test_the_longest_unused_go_first_and_only_the_tenants_own():
    shelf = Shelf(max_entries=3)
    shelf.put(asked("other", tenant="u"), None, an_entry("u"), NOW)
    for number in range(3):
        shelf.put(asked(f"q{number}"), None, an_entry(f"r{number}"), NOW)
    assert shelf.exact(asked("q0"), NOW)
    shelf.put(asked("q3"), None, an_entry("r3"), NOW)
    found = [number for number in range(4) if shelf.exact(asked(f"q{number}"), NOW)]
    assert found == [0, 2, 3]
    assert shelf.exact(asked("other", tenant="u"), NOW)


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0, 30, 90, 1_121, 1_122, 1_123])), max_size=40))
def test_a_tenant_never_holds_more_than_its_bytes(puts):
    shelf = Shelf(max_entries=5, max_bytes=(most := 3 * OVERHEAD + 100))
    for number, size in puts:
        shelf.put(asked(f"q{number}"), None, an_entry(f"r{number}", b"x" * size), NOW)
        kept = [k for k in range(7) if shelf.exact(asked(f"q{k}"), NOW)]
        held = sum(len(shelf.exact(asked(f"q{k}"), NOW).entry.body) + 2 + OVERHEAD for k in kept)
        assert held <= most
        assert len(kept) <= 3
        assert number in kept or OVERHEAD + size + 2 > most


def test_clearing_forgets_all_of_one_tenant():
    shelf = Shelf()
    for tenant in ("t", "u"):
        shelf.put(asked(tenant=tenant), unit(1), an_entry(tenant), NOW)
    assert shelf.clear("t") == 1
    assert shelf.count("t", NOW) == 0
    assert shelf.exact(asked(tenant="u"), NOW)
