"""The configuration file: read with its secrets, or refused in words an operator can act on."""

import pytest

from p402.errors import ConfigError
from p402.store.config import load

TWO = """
[providers.groq]
base_url = "https://api.example.com/v1"
api_key_env = "GROQ_API_KEY"
[providers.local]
base_url = "http://127.0.0.1:8000/v1"
"""
ONE = """
[providers.groq]
base_url = "https://api.example.com/v1"
api_key_env = "GROQ_API_KEY"
"""


def config(tmp_path, text: str | bytes):
    path = tmp_path / "p402.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_keys_are_looked_up_in_the_environment(tmp_path):
    found = load(config(tmp_path, TWO), {"GROQ_API_KEY": " sk-1\n"})
    assert found.settings.providers["groq"].api_key.reveal() == "sk-1"
    assert found.settings.providers["local"].api_key is None
    assert found.notices == ()


def test_a_provider_without_its_key_is_left_out_with_a_notice(tmp_path):
    found = load(config(tmp_path, TWO), {})
    assert set(found.settings.providers) == {"local"}
    (notice,) = found.notices
    assert "groq" in notice
    assert "GROQ_API_KEY" in notice


@pytest.mark.parametrize("text", [ONE, "", "[server]\nport = 0\n"])
def test_without_any_provider_the_simulated_ones_are_offered(tmp_path, text):
    with pytest.raises(ConfigError, match=r"p402 sim providers --config-out p402-sim\.toml"):
        load(config(tmp_path, text), {})


def test_a_missing_file_is_told_with_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file(.|\n)*p402 sim providers"):
        load(tmp_path / "none.toml", {})


@pytest.mark.parametrize("exists", [True, False])
def test_where_no_provider_is_configured_the_example_shown_is_one_that_works(tmp_path, exists):
    path = config(tmp_path, "") if exists else tmp_path / "p402.toml"
    with pytest.raises(ConfigError) as caught:
        load(path, {"GROQ_API_KEY": "sk-1"})  # a key alone does nothing
    shown = "\n".join(line for line in str(caught.value).splitlines() if line.startswith("    "))
    assert len(shown.splitlines()) == 3
    path.write_text(shown)
    assert set(load(path, {"GROQ_API_KEY": "sk-1"}).settings.providers) == {"groq"}


@pytest.mark.parametrize("text", [ONE, ""])
def test_what_is_offered_never_writes_over_the_configuration(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, text), {})
    assert "--config-out p402.toml" not in str(caught.value)


def test_a_syntax_error_is_told_with_its_line(tmp_path):
    with pytest.raises(ConfigError, match=r"p402\.toml: not valid TOML.*line 3"):
        load(config(tmp_path, "[server]\nport = 1\nport port\n"), {})


def test_bytes_that_are_not_utf8_are_told_with_their_offset(tmp_path):
    with pytest.raises(ConfigError, match="not UTF-8 at offset 2"):
        load(config(tmp_path, b"a=\xff"), {})


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(tmp_path):
    with pytest.raises(ConfigError, match="GROQ_API_KEY") as caught:
        load(config(tmp_path, TWO), {"GROQ_API_KEY": "sk-\u00e9"})
    assert "sk-" not in str(caught.value)


def test_client_keys_are_looked_up_and_a_missing_one_is_left_out_with_a_notice(tmp_path):
    text = TWO + '[[keys]]\nname = "a"\nkey_env = "A"\n[[keys]]\nname = "b"\nkey_env = "B"\n'
    found = load(config(tmp_path, text), {"A": "p402_live_1", "GROQ_API_KEY": "x"})
    assert found.client_keys["a"].reveal() == "p402_live_1"
    assert [key.name for key in found.settings.keys] == ["a"]
    assert "key b is left out" in found.notices[0]


def test_keys_that_all_lack_their_variable_do_not_open_the_door(tmp_path):
    text = TWO + '[[keys]]\nname = "a"\nkey_env = "A"\n'
    with pytest.raises(ConfigError, match="no key can be checked"):
        load(config(tmp_path, text), {"GROQ_API_KEY": "x"})
