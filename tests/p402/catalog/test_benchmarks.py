import re
import tomllib
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402 import catalog
from p402.catalog.benchmarks import PRIOR_HIGH, PRIOR_LOW, PRIOR_SD, family_prior, parse_benchmarks, priors
from p402.catalog.model import Deployment
from p402.catalog.price import PricePeriod, PriceRow, TokenPrices
from p402.errors import ConfigError
from p402.routing.spec import TASKS as ALL_TASKS

TASKS = ("math", "code")
ENTRY = {
    "model": "m",
    "task": "math",
    "score": 0.5,
    "n": 100,
    "source": "our runs",
    "date": "2026-11-01",
    "licence": "CC0-1.0",
}


def test_an_entry_is_read_whole() -> None:
    (read,) = parse_benchmarks({"benchmark": [ENTRY]}, TASKS)
    assert {name: getattr(read, name) for name in ENTRY} == ENTRY


def test_the_file_that_the_readme_shows_is_read_with_every_field() -> None:
    readme = (Path(catalog.__file__).parent / "README.md").read_text()
    (shown,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    document = tomllib.loads(shown, parse_float=Decimal)
    assert set(document["benchmark"][0]) == ENTRY.keys()
    (read,) = parse_benchmarks(document, ALL_TASKS)
    assert (read.model, read.task, read.date) == ("gpt-5.4", "code", "2026-11-20")


def test_no_entries_are_no_benchmarks() -> None:
    assert parse_benchmarks({}, TASKS) == ()


def test_sample_size_and_licence_may_be_unknown() -> None:
    (read,) = parse_benchmarks(
        {"benchmark": [{k: v for k, v in ENTRY.items() if k not in ("n", "licence")}]}, TASKS
    )
    assert (read.n, read.licence) == (None, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": None}, r"benchmark\[0\].source is missing"),
        ({"date": "yesterday"}, r"benchmark\[0\].date: found 'yesterday'"),
        ({"date": None}, "expected the day"),
        ({"model": " "}, "model is missing"),
        ({"score": 87}, "expected a number from 0 to 1"),
        ({"score": True}, "expected a number from 0 to 1"),
        ({"score": float("nan")}, "expected a number from 0 to 1"),
        ({"n": 0}, "1 or more"),
        ({"task": "maths"}, "did you mean `math`"),
        ({"sorce": "x"}, "did you mean `source`"),
    ],
)
def test_a_wrong_entry_says_where_and_what(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_benchmarks({"benchmark": [ENTRY | change]}, TASKS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"benchmarks": []}, "unknown table"),
        ({"benchmark": ENTRY}, "no list"),
        ({"benchmark": [1]}, "expected a table"),
        ({"benchmark": [ENTRY, ENTRY]}, "second score"),
    ],
)
def test_a_wrong_file_says_what(data: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_benchmarks(data, TASKS)


def offer(provider: str, model: str, output: int | None) -> Deployment:
    prices = () if output is None else (PricePeriod(PriceRow(TokenPrices(input=1, output=output))),)
    return Deployment(provider, model, model, "lab", model, prices=prices)


@given(st.lists(st.none() | st.integers(0, 50), min_size=1, max_size=20))
def test_priors_are_marked_wide_monotone_in_price_and_equal_for_equal_prices(
    outputs: list[int | None],
) -> None:
    rows = [offer("p", f"m{i}", output) for i, output in enumerate(outputs)]
    found = priors(rows, 0)
    by_price = sorted((o, found[r.id].mean) for r, o in zip(rows, outputs, strict=True) if o is not None)
    for (low, mean), (high, higher) in pairwise(by_price):
        assert mean == higher if low == high else mean < higher
    for prior in found.values():
        assert prior.quality_source == "prior"
        assert prior.sd == PRIOR_SD > PRIOR_HIGH - PRIOR_LOW
        assert PRIOR_LOW <= prior.mean <= PRIOR_HIGH


def test_a_model_is_believed_equally_good_wherever_it_is_served() -> None:
    found = priors(
        [offer("p", "m", 10), offer("q", "m", 90), offer("p", "cheap", 1), offer("p", "dear", 99)], 0
    )
    assert found["p/m"] == found["q/m"]
    assert found["p/cheap"].mean < found["p/m"].mean < found["p/dear"].mean


def test_a_model_without_a_price_gets_the_middle() -> None:
    assert priors([offer("p", "m", None), offer("p", "n", 1), offer("p", "o", 2)], 0)["p/m"] == family_prior(
        None
    )
    assert family_prior(None).mean == pytest.approx((PRIOR_LOW + PRIOR_HIGH) / 2)


def test_an_exact_decimal_of_a_toml_file_is_a_score():
    entry = {"model": "m", "task": "math", "score": Decimal("0.672083"), "source": "s", "date": "2026-01-31"}
    (benchmark,) = parse_benchmarks({"benchmark": [entry]}, ("math",))
    assert benchmark.score == 0.672083
