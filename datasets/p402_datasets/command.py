"""`p402 datasets`: which data sets there are, fetched when asked for, and what is in them.

Exit status: 0 it was done, 1 the data cannot be had or used, 2 a wrong call.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from p402.commands.run import run_app
from p402_datasets import fetch as fetching
from p402_datasets import open_bandit, routerbench
from p402_datasets.errors import DatasetError, MissingData
from p402_datasets.outcomes import OutcomeTable, task_means
from p402_datasets.registry import CACHE, DATASETS, Entry, entry_of, load, place_of
from p402_datasets.tidy import of_table

app = typer.Typer(
    name="datasets",
    help="Public data sets that P402 can read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Cache = Annotated[Path, typer.Option("--cache", help="Folder of downloads.")]
Name = Annotated[str, typer.Argument(help="A name of `p402 datasets list`.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def main(argv: list[str]) -> int:
    """Run `p402 datasets ARGV`; see the module for its exit status."""
    return run_app(app, "p402 datasets", argv)


@app.command("list")
def list_(*, cache: Cache = CACHE, as_json: Json = False) -> None:
    """List every data set, and whether it is here."""
    if as_json:
        print(_document([asdict(e) | {"here": _here(e, cache)} for e in DATASETS.values()]))
        return
    table = Table("name", "what", "holds", "licence", "here")
    for entry in DATASETS.values():
        table.add_row(entry.name, Text(entry.title), entry.holds, entry.licence, _here(entry, cache))
    _console().print(table)


@app.command()
def fetch(
    name: Name,
    *,
    url: Annotated[
        str | None,
        typer.Option(help="Another place: of the one file, or of the folder of all, with / at its end."),
    ] = None,
    cache: Cache = CACHE,
) -> None:
    """Download a data set into the cache; what was cut goes on, other bytes than the first are refused."""
    entry = entry_of(name)
    if not entry.files:
        raise MissingData(f"{name} is not for download: {entry.by_hand}; its folder is {cache / name}")
    folder = place_of(entry, cache=cache)
    by_hand = f"{entry.by_hand}, which is {folder}"
    with _progress() as progress:
        fresh = [w.name for w in _wanted(entry, url) if fetching.fetch(w, folder, by_hand, progress)]
    print(f"{name}: {len(fresh)} of {len(entry.files)} files fetched into {folder}; licence {entry.licence}")


@app.command()
def show(
    name: Name,
    *,
    path: Annotated[
        Path | None, typer.Option(help="A folder or file that you have (default: the cache).")
    ] = None,
    cache: Cache = CACHE,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given again.")] = None,
    drop_incomplete: Annotated[
        bool, typer.Option("--drop-incomplete", help="Leave out prompts that some model has no outcome on.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the tidy rows to this Parquet file.")] = None,
    as_json: Json = False,
) -> None:
    """Say where a data set is from and, if it is here, what is in it."""
    entry = entry_of(name)
    place = place_of(entry, path, cache)
    found: dict[str, Any] = {"entry": asdict(entry), "place": str(place)}
    if name == "routerbench":
        found["convert"] = routerbench.CONVERT
    try:
        contents = _contents(entry, path, cache, model, out, drop_incomplete=drop_incomplete)
    except MissingData as error:
        if path is not None or out is not None:
            raise
        contents = {"missing": str(error)}
    found["contents"] = contents
    if as_json:
        print(_document(found))
        return
    _print(entry, found)


def _contents(
    entry: Entry,
    path: Path | None,
    cache: Path,
    models: list[str] | None,
    out: Path | None,
    *,
    drop_incomplete: bool,
) -> dict[str, Any]:
    if entry.holds == "logged":
        if out is not None:
            raise DatasetError(f"--out: {entry.name} has logged rounds, no outcomes; leave it out")
        return {"rounds": _logged(path)}
    table = load(entry.name, path, cache=cache, models=models, drop_incomplete=drop_incomplete)
    if out is not None:
        if out.exists():
            raise DatasetError(f"--out: {out} exists; expected a new file; name another")
        of_table(table).write_parquet(out, compression="zstd")
    return _described(table)


def _described(table: OutcomeTable) -> dict[str, Any]:
    tasks: dict[str, int] = {}
    for prompt in table.prompts:
        tasks[prompt.task] = tasks.get(prompt.task, 0) + 1
    means = {(m.model, m.task): m.score for m in task_means(table)}
    return {
        "prompts": len(table.prompts),
        "tasks": tasks,
        "splits": sorted({p.split for p in table.prompts}),
        "notes": list(table.notes),
        "models": [
            {
                "model": model,
                "quality": float(table.quality[:, k].mean()),
                "cost_usd": float(table.cost_usd[:, k].mean()) if table.has_costs else None,
                "output_tokens": float(table.output_tokens[:, k].mean()) if table.has_tokens else None,
                "by_task": {task: means[model, task] for task in tasks},
            }
            for k, model in enumerate(table.models)
        ],
    }


def _logged(path: Path | None) -> list[dict[str, Any]]:
    found = []
    for policy in open_bandit.POLICIES:
        for campaign, items in open_bandit.ITEMS.items():
            rounds = open_bandit.load(policy, campaign, path)
            found.append(
                {
                    "policy": policy,
                    "campaign": campaign,
                    "items": items,
                    "rounds": len(rounds.action),
                    "clicks": float(rounds.reward.mean()),
                    "least_propensity": float(rounds.propensity.min()),
                }
            )
    return found


def _print(entry: Entry, found: dict[str, Any]) -> None:
    console = _console()
    facts = Table(show_header=False, title=entry.name, title_justify="left")
    for name in ("title", "home", "licence", "read_on", "columns", "tidied"):
        facts.add_row(name.replace("_", " "), Text(getattr(entry, name)))
    facts.add_row("place", Text(found["place"]))
    for name in ("convert", "missing"):
        said = found.get(name) or found["contents"].get(name)
        if said:
            facts.add_row(name, Text(said))
    console.print(facts)
    rows = found["contents"].get("models") or found["contents"].get("rounds") or []
    if not rows:
        return
    columns = [name for name, value in rows[0].items() if not isinstance(value, dict)]
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(_shown(row[name])) for name in columns))
    console.print(table)
    contents = found["contents"]
    if "tasks" in contents:
        tasks = ", ".join(f"{task} {count:,}" for task, count in sorted(contents["tasks"].items()))
        splits = ", ".join(contents["splits"])
        console.print(Text(f"{contents['prompts']:,} prompts: {tasks}; splits {splits}"))
        for note in contents["notes"]:
            console.print(Text(note, style="yellow"))


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _wanted(entry: Entry, url: str | None) -> tuple[fetching.Wanted, ...]:
    if url is None:
        return entry.files
    if url.endswith("/"):
        return tuple(fetching.Wanted(file.name, url + file.name) for file in entry.files)
    if len(entry.files) > 1:
        raise DatasetError(
            f"--url: found {url}, expected a folder that ends with /, since {entry.name} has "
            f"{len(entry.files)} files"
        )
    return (fetching.Wanted(entry.files[0].name, url),)


def _here(entry: Entry, cache: Path) -> str:
    if entry.name == "paretobandit" or not entry.module:
        return "in a wheel"
    if entry.name == "tidy":
        return "--path"
    folder = place_of(entry, cache=cache)
    if not entry.files:
        return "yes" if folder.is_dir() and any(folder.iterdir()) else "no"
    count = sum((folder / file.name).is_file() for file in entry.files)
    return "yes" if count == len(entry.files) else "no" if not count else f"{count} of {len(entry.files)}"


@contextmanager
def _progress() -> Iterator[fetching.Progress]:
    """A bar for each file on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def advance(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done, total=total)

        yield advance


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=140)


def _document(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
