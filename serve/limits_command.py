"""`p402 limits`: where a tenant, its keys and sessions stand, and why the next call would be refused.

Reads the ledger's file as it lies, with no gateway running or beside one that does.
"""

import asyncio
import os
import sqlite3
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from p402.errors import ConfigError, P402Error, StoreError, nearest
from p402.flow.plan import scopes_of
from p402.guard.explain import Standing
from p402.limits import Scope
from p402.settings import KeySettings, Secret, Settings, read_settings
from p402.store.config import DEFAULT_PATH, read_toml
from serve.guard import books, scripts
from serve.guard.answers import Looked
from serve.guard.books import MOST_SHOWN
from serve.guard.make import state_path
from serve.guard.scripts import Caller
from serve.handlers.budgets import told
from serve.redis.calls import RedisAway, RedisRefused
from serve.redis.connect import PATIENT_MS, way_to

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Explain limits, from the ledger.")


@app.callback()
def limits() -> None:
    """Explain limits, from the ledger."""


@app.command()
def explain(
    tenant: Annotated[str, typer.Option(help="Whose limits.")] = "default",
    key: Annotated[
        str | None, typer.Option(help="Show this key's budgets and its policy's, too: its name.")
    ] = None,
    session: Annotated[str | None, typer.Option(help="Show this session's budget, too: its id.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="Configuration (default: $P402_CONFIG or p402.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what GET /v1/budgets/explain answers.")] = False,  # noqa: FBT002
) -> None:
    """Show what a tenant has used and left, what would refuse its next call, and until when."""
    path = config or Path(os.environ.get("P402_CONFIG") or DEFAULT_PATH)
    settings = read_settings(read_toml(path), os.environ)  # neither key nor provider need be usable here
    found = settings.tenants.get(tenant)
    if found is None:
        known = tuple(settings.tenants)
        raise ConfigError(f"--tenant: found {tenant!r}, which {path} does not name{nearest(tenant, known)}")
    spoken = found.tenant()
    if key is not None:
        spoken = replace(spoken, scopes=settings.scopes(_key(settings, key, tenant, path)))
    if session == "":
        raise ConfigError('--session: found "", expected a session\'s id; name one')
    if session is not None and spoken.session_cap_nano is None:
        raise ConfigError(
            f"--session: found one, and no `session_cap_usd` of tenant {tenant} in {path}: its sessions have "
            "no budget; leave the option out"
        )
    scopes = scopes_of(session, spoken)
    if settings.server.redis is None:
        standing = read(state_path(settings), tenant, scopes)
    else:
        standing = asyncio.run(read_shared(settings.server.redis, tenant, settings.server.hosts, scopes))
    answer = told(tenant, standing, spoken.limits)
    if json:
        sys.stdout.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _show(answer)


def _key(settings: Settings, name: str, tenant: str, path: Path) -> KeySettings:
    """A tenant's key by its name."""
    found = next((key for key in settings.keys if key.name == name), None)
    if found is None:
        known = tuple(key.name for key in settings.keys if key.tenant == tenant)
        raise ConfigError(
            f"--key: found {name!r}, which no `[[keys]]` table of {path} is called{nearest(name, known)}"
        )
    if found.tenant != tenant:
        raise ConfigError(
            f"--key: found {name!r}, which speaks for tenant {found.tenant}, expected a key of {tenant}; "
            f"add `--tenant {found.tenant}`"
        )
    return found


def read(state: Path, tenant: str, scopes: tuple[Scope, ...] = ()) -> Standing:
    """Where a tenant and some scopes stand, by the ledger's file.

    Raises
    ------
    StoreError
        The file is not there or cannot be read.
    """
    if not state.exists():
        raise StoreError(f"guard state {state} is not there: no gateway has kept a ledger in it yet")
    try:
        db = sqlite3.connect(f"file:{state}?mode=ro", uri=True, isolation_level=None)
        try:
            return books.standing(db, tenant, time.time_ns() // 1_000_000, scopes)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"guard state {state} cannot be read: {error}; start a gateway of this release on it once"
        ) from error


async def read_shared(url: Secret, tenant: str, hosts: int, scopes: tuple[Scope, ...] = ()) -> Standing:
    """Where a tenant and some scopes stand, by the Redis that so many hosts share.

    Raises
    ------
    StoreError
        It is away, or knows nothing of the tenant.
    """
    way = way_to(url.reveal(), scripts=scripts.ALL, name="p402-limits", patience_ms=PATIENT_MS)
    try:
        caller = Caller(now_ms=0, host="", report=0, seen=0, hosts=hosts)
        parts = scripts.ask_look(caller, tenant, MOST_SHOWN, scopes)
        looked = scripts.read_look(await way.call(*parts), caller, scopes)
    except (RedisAway, RedisRefused) as error:
        raise StoreError(
            f"the shared budget cannot be read: {error}; try again when Redis is there"
        ) from None
    finally:
        await way.aclose()
    if not isinstance(looked, Looked):
        raise StoreError(
            f"Redis has no books of tenant {tenant}: no gateway has told it of any since it began; start one"
        )
    return looked.standing


def _show(answer: dict[str, object]) -> None:
    console = Console()
    table = Table(title=f"limits of tenant {answer['tenant']}")
    for name in ("layer", "rule", "used", "limit", "left", "now"):
        table.add_column(name, justify="right" if name in {"layer", "used", "limit", "left"} else "left")
    layers = answer["layers"]
    assert isinstance(layers, list)
    for layer in layers:
        shown = [f"{layer[key]:,.6g}" for key in ("used", "limit", "left")]
        table.add_row(str(layer["layer"]), f"{layer['code']} ({layer['unit']})", *shown, _now(layer))
    console.print(table)
    scopes = answer["scopes"]
    assert isinstance(scopes, list)
    if scopes:
        console.print(_budgets(scopes))
    console.print(f"layer 4: {answer['anomalies']}")
    calls = answer["calls"]
    assert isinstance(calls, list)
    for call in calls:
        state = "in flight" if call["in_flight"] else "not renewed: its worker is gone"
        seconds = call["expires_in_ms"] / 1000
        console.print(
            f"  {call['request_id']}  holds ${call['held_usd']:.6f} for {seconds:,.0f} s more, {state}"
        )
    leases = answer["leases"]
    assert isinstance(leases, list)
    for lease in leases:
        console.print(f"  host {lease['host']} keeps ${lease['held_usd']:.6f} for when Redis is away")


def _budgets(scopes: list[dict[str, Any]]) -> Table:
    """Budgets within the tenant's, in USD."""
    table = Table(title="budgets within it (USD)")
    for name in ("of", "per", "spent", "held", "cap", "left", "now"):
        table.add_column(name, justify="left" if name in {"of", "per", "now"} else "right")
    for scope in scopes:
        whose = scope["scope"] if scope["name"] is None else f"{scope['scope']} {scope['name']}"
        shown = [f"{scope[key]:,.6g}" for key in ("spent_usd", "held_usd", "cap_usd", "left_usd")]
        table.add_row(whose, scope["period"], *shown, _now(scope))
    return table


def _now(said: dict[str, Any]) -> str:
    """Whether a layer or a budget refuses, and until when."""
    wait_ms = said["retry_after_ms"]
    if not said["refuses"]:
        return "open"
    return "refuses" if wait_ms is None else f"refuses for {wait_ms / 1000:,.1f} s"


def main(argv: list[str]) -> int:
    """Run `p402 limits ARGV`; 0, 1 where the ledger cannot be read, 2 on a wrong call."""
    try:
        app(args=argv, prog_name="p402 limits")
    except P402Error as error:
        sys.stderr.write(f"p402 limits: {error}\n")
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0
