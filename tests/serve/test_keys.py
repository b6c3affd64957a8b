"""API keys: the key alone says which tenant, and nothing about a key is kept."""

import dataclasses
import hmac
import re

import pytest

from p402.errors import ConfigError, InvalidApiKey
from p402.limits import Kind, Period, Scope
from p402.settings import KeySettings, Secret, Settings, read_settings
from serve.keys import KEY_PREFIX, Keyring, hash_key, keyring, new_key

PROVIDER = {"providers": {"a": {"base_url": "http://127.0.0.1/v1"}}}


def settings(keys: list[dict], pepper: str | None = None) -> Settings:
    server = {} if pepper is None else {"server": {"key_pepper": pepper}}
    return read_settings({**PROVIDER, **server, "tenants": {"other": {}}, "keys": keys}, {})


def ring(
    found: Settings, client_keys: dict[str, Secret] | None = None, dev_key: str | None = None
) -> Keyring:
    tenants = {name: tenant.tenant() for name, tenant in found.tenants.items()}
    return keyring(found, tenants, client_keys or {}, dev_key)


def bearer(key: str) -> bytes:
    return f"Bearer {key}".encode()


def test_a_new_key_is_256_bits_and_never_the_same():
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(KEY_PREFIX + r"[A-Za-z0-9_-]{43}", key) for key in keys)


@pytest.mark.parametrize("form", ["key_sha256", "key_hmac", "key_env"])
def test_a_key_speaks_for_its_tenant_in_each_form(form):
    key = new_key()
    value = {"key_sha256": hash_key(key), "key_hmac": hash_key(key, "pepper"), "key_env": "THE_KEY"}[form]
    found = settings([{"name": "k", "tenant": "other", form: value}], "pepper")
    keys = ring(found, {"k": Secret(key)})
    assert keys.tenant(bearer(key)).name == "other"
    assert keys.tenant(b"bEARER  " + key.encode() + b" ").name == "other"
    with pytest.raises(InvalidApiKey, match="not known"):
        keys.tenant(bearer(new_key()))


def test_p19_each_key_of_a_tenant_speaks_under_its_own_budgets():
    caps = {"name": "ci", "daily_cap_usd": 1, "monthly_cap_usd": 20, "policy": "team"}
    found = read_settings(
        {
            **PROVIDER,
            "policies": {"team": {"daily_cap_usd": 3, "monthly_cap_usd": 4}},
            "keys": [{**caps, "key_sha256": hash_key("a")}, {"name": "free", "key_sha256": hash_key("b")}],
        },
        {},
    )
    keys = ring(found, dev_key="dev")
    capped, free, dev = (keys.tenant(bearer(key)) for key in ("a", "b", "dev"))
    assert capped.name == free.name == dev.name == "default"
    assert capped.scopes == (
        Scope(Kind.KEY, "ci", Period.DAY, 10**9),
        Scope(Kind.KEY, "ci", Period.MONTH, 20 * 10**9),
        Scope(Kind.POLICY, "team", Period.DAY, 3 * 10**9),
        Scope(Kind.POLICY, "team", Period.MONTH, 4 * 10**9),
    )
    assert free.scopes == dev.scopes == ()
    assert ring(settings([])).tenant(None).scopes == ()


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ({}, ("speed", "off")),
        ({"mode": "balanced"}, ("balanced", "on")),
        ({"mode": "cost", "route_named_models": "observe"}, ("cost", "observe")),
        ({"route_named_models": "on"}, ("speed", "on")),
    ],
)
def test_a_key_is_routed_as_it_says_and_else_as_its_tenant(says, expected):
    tenants = {"default": {"default_mode": "speed", "route_named_models": "off"}}
    keys = [{"name": "k", "key_sha256": hash_key("a"), **says}]
    ring_ = ring(read_settings({**PROVIDER, "tenants": tenants, "keys": keys}, {}))
    tenant = ring_.tenant(bearer("a"))
    assert (tenant.default_mode, tenant.route_named_models) == expected


@pytest.mark.parametrize(("setting", "value"), [("mode", "fast"), ("route_named_models", "yes")])
def test_a_key_with_an_unknown_word_of_routing_is_no_key(setting, value):
    with pytest.raises(ConfigError, match=rf"keys\[0\]\.{setting}: found .*{value}.*expected one of"):
        settings([{"name": "k", "key_sha256": hash_key("a"), setting: value}])


@pytest.mark.parametrize("header", [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"abc"])
def test_no_bearer_key_is_401_with_advice(header):
    keys = ring(settings([{"name": "k", "key_sha256": hash_key("x")}]))
    with pytest.raises(InvalidApiKey, match="Bearer p402_live_"):
        keys.tenant(header)


def test_without_any_key_every_caller_is_the_default_tenant():
    assert ring(settings([])).tenant(None).name == "default"
    assert ring(settings([])).tenant(bearer("whatever")).name == "default"


def test_a_development_key_closes_the_door_to_everyone_else():
    keys = ring(settings([]), dev_key="p402_live_dev")
    assert keys.tenant(bearer("p402_live_dev")).name == "default"
    with pytest.raises(InvalidApiKey):
        keys.tenant(None)


def test_a_plain_hash_is_no_peppered_hash():
    key = new_key()
    keys = ring(settings([{"name": "k", "key_hmac": hash_key(key)}], "pepper"))
    with pytest.raises(InvalidApiKey):
        keys.tenant(bearer(key))


def test_a_key_with_the_same_first_eight_bytes_of_digest_is_another_key():
    key = new_key()
    near = hash_key(key)[:16] + "0" * 48
    keys = ring(settings([{"name": "k", "key_sha256": near}]))
    with pytest.raises(InvalidApiKey):
        keys.tenant(bearer(key))


def test_the_message_of_an_unknown_key_does_not_repeat_it():
    keys = ring(settings([{"name": "k", "key_sha256": hash_key("x")}]))
    with pytest.raises(InvalidApiKey) as caught:
        keys.tenant(bearer("p402_live_almost"))
    assert "almost" not in caught.value.message


def test_no_key_is_kept_or_shown():
    key = new_key()
    found = settings([{"name": "k", "key_env": "K"}], "a-pepper-of-tests")
    keys = ring(found, {"k": Secret(key)})
    kept = {name: value for name, value in vars_of(keys).items() if name != "pepper"}
    assert key not in repr(kept)
    assert "a-pepper-of-tests" not in repr(found)
    assert "a-pepper-of-tests" not in repr(keys)
    assert isinstance(found.keys[0], KeySettings)


@pytest.mark.parametrize("pepper", [None, "a-pepper-of-tests"])
def test_an_unknown_key_takes_the_work_of_a_known_one_and_is_compared_in_constant_time(monkeypatch, pepper):
    """Digests are looked up and compared, never keys; a miss compares with a digest that nothing has."""
    known = new_key()
    form = "key_sha256" if pepper is None else "key_hmac"
    keys = ring(settings([{"name": "k", form: hash_key(known, pepper)}], pepper))
    compared: list[tuple[bytes, bytes]] = []
    true = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return true(a, b)

    monkeypatch.setattr("serve.keys.hmac.compare_digest", compare)
    assert keys.tenant(bearer(known)).name == "default"
    of_known = len(compared)
    with pytest.raises(InvalidApiKey):
        keys.tenant(bearer(new_key()))
    assert len(compared) == 2 * of_known > 0
    assert {len(side) for pair in compared for side in pair} == {32}
    assert known.encode() not in [side for pair in compared for side in pair]


def vars_of(value) -> dict:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
