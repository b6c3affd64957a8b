from pathlib import Path

import pytest

from p402.catalog.codec import dump
from p402.catalog.model import UNKNOWN_CAPABILITIES, Catalog, counts, is_priced
from p402.errors import StoreError
from p402.store.catalog import load_catalog


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


def test_p2_the_catalogue_has_300_priced_models_counted_apart_from_providers_and_deployments(
    catalog: Catalog,
) -> None:
    found = counts(catalog.deployments)
    priced = [d for d in catalog.deployments if is_priced(d) and d.status == "active"]
    assert len({d.model_family for d in priced}) >= 300
    assert found.priced_models >= 300
    assert found.providers < found.priced_models <= found.models < found.deployments
    assert found.price_context_capabilities >= 300


def test_unknown_is_null_never_zero(catalog: Catalog) -> None:
    for d in catalog.deployments:
        assert d.context_window is None or d.context_window > 0
        assert d.output_limit is None or d.output_limit > 0
        for period in d.prices:
            for prices in (period.prices.base, *(t.prices for t in period.prices.tiers)):
                # no source lists a free deployment today: routes marked `:free` are left out
                assert all(p is None or p > 0 for p in (prices.input, prices.output)), d.id


def test_every_known_value_names_its_dated_source_and_no_unknown_one_does(catalog: Catalog) -> None:
    for d in catalog.deployments:
        marks = d.sources
        assert (marks.price is None) == (not d.prices), d.id
        assert (marks.context is None) == (d.context_window is None), d.id
        assert (marks.output_limit is None) == (d.output_limit is None), d.id
        assert (marks.capabilities is None) == (d.capabilities == UNKNOWN_CAPABILITIES), d.id
        assert (marks.status is not None) or d.status == "active", d.id
        for name in marks.__struct_fields__:
            mark = getattr(marks, name)
            assert mark is None or catalog.sources[mark.source].date


def test_a_value_read_at_the_lab_is_marked_inherited(catalog: Catalog) -> None:
    inherited = [
        d for d in catalog.deployments if d.sources.capabilities and d.sources.capabilities.inherited_from
    ]
    assert inherited
    assert catalog.by_id["groq/llama-3.3-70b-versatile"].sources.capabilities.inherited_from is None


def test_routes_that_are_no_deployments_of_their_own_are_left_out(catalog: Catalog) -> None:
    for d in catalog.deployments:
        assert not d.model.endswith((":batch", ":free"))
        assert not d.model.startswith("~")


def test_one_model_at_three_providers_is_one_model(catalog: Catalog) -> None:
    providers = {d.provider for d in catalog.named("claude-sonnet-4-6")}
    assert {"anthropic", "google", "aws", "openrouter"} <= providers
    assert {d.family for d in catalog.named("claude-sonnet-4-6")} == {"anthropic"}


def test_known_prices_are_in_whole_pico_usd(catalog: Catalog) -> None:
    base = catalog.by_id["anthropic/claude-sonnet-4-6"].prices[0].prices.base
    assert (base.input, base.output) == (3_000_000, 15_000_000)  # 3 and 15 USD per million tokens


def test_models_that_their_lab_removed_say_so(catalog: Catalog) -> None:
    assert catalog.by_id["deepseek/deepseek-chat"].status == "removed"
    assert catalog.by_id["anthropic/claude-opus-4-0"].status == "removed"


def test_another_file_can_be_named(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_bytes(dump(catalog))
    assert load_catalog(path) == catalog


def test_an_absent_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*absent.json.*build it"):
        load_catalog(tmp_path / "absent.json")


def test_a_corrupt_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    path.write_bytes(b"{")
    with pytest.raises(StoreError, match=r"catalog.json: not a catalogue"):
        load_catalog(path)
