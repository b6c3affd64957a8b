"""The README's table of settings is the one that the dataclasses print."""

from pathlib import Path

from p402.settings import settings_table

README = Path(__file__).parents[3] / "serve" / "README.md"


def test_the_readme_prints_the_settings_that_there_are():
    text = README.read_text()
    printed = text.partition("<!-- settings -->\n")[2].partition("<!-- end of settings -->")[0]
    assert printed.strip() == settings_table().strip()
