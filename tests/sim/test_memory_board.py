"""The memory hand of the board passes the suite of all hands."""

from contextlib import asynccontextmanager

import pytest

from sim.memory import MemoryBoard
from tests.conformance.board import BoardConformance


class TestMemoryBoard(BoardConformance):
    @pytest.fixture
    def open_some(self):
        @asynccontextmanager
        async def some(clock, count):
            board = MemoryBoard(lambda: clock[0])
            yield [board] * count

        return some
