"""The page's style: light and dark, phone and print. Its rules are `page.css`; nothing is fetched."""

from importlib.resources import files

from sim.compare.look import DARK, NAMES


def style() -> str:
    """The text of the page's style: colours from `look` as variables, then the rules."""
    light = _variables({colour: colour for colour in NAMES})
    rules = files("sim.compare").joinpath("page.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}"
    return f":root {{ {light} }}\n{dark}\n{rules}"


def _variables(shown: dict[str, str]) -> str:
    return " ".join(f"--{name}: {shown[colour]};" for colour, name in NAMES.items())
