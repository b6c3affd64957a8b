"""`p402 catalog`: what is on offer, at what price, and where each value comes from."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p402.catalog.defaults import SUCCESSORS
from p402.catalog.model import Capabilities, Catalog, Deployment, counts
from p402.catalog.price import prices_at
from p402.commands.catalog_text import CAPABILITY_NAMES, describe, lines
from p402.commands.presets_text import described
from p402.errors import nearest
from p402.store.catalog import load_catalog
from p402.units import PICO_PER_USD_PER_MTOK

WIDE: Final = 100
"""Columns of a terminal that take the whole list; a narrower one leaves the output limit out."""

_WORDS: Final = {name: name.split("_")[0] for name in CAPABILITY_NAMES}

app = typer.Typer(add_completion=False, no_args_is_help=False, help=__doc__)

CatalogOption = Annotated[
    Path | None, typer.Option("--catalog", help="Another catalogue file than the packaged one.")
]
AtOption = Annotated[
    datetime | None, typer.Option("--at", help="Prices in force at this UTC time; default now.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON: prices in USD per million tokens.")]


def main(argv: list[str]) -> int:
    """Run `p402 catalog` with these arguments and return the exit status."""
    try:
        app(args=argv, prog_name="p402 catalog")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


@app.callback(invoke_without_command=True)
def listing(
    context: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Exact provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Text in the model's id or canonical name.")] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help=f"Known to have: {', '.join(CAPABILITY_NAMES)}.")
    ] = None,
    max_input_price: Annotated[float | None, typer.Option(help="USD per million input tokens.")] = None,
    status: Annotated[str | None, typer.Option(help="active, deprecated or removed.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Print so many rows.")] = None,
    *,
    show_counts: Annotated[
        bool, typer.Option("--counts", help="Print how much the catalogue holds.")
    ] = False,
    as_json: JsonOption = False,
    at: AtOption = None,
    catalog: CatalogOption = None,
) -> None:
    """List deployments, cheapest output first."""
    if context.invoked_subcommand is not None:
        return
    for name in capability or ():
        if name not in CAPABILITY_NAMES:
            raise typer.BadParameter(f"`{name}` is unknown; expected one of {', '.join(CAPABILITY_NAMES)}")
    if status not in {None, "active", "deprecated", "removed"}:
        raise typer.BadParameter(f"`{status}` is unknown; expected active, deprecated or removed")
    loaded, when_ms = load_catalog(catalog), _instant(at)
    if show_counts:
        _print_counts(loaded, as_json=as_json)
        return
    wanted = (model or "").lower()
    rows = [
        d
        for d in loaded.deployments
        if (provider is None or d.provider == provider)
        and (wanted in d.model.lower() or wanted in d.model_family)
        and all(getattr(d.capabilities, name) for name in capability or ())
        and (status is None or d.status == status)
        and (max_input_price is None or _input_at_most(d, when_ms, max_input_price))
    ]
    rows.sort(key=lambda d: (_price(d, when_ms, "output") is None, _price(d, when_ms, "output") or 0, d.id))
    shown = rows[:limit]
    if as_json:
        _print_json([describe(d, loaded, when_ms) for d in shown])
        return
    console = Console()
    wide = console.width >= WIDE
    console.print(_table(shown, when_ms, wide=wide))
    typer.echo(
        f"{len(shown)} of {len(rows)} deployments, ? is unknown; "
        f"catalogue {loaded.version} of {loaded.built_on}"
    )
    if not wide:
        typer.echo(f"output limits: in a terminal of {WIDE} columns, or with --json")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="ID", help="Deployment id, alias, or model name.")],
    *,
    as_json: JsonOption = False,
    at: AtOption = None,
    catalog: CatalogOption = None,
) -> None:
    """Show a deployment, or every deployment of a model."""
    loaded = load_catalog(catalog)
    one = loaded.find(name)
    rows = (one,) if one else loaded.named(name)
    if not rows:
        typer.echo(f"`{name}` is neither a deployment nor a model{_hint(name, loaded)}", err=True)
        raise typer.Exit(1)
    described = [describe(d, loaded, _instant(at)) for d in rows]
    if as_json:
        _print_json(described)
        return
    for row in described:
        table = Table(title=row["id"], show_header=False, title_justify="left")
        for key, text in lines(row):
            table.add_row(key, text)
        Console().print(table)


@app.command()
def providers(*, as_json: JsonOption = False, catalog: CatalogOption = None) -> None:
    """List the providers whose name is enough of a configuration."""
    rows = described(load_catalog(catalog))
    if as_json:
        _print_json(rows)
        return
    table = Table()
    for heading in ("provider", "dialect", "base URL", "key variable"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "provider")
    table.add_column("priced\nmodels", justify="right")
    table.add_column("documentation", overflow="fold")
    for row in rows:
        cells = (row[name] for name in ("name", "dialect", "base_url", "api_key_env"))
        models = row["priced_models"]
        table.add_row(*(cell or "-" for cell in cells), "-" if models is None else str(models), row["docs"])
    Console().print(table)
    typer.echo(
        "[providers.NAME] of such a name needs its key variable only; - is what you give: "
        "base_url or region, models with prices"
    )


def _price(deployment: Deployment, when_ms: int, token_class: str) -> int | None:
    row = prices_at(deployment, when_ms)
    price: int | None = None if row is None else getattr(row.base, token_class)
    return price


def _input_at_most(deployment: Deployment, when_ms: int, usd_per_mtok: float) -> bool:
    price = _price(deployment, when_ms, "input")
    return price is not None and price <= usd_per_mtok * PICO_PER_USD_PER_MTOK


def _table(rows: list[Deployment], when_ms: int, *, wide: bool) -> Table:
    """Deployments by row; a narrow one leaves out what an answer may hold at most."""
    table = Table()
    word = max(map(len, _WORDS.values()))
    table.add_column("deployment", overflow="fold", min_width=16)
    for heading in ("in\n$/Mtok", "out\n$/Mtok", "context", *(("output",) if wide else ())):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("can", overflow="fold", min_width=word, max_width=None if wide else word)
    table.add_column("status", no_wrap=True)
    for d in rows:
        prices = [_price(d, when_ms, token_class) for token_class in ("input", "output")]
        limits = (d.context_window, d.output_limit) if wide else (d.context_window,)
        table.add_row(
            Text(d.id),
            *("?" if p is None else f"{p / PICO_PER_USD_PER_MTOK:g}" for p in prices),
            *("?" if n is None else f"{n:,}" for n in limits),
            "?" if d.capabilities == Capabilities() else _can(d.capabilities),
            d.status,
        )
    return table


def _can(capabilities: Capabilities) -> str:
    return " ".join(word for name, word in _WORDS.items() if getattr(capabilities, name)) or "-"


def _print_counts(catalog: Catalog, *, as_json: bool) -> None:
    found = asdict(counts(catalog.deployments))
    if as_json:
        _print_json(found)
        return
    table = Table(
        "what", "how many", title=f"catalogue {catalog.version} of {catalog.built_on}", title_justify="left"
    )
    for key, value in found.items():
        table.add_row(key.replace("_", " "), f"{value:,}")
    Console().print(table)


def _print_json(value: Any) -> None:
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def _hint(name: str, catalog: Catalog) -> str:
    successor = SUCCESSORS.get(name.rpartition("/")[2])
    if successor is not None:
        return f"; {successor.reason}: `{successor.deployment}`"
    known = sorted({*catalog.by_id, *catalog.aliases, *(d.model_family for d in catalog.deployments)})
    return nearest(name, tuple(known))


def _instant(at: datetime | None) -> int:
    when = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return int(when.timestamp() * 1000)
