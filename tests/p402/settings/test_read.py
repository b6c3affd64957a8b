"""Settings: read whole or refused whole, with the path and the nearest name."""

import pickle
import tomllib
from decimal import Decimal

import pytest

from p402.errors import ConfigError
from p402.limits import Kind, Limits, Period, Scope
from p402.routing import spec
from p402.settings import ModelSettings, Secret, Settings, read_settings
from p402.settings.model import CAPABILITIES, MODES

PROVIDER = '[providers.groq]\nbase_url = "https://api.example.com/v1"\n'


def read(toml: str, **environ: str) -> Settings:
    return read_settings(tomllib.loads(toml, parse_float=Decimal), environ)


def refused(toml: str, *words: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(toml, **environ)
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def test_defaults_are_those_of_the_product():
    found = read(PROVIDER)
    assert (found.server.host, found.server.port, found.server.workers) == ("127.0.0.1", 4020, 1)
    assert found.server.state == "sqlite:///var/p402/state.db"
    tenant = found.tenants["default"].tenant()
    assert tenant.max_request_nano == 50 * 10**9
    assert tenant.limits == Limits(daily_cap_nano=1000 * 10**9)
    assert (tenant.route_named_models, tenant.exploration, tenant.default_mode) == (
        "observe",
        True,
        "balanced",
    )
    provider = found.providers["groq"]
    assert (provider.name, provider.dialect, provider.models, provider.simulated) == (
        "groq",
        "openai",
        None,
        False,
    )


def test_holds_are_strict_unless_a_tenant_asks_for_predicted_ones():
    found = read('[tenants.agents]\nhold = "p99.9"\n' + PROVIDER)
    assert {name: tenant.tenant().hold for name, tenant in found.tenants.items()} == {
        "default": "strict",
        "agents": "p99.9",
    }
    assert read(PROVIDER, P402_TENANTS_DEFAULT_HOLD="p99.9").tenants["default"].hold == "p99.9"
    refused('[tenants.agents]\nhold = "p99"\n' + PROVIDER, "tenants.agents.hold", "p99.9")


def test_money_is_exact():
    found = read("[tenants.default]\ndaily_cap_usd = 0.1\nmax_request_usd = 9007.199254740991\n" + PROVIDER)
    assert found.tenants["default"].tenant().limits.daily_cap_nano == 100_000_000
    assert found.tenants["default"].max_request_usd * 10**12 == 2**53 - 1


def test_a_tenant_takes_what_it_leaves_out_from_the_default_tenant():
    found = read(
        "[tenants.a]\nfee_bps = 5\n[tenants.default]\ndaily_cap_usd = 7\nexploration = false\n" + PROVIDER
    )
    tenant = found.tenants["a"]
    assert (tenant.name, tenant.fee_bps, tenant.daily_cap_usd, tenant.exploration) == (
        "a",
        5,
        Decimal(7),
        False,
    )
    assert tenant.tenant().policy == "a"


SHARED = """
[policies.team]
daily_cap_usd = 20
monthly_cap_usd = 300.000000001
[policies.spare]
monthly_cap_usd = 1
[[keys]]
name = "ci"
key_env = "CI"
daily_cap_usd = 0.5
monthly_cap_usd = 10
policy = "team"
[[keys]]
name = "app"
key_env = "APP"
policy = "team"
[[keys]]
name = "plain"
key_env = "PLAIN"
"""


def test_p19_a_key_counts_against_its_own_budgets_and_then_those_of_its_policy():
    found = read(PROVIDER + SHARED)
    team = (
        Scope(Kind.POLICY, "team", Period.DAY, 20 * 10**9),
        Scope(Kind.POLICY, "team", Period.MONTH, 300 * 10**9 + 1),
    )
    assert {key.name: found.scopes(key) for key in found.keys} == {
        "ci": (
            Scope(Kind.KEY, "ci", Period.DAY, 5 * 10**8),
            Scope(Kind.KEY, "ci", Period.MONTH, 10 * 10**9),
            *team,
        ),
        "app": team,
        "plain": (),
    }


def test_the_environment_overrides_a_policys_budgets_and_may_give_its_only_one():
    toml = PROVIDER + SHARED + "[policies.a-b]\n"
    refused(toml, "policies.a-b: found neither `daily_cap_usd` nor `monthly_cap_usd`")
    found = read(toml, P402_POLICIES_A_B_DAILY_CAP_USD="2", P402_POLICIES_TEAM_MONTHLY_CAP_USD="7.5")
    assert found.policies["a-b"].daily_cap_usd == Decimal(2)
    assert found.policies["team"].monthly_cap_usd == Decimal("7.5")
    refused(toml, "P402_POLICIES_TEAM_CAP_USD: unknown", "did you mean", P402_POLICIES_TEAM_CAP_USD="1")


def test_p19_sessions_have_no_budget_unless_a_tenant_gives_them_one():
    assert read(PROVIDER).tenants["default"].tenant().session_cap_nano is None
    found = read(
        "[tenants.default]\nsession_cap_usd = 0.25\n[tenants.a]\n[tenants.b]\nsession_cap_usd = 2\n"
        + PROVIDER
    )
    assert {name: tenant.tenant().session_cap_nano for name, tenant in found.tenants.items()} == {
        "default": 250_000_000,
        "a": 250_000_000,
        "b": 2_000_000_000,
    }
    changed = read(PROVIDER, P402_TENANTS_DEFAULT_SESSION_CAP_USD="0.1").tenants["default"]
    assert changed.session_cap_usd == Decimal("0.1")


def test_models_are_ids_or_tables():
    toml = (
        PROVIDER + 'models = ["m1", {id = "m2", input_usd_per_mtok = 0.1, capabilities = ["chat", "vision"]}]'
    )
    assert read(toml).providers["groq"].models == (
        "m1",
        ModelSettings(id="m2", input_usd_per_mtok=Decimal("0.1"), capabilities=("chat", "vision")),
    )


def test_the_environment_overrides_the_file():
    found = read(
        '[server]\nport = 1\n[tenants."a-b"]\n' + PROVIDER,
        P402_SERVER_PORT="0",
        P402_TENANTS_DEFAULT_DAILY_CAP_USD="2.5",
        P402_TENANTS_A_B_EXPLORATION="false",
        P402_TENANTS_A_B_DENY_MODELS="x, y",
        P402_PROVIDERS_GROQ_BASE_URL="http://127.0.0.1:9/v1/",
        P402_PROVIDERS_GROQ_API_KEY="sk-1",
        UNRELATED="x",
        P402_API_KEY="a client's",
        P402_CONFIG="p402.toml",
    )
    assert found.server.port == 0
    assert found.tenants["default"].daily_cap_usd == Decimal("2.5")
    assert found.tenants["a-b"].exploration is False
    assert found.tenants["a-b"].deny_models == ("x", "y")
    assert found.tenants["a-b"].daily_cap_usd == Decimal("2.5")
    assert found.providers["groq"].base_url == "http://127.0.0.1:9/v1"
    assert found.providers["groq"].api_key.reveal() == "sk-1"


def test_a_variable_that_the_file_names_is_known():
    keys = '[[keys]]\nname = "k"\nkey_env = "P402_MY_KEY"\n'
    assert read(PROVIDER + 'api_key_env = "P402_GROQ"\n' + keys, P402_GROQ="x", P402_MY_KEY="y")


def test_secrets_are_not_shown():
    found = read(PROVIDER + 'api_key = "sk-very-secret"\n[server]\nkey_pepper = "also-secret"')
    secret = found.providers["groq"].api_key
    for shown in (repr(found), str(secret), f"{secret}", f"{secret:>20}", "%s" % secret):  # noqa: UP031
        assert "secret" not in shown.lower().replace("secret(***)", "").replace("alert_secret=", "")
    assert secret.reveal() == "sk-very-secret"
    assert type(secret.reveal()) is str


def test_settings_travel_to_another_process():
    found = read(PROVIDER + 'api_key = "sk-1"')
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    assert isinstance(copy.providers["groq"].api_key, Secret)
    assert copy.providers["groq"].api_key.reveal() == "sk-1"


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[sever]\nport = 1", ["sever", "unknown section", "`server`"]),
        ("server = 3", ["server: found 3", "[server]"]),
        ("[server]\nprot = 1", ["server.prot", "did you mean `port`"]),
        ("[server]\nport = 70000", ["server.port: found 70000", "0 to 65535"]),
        ("[server]\nport = true", ["server.port: found true"]),
        ("[server]\nadmin_port = -1", ["server.admin_port: found -1"]),
        ('[tenants.default]\nalert_secret = "a b"', ["tenants.default.alert_secret: found a string"]),
        ("[server]\nport = 1.5", ["server.port: found 1.5"]),
        ('[server]\nstate = "redis://x"', ["server.state", "redis://x", "sqlite:///"]),
        ('[server]\nhost = "a b"', ["server.host"]),
        ("[server]\nsalt = -1", ["server.salt: found -1"]),
        ("[server]\nexploration_loss = 0", ["server.exploration_loss: found 0", "0.0001 to 0.5"]),
        ("[server]\nexploration_loss = 0.6", ["server.exploration_loss: found 0.6"]),
        ("[providers.groq]\nbase_url = 3", ["providers.groq.base_url: found 3, expected a URL", "https://"]),
        ('[providers.groq]\nbase_url = "ftp://x/v1"', ["providers.groq.base_url"]),
        ('[providers.groq]\nbase_url = "https://user:pw@x/v1"', ["providers.groq.base_url"]),
        ('[providers.groq]\nbase_url = "https://x/v1?key=1"', ["providers.groq.base_url"]),
        ('[providers.groq]\nbase_url = "https://x:99999/v1"', ["providers.groq.base_url"]),
        ("[providers.acme]", ["providers.acme.base_url is missing"]),
        ('[providers.cache]\nbase_url = "https://x"', ["providers.cache", "name is taken"]),
        ('[providers.Big]\nbase_url = "https://x"', ['the name "Big"']),
        ("[providers]\ngroq = 1", ["providers.groq: found 1, expected a table"]),
        (PROVIDER + 'dialect = "opnai"', ["providers.groq.dialect", "`openai`"]),
        (PROVIDER + 'name = "x"', ["providers.groq.name", "unknown setting"]),
        (PROVIDER + 'api_key = "a b"', ["providers.groq.api_key: found a string"]),
        (PROVIDER + 'api_key = "a"\napi_key_env = "B"', ["`api_key` and `api_key_env`"]),
        (PROVIDER + "models = []", ["providers.groq.models"]),
        (PROVIDER + 'models = "x"', ["providers.groq.models", "a list"]),
        (PROVIDER + "models = [3]", ["providers.groq.models[0]: found 3"]),
        (PROVIDER + 'models = ["m", "m"]', ["models[1]", "again"]),
        (PROVIDER + 'models = [{id = "m", context = 5}]', ["models[0].context", "`context_window`"]),
        (
            PROVIDER + 'models = [{id = "m", input_usd_per_mtok = -1}]',
            ["models[0].input_usd_per_mtok: found -1"],
        ),
        (
            PROVIDER + 'models = [{id = "m", capabilities = ["visoin"]}]',
            ["models[0].capabilities", "`vision`"],
        ),
        (
            "[tenants.default]\ndaily_cap_usd = 9007199.254740992",
            ["tenants.default.daily_cap_usd", "9007199"],
        ),
        ("[tenants.default]\nmax_request_usd = 9008", ["tenants.default.max_request_usd: found 9008"]),
        ("[tenants.default]\nmax_request_usd = 0", ["tenants.default.max_request_usd: found 0"]),
        ("[tenants.default]\nmax_request_usd = nan", ["tenants.default.max_request_usd: found NaN"]),
        ('[tenants.default]\nroute_named_models = "observ"', ["`observe`"]),
        ('[tenants.default]\nexploration = "yes"', ['found "yes"', "true or false"]),
        ('[tenants.default]\ndeny_models = ["a", "a"]', ["tenants.default.deny_models", "twice"]),
        ("keys = 3", ["keys: found 3", "[[keys]]"]),
        ('[[keys]]\nname = "k"', ["keys[0]", "exactly one"]),
        ('[[keys]]\nname = "k"\nkey_env = "A"\nkey_sha256 = "' + "0" * 64 + '"', ["keys[0]: found 2"]),
        ('[[keys]]\nname = "k"\nkey_sha256 = "xyz"', ["keys[0].key_sha256", "64 hexadecimal"]),
        ('[[keys]]\nname = "k"\ntenant = "nobody"\nkey_env = "A"', ["keys[0].tenant", "[tenants.nobody]"]),
        (
            '[[keys]]\nname = "k"\nkey_env = "A"\n[[keys]]\nname = "k"\nkey_env = "B"',
            ["keys[1].name", "again"],
        ),
        (
            '[policies.team]\ndaily_cap_usd = 1\n[[keys]]\nname = "k"\nkey_env = "A"\npolicy = "taem"',
            ['keys[0].policy: found "taem"', "[policies.taem]", "did you mean `team`"],
        ),
        ("[policies.team]", ["policies.team: found neither", "add it"]),
        ("[policies.team]\ndaily_cap = 1", ["policies.team.daily_cap", "did you mean `daily_cap_usd`"]),
        ("[policies.team]\ndaily_cap_usd = 0", ["policies.team.daily_cap_usd: found 0", "USD from"]),
        ("[policies.Team]\ndaily_cap_usd = 1", ["policies", 'the name "Team"']),
        ("[policy.team]\ndaily_cap_usd = 1", ["policy: unknown section", "`policies`"]),
        ("[tenants.default]\nsession_cap_usd = -1", ["tenants.default.session_cap_usd: found -1"]),
        (
            '[[keys]]\nname = "k"\nkey_env = "A"\nmonthly_cap = 1',
            ["keys[0].monthly_cap", "`monthly_cap_usd`"],
        ),
        ('[[keys]]\nname = "k"\nkey_env = "A"\ndaily_cap_usd = true', ["keys[0].daily_cap_usd: found true"]),
        ('[[keys]]\nname = "k"\nkey_hmac = "' + "0" * 64 + '"', ["keys[0].key_hmac", "key_pepper"]),
    ],
)
def test_a_broken_setting_is_told_where_what_and_how_to_mend_it(toml, words):
    refused(toml, *words)


