"""A world and a strategy by name, played to a table and a log, with a summary; or a world's spec, printed."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from p402.errors import ConfigError, P402Error
from sim.shown import bar, show
from sim.strategies.contract import Strategy
from sim.strategies.named import named
from sim.used import peak_mib
from sim.world.files import JSON, TOML, read_spec, spec_text
from sim.world.gateway import Gateway
from sim.world.play import play
from sim.world.preset import preset
from sim.world.spec import WorldSpec
from sim.world.summary import Summary, bytes_under
from sim.world.table import SCHEMA


def world_of(name: str | None, file: Path | None) -> WorldSpec:
    """The world that a command names.

    Raises
    ------
    ConfigError
        Both or neither were given, or there is none of that name.
    """
    if (name is None) == (file is None):
        raise ConfigError("give one world: --preset NAME, or --spec FILE")
    return read_spec(file) if file is not None else preset(name or "")


def strategy_of(name: str) -> Strategy:
    """A fresh strategy by name: `gateway`, which learns nothing and replays, or one of `sim.strategies`."""
    return Gateway() if name == Gateway.name else named(name)()


def run_world(
    spec: WorldSpec,
    strategy: Strategy,
    seed: int,
    *,
    rounds: int | None,
    out: Path | None,
    log: Path | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Play a world, write what was asked for, and show what came of it.

    Raises
    ------
    P402Error
        The world cannot be played so, or something cannot be written.
    """
    if log is not None and log.is_dir() and any(log.iterdir()):
        raise ConfigError(f"--log {log}: the folder is not empty; give a fresh one, ids would meet")
    told = Summary(spec.name, strategy.name, seed)
    started_s = time.monotonic()
    with ExitStack() as stack:
        progress = stack.enter_context(bar("playing"))
        writer = None if out is None else stack.enter_context(_writer(out))

        def sink(batch: pa.RecordBatch) -> None:
            told.add(batch)
            if writer is not None:
                writer.write_batch(batch)

        play(spec, strategy, seed, sink, log, store, progress, rounds=rounds)
    told.seconds = time.monotonic() - started_s
    told.log_bytes = None if log is None else bytes_under(log)
    told.peak_mib = peak_mib()
    show([told.shown()], msgspec.json.encode(told.document()).decode() if as_json else None)


def print_world(spec: WorldSpec, *, as_json: bool) -> None:
    """Print a spec, to be changed and given back with `--spec`."""
    sys.stdout.write(spec_text(spec, JSON if as_json else TOML))


def _writer(out: Path) -> pq.ParquetWriter:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return pq.ParquetWriter(out, SCHEMA, compression="zstd")
    except OSError as error:
        raise P402Error(f"--out {out}: cannot be written: {error}") from error
