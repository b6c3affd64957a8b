"""Scenes are played by each transport, on the event loop that serves and on asyncio's own."""

import asyncio

import pytest
import uvloop

from tests.serve.upstream import loopback

HANDS = [("http1", uvloop.run), ("http1", asyncio.run), ("httpx", uvloop.run)]


@pytest.fixture(params=HANDS, ids=["http1-uvloop", "http1-asyncio", "httpx-uvloop"])
def hand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    transport, play = request.param
    monkeypatch.setattr(loopback, "TRANSPORT", transport)
    monkeypatch.setattr(loopback, "PLAY", play)
    return transport
