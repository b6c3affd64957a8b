"""Real judge rewards and billed costs of three 2026 models on 3,609 benchmark prompts.

They come in the `paretobandit` wheel, read through its metadata: the package itself is never
imported, nor are its dependencies needed. The wheel has no token counts; here they are derived
from the bill (see `tokens_of_bill`), so that price times tokens gives the bill back exactly.

Source: paretobandit 0.1.1 (PyPI, Apache-2.0), pareto_bandit/data/examples/{val,test_holdout}.jsonl
and the price list pareto_bandit/config/models.json, read 2026-11-22.
"""

from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from p402_datasets.errors import CorruptData, MissingData, MissingOutcome
from p402_datasets.outcomes import OutcomeTable, Prompt, prompt_id

SOURCE = "paretobandit 0.1.1"
LICENCE = "Apache-2.0"
READ_ON = "2026-11-22"
VERSION = "0.1.1"
INSTALL = "python -m pip install --no-deps --require-hashes -r datasets/wheels.txt"
REINSTALL = f"reinstall it in the checkout: {INSTALL} --force-reinstall"

VAL = "val"
TEST = "test_holdout"

FILES = {
    VAL: (1_785, "9590556ee832bb8e27b0e838eb4fd6b656e69e39c99ef067fc6379abc7f168ef"),
    TEST: (1_824, "b2f7e0e034902d254b3620770d98824cb932ad9cbecd38b9ce00345620a70665"),
}


@dataclass(frozen=True, slots=True)
class ListPrice:
    """USD per million tokens at which the source was billed."""

    input_usd_per_mtok: Decimal
    output_usd_per_mtok: Decimal


LIST_PRICES = {
    "meta-llama/llama-3.1-8b-instruct": ListPrice(Decimal("0.1"), Decimal("0.1")),
    "mistralai/mistral-large-2512": ListPrice(Decimal("0.5"), Decimal("1.5")),
    "google/gemini-2.5-pro": ListPrice(Decimal("1.25"), Decimal(10)),
}
"""The wheel's own list. Every bill is a whole multiple of its input price, as it must be if these
were the prices. genai-prices 0.2.3 has the same for mistral-large-2512 and gemini-2.5-pro."""

MODELS = tuple(LIST_PRICES)

TASK_OF_BENCHMARK = {
    "mbpp": "code",
    "gsm8k": "math",
    "bbh/multistep_arithmetic_two": "math",
    "bbh/object_counting": "math",
    "mmlu": "knowledge",
    "arc_challenge": "knowledge",
    "openbookqa": "knowledge",
    "truthful_qa": "knowledge",
    "bbh/movie_recommendation": "knowledge",
    "bbh/sports_understanding": "knowledge",
    "bbh/salient_translation_error_detection": "translation",
    "hellaswag": "reasoning",
    "winogrande": "reasoning",
}
"""Benchmarks by P402's task; every other part of BIG-Bench Hard is `reasoning`, as its authors say."""


def task_of(benchmark: str) -> str:
    """P402's task of a benchmark of this source.

    Raises
    ------
    CorruptData
        The benchmark is not one of the source's.
    """
    task = TASK_OF_BENCHMARK.get(benchmark)
    if task is not None:
        return task
    if benchmark.startswith("bbh/"):
        return "reasoning"
    raise CorruptData(f"{SOURCE} has an unknown benchmark {benchmark!r}; add it to TASK_OF_BENCHMARK")


