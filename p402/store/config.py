"""What the operator configured: `p402.toml` and the environment, read once, keys looked up.

The law of settings is `p402.settings`; here are only the file, its syntax errors and the
secrets that live in environment variables. A provider whose key is not there is left out with a
notice, so that one missing key never stops the others. Nothing found here is ever printed.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from p402.errors import ConfigError
from p402.settings import (
    KeySettings,
    ProviderSettings,
    Secret,
    ServerSettings,
    Settings,
    read_settings,
)

DEFAULT_PATH: Final = "p402.toml"
EXAMPLE: Final = """
    [providers.groq]
    base_url = "https://api.groq.com/openai/v1"
    api_key_env = "GROQ_API_KEY"
"""
OFFER: Final = (
    "or try the simulated providers, which need no key: `p402 sim providers --config-out p402-sim.toml` "
    "and, beside it, `p402 serve --config p402-sim.toml`"
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings whose secrets are looked up.

    Attributes
    ----------
    settings
        Only providers that can be called; their `api_key` is filled in, None where none is needed.
    client_keys
        Keys of `[[keys]]` tables that named an environment variable, by the key's name.
    notices
        What the operator should know: providers and keys that were left out, and why.
    """

    settings: Settings
    client_keys: Mapping[str, Secret]
    notices: tuple[str, ...]


def load(path: Path, environ: Mapping[str, str]) -> Configuration:
    """Configuration of a file and the environment.

    Raises
    ------
    ConfigError
        The file is absent, unreadable or not TOML, or a setting is wrong.
    """
    return configure(read_toml(path), environ, path.name)


def server_of(config: Path | None, environ: Mapping[str, str]) -> ServerSettings:
    """`[server]` as the gateway would take it, for commands that call nobody: no key is looked up.

    Parameters
    ----------
    config
        None takes what `P402_CONFIG` names, else `p402.toml` where there is one, else the defaults.

    Raises
    ------
    ConfigError
        A named file is absent, or what was found is unreadable, not TOML or wrong.
    """
    named = config or (Path(environ["P402_CONFIG"]) if environ.get("P402_CONFIG") else None)
    path = named or Path(DEFAULT_PATH)
    document = read_toml(path) if named is not None or path.exists() else {}
    return read_settings(document, environ).server


def configure(
    document: Mapping[str, Any], environ: Mapping[str, str], source: str = DEFAULT_PATH
) -> Configuration:
    """Configuration of a parsed document; ConfigError if a setting is wrong or no provider is left."""
    settings = read_settings(document, environ)
    notices: list[str] = []
    providers = {
        name: found
        for name, provider in settings.providers.items()
        if (found := _with_key(provider, environ, notices)) is not None
    }
    if not providers:
        seen = "; ".join(notices) or f"{source} has no `[providers.NAME]` table; {_added('add one')}"
        raise ConfigError(f"providers: no provider can be called: {seen}; {OFFER}")
    client_keys: dict[str, Secret] = {}
    keys: list[KeySettings] = []
    for key in settings.keys:
        if key.key_env is not None:
            value = environ.get(key.key_env, "")
            if not value:
                notices.append(f"key {key.name} is left out: the environment has no {key.key_env}; set it")
                continue
            client_keys[key.name] = Secret(value)
        keys.append(key)
    if settings.keys and not keys:
        raise ConfigError(f"keys: no key can be checked: {'; '.join(notices)}")
    return Configuration(
        replace(settings, providers=providers, keys=tuple(keys)), client_keys, tuple(notices)
    )


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file with exact decimals; ConfigError names the file, and the line of a syntax error."""
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file; {_added('write it')}; {OFFER}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: found a byte that is not UTF-8 at offset {error.start}; save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; mend its permissions or its path"
        ) from None
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; mend that line") from None


def _added(how: str) -> str:
    """What to write where there is no provider yet: a key alone is never enough."""
    return (
        f"{how}, as in\n{EXAMPLE}\nwith the provider's key in the variable that `api_key_env` names; "
        "a name that `p402 catalog providers` lists needs neither line"
    )


def _with_key(
    provider: ProviderSettings, environ: Mapping[str, str], notices: list[str]
) -> ProviderSettings | None:
    if provider.api_key_env is None:
        return provider
    value = environ.get(provider.api_key_env, "").strip()
    if not value:
        notices.append(
            f"provider {provider.name} is left out: the environment has no {provider.api_key_env}; set it"
        )
        return None
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(
            f"{provider.api_key_env}: found characters no header can carry, expected a key; copy it again"
        )
    return replace(provider, api_key=Secret(value))
