"""One gateway, its providers, and a process of each client, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.clients.client import Client, Drivers
from tests.clients.drivers import CLIENTS
from tests.clients.place import Place, place
from tests.upstreams.server import upstreams


@pytest.fixture(scope="session")
def the_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with (
        upstreams() as providers,
        place(tmp_path_factory.mktemp("clients"), providers, tuple(CLIENTS)) as found,
    ):
        yield found


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    found = Drivers()
    yield found
    found.close()


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, the_place: Place, drivers: Drivers) -> Client:
    """Each client in turn; a test marked `needs("n")` is not made for those that lack it."""
    return Client(request.param, the_place, drivers)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what a client cannot be asked."""
    kept = []
    for item in items:
        needs = [what for mark in item.iter_markers("needs") for what in mark.args]
        name = getattr(item, "callspec", None) and item.callspec.params.get("client")
        if name is None or not any(what in CLIENTS[name].lacks for what in needs):
            kept.append(item)
    items[:] = kept
