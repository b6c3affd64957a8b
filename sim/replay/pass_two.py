"""The second pass of a valuation: rounds decided again, twice, and added up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from p402.evaluation.draws import Draws
from p402.evaluation.sums import Sums
from p402.evaluation.units import Units
from p402.learner.tally import Model
from sim.replay.pieces import Partition
from sim.replay.target import Target
from sim.replay.window import Chunk, Rounds, Window, chunks, rounds_in

Arrays = Mapping[str, NDArray[Any]]
By = Literal["task", "tenant"]

PART_UNITS = 1 << 11
"""Most sessions that are told apart within one task or tenant; more become as many buckets."""


@dataclass(frozen=True, slots=True, eq=False)
class Valued:
    """What the second pass says of some pieces.

    Attributes
    ----------
    sums
        All rounds.
    draws
        Arms as they were taken.
    arms, snapshots
        Names of what was met: arms that either policy could take, snapshots that rounds were decided under.
    parts
        Rounds by task or tenant, where that was asked for.
    """

    sums: Sums = field(default_factory=Sums.none)
    draws: Draws = field(default_factory=Draws.none)
    arms: frozenset[str] = frozenset()
    snapshots: frozenset[str] = frozenset()
    parts: Mapping[str, Sums] = field(default_factory=dict)

    def plus(self, other: "Valued") -> "Valued":
        """Of both."""
        parts = dict(self.parts)
        for name, sums in other.parts.items():
            parts[name] = parts[name].plus(sums) if name in parts else sums
        return Valued(
            self.sums.plus(other.sums),
            self.draws.plus(other.draws),
            self.arms | other.arms,
            self.snapshots | other.snapshots,
            parts,
        )


def second(window: Window, target: Target, model: Model, by: By | None, piece: Partition) -> Valued:
    """Of one piece; raises `Unfaithful` and `StoreError`."""
    rounds = rounds_in(window, piece)
    found = Valued()
    for chunk in chunks(window, piece, rounds, target, model):
        found = found.plus(
            Valued(
                Sums.of(chunk.batch, chunk.target, chunk.behaviour, chunk.expected),
                Draws.of(chunk.batch, chunk.behaviour, chunk.arms),
                frozenset(chunk.arms),
                frozenset((chunk.snapshot,)),
                dict(_parts(chunk, rounds, by)),
            )
        )
    return found


def _parts(chunk: Chunk, rounds: Rounds, by: By | None) -> Iterator[tuple[str, Sums]]:
    if by is None:
        return
    codes, names = (rounds.task, rounds.tasks) if by == "task" else (rounds.tenant, rounds.tenants)
    mine = codes[chunk.row]
    for code in np.unique(mine).tolist():
        rows = np.flatnonzero(mine == code)
        sums = Sums.of(
            chunk.batch.take(rows),
            chunk.target[rows],
            chunk.behaviour[rows],
            chunk.expected[rows],
            most_units=PART_UNITS,
        )
        yield names[code], sums


class ValuedCodec:
    """`Valued` as arrays."""

    def arrays(self, result: Valued) -> Arrays:
        """Names as text, the rest as numbers."""
        draws, parts = result.draws, list(result.parts.items())
        found = {
            "draws_arms": np.array(draws.arms, dtype=str),
            "draws": np.stack((draws.seen, draws.expected)),
            "pairs": draws.pairs,
            "arms": np.array(sorted(result.arms), dtype=str),
            "snapshots": np.array(sorted(result.snapshots), dtype=str),
            "parts": np.array([name for name, _ in parts], dtype=str),
        }
        for i, sums in enumerate((result.sums, *(sums for _, sums in parts))):
            found |= {f"{i}_{name}": array for name, array in _arrays(sums).items()}
        return found

    def result(self, arrays: Arrays) -> Valued:
        """Back."""
        names = arrays["parts"].tolist()
        whole, *rest = (_sums({k: arrays[f"{i}_{k}"] for k in _NAMES}) for i in range(len(names) + 1))
        seen, expected = arrays["draws"]
        return Valued(
            whole,
            Draws(tuple(arrays["draws_arms"].tolist()), seen, expected, arrays["pairs"]),
            frozenset(arrays["arms"].tolist()),
            frozenset(arrays["snapshots"].tolist()),
            dict(zip(names, rest, strict=True)),
        )


_NAMES = ("key", "limbs", "totals", "most", "counts", "flags", "change")


def _arrays(sums: Sums) -> dict[str, NDArray[Any]]:
    units = sums.units
    modelled = -1 if sums.modelled is None else int(sums.modelled)
    flags = np.array([units.most, units.bucketed, modelled], np.int64)
    values = (units.key, units.limbs, sums.totals, sums.most, sums.counts, flags, np.array(sums.change))
    return dict(zip(_NAMES, values, strict=True))


def _sums(arrays: Arrays) -> Sums:
    most, bucketed, modelled = arrays["flags"].tolist()
    units = Units(arrays["key"], arrays["limbs"], most, bucketed=bool(bucketed))
    known = None if modelled < 0 else bool(modelled)
    return Sums(units, arrays["totals"], arrays["most"], arrays["counts"], known, float(arrays["change"]))
