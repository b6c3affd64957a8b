"""`p402 keys`: make an API key, or the digest under which one is kept.

A key is shown once and kept nowhere; the configuration holds its digest. Under a pepper
(`P402_SERVER_KEY_PEPPER`) the digest is an HMAC, of no use to who steals the file.
"""

import os
import re
import sys
from enum import StrEnum
from typing import Annotated

import typer

from serve.keys import hash_key, new_key

PEPPER: str = "P402_SERVER_KEY_PEPPER"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Mode(StrEnum):
    """The modes of `p402.settings.model.MODES`; a test compares."""

    cost = "cost"
    quality = "quality"
    speed = "speed"
    balanced = "balanced"


class Named(StrEnum):
    """The words of `p402.settings.model.NAMED`; a test compares."""

    observe = "observe"
    on = "on"
    off = "off"


app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Make API keys and the digests they are kept as."
)


@app.command(name="new", hidden=True)  # the name it had before
@app.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is called in the configuration.")] = "client",
    tenant: Annotated[str, typer.Option(help="The tenant it speaks for.")] = "default",
    mode: Annotated[
        Mode | None,
        typer.Option(help="Route every request of the key in this mode; a model it names is the baseline."),
    ] = None,
    route_named_models: Annotated[
        Named | None,
        typer.Option(help="What happens to a request that names a model and no mode (with --mode: on)."),
    ] = None,
) -> None:
    """Make a key: it goes to standard output once, the table that keeps it to standard error."""
    for option, value in (("--name", name), ("--tenant", tenant)):
        if _NAME.fullmatch(value) is None:
            raise typer.BadParameter(
                f"found {value!r}, expected a-z, 0-9 and . _ - with a letter or digit first",
                param_hint=option,
            )
    key = new_key()
    sys.stdout.write(f"{key}\n")
    sys.stderr.write("Add this to p402.toml; the key itself is kept nowhere:\n\n")
    table = [f'name = "{name}"', f'tenant = "{tenant}"', _kept(key)]
    if mode is not None:
        table.append(f'mode = "{mode}"')
    if route_named_models is not None:
        table.append(f'route_named_models = "{route_named_models}"')
    sys.stderr.write("\n".join(("[[keys]]", *table)) + "\n")


@app.command(name="hash")
def hash_() -> None:
    """Print the setting for a key that is read from standard input."""
    key = sys.stdin.readline().strip()
    if not key.isascii() or not key.isprintable() or not key or " " in key:
        raise typer.BadParameter("found no key of printable characters on standard input; pipe one in")
    sys.stdout.write(f"{_kept(key)}\n")


def _kept(key: str) -> str:
    pepper = os.environ.get(PEPPER)
    return f'{"key_hmac" if pepper else "key_sha256"} = "{hash_key(key, pepper or None)}"'


def main(argv: list[str]) -> int:
    """Run `p402 keys ARGV`; 0, or 2 on a wrong call."""
    try:
        app(args=argv, prog_name="p402 keys")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0
