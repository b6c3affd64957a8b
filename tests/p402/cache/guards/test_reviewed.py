"""What a reviewer found to pass is refused, whichever of the two is asked first and in whatever manners."""

import pytest

from experiments.bench.reviewed_pairs import FAMILIES
from p402.cache.guards import disagreement

MANNERS = (
    "Please {}",
    "Hi, {}",
    "{} please",
    "{}, please",
    "{}, thanks!",
    " {} ",
    "Hello! {}",
    "{}. Thank you.",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_p11_what_a_reviewer_found_is_refused(family):
    pairs = FAMILIES[family]
    told = [pair for pair in pairs if disagreement(*pair) is None or disagreement(*pair[::-1]) is None]
    assert told == []


@pytest.mark.parametrize("family", FAMILIES)
def test_p11_it_is_refused_in_other_manners_as_well(family):
    for one, other in FAMILIES[family]:
        for manner in MANNERS:
            for asked, kept in (
                (one, manner.format(other)),
                (manner.format(one), other),
                (manner.format(one), manner.format(other)),
            ):
                assert asked == kept or disagreement(asked, kept) is not None, (asked, kept)
