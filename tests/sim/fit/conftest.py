import pytest

from tests.sim.fit.town import town, write


@pytest.fixture(scope="session")
def balanced(tmp_path_factory):
    """Three days of the town in balanced mode: its log and its store."""
    return write(tmp_path_factory.mktemp("balanced"), town(hours=72))


@pytest.fixture(scope="session")
def cheap(tmp_path_factory):
    """The same days in cost mode."""
    return write(tmp_path_factory.mktemp("cheap"), town(hours=72, mode="cost"), 12)
