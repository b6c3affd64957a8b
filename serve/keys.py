"""Which tenant an API key speaks for, under which budgets and in which mode; the key alone decides.

Keys are 256 random bits, so their plain SHA-256 cannot be guessed back; under a pepper even a
stolen list of hashes is of no use. Every known key is compared in constant time, and an unknown
key costs the same work. Without any configured key, which only loopback allows, every caller is
tenant `default`. It knows nothing of requests beyond their `Authorization` header.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from p402.errors import InvalidApiKey
from p402.request import Tenant
from p402.settings import Secret, Settings

KEY_PREFIX: Final = "p402_live_"
_ADVICE: Final = "send `Authorization: Bearer p402_live_...` with a key of this gateway"
_NOBODY: Final = bytes(32)


def new_key() -> str:
    """Make a key: 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str, pepper: str | None = None) -> str:
    """Hex digest under which a key is kept: SHA-256, or HMAC-SHA256 under a pepper."""
    return _digest(key.encode(), None if pepper is None else pepper.encode()).hex()


Known = Mapping[bytes, tuple[bytes, Tenant]]
"""First 8 bytes of a digest, which say nothing of the key, to the digest and its tenant."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key of the gateway, by digest.

    Attributes
    ----------
    plain, peppered
        Keys kept as SHA-256, and as HMAC-SHA256 under `pepper`.
    anyone
        Tenant of a caller without key; None where a key is needed.
    """

    plain: Known
    peppered: Known
    pepper: bytes | None = field(repr=False)
    anyone: Tenant | None

    def tenant(self, authorization: bytes | None) -> Tenant:
        """Tenant of an `Authorization` header; InvalidApiKey if there is none for it."""
        if self.anyone is not None:
            return self.anyone
        if authorization is None:
            raise InvalidApiKey(f"found no API key; {_ADVICE}")
        scheme, _, key = authorization.partition(b" ")
        key = key.strip()
        if scheme.lower() != b"bearer" or not key:
            raise InvalidApiKey(f"found an `Authorization` header without a bearer key; {_ADVICE}")
        tenant = _lookup(self.plain, _digest(key, None))
        if tenant is None and self.pepper is not None:
            tenant = _lookup(self.peppered, _digest(key, self.pepper))
        if tenant is None:
            raise InvalidApiKey(f"the API key is not known here; {_ADVICE}")
        return tenant


def keyring(
    settings: Settings,
    tenants: Mapping[str, Tenant],
    client_keys: Mapping[str, Secret],
    dev_key: str | None = None,
) -> Keyring:
    """Keys of the settings, for tenants by name; `client_keys` are those found in the environment.

    Each key's tenant carries the key's own budgets and those of its policy, and is routed as the key says;
    a development key has none and says nothing.
    """
    plain: dict[bytes, tuple[bytes, Tenant]] = {}
    peppered: dict[bytes, tuple[bytes, Tenant]] = {}
    for key in settings.keys:
        tenant = replace(key.routed(tenants[key.tenant]), scopes=settings.scopes(key))
        if key.key_hmac is not None:
            _add(peppered, bytes.fromhex(key.key_hmac), tenant)
        elif key.key_sha256 is not None:
            _add(plain, bytes.fromhex(key.key_sha256), tenant)
        else:
            _add(plain, _digest(client_keys[key.name].reveal().encode(), None), tenant)
    default = tenants["default"]
    if dev_key is not None:
        _add(plain, _digest(dev_key.encode(), None), default)
    pepper = settings.server.key_pepper
    return Keyring(
        plain=plain,
        peppered=peppered,
        pepper=None if pepper is None else pepper.reveal().encode(),
        anyone=None if plain or peppered else default,
    )


def _add(known: dict[bytes, tuple[bytes, Tenant]], digest: bytes, tenant: Tenant) -> None:
    known[digest[:8]] = (digest, tenant)


def _digest(key: bytes, pepper: bytes | None) -> bytes:
    return sha256(key).digest() if pepper is None else hmac.digest(pepper, key, "sha256")


def _lookup(known: Known, digest: bytes) -> Tenant | None:
    expected, tenant = known.get(digest[:8], (_NOBODY, None))
    return tenant if hmac.compare_digest(expected, digest) else None
