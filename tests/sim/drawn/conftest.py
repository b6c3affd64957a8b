"""One small drawn world, made once."""

import pytest

from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from sim.drawn.offers import Rules
from sim.drawn.tables import open_table
from sim.drawn.world import world_of


@pytest.fixture(scope="session")
def priced():
    try:
        paretobandit.files()
    except MissingData as error:
        pytest.skip(str(error))
    return open_table("paretobandit")


@pytest.fixture(scope="session")
def world(priced):
    return world_of(priced, Rules(0.05), ("balanced", "quality"))
