"""Who signs a provider's calls, by its dialect; nobody where a fixed key is all it asks for.

Hands are imported only where they are configured: their libraries are extras, and take their time.
"""

from pathlib import Path
from typing import Final

from serve.upstream.provider import Provider
from serve.upstream.sign import Signer

_GOOGLE: Final = frozenset({"vertex-gemini", "vertex-anthropic"})


def signer_of(provider: Provider) -> Signer | None:
    """Make the hand that a provider needs.

    Raises
    ------
    p402.errors.ConfigError
        Its credentials cannot be used, or its library is not installed.
    """
    if provider.dialect not in _GOOGLE or provider.api_key.reveal():
        return None
    from serve.upstream.google import GoogleAccount  # noqa: PLC0415
    from serve.upstream.renewal import RenewingSigner  # noqa: PLC0415

    path = Path(provider.credentials) if provider.credentials else None
    return RenewingSigner(GoogleAccount(path, f"providers.{provider.name}"))
