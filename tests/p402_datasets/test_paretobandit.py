"""The wheel's rows are the pinned ones, and tokens give its bills back."""

import re
import sys
from decimal import Decimal
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p402_datasets import paretobandit
from p402_datasets.errors import CorruptData, MissingData, MissingOutcome
from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import LIST_PRICES, TEST, VAL, ListPrice, tokens_of_bill

TASKS = {
    "chat",
    "code",
    "math",
    "reasoning",
    "knowledge",
    "extraction",
    "summary",
    "translation",
    "writing",
    "tools",
}


@pytest.fixture(scope="module")
def table() -> OutcomeTable:
    try:
        return paretobandit.load()
    except MissingData as error:
        pytest.skip(str(error))


def test_both_splits_load_in_full(table: OutcomeTable) -> None:
    assert (len(table.split(VAL).prompts), len(table.split(TEST).prompts)) == (1_785, 1_824)
    assert table.quality.shape == (3_609, 3)
    assert table.quality.mean(axis=0) == pytest.approx([0.791, 0.924, 0.934], abs=0.001)


def test_the_package_itself_is_never_imported(table: OutcomeTable) -> None:
    assert table.prompts
    assert "pareto_bandit" not in sys.modules


def test_every_benchmark_has_one_of_the_tasks_that_routing_knows(table: OutcomeTable) -> None:
    assert {p.task for p in table.prompts} <= TASKS
    assert len({p.task for p in table.prompts}) >= 5


def test_derived_tokens_give_every_bill_back_to_the_pico_dollar(table: OutcomeTable) -> None:
    for column, price in enumerate(LIST_PRICES.values()):
        paid = int(price.input_usd_per_mtok * 1_000_000), int(price.output_usd_per_mtok * 1_000_000)
        pico = table.prompt_tokens[:, column] * paid[0] + table.output_tokens[:, column] * paid[1]
        assert np.array_equal(pico, np.rint(table.cost_usd[:, column] * 1e12).astype(np.int64))


def test_derived_input_tokens_of_a_prompt_differ_little_between_models(table: OutcomeTable) -> None:
    spread = table.prompt_tokens.max(axis=1) - table.prompt_tokens.min(axis=1)
    assert np.quantile(spread, 0.99) <= 8


@given(
    st.sampled_from([("0.1", "0.1"), ("0.5", "1.5"), ("1.25", "10")]),
    st.integers(1, 5_000),
    st.integers(1, 20_000),
    st.integers(1, 5_000),
)
def test_a_bill_is_explained_exactly_and_near_the_estimate(
    prices: tuple[str, str], prompt: int, output: int, estimate: int
) -> None:
    price = ListPrice(Decimal(prices[0]), Decimal(prices[1]))
    bill = (prompt * price.input_usd_per_mtok + output * price.output_usd_per_mtok) / 1_000_000
    found = tokens_of_bill(bill, price, estimate)
    assert min(found) >= 1
    assert (found[0] * price.input_usd_per_mtok + found[1] * price.output_usd_per_mtok) / 1_000_000 == bill
    ratio = price.output_usd_per_mtok / price.input_usd_per_mtok
    most = prompt + (output - 1) * ratio  # beyond it no output token is left
    assert abs(found[0] - min(estimate, most)) <= ratio


@pytest.mark.parametrize("bill", ["0.0000011", "0.0000003"])
def test_a_bill_that_no_tokens_make_is_refused(bill: str) -> None:
    with pytest.raises(CorruptData, match=r"models\.json"):
        tokens_of_bill(Decimal(bill), ListPrice(Decimal("0.5"), Decimal("1.5")), 1)


def test_without_the_wheel_the_error_gives_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr(paretobandit, "distribution", absent)
    expected = "in the checkout: python -m pip install --no-deps --require-hashes -r datasets/wheels.txt"
    with pytest.raises(MissingData, match=re.escape(expected)):
        paretobandit.load()


def test_altered_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    altered = tmp_path / "val.jsonl"
    altered.write_bytes(b"{}\n")
    monkeypatch.setattr(paretobandit, "files", lambda: {VAL: altered})
    with pytest.raises(CorruptData, match="SHA-256"):
        paretobandit.load()


def test_a_row_without_one_of_the_models_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b'{"prompt": "1+1?", "source": "gsm8k", "arms": {}}\n'
    path = tmp_path / "val.jsonl"
    path.write_bytes(data)
    digest = paretobandit.sha256(data).hexdigest()
    monkeypatch.setattr(paretobandit, "files", lambda: {VAL: path})
    monkeypatch.setattr(paretobandit, "FILES", {VAL: (1, digest)})
    with pytest.raises(MissingOutcome, match="has no outcome of meta-llama"):
        paretobandit.load()


def test_the_pinned_wheel_is_the_one_the_loader_reads() -> None:
    pins = Path(__file__).parents[2] / "datasets/wheels.txt"
    assert f"paretobandit=={paretobandit.VERSION} --hash=sha256:" in pins.read_text()
