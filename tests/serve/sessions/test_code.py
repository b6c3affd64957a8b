"""Keys are digests that tell tenants apart; a word is what was left, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from p402.ports import Warmth, Word
from serve.sessions.code import KEY_BYTES, decode, encode, key_of

names = st.text(st.characters(codec=None), max_size=40)


@given(names, names, names, names)
def test_two_sessions_have_one_key_only_if_they_are_one(tenant, session, other, another):
    one, two = key_of(tenant, session), key_of(other, another)
    assert len(one) == KEY_BYTES
    assert (one == two) == ((tenant, session) == (other, another))
    assert key_of(tenant + session, another) != key_of(tenant, session + another) or not session


@given(
    st.text(min_size=1, max_size=60), st.integers(0, 1 << 60), st.integers(0, 1 << 60), st.integers(0, 10**6)
)
def test_a_word_is_told_as_it_was_left_with_its_age(arm, tokens, answers, age_ms):
    word = Word(age_ms, encode(Warmth(arm, tokens, 123, answers)))
    assert decode(word, 10**12) == Warmth(arm, tokens, 10**12 - age_ms, answers)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_word_or_nothing(data):
    found = decode(Word(0, data), 0)
    assert found is None or encode(found).split(b" ", 2)[2] == data.split(b" ", 2)[2]
