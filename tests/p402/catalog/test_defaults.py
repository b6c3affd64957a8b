from dataclasses import replace

import msgspec
import pytest

from p402.catalog.defaults import BASELINE, COST_CHAIN, DEFAULT_ARMS, SUCCESSORS, validate_defaults
from p402.catalog.model import Catalog
from p402.store.catalog import load_catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_p3_every_mode_has_default_arms_and_each_is_alive_and_priced(catalog: Catalog) -> None:
    assert set(DEFAULT_ARMS) == {"cost", "quality", "speed", "balanced"}
    assert validate_defaults(catalog) == []


def test_p4_the_cost_chain_is_deepseek_haiku_flash(catalog: Catalog) -> None:
    assert [catalog.by_id[arm].family for arm in COST_CHAIN] == ["deepseek", "anthropic", "google"]


def test_names_that_no_lab_serves_are_in_no_default(catalog: Catalog) -> None:
    used = {arm.partition("/")[2] for arms in DEFAULT_ARMS.values() for arm in arms} | {
        BASELINE.partition("/")[2]
    }
    assert not used & SUCCESSORS.keys()
    for name in SUCCESSORS:
        assert all(d.status == "removed" for d in catalog.named(name) if d.provider == d.family)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"status": "removed"}, "which is removed"),
        ({"prices": ()}, "which has no price"),
        ({"context_window": None}, "whose context window is unknown"),
        (None, "which is not in the catalogue"),
    ],
)
def test_a_default_that_went_bad_is_reported(catalog: Catalog, change: dict | None, complaint: str) -> None:
    rows = [d for d in catalog.deployments if d.id != BASELINE]
    if change is not None:
        rows.append(msgspec.structs.replace(catalog.by_id[BASELINE], **change))
    aliases = {a: t for a, t in catalog.aliases.items() if t != BASELINE}
    problems = validate_defaults(replace(catalog, deployments=tuple(rows), aliases=aliases))
    assert problems
    assert all(BASELINE in p and complaint in p for p in problems)
