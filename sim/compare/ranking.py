"""Whether strategies can be put in an order, and what may be said of it.

Strategies are ordered by mean regret, worst first, and each is compared with its neighbour on the same
seeds. `a < b` (a earns less than b) is said only where the paired 95 % interval of that step leaves 0
out. Where the order is the one that was named beforehand, that is enough: the whole sentence asks every
step to hold, and a conjunction of tests at 5 % errs at most 5 % of the time (Berger, Technometrics 24(4),
1982). Where the order was read off the data, a step must also survive Holm over all pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from sim.compare.paired import ALPHA, Bounded, difference, reduction
from sim.compare.student import holm


@dataclass(frozen=True, slots=True)
class Step:
    """Two neighbours of an order.

    Attributes
    ----------
    worse, better
        By mean regret.
    gap
        Regret for each 1,000 requests, the better one's less the worse one's, over seeds.
    less
        By what share the better one's regret is less.
    p_holm
        Of the gap, adjusted over all pairs of strategies.
    shown
        Whether `worse < better` may be said.
    """

    worse: str
    better: str
    gap: Bounded
    less: Bounded
    p_holm: float
    shown: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    """Strategies in order.

    Attributes
    ----------
    order
        Worst first.
    named
        Whether it is the order in which they were named.
    pairs
        How many pairs Holm adjusts for.
    steps
        Neighbours, worst first.
    """

    order: tuple[str, ...]
    named: bool
    pairs: int
    steps: tuple[Step, ...]

    @property
    def all_shown(self) -> bool:
        """Whether every step holds; never of a single strategy."""
        return bool(self.steps) and all(step.shown for step in self.steps)

    @property
    def said(self) -> str:
        """The order in one line: `<` where a step is shown, `,` where two are not told apart."""
        text = self.order[0]
        for step in self.steps:
            text += f" < {step.better}" if step.shown else f", {step.better}"
        return text


def rank(regrets: Mapping[str, Sequence[float]]) -> Ranking:
    """Put strategies in order by their regret for each 1,000 requests on each seed.

    `regrets` has the strategies in the order in which they were named, the one expected to be worst first.
    """
    names = tuple(regrets)
    mean = {name: sum(sorted(regrets[name])) / len(regrets[name]) for name in names}
    order = tuple(sorted(names, key=lambda name: -mean[name]))
    pairs = list(combinations(order, 2))
    gaps = {pair: difference(regrets[pair[1]], regrets[pair[0]]) for pair in pairs}
    adjusted = dict(zip(pairs, holm([gaps[pair].p for pair in pairs]), strict=True))
    named = order == names
    steps = []
    for pair in pairwise(order):
        gap, p_holm = gaps[pair], adjusted[pair]
        shown = gap.upper < 0.0 and (named or p_holm < ALPHA)
        less = reduction(regrets[pair[1]], regrets[pair[0]])
        steps.append(Step(pair[0], pair[1], gap, less, p_holm, shown))
    return Ranking(order, named, len(pairs), tuple(steps))
