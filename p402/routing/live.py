"""What changes within a second: breakers, time to first token, error rate and verbosity per arm.

Live state is not in the snapshot. A worker counts its changes in `seq`, logs each as a
delta, and a decision cites the `seq` it saw; replay folds the same deltas to the same
columns. It knows no clock: measurements come in already quantised.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from p402.events import ArmLive

UNMEASURED = 0
"""`ttft_ms` of an arm without measurement: the snapshot's prior speaks."""

ERROR_ONE = 1 << 12
"""An error rate of 1."""

RATIO_ONE = 16
"""`output_ratio` of an arm whose answers are as long as expected."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveState:
    """Live columns of shape (n_arms,), in the order of the snapshot's arms.

    Attributes
    ----------
    seq
        How many changes this worker has logged before; 0 is the state at start.
    open_circuit
        True where the arm's breaker turns calls away.
    half_open
        Of those, where one call at a time may see whether the arm is back; None where there is none.
    output_ratio
        Output tokens over what the request's task made expected, multiples of 1/16; None where all are 1.
    ttft_ms
        Quantised expected time to first token, whole ms; 0 is unmeasured.
    error_rate
        Share of failed calls, multiples of 2**-12.
    any_open, closed
        Whether any breaker is open, and which let a call through unless their provider is being tried.
    """

    seq: int
    open_circuit: NDArray[np.bool_]
    ttft_ms: NDArray[np.float64]
    error_rate: NDArray[np.float64]
    half_open: NDArray[np.bool_] | None = None
    output_ratio: NDArray[np.float64] | None = None
    any_open: bool = field(init=False)
    closed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Note once what every decision would ask."""
        object.__setattr__(self, "any_open", bool(self.open_circuit.any()))
        closed = ~self.open_circuit
        if self.half_open is not None:
            closed |= self.half_open
        object.__setattr__(self, "closed", closed)

    @classmethod
    def at_start(cls, n_arms: int) -> "LiveState":
        """Nothing measured, every breaker closed."""
        return cls(0, np.zeros(n_arms, np.bool_), np.zeros(n_arms), np.zeros(n_arms))

    @classmethod
    def many(
        cls,
        seqs: Sequence[int],
        open_circuit: NDArray[np.bool_],
        ttft_ms: NDArray[np.float64],
        error_rate: NDArray[np.float64],
        half_open: NDArray[np.bool_],
        output_ratio: NDArray[np.float64],
    ) -> "list[LiveState]":
        """States of (n_states, n_arms) columns, row by row, in a fifth of the time of one call for each."""
        any_open: list[bool] = np.any(open_circuit, axis=1).tolist()
        tried: list[bool] = np.any(half_open, axis=1).tolist()
        longer: list[bool] = np.any(output_ratio != RATIO_ONE, axis=1).tolist()
        closed = ~open_circuit | half_open
        found = []
        rows = zip(seqs, open_circuit, ttft_ms, error_rate, half_open, output_ratio, closed, strict=True)
        put = object.__setattr__
        for k, (seq, opened, ttft, error, half, ratio, shut) in enumerate(rows):
            state = object.__new__(cls)
            put(state, "seq", seq)
            put(state, "open_circuit", opened)
            put(state, "ttft_ms", ttft)
            put(state, "error_rate", error)
            put(state, "half_open", half if tried[k] else None)
            put(state, "output_ratio", ratio if longer[k] else None)
            put(state, "any_open", any_open[k])
            put(state, "closed", shut)
            found.append(state)
        return found

    @classmethod
    def project(cls, seq: int, table: Mapping[str, ArmLive], index: Mapping[str, int]) -> "LiveState":
        """Columns of a table of live arms, as folded from the deltas up to `seq`.

        Arms that the snapshot does not have are passed over.
        """
        open_circuit = np.zeros(len(index), np.bool_)
        half_open = np.zeros(len(index), np.bool_)
        ttft_ms, error_rate = np.zeros(len(index)), np.zeros(len(index))
        ratio = np.full(len(index), float(RATIO_ONE))
        for arm, live in table.items():
            k = index.get(arm)
            if k is None:
                continue
            open_circuit[k] = live.open_circuit
            half_open[k] = live.half_open
            ttft_ms[k] = live.ttft_ms
            error_rate[k] = live.error_rate
            ratio[k] = live.output_ratio
        return cls(
            seq,
            open_circuit,
            ttft_ms,
            error_rate,
            half_open if half_open.any() else None,
            ratio if (ratio != RATIO_ONE).any() else None,
        )
