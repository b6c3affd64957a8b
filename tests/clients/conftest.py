"""One gateway, its providers, and a process of each client, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.clients.client import Client, Drivers
from tests.clients.drivers import CLIENTS
from tests.clients.place import Place, place
from tests.clients.seats import SEATS
from tests.upstreams.server import Upstreams, upstreams


@pytest.fixture(scope="session")
def providers() -> Iterator[Upstreams]:
    with upstreams() as found:
        yield found


@pytest.fixture(scope="session")
def the_place(tmp_path_factory: pytest.TempPathFactory, providers: Upstreams) -> Iterator[Place]:
    with place(tmp_path_factory.mktemp("clients"), providers, tuple(CLIENTS)) as found:
        yield found


@pytest.fixture(scope="session")
def drivers() -> Iterator[Drivers]:
    found = Drivers()
    yield found
    found.close()


@pytest.fixture(params=SEATS)
def client(request: pytest.FixtureRequest, the_place: Place, drivers: Drivers) -> Client:
    """Each client over each wire in turn.

    A test marked `needs("n")` is not made for those that lack it, one that is not marked `wires` only for
    those that go through everything.
    """
    return Client(SEATS[request.param], the_place, drivers)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what a client or a wire cannot be asked, and what is asked of others."""
    kept = []
    for item in items:
        name = getattr(item, "callspec", None) and item.callspec.params.get("client")
        seat = SEATS.get(name or "")
        needs = {what for mark in item.iter_markers("needs") for what in mark.args}
        if seat is None or not (
            needs & seat.lacks or not (seat.thorough or item.get_closest_marker("wires"))
        ):
            kept.append(item)
    items[:] = kept
