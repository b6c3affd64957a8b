"""One real outcome table for the room, and a small made-up one that needs no wheel."""

import numpy as np
import pytest

from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from p402_datasets.outcomes import OutcomeTable, Prompt, prompt_id
from sim.providers.world import World


@pytest.fixture(scope="session")
def table() -> OutcomeTable:
    try:
        return paretobandit.load()
    except MissingData as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def world(table: OutcomeTable) -> World:
    return World(7, table)


@pytest.fixture(scope="session")
def small() -> OutcomeTable:
    texts = [f"What is {i} and {i}?" for i in range(20)]
    columns = np.array([[0.4, 0.8, 0.9]])
    return OutcomeTable(
        source="made up",
        licence="CC0-1.0",
        read_on="2026-11-22",
        prompts=tuple(
            Prompt(prompt_id(t), t, "gsm8k", "math", "val" if i % 2 else "test_holdout")
            for i, t in enumerate(texts)
        ),
        models=paretobandit.MODELS,
        quality=np.repeat(columns, 20, axis=0),
        cost_usd=np.full((20, 3), 0.001),
        prompt_tokens=np.full((20, 3), 7),
        output_tokens=np.tile(np.array([[20, 30, 100]]), (20, 1)),
    )