def test_more_providers_than_a_mask_has_bits_are_refused():
    tables = "".join(f'[providers.p{i}]\nbase_url = "https://x/v1"\n' for i in range(65))
    refused(tables, "found 65", "at most 64")


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"P402_SERVER_PROT": "1"}, ["P402_SERVER_PROT: unknown variable", "`P402_SERVER_PORT`"]),
        ({"P402_SERVER_PORT": "x"}, ['P402_SERVER_PORT: found "x"', "0 to 65535"]),
        ({"P402_PROVIDERS_OTHER_BASE_URL": "https://x"}, ["unknown variable"]),
        ({"P402_TENANTS_DEFAULT_EXPLORATION": "maybe"}, ['found "maybe"']),
        ({"P402_TENANTS_DEFAULT_DAILY_CAP_USD": "ten"}, ['found "ten"']),
        ({"P402_PROVIDERS_GROQ_API_KEY": "has space"}, ["found a string"]),
    ],
)
def test_a_broken_variable_is_told_by_its_own_name(environ, words):
    refused(PROVIDER, *words, **environ)


def test_a_variable_that_could_mean_two_settings_is_refused():
    toml = '[tenants."a-b"]\n[tenants.a_b]\n' + PROVIDER
    assert read(toml)
    refused(toml, "could mean two settings", P402_TENANTS_A_B_FEE_BPS="1")


