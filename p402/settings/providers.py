"""A `[providers.NAME]` table, read over the preset that stands behind it.

A preset stands behind a table that names it, or that has its name and no `base_url` of its own: a table
that says where to call is as it was before there were presets. The usual variable of a key is looked at only
where the preset's own `base_url` is called, so that no key ever goes to a host that it was not meant for.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from p402.errors import ConfigError
from p402.settings.kinds import shown
from p402.settings.model import ModelSettings, ProviderSettings
from p402.settings.presets import Preset, none_such, preset
from p402.settings.sections import Overrides, as_table, section

RESERVED: Final = ("auto", "cache", "p402")
"""Provider names that would collide with `model` aliases and with the cache's `provider`."""

_BEDROCK_HOST: Final = re.compile(r"bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")
_ONLY_OF: Final = {
    "region": ("bedrock",),
    "api_version": ("azure",),
    "credentials": ("vertex-gemini", "vertex-anthropic"),
}
"""Settings that only some dialects have a use for."""


def read_provider(
    name: str, table: Mapping[str, Any], overrides: Overrides, environ: Mapping[str, str]
) -> ProviderSettings:
    """Settings of one provider; `environ` tells of the preset's usual key, and of AWS' region.

    Raises
    ------
    ConfigError
        A setting is wrong or missing, or two contradict each other.
    """
    path = f"providers.{name}"
    if name in RESERVED:
        raise ConfigError(
            f"{path}: the name is taken; expected any other than {', '.join(RESERVED)}; rename the table"
        )
    given = table.keys() | overrides.keys()
    models = _models(table["models"], f"{path}.models") if "models" in table else None
    behind = _preset(name, table, overrides)
    base = None if behind is None else _of_preset(name, behind)
    provider = section(ProviderSettings, table, path, overrides, base, name=name, models=models)
    if provider.api_key is not None and provider.api_key_env is not None:
        raise ConfigError(
            f"{path}: found `api_key` and `api_key_env`, expected one of them; remove the other"
        )
    for setting, dialects in _ONLY_OF.items():
        if setting in given and provider.dialect not in dialects:
            raise ConfigError(
                f"{path}.{setting}: found it with dialect {provider.dialect}, expected it with "
                f"{' or '.join(dialects)} only; remove it, or set `dialect`"
            )
    provider = _placed(provider, path, environ)
    if behind is None:
        return provider
    if models is None and "catalog" not in given and (behind.needs_models or behind.catalog is None):
        raise ConfigError(
            f"{path}.models is missing: expected what it offers, since the catalogue cannot know "
            f"({behind.note or 'it has no prices of it'}); add [[{path}.models]] tables with id and prices"
        )
    own_place = "base_url" in given and behind.base_url != ""
    return provider if own_place else _with_usual_key(provider, behind, environ)


def _preset(name: str, table: Mapping[str, Any], overrides: Overrides) -> Preset | None:
    """What stands behind the table: the preset it names, else that of its name where it has no `base_url`."""
    named = overrides["preset"][1] if "preset" in overrides else table.get("preset")
    if named is None:
        return None if "base_url" in table or "base_url" in overrides else preset(name)
    found = preset(named) if isinstance(named, str) else None
    if found is None:
        hint = none_such(named) if isinstance(named, str) else ""
        raise ConfigError(
            f"providers.{name}.preset: found {shown(named)}, expected a preset's name; "
            f"`p402 catalog providers` prints them{hint}"
        )
    return found


def _of_preset(name: str, behind: Preset) -> ProviderSettings:
    return ProviderSettings(
        name=name,
        dialect=behind.dialect,
        base_url=behind.base_url,
        catalog=behind.catalog,
        output_field=behind.output_field,
        extra_fields=behind.extra_fields,
        message_fields=behind.message_fields,
        omit_fields=behind.omit_fields,
    )


def _placed(provider: ProviderSettings, path: str, environ: Mapping[str, str]) -> ProviderSettings:
    """The provider with a place to call: Bedrock's follows from its region, and tells it."""
    if provider.dialect == "bedrock":
        host = _BEDROCK_HOST.search(provider.base_url)
        region = (
            provider.region
            or (host[1] if host is not None else None)
            or environ.get("AWS_REGION")
            or environ.get("AWS_DEFAULT_REGION")
        )
        if region is None or re.fullmatch(r"[a-z0-9-]{1,40}", region) is None:
            raise ConfigError(
                f"{path}.region: found {shown(region or '')}, expected where Bedrock is called; "
                'write it like "eu-central-1", or set AWS_REGION'
            )
        own = provider.base_url or f"https://bedrock-runtime.{region}.amazonaws.com"
        return replace(provider, region=region, base_url=own)
    if provider.base_url:
        return provider
    if provider.dialect == "azure":
        raise ConfigError(
            f"{path}.base_url is missing: expected your resource's endpoint; "
            'write it like "https://NAME.openai.azure.com", with `preset = "azure"`'
        )
    if provider.dialect in _ONLY_OF["credentials"]:
        raise ConfigError(
            f"{path}.base_url is missing: expected your project's place on Vertex AI; write it like "
            '"https://REGION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/REGION"'
        )
    raise ConfigError(
        f"{path}.base_url is missing: expected a URL, or a preset's name as `preset`; "
        f"add one of them; `p402 catalog providers` prints the presets{none_such(provider.name)}"
    )


def _with_usual_key(
    provider: ProviderSettings, behind: Preset, environ: Mapping[str, str]
) -> ProviderSettings:
    if provider.api_key is not None or provider.api_key_env is not None or behind.key_env is None:
        return provider
    if behind.needs_key or environ.get(behind.key_env, "").strip():
        return replace(provider, api_key_env=behind.key_env)
    return provider


def _models(value: object, path: str) -> tuple[str | ModelSettings, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"{path}: found {shown(value)}, expected a list of catalogue ids or `[[{path}]]` tables; "
            "remove it to offer all of the catalogue's"
        )
    models: list[str | ModelSettings] = []
    seen: set[str] = set()
    for i, item in enumerate(value):
        where = f"{path}[{i}]"
        model = item if isinstance(item, str) else section(ModelSettings, as_table(item, where), where, {})
        model_id = model if isinstance(model, str) else model.id
        if not model_id:
            raise ConfigError(f'{where}: found "", expected a catalogue id; remove it')
        if model_id in seen:
            raise ConfigError(f'{where}: found "{model_id}" again, expected each model once; remove one')
        seen.add(model_id)
        models.append(model)
    return tuple(models)
