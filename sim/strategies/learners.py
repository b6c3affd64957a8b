"""The yardsticks that learn: epsilon-greedy, UCB1, LinUCB and nearest neighbours, as `Policy` each.

All learn quality alone and score as routing does (`Contexts.score`), so that comparing them compares
learning. What is known of an arm is kept under its name: arms come and go. A benchmark is their prior:
`prior_quality` stands for a number of judgements, or is what a correction is learned to.

Sources: Auer, Cesa-Bianchi and Fischer, Machine Learning 47, 2002 (UCB1 and epsilon-greedy); Li, Chu,
Langford and Schapire, WWW 2010 (LinUCB, disjoint); Hu et al., "RouterBench", 2024, for routing by
nearest neighbours.
"""

from typing import Final

import numpy as np

from sim.strategies.baselines import best, even
from sim.strategies.contract import Contexts, Float, Rounds
from sim.strategies.once import Once

EPSILON: Final = 0.05


class EpsilonGreedy:
    """Mean quality per (arm, task); the best by score, and now and then any.

    Parameters
    ----------
    epsilon
        How often any eligible arm, in [0, 1].
    prior
        Judgements that the benchmark counts for.
    """

    def __init__(self, epsilon: float = EPSILON, prior: float = 1.0) -> None:
        self.epsilon = epsilon
        self.prior = prior
        self._sums: dict[tuple[str, int], tuple[float, float]] = {}
        self._tables: dict[tuple[tuple[str, ...], int], Float] = {}
        self._once = Once()

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K)."""
        sums = [self._table(contexts.arms, task) for task in contexts.task.tolist()]
        count, total = np.array(sums).reshape(len(contexts), 2, -1).transpose(1, 0, 2)
        quality = (self.prior * contexts.prior_quality + total) / (self.prior + count)
        greedy = best(contexts.score(quality))
        return (1.0 - self.epsilon) * greedy + self.epsilon * even(contexts)

    def learn(self, rounds: Rounds) -> None:
        """Add to the means."""
        task, arms = rounds.contexts.task.tolist(), rounds.contexts.arms
        self._tables.clear()
        for i, quality, before in self._once.news(rounds):
            cell = arms[int(rounds.action[i])], task[i]
            count, total = self._sums.get(cell, (0.0, 0.0))
            new = before is None
            self._sums[cell] = count + new, total + quality - (before or 0.0)

    def _table(self, arms: tuple[str, ...], task: int) -> Float:
        """(2, K) how often each arm was judged at a task, and the sum; kept until something is learned."""
        found = self._tables.get((arms, task))
        if found is None:
            sums = [self._sums.get((arm, task), (0.0, 0.0)) for arm in arms]
            found = self._tables[arms, task] = np.array(sums, np.float64).T.copy()
        return found


class Ucb1:
    """Mean quality per arm, whatever the request, and a bonus for what was taken seldom.

    An arm never taken comes first. The benchmark takes no part: UCB1 has no prior.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}
        self._once = Once()

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one 1 a row."""
        found = np.array([self._sums.get(arm, (0.0, 0.0)) for arm in contexts.arms])
        count, total = found[:, 0], found[:, 1]
        tried = count > 0
        all_ = max(count.sum(), 1.0)
        safe = np.where(tried, count, 1.0)
        index = np.where(tried, total / safe + np.sqrt(2.0 * np.log(all_) / safe), 0.0)
        worth = contexts.score(np.broadcast_to(index, contexts.eligible.shape))
        return best(np.where(contexts.eligible & ~tried, np.inf, worth))

    def learn(self, rounds: Rounds) -> None:
        """Add to the means."""
        arms = rounds.contexts.arms
        for i, quality, before in self._once.news(rounds):
            arm = arms[int(rounds.action[i])]
            count, total = self._sums.get(arm, (0.0, 0.0))
            self._sums[arm] = count + (before is None), total + quality - (before or 0.0)


class LinUcb:
    """Disjoint LinUCB: per arm a ridge regression of what quality is beyond the benchmark.

    Upper bound: prior_quality + theta x + alpha sqrt(x' A^-1 x), A = I + sum x x', theta = A^-1 sum x
    (r - prior_quality). The best by score is taken, always: its propensities are 1.

    Parameters
    ----------
    alpha
        Width of the bound.
    """

    def __init__(self, alpha: float = 0.1) -> None:
        self.alpha = alpha
        self._a: dict[str, Float] = {}
        self._b: dict[str, Float] = {}
        self._inverse: dict[str, Float] = {}
        self._stack: tuple[tuple[str, ...], Float, Float] | None = None
        self._once = Once()

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K), one 1 a row."""
        x = contexts.features
        theta, inverse = self._stacked(contexts.arms, x.shape[1])
        width = np.einsum("nke,ne->nk", np.einsum("nd,dke->nke", x, inverse), x)
        mean = contexts.prior_quality + np.einsum("nd,kd->nk", x, theta)
        return best(contexts.score(mean + self.alpha * np.sqrt(np.maximum(width, 0.0))))

    def learn(self, rounds: Rounds) -> None:
        """Add to the regressions."""
        seen, touched = rounds.contexts, set()
        for i, quality, before in self._once.news(rounds):
            k = int(rounds.action[i])
            arm, x = seen.arms[k], seen.features[i]
            if arm not in self._a:
                self._a[arm], self._b[arm] = np.eye(len(x)), np.zeros(len(x))
            if before is None:
                self._a[arm] += np.outer(x, x)
                self._b[arm] += x * (quality - seen.prior_quality[i, k])
            else:
                self._b[arm] += x * (quality - before)
            touched.add(arm)
        for arm in touched:
            self._inverse[arm] = np.asarray(np.linalg.inv(self._a[arm]), np.float64)
            self._stack = None

    def _stacked(self, arms: tuple[str, ...], d: int) -> tuple[Float, Float]:
        """(K, D) theta and (D, K, D) A^-1 of these arms, kept until something is learned."""
        if self._stack is None or self._stack[0] != arms:
            none, one = np.zeros(d), np.eye(d)
            inverse = np.array([self._inverse.get(arm, one) for arm in arms])
            theta = np.einsum("kde,ke->kd", inverse, np.array([self._b.get(arm, none) for arm in arms]))
            self._stack = arms, theta, np.ascontiguousarray(inverse.transpose(1, 0, 2))
        return self._stack[1:]


class Knn:
    """Quality of the nearest judged requests, by arm, and now and then any.

    Distance is Euclid's over the features; the benchmark counts for one neighbour. The newest `memory`
    judgements are kept.

    Parameters
    ----------
    k
        Neighbours of each arm.
    """

    def __init__(self, k: int = 10, memory: int = 4_000, epsilon: float = EPSILON) -> None:
        self.k = k
        self.memory = memory
        self.epsilon = epsilon
        self._rows: dict[tuple[int, int], tuple[str, Float, float]] = {}
        self._once = Once()
        self._table: dict[str, tuple[Float, Float]] | None = None

    def probabilities(self, contexts: Contexts) -> Float:
        """(n, K)."""
        table = self._by_arm()
        quality = contexts.prior_quality.copy()
        x = contexts.features
        for place, arm in enumerate(contexts.arms):
            if arm not in table:
                continue
            theirs, said = table[arm]
            far = np.square(x[:, None, :] - theirs[None, :, :]).sum(axis=2)
            near = np.argsort(far, axis=1, kind="stable")[:, : self.k]
            quality[:, place] = (quality[:, place] + said[near].sum(axis=1)) / (1 + near.shape[1])
        return (1.0 - self.epsilon) * best(contexts.score(quality)) + self.epsilon * even(contexts)

    def learn(self, rounds: Rounds) -> None:
        """Keep what was judged."""
        seen = rounds.contexts
        keys = seen.key.tolist()
        for i, quality, _ in self._once.news(rounds):
            pair = keys[i][0], keys[i][1]
            self._rows[pair] = seen.arms[int(rounds.action[i])], seen.features[i].copy(), quality
            self._table = None
        while len(self._rows) > self.memory:
            del self._rows[next(iter(self._rows))]

    def _by_arm(self) -> dict[str, tuple[Float, Float]]:
        if self._table is None:
            grouped: dict[str, list[tuple[Float, float]]] = {}
            for arm, x, quality in self._rows.values():
                grouped.setdefault(arm, []).append((x, quality))
            self._table = {
                arm: (np.array([x for x, _ in rows]), np.array([q for _, q in rows]))
                for arm, rows in grouped.items()
            }
        return self._table
