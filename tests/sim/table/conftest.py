"""A small table in a file: twelve kinds of prompt, three models that differ by task."""

import numpy as np
import polars as pl
import pytest

from sim.drawn.tables import open_table
from sim.table.courses import field_of

MODELS = ("lab/cheap", "lab/dear", "lab/middling")
TASKS = ("gsm8k", "code", "translation")
QUALITY = {"lab/cheap": (0.3, 0.8, 0.6), "lab/middling": (0.7, 0.6, 0.6), "lab/dear": (0.9, 0.9, 0.9)}
COST = {"lab/cheap": 2e-5, "lab/middling": 2e-4, "lab/dear": 6e-3}
TEXT = (
    "What is {i} plus {i}? Solve the equation step by step.",
    "Write a Python function that sorts list number {i}.",
    "Translate into French: the sea is number {i}.",
)


def a_frame(n=240, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "source": "made",
            "prompt_id": str(i),
            "task": TASKS[i % 3],
            "prompt": TEXT[i % 3].format(i=i),
            "model": model,
            "quality": float(np.clip(QUALITY[model][i % 3] + rng.normal(0, 0.1), 0, 1)),
            "input_tokens": 20,
            "output_tokens": int(rng.integers(20, 60)),
            "cost_usd": COST[model] * float(rng.uniform(0.8, 1.2)),
        }
        for i in range(n)
        for model in MODELS
    ]
    return pl.DataFrame(rows)


@pytest.fixture(scope="session")
def table_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "made.parquet"
    a_frame().write_parquet(path)
    return path


@pytest.fixture(scope="session")
def field(table_file):
    return field_of(open_table(str(table_file)))


@pytest.fixture(scope="session")
def cold_field(table_file):
    return field_of(open_table(str(table_file)), cold=True)
