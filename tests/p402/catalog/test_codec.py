import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402.catalog.codec import dump, parse
from p402.catalog.model import Capabilities, Catalog, Deployment, Mark, Marks, Source
from p402.catalog.price import PricePeriod, PriceRow, Tier, TokenPrices

ROOT = Path(__file__).parents[3]
SOURCES = {"s": Source("test", "2026-11-22", "MIT", "https://example.org")}

pico = st.none() | st.integers(0, 10**9)
tokens = st.builds(TokenPrices, pico, pico, pico, pico, pico)
rows = st.builds(
    PriceRow, tokens, st.lists(st.builds(Tier, st.integers(0, 10**6), tokens), max_size=2).map(tuple)
)
periods = st.builds(PricePeriod, rows, st.none() | st.integers(0, 2**41), st.none() | st.just((0, 3_600_000)))
maybe = st.none() | st.booleans()
names = st.text('abc-./:é"\n', min_size=1, max_size=8)
deployments = st.builds(
    Deployment,
    provider=st.sampled_from(("p", "q")),
    model=names,
    model_family=names,
    family=names,
    name=names,
    context_window=st.none() | st.integers(1, 10**7),
    capabilities=st.builds(Capabilities, maybe, maybe, maybe, maybe),
    prices=st.lists(periods, max_size=3).map(tuple),
    status=st.sampled_from(("active", "deprecated", "removed")),
    open_weights=maybe,
    sources=st.just(Marks(price=Mark("s"), context=Mark("s", "lab/model"))),
)
catalogs = st.lists(deployments, max_size=5, unique_by=lambda d: d.id).map(
    lambda found: Catalog("", "2026-11-22", SOURCES, {}, tuple(found))
)


@given(catalogs)
def test_a_catalogue_is_read_back_as_it_was_written(catalog: Catalog) -> None:
    data = dump(catalog)
    again = parse(data)
    assert again.deployments == tuple(sorted(catalog.deployments, key=lambda d: d.id))
    assert (again.built_on, again.sources, again.aliases) == (
        catalog.built_on,
        catalog.sources,
        catalog.aliases,
    )
    assert dump(again) == data


@given(catalogs, st.data())
def test_a_torn_file_is_told_from_a_sound_one(catalog: Catalog, data: st.DataObject) -> None:
    whole = dump(catalog)
    cut = data.draw(st.integers(0, len(whole) - 2))  # the last byte is a newline
    with pytest.raises(ValueError, match="not a catalogue"):
        parse(whole[:cut])


def one(**changes: object) -> Catalog:
    base = {"provider": "p", "model": "m", "model_family": "m", "family": "f", "name": "M"}
    return Catalog("", "2026-11-22", SOURCES, {}, (Deployment(**base | changes),))


def test_an_edited_file_is_refused() -> None:
    data = dump(one(context_window=4096))
    with pytest.raises(ValueError, match="other contents than its version says"):
        parse(data.replace(b"4096", b"8192"))


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2 found, 1 expected"):
        parse(dump(one()).replace(b'"format":1', b'"format":2'))


@pytest.mark.parametrize("price", [b"-1", b"1.5", b'"free"'])
def test_a_price_is_a_whole_number_not_below_zero_or_null(price: bytes) -> None:
    data = dump(one(prices=(PricePeriod(PriceRow(TokenPrices(input=77))),)))
    with pytest.raises(ValueError, match="not a catalogue"):
        parse(data.replace(b"77", price))


def test_two_deployments_of_one_id_are_refused() -> None:
    (deployment,) = one().deployments
    with pytest.raises(ValueError, match="ids are unique"):
        Catalog("", "2026-11-22", SOURCES, {}, (deployment, deployment))


@pytest.mark.parametrize(("alias", "target"), [("p/other", "p/absent"), ("p/m", "p/m")])
def test_an_alias_names_a_deployment_and_hides_none(alias: str, target: str) -> None:
    with pytest.raises(ValueError, match="alias"):
        Catalog("", "2026-11-22", SOURCES, {alias: target}, one().deployments)


def test_ids_are_exact_and_aliases_explicit() -> None:
    catalog = Catalog("", "2026-11-22", SOURCES, {"p/old": "p/m"}, one().deployments)
    assert catalog.find("p/m") == catalog.find("p/old") == catalog.deployments[0]
    assert catalog.find("p/m-2") is None
    assert catalog.find("p/") is None
    assert catalog.find("m") is None
    assert catalog.named("m") == catalog.deployments


def test_the_packaged_file_is_what_its_sources_compile_to() -> None:
    pytest.importorskip("genai_prices")
    build = subprocess.run(
        [sys.executable, ROOT / "datasets/catalog/build.py", "--check"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert build.returncode == 0, build.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            "BASELINE = 'openai/gpt-never'",
            "the baseline names openai/gpt-never, which is not in the catalogue",
        ),
        ("FAST_HARDWARE = frozenset({'nobody'})", "fast hardware names provider nobody"),
    ],
)
def test_a_build_that_lacks_what_the_code_names_fails(change: str, said: str) -> None:
    pytest.importorskip("genai_prices")
    code = f"import p402.catalog.defaults as defaults; defaults.{change}; import build; build.build()"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "datasets/catalog",
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert said in run.stderr


def test_loading_needs_neither_pydantic_nor_the_price_package() -> None:
    code = (
        "import sys; from p402.store.catalog import load_catalog; load_catalog();"
        "print(*sorted({'pydantic', 'genai_prices', 'httpx2', 'numpy'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == ""
