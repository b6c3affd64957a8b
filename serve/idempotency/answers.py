"""What an exchange under a key asks of the place where keys and answers are kept.

Two hands: `keeper.py`, the file of one host, and `shared.py`, that file behind a Redis which all hosts
ask. Both fail closed: whatever cannot be done raises `StoreError`, and a key that could not be claimed is not
taken.
"""

from collections.abc import Sequence
from typing import Protocol

from p402.errors import Refusal
from serve.http import HttpReply
from serve.idempotency.key import Key
from serve.idempotency.law import Claim
from serve.idempotency.rows import Holder, Limits


class Answers(Protocol):
    """Where keys and answers are."""

    @property
    def limits(self) -> Limits:
        """How much is kept."""

    def exists(self) -> bool:
        """Whether an earlier process may have left something to be looked after."""

    async def claim(self, key: Key, holder: Holder) -> Claim | HttpReply | Refusal:
        """Take the key for this holder, or give the answer that is kept under it, or say why neither."""

    async def keep(self, holder: Holder, content: bytes | None) -> None:
        """End a claim with the answer to be given again, or without one."""

    async def release(self, holder: Holder) -> None:
        """Free a key under which nothing was spent."""

    async def renew(self, holders: Sequence[Holder]) -> None:
        """Say that the exchanges of these claims go on."""

    async def abandon(self, holder: Holder) -> None:
        """Say that a claim's exchange was broken off, and that nobody knows what became of it."""

    async def prune(self) -> None:
        """Forget what is too old or too much."""

    async def close(self) -> None:
        """Let go of everything; idempotent, and what is asked later opens it again."""
