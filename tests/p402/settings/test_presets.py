"""Presets: what they hold is true of the catalogue, and what a table says goes before them."""

import tomllib
from decimal import Decimal

import pytest

from p402.assemble import START_WEIGHTS, assemble
from p402.errors import ConfigError
from p402.settings import ProviderSettings, read_settings
from p402.settings.model import DIALECTS, MESSAGE_FIELDS, OMITTABLE
from p402.settings.presets import ALIASES, ENDED, PRESETS, preset
from p402.store.catalog import load_catalog
from p402.store.config import configure

LISTED = frozenset(d.provider for d in load_catalog().deployments)
OWN = "models = [{ id = 'm', input_usd_per_mtok = 1, output_usd_per_mtok = 2 }]\n"
PLACE = {
    "azure": 'preset = "azure"\nbase_url = "https://acme.openai.azure.com"\n',
    "bedrock": 'region = "eu-west-1"\n',
    "vertex": 'preset = "vertex"\nbase_url = "https://h/v1/projects/p/locations/l"\n',
    "vertex-anthropic": 'preset = "vertex-anthropic"\nbase_url = "https://h/v1/projects/p/locations/l"\n',
}
NOON_MS = 1_795_651_200_000


def read(name: str, lines: str = "", **environ: str) -> ProviderSettings:
    document = tomllib.loads(f'[providers."{name}"]\n{lines}', parse_float=Decimal)
    return read_settings(document, environ).providers[name]


