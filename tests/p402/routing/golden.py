"""The golden decisions: 10,000 rows, the snapshots they were taken under, and what was decided.

Version 2 has 2,000 more, with half-open breakers and providers that are being tried. A file holds
everything, snapshot components as bytes and columns as narrow arrays, so that it depends on no
generator. `python golden.py` recomputes every decision and prints a digest, so that another process,
numpy or CPU can be held against this one.
"""

import json
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from p402.routing.batch import COLUMNS, RequestBatch
from p402.routing.compiled import COMPONENTS, from_parts, parts_of
from p402.routing.decide import Decisions, decide
from p402.routing.live import RATIO_ONE, LiveState

PATH = Path(__file__).parents[2] / "golden" / "decisions-v1.npz"
PATH_2 = PATH.with_name("decisions-v2.npz")
DECIDED = ("arm", "count", "incumbent", "n_eligible", "n_explored")
LIVE = ("seq", "open_circuit", "ttft_ms", "error_rate", "half_open", "output_ratio")
ADDED = {"half_open", "output_ratio", "probed"}
"""What version 1 has not."""


def pin(path):
    """Where the digest of a golden file is."""
    return path.with_suffix(".sha256")


def table(made: Decisions):
    """(n, 5) int32."""
    return np.stack([getattr(made, name) for name in DECIDED], axis=1)


def digest(tables):
    """SHA-256 over decisions, independent of the machine's byte order."""
    whole = sha256()
    for one in tables:
        whole.update(np.ascontiguousarray(one, "<i4").tobytes())
    return whole.hexdigest()


def narrow(column):
    """A column in the narrowest type that holds its whole numbers."""
    if column.dtype.kind in "bu":
        return column
    whole = column.astype(np.int64)
    assert np.array_equal(whole, column)
    return next(
        whole.astype(kind)
        for kind in (np.int8, np.int16, np.int32, np.int64)
        if np.array_equal(whole.astype(kind), whole)
    )


def narrowed(batch: RequestBatch) -> RequestBatch:
    """The batch with every column as narrow as its values allow."""
    present = [name for name in COLUMNS if getattr(batch, name) is not None]
    return replace(batch, **{name: narrow(getattr(batch, name)) for name in present})


def save(path, worlds):
    """Write {name: (snapshot, batch)} with what is decided now."""
    arrays = {}
    for name, (snapshot, batch) in worlds.items():
        for part, data in parts_of(snapshot.spec).items():
            arrays[f"{name}/parts/{part}"] = np.frombuffer(data, np.uint8)
        slim = narrowed(batch)
        for column in COLUMNS:
            if getattr(slim, column) is not None:
                arrays[f"{name}/rows/{column}"] = getattr(slim, column)
        for column in LIVE:
            values = [getattr(live, column) for live in batch.lives]
            if column == "half_open":
                values = [np.zeros(snapshot.n_arms, np.bool_) if v is None else v for v in values]
            if column == "output_ratio":
                values = [np.full(snapshot.n_arms, float(RATIO_ONE)) if v is None else v for v in values]
            arrays[f"{name}/lives/{column}"] = narrow(np.stack([np.asarray(v) for v in values]))
        arrays[f"{name}/decided"] = table(decide(snapshot, batch))
    np.savez_compressed(path, **arrays)


def load(path=PATH):
    """{name: (snapshot, batch with narrow columns, (n, 5) decisions)}."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    worlds = {}
    for name in sorted({key.split("/")[0] for key in arrays}):
        snapshot = from_parts({part: arrays[f"{name}/parts/{part}"].tobytes() for part in COMPONENTS})
        columns = [arrays[f"{name}/lives/{column}"] for column in LIVE if column not in ADDED]
        half, longer = (
            arrays.get(f"{name}/lives/{added}", [None] * len(columns[0]))
            for added in ("half_open", "output_ratio")
        )
        lives = tuple(
            LiveState(
                int(seq),
                shut.astype(np.bool_),
                ttft.astype(np.float64),
                errors.astype(np.float64),
                tried,
                None if ratio is None else ratio.astype(np.float64),
            )
            for seq, shut, ttft, errors, tried, ratio in zip(*columns, half, longer, strict=True)
        )
        rows = {column: arrays.get(f"{name}/rows/{column}") for column in COLUMNS}
        worlds[name] = (snapshot, RequestBatch(lives=lives, **rows), arrays[f"{name}/decided"])
    return worlds


def report():
    """What this process decides, and on what it runs."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    both = (*load().values(), *load(PATH_2).values())
    made = [table(decide(snapshot, batch)) for snapshot, batch, _ in both]
    return {
        "digest": digest(made),
        "numpy": np.__version__,
        "cpu": sorted(name for name in __cpu_dispatch__ if __cpu_features__[name]),
    }


if __name__ == "__main__":
    json.dump(report(), sys.stdout)
