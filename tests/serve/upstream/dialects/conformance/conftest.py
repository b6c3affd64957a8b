"""Scenes are played by each transport; one event loop is enough, `test_client` has the others."""

import pytest
import uvloop

from tests.serve.upstream import loopback


@pytest.fixture(params=["http1", "httpx"])
def hand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(loopback, "TRANSPORT", request.param)
    monkeypatch.setattr(loopback, "PLAY", uvloop.run)
    return request.param
