"""Evidence against a mean that may be looked at after every value, and acted on at any time.

Under the null nobody can expect to grow their money by betting on the values; an e-process is the money
of one who tries. By Ville's inequality it ever reaches 1 / alpha with chance alpha at most, so to stop
when it does is a test at level alpha however often it was looked at. A repeated z-test at a nominal 5 %
cried wolf in 33 % of our canaries without any effect; this did in 1 %. Nothing is assumed but the range
of the values and that each one's mean, given those before, is on the null's side.

The money is split evenly over twelve fixed bets, from 1/2 of what may be lost down by halves, so neither an
effect's size nor a variance has to be guessed, and what a stream leaves behind depends on its values and
not on how they were batched. Values of one session are dependent: give one value a session
(`session_means`), in the order in which sessions close.

It knows no clock. Frozen: `update` gives the next state.

Sources: Waudby-Smith and Ramdas, JRSS B 86(1), 2024 (betting; a grid of bets is their section 4.2);
Ville, 1939; Ramdas, Grunwald, Vovk and Shafer, Statistical Science 38(4), 2023.
"""

from dataclasses import dataclass, replace
from math import inf, log
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from p402.evaluation.intervals import check_alpha, check_bounds
from p402.evaluation.logged import FloatArray, IntArray, real

BETS: Final = tuple(2.0 ** -(power + 1) for power in range(12))
"""Shares of what a bet may lose at most."""

CHUNK: Final = 4_096
"""Values taken at once, which bounds memory."""

Side = Literal["greater", "less", "both"]


@dataclass(frozen=True, slots=True)
class EProcess:
    """The money won so far against a null mean.

    Attributes
    ----------
    bounds
        What a value can be at least and at most, known beforehand.
    null
        Mean under the null, strictly within the bounds.
    side
        What is bet on: a mean `greater` than the null (which then is: at most that), `less`, or `both`
        halves of the money.
    alpha
        Level at which `crossed` is said.
    count
        Values seen.
    log_up, log_down
        Log of what each bet on a greater and on a smaller mean has made; empty where not bet on.
    log_peak
        The largest `log_e` after any value.
    """

    bounds: tuple[float, float]
    null: float
    side: Side = "greater"
    alpha: float = 0.05
    count: int = 0
    log_up: tuple[float, ...] = (0.0,) * len(BETS)
    log_down: tuple[float, ...] = (0.0,) * len(BETS)
    log_peak: float = 0.0

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        check_bounds(np.array([self.null]), self.bounds)
        if not self.bounds[0] < self.null < self.bounds[1]:
            raise ValueError(f"null is {self.null}: expected strictly between {self.bounds}")
        if self.side not in ("greater", "less", "both"):
            raise ValueError(f"side is {self.side!r}: expected greater, less or both")

    @property
    def log_e(self) -> float:
        """Log of the money now, from 0; evidence of log(1 / alpha) is enough at level alpha."""
        return float(self._log_money(np.array([self.log_up]), np.array([self.log_down]))[0])

    @property
    def crossed(self) -> bool:
        """Whether the money has ever reached 1 / alpha."""
        return self.log_peak >= log(1.0 / self.alpha)

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value: 1 over the most money there ever was."""
        return float(np.exp(-max(self.log_peak, 0.0)))

    def update(self, values: ArrayLike) -> "EProcess":
        """The state after more values, in their order.

        Parameters
        ----------
        values
            `(m,)`, each within `bounds`.

        Raises
        ------
        ValueError
            A value outside the bounds, or not a number: the test is void with it.
        """
        array = np.atleast_1d(real("values", values))
        if array.shape[0] == 0:
            return self
        if not np.isfinite(array).all():
            raise ValueError("values hold nan or inf: expected numbers; leave out what nobody judged")
        check_bounds(array, self.bounds)
        low, high = self.bounds
        x, m = (array - low) / (high - low), (self.null - low) / (high - low)
        share = np.array(BETS)
        up, down = np.array(self.log_up), np.array(self.log_down)
        peak = self.log_peak if self.count else -inf
        for start in range(0, x.shape[0], CHUNK):
            gap = (x[start : start + CHUNK] - m)[:, None]
            rising = up + np.cumsum(np.log1p(share / m * gap), axis=0)
            falling = down + np.cumsum(np.log1p(-share / (1.0 - m) * gap), axis=0)
            peak = max(peak, float(np.max(self._log_money(rising, falling))))
            up, down = rising[-1], falling[-1]
        return replace(
            self,
            count=self.count + x.shape[0],
            log_up=tuple(up.tolist()),
            log_down=tuple(down.tolist()),
            log_peak=max(peak, 0.0),
        )

    def _log_money(self, up: FloatArray, down: FloatArray) -> FloatArray:
        """Log of the average over the bets, `(m,)`, from `(m, bets)` logs of each side."""
        logs = {"greater": up, "less": down, "both": np.concatenate([up, down], axis=1)}[self.side]
        top = np.max(logs, axis=1)
        money = np.add.reduce(np.exp(logs - top[:, None]), axis=1) / logs.shape[1]
        return np.asarray(top + np.log(money), dtype=np.float64)


def session_means(values: FloatArray, session: IntArray) -> FloatArray:
    """Mean of each session's rows, in the order of the sessions' last rows, `(n_sessions,)`.

    One unit a session, within the bounds of a row. A mean over them counts sessions alike, not rows.
    """
    reversed_session = session[::-1]
    _, place, index = np.unique(reversed_session, return_index=True, return_inverse=True)
    totals = np.bincount(index, weights=values[::-1])
    means = totals / np.bincount(index)
    return np.asarray(means[np.argsort(-place, kind="stable")], dtype=np.float64)
