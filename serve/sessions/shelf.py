"""Where words on sessions are left: the port of the host's file and of Redis.

A shelf knows no tenants, no sessions and nothing of what words say: it has bytes under digests.
"""

from collections.abc import Mapping
from typing import Protocol

from p402.ports import Word


class Shelf(Protocol):
    """Words by key; each is forgotten `p402.ports.SESSION_MS` after it was left."""

    async def open(self) -> None:
        """Make ready; what is not done here is done when it is first asked.

        Raises
        ------
        p402.errors.StoreError
            It cannot be used; like everything here.
        """
        ...

    async def get(self, key: bytes) -> Word | None:
        """The word left last under a key, with its age by the shelf's own clock."""
        ...

    async def keep(self, words: Mapping[bytes, bytes]) -> None:
        """Leave words, each in place of its key's last. Some may have been left where it raises."""
        ...

    async def close(self) -> None:
        """Let go; idempotent."""
        ...