def refused(name: str, lines: str = "", **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(name, lines, **environ)
    return str(caught.value)


def least(name: str) -> str:
    """The fewest lines that a preset of this name needs."""
    found = PRESETS[name]
    own = OWN if found.needs_models or found.catalog is None else ""
    return PLACE.get(name, "") + own


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_enough_to_be_called(name: str) -> None:
    known = PRESETS[name]
    found = read(name, least(name), **({known.key_env: "k"} if known.key_env else {}))
    assert found.dialect == known.dialect
    assert found.base_url.startswith("http")
    assert found.base_url == known.base_url or not known.base_url
    assert found.catalog == known.catalog
    assert found.api_key_env == known.key_env
    assert (found.output_field, found.extra_fields, found.message_fields, found.omit_fields) == (
        known.output_field, known.extra_fields, known.message_fields, known.omit_fields,
    )  # fmt: skip


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_offers_models_that_can_be_priced(name: str) -> None:
    known = PRESETS[name]
    document = tomllib.loads(f'[providers."{name}"]\n{least(name)}', parse_float=Decimal)
    environ = {known.key_env: "k"} if known.key_env else {}
    configuration = configure(document, environ)
    assert configuration.notices == ()
    assembly = assemble(load_catalog(), configuration.settings, (), START_WEIGHTS, NOON_MS)
    arms = [arm for arm in assembly.upstream_model if arm.startswith(f"{name}/")]
    assert arms


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_preset_says_of_the_catalogue_is_so(name: str) -> None:
    known = PRESETS[name]
    if known.catalog is None:
        assert not LISTED & {name, *(a for a, of in ALIASES.items() if of == name)}, "the catalogue has it"
    else:
        assert known.catalog in LISTED


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_known_words_only(name: str) -> None:
    known = PRESETS[name]
    assert known.dialect in DIALECTS
    assert set(known.omit_fields) <= set(OMITTABLE)
    assert set(known.message_fields) <= set(MESSAGE_FIELDS)
    assert not set(known.extra_fields) & {"models", "provider", "route", "plugins", "service_tier", "tools"}
    assert known.docs.startswith("https://")
    assert not known.base_url.endswith("/")
    assert known.read_on


def test_aliases_lead_to_presets_and_hide_none() -> None:
    assert set(ALIASES.values()) <= PRESETS.keys()
    assert not ALIASES.keys() & PRESETS.keys()
    assert not ENDED.keys() & (PRESETS.keys() | ALIASES.keys())
    assert preset("x-ai") is PRESETS["xai"]


def test_what_a_table_says_goes_before_its_preset() -> None:
    found = read("groq", 'output_field = "max_tokens"\nomit_fields = []\napi_key_env = "MINE"\n')
    assert (found.output_field, found.omit_fields, found.api_key_env) == ("max_tokens", (), "MINE")
    assert found.extra_fields == PRESETS["groq"].extra_fields


def test_a_variable_goes_before_a_preset_too() -> None:
    assert read("groq", P402_PROVIDERS_GROQ_OUTPUT_FIELD="max_tokens").output_field == "max_tokens"
    assert read("fast", OWN, P402_PROVIDERS_FAST_PRESET="groq").base_url == PRESETS["groq"].base_url


def test_a_table_of_any_name_may_take_a_preset() -> None:
    found = read("fast", 'preset = "groq"')
    assert (found.base_url, found.catalog) == (PRESETS["groq"].base_url, "groq")


def test_a_table_that_says_where_to_call_is_as_it_was_before_there_were_presets() -> None:
    plain = 'base_url = "http://127.0.0.1:9/v1"\n'
    assert read("groq", plain, GROQ_API_KEY="k") == ProviderSettings(
        name="groq", base_url="http://127.0.0.1:9/v1"
    )
    assert read("anthropic", plain).dialect == "openai"


def test_the_usual_key_goes_to_the_presets_own_host_alone() -> None:
    elsewhere = 'preset = "openai"\nbase_url = "http://127.0.0.1:9/v1"\n'
    assert read("openai", elsewhere, OPENAI_API_KEY="k").api_key_env is None
    named = read(
        "openai", 'preset = "openai"', OPENAI_API_KEY="k", P402_PROVIDERS_OPENAI_BASE_URL="http://h/v1"
    )
    assert named.api_key_env is None
    assert read("openai", OPENAI_API_KEY="k").api_key_env == "OPENAI_API_KEY"
    assert read("openai", 'api_key = "own"', OPENAI_API_KEY="k").api_key_env is None


def test_a_provider_without_its_usual_key_is_left_out_and_that_is_said() -> None:
    document = tomllib.loads("[providers.groq]\n[providers.ollama]\n" + OWN, parse_float=Decimal)
    found = configure(document, {})
    assert found.settings.providers.keys() == {"ollama"}
    assert any("GROQ_API_KEY" in notice for notice in found.notices)


def test_a_local_server_is_called_without_a_key_unless_there_is_one() -> None:
    assert read("vllm", OWN).api_key_env is None
    assert read("vllm", OWN, VLLM_API_KEY="k").api_key_env == "VLLM_API_KEY"


@pytest.mark.parametrize("name", ["ollama", "vllm", "azure", "github"])
def test_a_provider_of_ones_own_models_asks_for_them(name: str) -> None:
    text = refused(name, PLACE.get(name, ""))
    assert f"providers.{name}.models is missing" in text
    assert f"[[providers.{name}.models]]" in text


def test_a_catalogue_named_by_the_table_is_enough() -> None:
    assert read("sambanova", 'catalog = "huggingface_sambanova"').models is None


def test_an_unknown_name_without_a_url_names_the_nearest_preset() -> None:
    text = refused("grok")
    assert "providers.grok.base_url is missing" in text
    assert "`groq`" in text
    assert "did you mean `deepseek`" in refused("mine", 'preset = "deepseak"')
    assert "p402 catalog providers" in refused("mine", "preset = 3")


def test_a_provider_that_has_ended_is_told_so() -> None:
    assert "2026-09-27" in refused("perplexity")


def test_bedrocks_place_follows_from_its_region() -> None:
    found = read("bedrock", 'region = "eu-west-3"')
    assert (found.region, found.base_url) == ("eu-west-3", "https://bedrock-runtime.eu-west-3.amazonaws.com")
    assert read("aws", AWS_REGION="us-west-2").region == "us-west-2"
    assert read("b", 'dialect = "bedrock"\nregion = "eu-west-3"\n' + OWN).base_url == found.base_url
    hosted = read(
        "b", 'dialect = "bedrock"\nbase_url = "https://bedrock-runtime-fips.us-east-2.amazonaws.com"'
    )
    assert hosted.region == "us-east-2"
    assert "providers.bedrock.region" in refused("bedrock")
    assert "providers.bedrock.region" in refused("bedrock", AWS_REGION="nowhere at all")


def test_azures_place_is_the_operators() -> None:
    assert "https://NAME.openai.azure.com" in refused("azure", OWN)
    found = read("azure", PLACE["azure"] + OWN + 'api_version = "2024-10-21"\n', AZURE_OPENAI_API_KEY="k")
    assert (found.dialect, found.api_version, found.api_key_env) == (
        "azure",
        "2024-10-21",
        "AZURE_OPENAI_API_KEY",
    )


@pytest.mark.parametrize("line", ['region = "eu-west-1"', 'api_version = "2024-10-21"'])
def test_a_setting_of_another_dialect_is_refused(line: str) -> None:
    assert "with dialect openai" in refused("groq", line)


def test_only_what_an_answer_can_do_without_may_be_omitted() -> None:
    for name in ("messages", "model", "max_tokens", "tools", "response_format", "n", "stream"):
        assert name not in OMITTABLE
        assert "omit_fields" in refused("groq", f'omit_fields = ["{name}"]')


@pytest.mark.parametrize(
    ("name", "begins", "none"),
    [
        ("gemini", "gemini-", "claude"),
        ("vertex", "gemini-", "claude"),
        ("vertex-anthropic", "claude-", "gemini"),
    ],
)
def test_a_dialect_is_offered_the_models_that_it_is_for(name: str, begins: str, none: str) -> None:
    document = tomllib.loads(f'[providers."{name}"]\n{least(name)}', parse_float=Decimal)
    found = configure(document, {"GEMINI_API_KEY": "k"}).settings
    arms = assemble(load_catalog(), found, (), START_WEIGHTS, NOON_MS).upstream_model
    ours = [model for arm, model in arms.items() if arm.startswith(f"{name}/")]
    assert any(model.startswith(begins) for model in ours)
    assert not any(model.startswith(none) for model in ours)


def test_vertex_has_to_be_told_where_and_by_whom() -> None:
    assert "projects/PROJECT/locations/REGION" in refused("vertex")
    assert read("vertex", PLACE["vertex"] + 'credentials = "var/key.json"\n').credentials == "var/key.json"
    text = refused("groq", 'credentials = "var/key.json"\n', GROQ_API_KEY="k")
    assert text.startswith("providers.groq.credentials: ")
