"""Which limits to give a tenant: `p402 limits suggest`, from its log or from a sum to spend.

It reads, asks `p402.guard.sizing` and prints: a table with the evidence, and lines for `p402.toml`.
"""

import os
import sys
from dataclasses import asdict
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from p402.commands.demand import demands
from p402.errors import ConfigError, P402Error, StoreError, nearest
from p402.guard.sizing import LONGEST_MONTH, Demand, Suggested, by_demand, by_spend
from p402.store.config import server_of
from p402.units import nano_to_usd, usd_to_nano

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Size a tenant's limits.")


class Per(StrEnum):
    """How long a sum is to last."""

    day = "day"
    month = "month"


@app.callback()
def limits() -> None:
    """Size a tenant's limits."""


@app.command()
def suggest(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant (default: all in the log).")] = None,
    log: Annotated[Path | None, typer.Option(help="The log (default: the configured one).")] = None,
    spend: Annotated[str | None, typer.Option(help="Size by this many USD instead of a log.")] = None,
    per: Annotated[Per, typer.Option(help="What --spend is for.")] = Per.month,
    config: Annotated[
        Path | None, typer.Option(help="Configuration (default: $P402_CONFIG or p402.toml).")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,  # noqa: FBT002
) -> None:
    """Suggest limits, with the evidence for them and what to paste into p402.toml."""
    if spend is not None:
        if log is not None:
            raise ConfigError("--spend, --log: found both, expected one way to size limits; leave one out")
        found: dict[str, tuple[Demand | None, Suggested]] = {tenant or "default": (None, _spent(spend, per))}
    else:
        found = {name: (demand, by_demand(demand)) for name, demand in _seen(log, config, tenant).items()}
    if json:
        told = {name: _told(demand, suggested) for name, (demand, suggested) in found.items()}
        sys.stdout.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, (demand, suggested) in found.items():
        console.print(_table(name, demand, suggested))
        for reason in suggested.why:
            console.print(f"  {reason}", markup=False)
    console.print("\nFor p402.toml:\n")
    for name, (_, suggested) in found.items():
        sys.stdout.write(toml(name, suggested) + "\n")


def toml(tenant: str, suggested: Suggested) -> str:
    """What to paste: a table of settings that reads back as these limits."""
    name = f'"{tenant}"' if "." in tenant else tenant
    return (
        f"[tenants.{name}]\n"
        f"daily_cap_usd = {_usd(suggested.daily_cap_nano)}\n"
        f"requests_per_hour = {suggested.requests_per_hour}\n"
        f"max_in_flight = {suggested.max_in_flight}\n"
        f"max_request_usd = {_usd(suggested.max_request_nano)}\n"
        f'hold = "{suggested.hold}"\n'
    )


def main(argv: list[str]) -> int:
    """Run `p402 limits ARGV`; 0, 1 where there is nothing to size by, 2 on a wrong call."""
    try:
        app(args=argv, prog_name="p402 limits")
    except P402Error as error:
        sys.stderr.write(f"p402 limits: {error}\n")
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


def _spent(spend: str, per: Per) -> Suggested:
    days = 1 if per is Per.day else LONGEST_MONTH
    try:
        return by_spend(usd_to_nano(Decimal(spend)), days)
    except (ArithmeticError, ValueError) as error:  # no number, or none that leaves a day anything
        raise ConfigError(f"--spend: found {spend!r}, expected USD above 0, such as 3000") from error


def _seen(log: Path | None, config: Path | None, tenant: str | None) -> dict[str, Demand]:
    root = log or Path(server_of(config, os.environ).log)
    seen = demands(root)
    if not seen:
        raise StoreError(
            f"{root} has no requests yet; expected some days of them: let the gateway serve, or size by "
            "`p402 limits suggest --spend USD`"
        )
    if tenant is None:
        return seen
    if tenant not in seen:
        raise ConfigError(
            f"--tenant: found {tenant!r}, of which {root} has no request{nearest(tenant, tuple(seen))}; "
            f"it has {', '.join(seen)}"
        )
    return {tenant: seen[tenant]}


def _told(demand: Demand | None, suggested: Suggested) -> dict[str, Any]:
    return {
        "daily_cap_usd": nano_to_usd(suggested.daily_cap_nano),
        "requests_per_hour": suggested.requests_per_hour,
        "max_in_flight": suggested.max_in_flight,
        "max_request_usd": nano_to_usd(suggested.max_request_nano),
        "hold": suggested.hold,
        "headroom": suggested.headroom,
        "why": list(suggested.why),
        "evidence": None if demand is None else _evidence(demand),
    }


def _evidence(demand: Demand) -> dict[str, Any]:
    """Every figure of the demand, money in USD."""
    return {
        (name.removesuffix("_nano") + "_usd" if name.endswith("_nano") else name): (
            nano_to_usd(value) if name.endswith("_nano") and value is not None else value
        )
        for name, value in asdict(demand).items()
    }


def _table(tenant: str, demand: Demand | None, suggested: Suggested) -> Table:
    table = Table("setting", "suggested", "evidence", title=Text(f"limits for tenant {tenant}"))
    table.columns[1].justify = "right"
    seen = dict.fromkeys(("cap", "hour", "flight", "request", "hold"), "none: sized by a sum")
    if demand is not None:
        held = "no holds in the log"
        if demand.peak_held_nano is not None and demand.peak_predicted_nano is not None:
            strict, predicted = _usd(demand.peak_held_nano), _usd(demand.peak_predicted_nano)
            held = f"held at once ${strict}, by p99.9 ${predicted}"
        seen = {
            "cap": f"peak day ${_usd(demand.peak_day_nano)}; days {demand.days:,}, "
            f"requests {demand.requests:,}",
            "hour": f"peak hour {demand.peak_hour:,}",
            "flight": f"peak {demand.peak_in_flight:,}",
            "request": f"p99 ${_usd(demand.p99_nano)}, dearest ${_usd(demand.dearest_nano)}",
            "hold": held,
        }
    table.add_row("daily_cap_usd", _usd(suggested.daily_cap_nano), seen["cap"])
    table.add_row("requests_per_hour", f"{suggested.requests_per_hour:,}", seen["hour"])
    table.add_row("max_in_flight", f"{suggested.max_in_flight:,}", seen["flight"])
    table.add_row("max_request_usd", _usd(suggested.max_request_nano), seen["request"])
    table.add_row("hold", suggested.hold, seen["hold"])
    return table


def _usd(nano: int) -> str:
    """USD to the nano-USD, without empty decimals."""
    text = f"{Decimal(nano).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