def estimate_tokens(text: str) -> int:
    """Tokens of a text by its length: UTF-8 bytes over four, rounded up, at least 1."""
    return max(1, -(-len(text.encode()) // 4))


def tokens_of_bill(cost_usd: Decimal, price: ListPrice, estimate: int) -> tuple[int, int]:
    """Input and output tokens that make the bill exactly, input nearest to `estimate`.

    With the output price k times the input price, a bill is `input + k * output` input prices.
    So the bill fixes input modulo k; of the counts it allows, the one nearest to the estimate
    that leaves at least one output token is taken. Where the output costs as little as the input
    (k = 1) the estimate itself is taken.

    Raises
    ------
    CorruptData
        The bill is not a whole multiple of the input price, or too small for two tokens.
    """
    units = cost_usd * 1_000_000 / price.input_usd_per_mtok
    step = int(price.output_usd_per_mtok / price.input_usd_per_mtok)
    total = int(units)
    if total != units or total < step + 1:
        raise CorruptData(
            f"a bill of {cost_usd} USD is not made of tokens at {price.input_usd_per_mtok} and "
            f"{price.output_usd_per_mtok} USD per million; check LIST_PRICES against the wheel's models.json"
        )
    first = (total - 1) % step + 1
    most = total - step
    nearest = first + max(0, round((estimate - first) / step)) * step
    prompt = min(nearest, most)
    return prompt, (total - prompt) // step


def files() -> dict[str, Path]:
    """Where the two files lie, by split.

    Raises
    ------
    MissingData
        The wheel is not installed, or in another version.
    """
    try:
        wheel = distribution("paretobandit")
    except PackageNotFoundError as error:
        raise MissingData(
            f"the wheel {SOURCE} is not installed; install it in the checkout: {INSTALL}"
        ) from error
    if wheel.version != VERSION:
        raise MissingData(
            f"found paretobandit {wheel.version}; expected {VERSION}; install it in the checkout: {INSTALL}"
        )
    return {
        split: Path(str(wheel.locate_file(f"pareto_bandit/data/examples/{split}.jsonl"))) for split in FILES
    }


def load() -> OutcomeTable:
    """Both splits, `val` first, in the source's order: 3,609 prompts x 3 models.

    Raises
    ------
    MissingData
        The wheel is not installed; the message has the command.
    CorruptData
        A file's SHA-256 or number of rows is not the pinned one.
    MissingOutcome
        A row lacks a model.
    """
    rows: list[tuple[str, dict[str, Any]]] = []
    for split, path in files().items():
        rows.extend((split, row) for row in _rows(split, path))
    return _table(rows)


def _rows(split: str, path: Path) -> list[dict[str, Any]]:
    count, digest = FILES[split]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingData(f"cannot read {split}.jsonl of {SOURCE}: {error.strerror}; {REINSTALL}") from error
    found = sha256(data).hexdigest()
    if found != digest:
        raise CorruptData(f"{split}.jsonl has SHA-256 {found}; expected {digest}; {REINSTALL}")
    decoder = msgspec.json.Decoder(float_hook=Decimal)  # bills are exact decimals
    # Split at line feeds only: prompts hold U+2028, at which str.splitlines() would cut.
    rows: list[dict[str, Any]] = [decoder.decode(line) for line in data.split(b"\n") if line]
    if len(rows) != count:
        raise CorruptData(f"{split}.jsonl has {len(rows)} rows; expected {count}")
    return rows


def _table(rows: list[tuple[str, dict[str, Any]]]) -> OutcomeTable:
    shape = (len(rows), len(MODELS))
    quality = np.full(shape, np.nan)
    cost = np.full(shape, np.nan)
    prompt_tokens = np.ones(shape, np.int64)
    output_tokens = np.ones(shape, np.int64)
    prompts: list[Prompt] = []
    for i, (split, row) in enumerate(rows):
        text, benchmark = row["prompt"], row["source"]
        prompts.append(Prompt(prompt_id(text), text, benchmark, task_of(benchmark), split))
        estimate = estimate_tokens(text)
        for j, model in enumerate(MODELS):
            arm = row["arms"].get(model)
            if arm is None:
                raise MissingOutcome(f"{SOURCE} {split}: prompt {prompts[i].id} has no outcome of {model}")
            billed = Decimal(str(arm["cost"]))
            quality[i, j], cost[i, j] = float(arm["reward"]), float(billed)
            prompt_tokens[i, j], output_tokens[i, j] = tokens_of_bill(billed, LIST_PRICES[model], estimate)
    return OutcomeTable(
        source=SOURCE,
        licence=LICENCE,
        read_on=READ_ON,
        prompts=tuple(prompts),
        models=MODELS,
        quality=quality,
        cost_usd=cost,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
    )
