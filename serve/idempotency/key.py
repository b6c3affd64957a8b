"""What an `Idempotency-Key` header stands for: one tenant's key, and the request it came with.

Keys and bodies are kept as digests only, so that a key that says something of its caller says it to nobody.
It knows nothing of what was answered.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from p402.errors import InvalidInput

HEADER: Final = b"idempotency-key"
MAX_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Key:
    """A key in use.

    Attributes
    ----------
    scope
        Digest of tenant and key: two tenants never meet under one key.
    path, body
        The request's, as they came.
    """

    scope: bytes
    path: str
    body: bytes

    def fingerprint(self) -> bytes:
        """Digest of path and body; 20 MiB take some 20 ms, so not on the event loop."""
        found = blake2b(self.path.encode("utf-8", "surrogatepass") + b"\0", digest_size=32)
        found.update(self.body)
        return found.digest()


def key_of(header: bytes, tenant: str, path: str, body: bytes) -> Key:
    """The key that a header names.

    Raises
    ------
    InvalidInput
        It is empty, too long, or not printable ASCII.
    """
    if not 1 <= len(header) <= MAX_LENGTH:
        raise _wrong(f"found {len(header)} characters" if header else "found nothing")
    if not all(0x20 <= byte <= 0x7E for byte in header):
        raise _wrong("found a character that is not")
    name = tenant.encode()
    scope = blake2b(b"%d:%b:%b" % (len(name), name, header), digest_size=32).digest()
    return Key(scope, path, body)


def _wrong(found: str) -> InvalidInput:
    return InvalidInput(
        f"`Idempotency-Key`: {found}, expected 1 to {MAX_LENGTH} characters of printable ASCII; "
        "send a random UUID, or leave the header out",
        param="Idempotency-Key",
    )
