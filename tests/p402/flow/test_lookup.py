"""Whoever asks for the cache and is refused is told why, in a sentence."""

import inspect
import re

import pytest

from p402.cache import query
from p402.flow import lookup
from tests.p402.flow.test_cache import a_question, a_world, told


def test_every_reason_of_a_query_has_its_sentence():
    source = inspect.getsource(query)
    reasons = set(re.findall(r'return "([a-z_]+)"', source)) | set(query._BY_FORM.values())
    assert reasons == set(lookup._WHY)


@pytest.mark.parametrize(
    ("text", "why"),
    [("Generate a strong password", "wants chance"), ("USD to EUR", "when it is asked")],
)
def test_p11_what_wants_chance_or_ages_is_not_given_again_even_letter_for_letter(text, why):
    world = a_world()
    for _ in range(2):
        question = a_question(text, cache=True)
        metadata = told(world.ask(question))
        assert not metadata.cached
        assert why in " ".join(metadata.warnings)
