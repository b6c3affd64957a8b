"""A world and a strategy by name, played to a table and a log, with a summary; or a world's spec, printed."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
        write = None if out is None else stack.enter_context(_writing(out))

        def sink(batch: pa.RecordBatch) -> None:
            told.add(batch)
            if write is not None:
                write(batch)

        play(spec, strategy, seed, sink, log, store, progress, rounds=rounds)
    told.seconds = time.monotonic() - started_s
    told.log_bytes = None if log is None else bytes_under(log)
    told.peak_mib = peak_mib()
    show([told.shown()], msgspec.json.encode(told.document()).decode() if as_json else None)


def print_world(spec: WorldSpec, *, as_json: bool) -> None:
    """Print a spec, to be changed and given back with `--spec`."""
    sys.stdout.write(spec_text(spec, JSON if as_json else TOML))


@contextmanager
def _writing(out: Path) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """What writes batches to a Parquet file; what was begun stays without its end where writing fails."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        writer = pq.ParquetWriter(out, SCHEMA, compression="zstd")
    except OSError as error:
        raise _not_written(out, error) from error

    def write(batch: pa.RecordBatch) -> None:
        try:
            writer.write_batch(batch)
        except OSError as error:
            raise _not_written(out, error) from error

    try:
        yield write
    except BaseException:
        with suppress(OSError):  # why it ends is told already
            writer.close()
        raise
    try:
        writer.close()
    except OSError as error:
        raise _not_written(out, error) from error


def _not_written(out: Path, error: OSError) -> P402Error:
    return P402Error(f"--out {out}: cannot be written: {error}; free space, or give another place")
