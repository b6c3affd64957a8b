import subprocess
import sys
import tomllib

import pytest

from p402.settings import read_settings
from p402.settings.model import MODES, NAMED
from p402.store.config import configure
from serve.keys import KEY_PREFIX, keyring
from serve.keys_command import Mode, Named

PROVIDER = '[providers.local]\nbase_url = "http://127.0.0.1:1/v1"\n'


def keys(*arguments, stdin="", **environ):
    return subprocess.run(  # the tests look at the status
        [sys.executable, "-m", "p402.cli", "keys", *arguments],
        check=False,
        capture_output=True,
        text=True,
        input=stdin,
        env={"PATH": "", "PYTHONDONTWRITEBYTECODE": "1", **environ},
        timeout=60,
    )


def ring_of(table, **environ):
    document = tomllib.loads(PROVIDER + table[table.index("[[keys]]") :])
    configuration = configure(document, environ)
    tenants = {name: t.tenant() for name, t in configuration.settings.tenants.items()}
    return keyring(read_settings(document, environ), tenants, configuration.client_keys)


def test_a_new_key_opens_the_gateway_that_its_table_configures():
    made = keys("new", "--name", "laptop")
    key = made.stdout.strip()
    assert made.returncode == 0
    assert key.startswith(KEY_PREFIX)
    assert key not in made.stderr
    assert ring_of(made.stderr).tenant(f"Bearer {key}".encode()).name == "default"


@pytest.mark.parametrize("pepper", [{}, {"P402_SERVER_KEY_PEPPER": "salt-and-pepper"}])
def test_a_key_made_with_a_mode_opens_the_gateway_and_routes_every_request(pepper):
    made = keys("create", "--mode", "balanced", "--name", "ci", **pepper)
    assert ("key_hmac" in made.stderr) == bool(pepper)
    tenant = ring_of(made.stderr, **pepper).tenant(f"Bearer {made.stdout.strip()}".encode())
    assert (tenant.default_mode, tenant.route_named_models) == ("balanced", "on")


def test_a_key_made_to_be_watched_in_a_mode_is_not_routed():
    made = keys("create", "--mode", "cost", "--route-named-models", "observe")
    tenant = ring_of(made.stderr).tenant(f"Bearer {made.stdout.strip()}".encode())
    assert (tenant.default_mode, tenant.route_named_models) == ("cost", "observe")


def test_the_words_offered_are_those_of_the_settings():
    assert tuple(Mode) == MODES
    assert tuple(Named) == NAMED


def test_a_mode_that_there_is_not_is_refused_with_those_there_are():
    refused = keys("create", "--mode", "cheap")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "balanced" in refused.stderr


def test_under_a_pepper_only_an_hmac_is_kept():
    pepper = {"P402_SERVER_KEY_PEPPER": "salt-and-pepper"}
    made = keys("new", **pepper)
    assert "key_hmac" in made.stderr
    assert ring_of(made.stderr, **pepper).tenant(f"Bearer {made.stdout.strip()}".encode()).name == "default"


def test_the_digest_of_a_given_key_is_the_one_a_new_key_is_kept_as():
    made = keys("new")
    assert keys("hash", stdin=made.stdout).stdout.strip() in made.stderr


def test_a_name_that_no_table_can_hold_is_refused_with_what_is_expected():
    refused = keys("new", "--name", 'x"\nadmin = "y')
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert "a-z" in refused.stderr


def test_no_key_on_standard_input_is_said_so():
    refused = keys("hash")
    assert refused.returncode == 2
    assert "standard input" in refused.stderr
