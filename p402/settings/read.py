"""One `Settings` from a parsed `p402.toml` and the environment, or the first thing wrong with them.

An environment variable `P402_SERVER_PORT`, `P402_PROVIDERS_GROQ_BASE_URL` or
`P402_TENANTS_DEFAULT_DAILY_CAP_USD` overrides the file. Every name must be known: a misspelt
setting that is silently ignored is worse than a start that fails. It reads mappings, not files.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from p402.errors import ConfigError, nearest
from p402.settings.kinds import NAME, shown
from p402.settings.model import (
    PROVIDERS_MOST,
    KeySettings,
    PolicySettings,
    ProviderSettings,
    ServerSettings,
    Settings,
    TenantSettings,
)
from p402.settings.providers import read_provider
from p402.settings.sections import AnySection, Overrides, as_table, section, settable

PREFIX: Final = "P402_"
NOT_SETTINGS: Final = ("P402_API_KEY", "P402_BASE_URL", "P402_CONFIG")
"""Variables that clients and the command line read; they may stand beside a gateway's."""

_SECTIONS: Final = ("server", "providers", "tenants", "policies", "keys")
_NAME: Final = re.compile(NAME)


def read_settings(document: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Settings of a parsed TOML document, numbers with a point as Decimal, and of the environment.

    Raises
    ------
    ConfigError
        A name is unknown or a value is wrong; the message has its dotted path and what to do.
    """
    for name in document:
        if name not in _SECTIONS:
            raise ConfigError(
                f"{name}: unknown section; expected {', '.join(_SECTIONS)}{nearest(name, _SECTIONS)}"
            )
    provider_tables = _tables(document, "providers")
    tenant_tables = {"default": {}, **_tables(document, "tenants")}
    policy_tables = _tables(document, "policies")
    keys = tuple(_key(table, f"keys[{i}]") for i, table in enumerate(_array(document, "keys")))
    env = _Environment(environ, provider_tables, tenant_tables, policy_tables, keys)

    server = section(
        ServerSettings, as_table(document.get("server", {}), "server"), "server", env.of("server")
    )
    providers = {
        name: read_provider(name, table, env.of("providers", name), environ)
        for name, table in provider_tables.items()
    }
    if len(providers) > PROVIDERS_MOST:
        raise ConfigError(
            f"providers: found {len(providers)} tables, expected at most {PROVIDERS_MOST}; remove some"
        )
    default = _tenant("default", tenant_tables["default"], env.of("tenants", "default"), None)
    tenants = {"default": default} | {
        name: _tenant(name, table, env.of("tenants", name), default)
        for name, table in tenant_tables.items()
        if name != "default"
    }
    policies = {name: _policy(name, table, env.of("policies", name)) for name, table in policy_tables.items()}
    _cross_check(server, tenants, policies, keys)
    return Settings(server=server, providers=providers, tenants=tenants, policies=policies, keys=keys)


def _tenant(
    name: str, table: Mapping[str, Any], overrides: Overrides, default: TenantSettings | None
) -> TenantSettings:
    return section(TenantSettings, table, f"tenants.{name}", overrides, default, name=name)


def _policy(name: str, table: Mapping[str, Any], overrides: Overrides) -> PolicySettings:
    path = f"policies.{name}"
    policy = section(PolicySettings, table, path, overrides, name=name)
    if not policy.scopes():
        raise ConfigError(
            f"{path}: found neither `daily_cap_usd` nor `monthly_cap_usd`, expected one of them; add it"
        )
    return policy


def _key(table: Mapping[str, Any], path: str) -> KeySettings:
    key = section(KeySettings, table, path, {})
    forms = [form for form in (key.key_env, key.key_sha256, key.key_hmac) if form is not None]
    if len(forms) != 1:
        raise ConfigError(
            f"{path}: found {len(forms)} of `key_env`, `key_sha256`, `key_hmac`, expected exactly one; "
            f"{'add one' if not forms else 'remove the others'}"
        )
    return key


def _cross_check(
    server: ServerSettings,
    tenants: Mapping[str, TenantSettings],
    policies: Mapping[str, PolicySettings],
    keys: tuple[KeySettings, ...],
) -> None:
    if server.hosts > 1 and server.redis is None:
        raise ConfigError(
            f"server.hosts: found {server.hosts} and no `server.redis`, expected a Redis where they share "
            f"their budgets: apart, each would spend all of it; set P402_SERVER_REDIS, or hosts to 1"
        )
    names = [key.name for key in keys]
    for i, key in enumerate(keys):
        if key.tenant not in tenants:
            raise ConfigError(
                f'keys[{i}].tenant: found "{key.tenant}", expected a tenant of this file; '
                f"add `[tenants.{key.tenant}]`{nearest(key.tenant, tuple(tenants))}"
            )
        if key.policy is not None and key.policy not in policies:
            raise ConfigError(
                f'keys[{i}].policy: found "{key.policy}", expected a policy of this file; '
                f"add `[policies.{key.policy}]`{nearest(key.policy, tuple(policies))}"
            )
        if names.index(key.name) != i:
            raise ConfigError(
                f'keys[{i}].name: found "{key.name}" again, expected each name once; rename one'
            )
        if key.key_hmac is not None and server.key_pepper is None:
            raise ConfigError(
                f"keys[{i}].key_hmac: found no `server.key_pepper` to check it under, expected one; "
                "set P402_SERVER_KEY_PEPPER"
            )


def _tables(document: Mapping[str, Any], section: str) -> dict[str, Mapping[str, Any]]:
    tables = as_table(document.get(section, {}), section)
    for name in tables:
        if not _NAME.fullmatch(name):
            raise ConfigError(f'{section}: found the name "{name}", expected a-z, 0-9 and . _ -; rename it')
    return {name: as_table(table, f"{section}.{name}") for name, table in tables.items()}


def _array(document: Mapping[str, Any], section: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(section, [])
    if not isinstance(value, list):
        raise ConfigError(
            f"{section}: found {shown(value)}, expected an array of tables; write it as `[[{section}]]`"
        )
    for i, item in enumerate(value):
        yield as_table(item, f"{section}[{i}]")


class _Environment:
    """The `P402_*` variables, each assigned to the setting it overrides."""

    def __init__(
        self,
        environ: Mapping[str, str],
        providers: Mapping[str, Mapping[str, Any]],
        tenants: Mapping[str, Mapping[str, Any]],
        policies: Mapping[str, Mapping[str, Any]],
        keys: tuple[KeySettings, ...],
    ) -> None:
        known: dict[str, tuple[tuple[str, ...], str]] = {}
        sections: list[tuple[tuple[str, ...], type[AnySection]]] = [(("server",), ServerSettings)]
        sections += [(("providers", name), ProviderSettings) for name in providers]
        sections += [(("tenants", name), TenantSettings) for name in tenants]
        sections += [(("policies", name), PolicySettings) for name in policies]
        for path, cls in sections:
            for spec in settable(cls):
                variable = PREFIX + re.sub(r"[^A-Z0-9]", "_", "_".join((*path, spec.name)).upper())
                if variable in known and variable in environ:
                    raise ConfigError(
                        f"{variable}: could mean two settings; rename one of the tables it could mean"
                    )
                known[variable] = (path, spec.name)
        cited = {str(table.get("api_key_env")) for table in providers.values()} | {
            key.key_env for key in keys
        }
        self._found: dict[tuple[str, ...], dict[str, tuple[str, str]]] = {}
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or variable in NOT_SETTINGS or variable in cited:
                continue
            if variable not in known:
                raise ConfigError(
                    f"{variable}: unknown variable; unset it, or see the README's table"
                    f"{nearest(variable, tuple(known))}"
                )
            path, name = known[variable]
            self._found.setdefault(path, {})[name] = (variable, text)

    def of(self, *path: str) -> Overrides:
        """What overrides the settings of one section."""
        return self._found.get(path, {})
