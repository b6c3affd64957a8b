"""What a host asks of a request beyond a fixed header: a signature over it, or a token that ends.

The port of the hands beside it: `sigv4.py` for AWS, `renewal.py` for tokens such as `google.py`'s. It knows
nothing of answers.
"""

from typing import Protocol

from serve.upstream.transport import Head


class Unsigned(Exception):
    """No signature or token is to be had; its text says why, without a secret."""


class Signer(Protocol):
    """One provider's credentials."""

    async def signed(self, head: Head, body: bytes) -> Head:
        """Give the head with what the host asks for.

        Raises
        ------
        Unsigned
            There is none to be had.
        """
        ...

    async def aclose(self) -> None:
        """Let go of whatever renews it."""
        ...
