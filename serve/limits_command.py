"""`p402 limits`: where a tenant stands, and why its next call would be refused.

Reads the ledger's file as it lies, with no gateway running or beside one that does.
"""

import asyncio
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from p402.errors import ConfigError, P402Error, StoreError, nearest
from p402.guard.explain import Standing
from p402.settings import Secret
from p402.store.config import DEFAULT_PATH, load
from serve.guard import books, scripts
from serve.guard.answers import Looked
from serve.guard.books import MOST_SHOWN
from serve.guard.make import state_path
from serve.guard.scripts import Caller
from serve.handlers.budgets import told
from serve.redis.calls import RedisAway, RedisRefused
from serve.redis.connect import way_to

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Explain limits, from the ledger.")


@app.callback()
def limits() -> None:
    """Explain limits, from the ledger."""


@app.command()
def explain(
    tenant: Annotated[str, typer.Option(help="Whose limits.")] = "default",
    config: Annotated[
        Path | None, typer.Option(help="Configuration (default: $P402_CONFIG or p402.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print what GET /v1/budgets/explain answers.")] = False,  # noqa: FBT002
) -> None:
    """Show what a tenant has used and left, what would refuse its next call, and until when."""
    path = config or Path(os.environ.get("P402_CONFIG") or DEFAULT_PATH)
    settings = load(path, os.environ).settings
    found = settings.tenants.get(tenant)
    if found is None:
        known = tuple(settings.tenants)
        raise ConfigError(f"--tenant: found {tenant!r}, which {path} does not name{nearest(tenant, known)}")
    if settings.server.redis is None:
        standing = read(state_path(settings), tenant)
    else:
        standing = asyncio.run(read_shared(settings.server.redis, tenant))
    answer = told(tenant, standing, found.tenant().limits)
    if json:
        sys.stdout.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _show(answer)


def read(state: Path, tenant: str) -> Standing:
    """Where a tenant stands, by the ledger's file.

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
            return books.standing(db, tenant, time.time_ns() // 1_000_000)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"guard state {state} cannot be read: {error}; start a gateway of this release on it once"
        ) from error


async def read_shared(url: Secret, tenant: str) -> Standing:
    """Where a tenant stands, by the Redis that hosts share.

    Raises
    ------
    StoreError
        It is away, or knows nothing of the tenant.
    """
    way = way_to(url.reveal(), scripts=scripts.ALL, name="p402-limits")
    try:
        parts = scripts.ask_look(Caller(now_ms=0, host="", report=0, seen=0, hosts=1), tenant, MOST_SHOWN)
        looked = scripts.read_look(await way.call(*parts))
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
        wait = layer["retry_after_ms"]
        now = "open" if not layer["refuses"] else f"refuses for {wait / 1000:,.1f} s"
        shown = [f"{layer[key]:,.6g}" for key in ("used", "limit", "left")]
        table.add_row(str(layer["layer"]), f"{layer['code']} ({layer['unit']})", *shown, now)
    console.print(table)
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