def test_words_shared_with_routing_are_the_same_words():
    assert CAPABILITIES == spec.CAPABILITIES
    assert MODES == spec.MODES


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/services/T0/B0/xyz?a=b",
        "https://hooks.example.com",
        "http://127.0.0.1:8080/p402",
        "http://localhost/p402",
        "http://[::1]:9/",
    ],
)
def test_a_webhook_is_https_or_of_this_machine_and_a_secret(url):
    found = read(f'[tenants.default]\nalert_webhook = "{url}"\n[tenants.other]').tenants
    assert found["other"].alert_webhook.reveal() == found["default"].alert_webhook.reveal() == url
    assert url not in repr(found)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/p402",
        "http://10.0.0.1/p402",
        "ftp://127.0.0.1/p402",
        "https://user:password@hooks.example.com/",
        "https://@hooks.example.com/",
        "https://hooks.example.com/#part",
        "https:///p402",
        "https://a..b/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "https://hooks.example.com/a b",
        "https://hooks.example.com/a\\r\\nx: y",
        "https://hooks.example.com/\u00e9",
        "hooks.test/p402",
        "",
    ],
)
def test_any_other_webhook_is_refused_without_being_quoted(url):
    with pytest.raises(
        ConfigError, match=r"tenants\.default\.alert_webhook: found a string, expected"
    ) as told:
        read(f'[tenants.default]\nalert_webhook = "{url}"')
    assert not url or url not in str(told.value)


def test_the_secret_of_alerts_comes_from_the_environment():
    found = read("[tenants.a-b]", P402_TENANTS_A_B_ALERT_SECRET="whsec").tenants
    assert found["a-b"].alert_secret.reveal() == "whsec"
    assert found["default"].alert_secret is None
