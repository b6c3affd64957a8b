"""Which signer a provider needs, if any.

What a language needs beyond the base installation is imported here, when the way to such a provider is made:
a gateway without one never loads it, and a missing extra is told at the start, not at the first call.
"""

from pathlib import Path

from p402.errors import ConfigError
from serve.upstream.provider import Provider
from serve.upstream.sign import Signer


def signer_of(provider: Provider) -> Signer | None:
    """The signer of a provider whose key is no fixed header.

    Raises
    ------
    ConfigError
        Its extra is not installed, or its credentials cannot be used.
    """
    match provider.dialect:
        case "bedrock":
            return _bedrock(provider)
        case "vertex-gemini" | "vertex-anthropic":
            return _vertex(provider)
        case _:
            return None


def _bedrock(provider: Provider) -> Signer | None:
    from serve.upstream.aws.frames import AwsFrames  # noqa: PLC0415
    from serve.upstream.aws.sigv4 import SigV4  # noqa: PLC0415

    assert provider.region is not None, "configuration gives Bedrock a region"
    try:
        AwsFrames()  # so that botocore is loaded before the first stream
        return None if provider.api_key.reveal() else SigV4(provider.region)
    except ImportError as error:
        raise ConfigError(
            f"providers.{provider.name}.dialect: found bedrock, expected the package {error.name} beside it; "
            "install it with `pip install 'p402[bedrock]'`"
        ) from error


def _vertex(provider: Provider) -> Signer | None:
    if provider.api_key.reveal():
        return None
    from serve.upstream.google import GoogleAccount  # noqa: PLC0415
    from serve.upstream.renewal import RenewingSigner  # noqa: PLC0415

    path = Path(provider.credentials) if provider.credentials else None
    try:
        return RenewingSigner(GoogleAccount(path, f"providers.{provider.name}"))
    except ImportError as error:
        raise ConfigError(
            f"providers.{provider.name}.dialect: found {provider.dialect}, expected the package {error.name} "
            "beside it; install it with `pip install 'p402[vertex]'`"
        ) from error
