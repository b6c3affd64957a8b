"""Once a second a worker tells the others what it saw, and hears what they did.

It fails open: where the board is away a worker goes by what it saw itself. That is told once, counted each
time, and told again when it is over. No request waits for any of it.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from p402.errors import StoreError
from p402.flow.peers import exchange
from p402.flow.state import WorkerState
from p402.ports import Board
from p402.settings import Settings
from serve.errors import report
from serve.guard.make import state_path
from serve.peers.file import FileBoard
from serve.peers.shared import EXCHANGE, SharedBoard
from serve.redis.connect import way_to

EVERY_S: Final = 1.0
_log = logging.getLogger("p402.peers")


class Talk:
    """A worker's part in the exchange.

    Parameters
    ----------
    board
        The worker's own hand; None where it is the only worker.
    """

    def __init__(self, state: WorkerState, board: Board | None, now_ms: Callable[[], int]) -> None:
        self._state = state
        self._board = board
        self._now_ms = now_ms
        self._exchanges = self._failed = self._heard = 0
        self._failing = False

    async def run(self) -> None:
        """Exchange until cancelled."""
        while self._board is not None:
            await self.once(self._board)
            await asyncio.sleep(EVERY_S)

    async def once(self, board: Board) -> None:
        """One exchange; that it failed is told once, until one succeeds."""
        self._exchanges += 1
        try:
            self._heard += await exchange(self._state, board, self._now_ms, _pause)
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker goes on without the others
            self._failed += 1
            if not isinstance(error, StoreError):
                report(error, self._state.worker)
            if not self._failing:
                self._failing = True
                _log.error("%s; until it is back this worker goes by what it sees itself", error)
        else:
            if self._failing:
                self._failing = False
                _log.warning("the other workers' word is heard again")

    async def close(self) -> None:
        """Let go of the board."""
        if self._board is not None:
            await self._board.close()

    def collect(self) -> dict[str, float]:
        """Each by the name of its metric; nothing where there is nobody to talk to."""
        if self._board is None:
            return {}
        return {
            "p402_peers_exchanges_total": self._exchanges,
            "p402_peers_failed_total": self._failed,
            "p402_peers_heard_total": self._heard,
        }


async def _pause() -> None:
    await asyncio.sleep(0)


def board_path(settings: Settings) -> Path:
    """File of the words between workers of this host: beside the state."""
    return state_path(settings).with_suffix(".peers.db")


def make_board(settings: Settings, now_ms: Callable[[], int], name: str) -> Board | None:
    """Redis where there is one, else the host's file, or none for a single worker; nothing is opened yet."""
    server = settings.server
    if server.redis is not None:
        url = server.redis.reveal()
        return SharedBoard(lambda: way_to(url, scripts=(EXCHANGE,), name=f"p402-{name}-peers"))
    return FileBoard(board_path(settings), now_ms) if server.workers > 1 else None
