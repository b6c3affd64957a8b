"""Train the task head, and say what it is worth on sources it has not seen.

    python datasets/tasks/train.py             print the table of sources left out; minutes
    python datasets/tasks/train.py --write     train on all sources and write the head's file

Temperature and thresholds of a source left out are chosen on the others, so no figure of a source knows
anything of that source. Those of the written head are chosen on all.
"""

import argparse
import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from fit import Fitted, fit
from judge import Floats, Ints, accuracy, calibration_error, log_loss, macro_f1, table
from sources import LEXICON, Labelled, everything

from p402.routing.cues import cues
from p402.routing.head import MAX_SURE, MAX_WEIGHT, NAT, TaskHead, dump, parse
from p402.routing.infer import RULE_ORDER
from p402.routing.scale import FEATURE_ONE
from p402.routing.spec import TASKS
from p402.routing.surface import OPENS, marks

FILE: Final = Path(__file__).parents[2] / "p402" / "routing" / "data" / "tasks.json"
LEARNED: Final = tuple(task for task in TASKS if task != "tools")
CHAT: Final = LEARNED.index("chat")
RIDGE: Final = 2.0
TEMPERATURES: Final = tuple(round(0.4 + 0.1 * i, 1) for i in range(37))
LEAST: Final = FEATURE_ONE // 4
"""A task less likely than one in four is never believed."""
THRESHOLDS: Final = tuple(range(LEAST, MAX_SURE + 1, 128))
Weights = dict[Hashable, list[int]]
Trust = tuple[int, int]
"""Counts from which the head is believed over rules, and without one."""
MOST_MARKS: Final = 3_600
"""Marks kept of some 9,000: those whose weights differ most between tasks."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Everything by row: marks, task, source, what the rules say (`-1` for nothing), whether it is judged."""

    marks: list[set[Hashable]]
    task: Ints
    source: list[str]
    rule: Ints
    judged: list[bool]

    def at(self, rows: Ints) -> "Data":
        """Return some of the rows."""
        return Data(
            [self.marks[i] for i in rows], self.task[rows], [self.source[i] for i in rows], self.rule[rows],
            [self.judged[i] for i in rows],
        )  # fmt: skip


def read(rows: Sequence[Labelled]) -> Data:
    """Read marks and rules of all rows."""
    found, rules = [], []
    for row in rows:
        heard = cues(row.text)
        said = next((task for task in RULE_ORDER if task in heard), None)
        rules.append(-1 if said is None else LEARNED.index(said))
        found.append(lexical(row, set(marks(row.text, heard))))
    return Data(
        found,
        np.array([LEARNED.index(row.task) for row in rows]),
        [row.source for row in rows],
        np.array(rules),
        [not row.variant and row.source != LEXICON for row in rows],
    )


def lexical(row: Labelled, found: set[Hashable]) -> set[Hashable]:
    """Marks that a row teaches: of the lexicon only its words."""
    if row.source != LEXICON:
        return found
    return {m for m in found if isinstance(m, bytes) or (isinstance(m, tuple) and m[0] != OPENS)}


def trained(data: Data) -> Fitted:
    """Fit on some rows."""
    return fit(data.marks, [int(t) for t in data.task], data.source, len(LEARNED), RIDGE)


def whole(fitted: Fitted, temperature: float) -> tuple[list[int], Weights]:
    """Bias and weights in whole numbers, the strongest marks only."""
    centred = fitted.weights - fitted.weights.mean(1, keepdims=True)
    strength = np.abs(centred).max(1)
    names = list(fitted.columns)
    keep = sorted(range(len(names)), key=lambda i: (-round(float(strength[i]), 6), repr(names[i])))[
        :MOST_MARKS
    ]
    units = np.clip(np.rint(centred / temperature * NAT), -MAX_WEIGHT, MAX_WEIGHT).astype(int)
    bias = np.clip(np.rint(fitted.bias / temperature * NAT), -MAX_WEIGHT, MAX_WEIGHT).astype(int)
    weights = {names[i]: [int(w) for w in units[i]] for i in keep if units[i].any()}
    return [int(b) for b in bias], weights


def probabilities(head: TaskHead, data: Data) -> Floats:
    """What the head says of each row, (n, n_learned)."""
    places = [TASKS.index(task) for task in LEARNED]
    rows = [head.judge(head.evidence(found)).counts for found in data.marks]
    return np.array(rows)[:, places] / FEATURE_ONE


def best_temperature(logits: dict[str, Floats], data: dict[str, Data]) -> float:
    """The temperature of least mean log loss over sources."""

    def loss(temperature: float) -> float:
        found = []
        for source, z in logits.items():
            p = np.exp((z - z.max(1, keepdims=True)) / temperature)
            found.append(log_loss(data[source].task, p / p.sum(1, keepdims=True)))
        return float(np.mean(found))

    return min(TEMPERATURES, key=loss)


def labels(p: Floats, data: Data, trust: Trust) -> Ints:
    """What is said of each row: the head where it is sure, else the first rule, else the head, else chat."""
    sure, floor = trust
    top = p.max(1) * FEATURE_ONE
    unruled = np.where(top >= floor, p.argmax(1), CHAT)
    return np.where(top >= sure, p.argmax(1), np.where(data.rule >= 0, data.rule, unruled))


def onward(p: Floats, data: Data, trust: Trust) -> Floats:
    """The probabilities that become features: a rule that decides has a third of them."""
    ruled = (p.max(1) * FEATURE_ONE < trust[0]) & (data.rule >= 0)
    out = p.copy()
    out[ruled] *= 2 / 3
    out[np.flatnonzero(ruled), data.rule[ruled]] += 1 / 3
    return out


def best_trust(p: dict[str, Floats], data: dict[str, Data]) -> Trust:
    """The counts of greatest mean accuracy over sources; equals to a tenth of a percent: the highest."""

    def worth(trust: Trust) -> tuple[float, Trust]:
        mean = float(np.mean([accuracy(data[s].task, labels(p[s], data[s], trust)) for s in p]))
        return round(mean, 3), trust

    return max(((sure, floor) for sure in THRESHOLDS for floor in THRESHOLDS if floor <= sure), key=worth)


def without(table_of: dict[str, Floats], source: str) -> dict[str, Floats]:
    """All but one source."""
    return {s: v for s, v in table_of.items() if s != source}


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """Every source as it was judged by a head that has not seen it."""

    data: dict[str, Data]
    p: dict[str, Floats]
    trusts: dict[str, Trust]
    temperature: float
    trust: Trust


def leave_out(data: Data) -> LeftOut:
    """Train for each source without it; its temperature and trust are chosen on the others."""
    names = sorted({s for s, judged in zip(data.source, data.judged, strict=True) if judged})
    rows = np.arange(len(data.source))
    source, judged = np.array(data.source), np.array(data.judged)
    fitted = {s: trained(data.at(rows[source != s])) for s in names}
    held = {s: data.at(rows[(source == s) & judged]) for s in names}
    logits = {s: fitted[s].logits(held[s].marks) for s in names}
    p = {}
    for s in names:
        bias, weights = whole(fitted[s], best_temperature(without(logits, s), held))
        p[s] = probabilities(TaskHead(LEARNED, bias, weights, 0, 0), held[s])
    trusts = {s: best_trust(without(p, s), held) for s in names}
    return LeftOut(held, p, trusts, best_temperature(logits, held), best_trust(p, held))


def report(found: LeftOut) -> str:
    """One row for each source left out, then means over sources and the pool."""
    rows = [_row(s, [s], found) for s in found.p]
    seeds = [s for s in found.p if s.startswith("seed/")]
    real = [s for s in found.p if s not in seeds]
    rows += [_mean("mean of benchmarks", rows, real), _mean("mean of seeds", rows, seeds)]
    rows += [_row("all seeds together", seeds, found), _row("all together", list(found.p), found)]
    header = ("source left out", "prompts", "rules", "head", "both", "F1 rules", "F1 head", "F1 both", "sure",
              "right where sure", "abstains", "ECE head", "ECE both")  # fmt: skip
    return table(header, [[r[0], r[1], *(f"{float(v):.3f}" for v in r[2:])] for r in rows])


def _row(name: str, sources: Sequence[str], found: LeftOut) -> list[str]:
    true = np.concatenate([found.data[s].task for s in sources])
    rule = np.concatenate([np.where(found.data[s].rule >= 0, found.data[s].rule, CHAT) for s in sources])
    p = np.concatenate([found.p[s] for s in sources])
    both = np.concatenate([labels(found.p[s], found.data[s], found.trusts[s]) for s in sources])
    sure = np.concatenate([found.p[s].max(1) * FEATURE_ONE >= found.trusts[s][0] for s in sources])
    doubt = np.concatenate(
        [(found.p[s].max(1) * FEATURE_ONE < found.trusts[s][1]) & (found.data[s].rule < 0) for s in sources]
    )
    on = np.concatenate([onward(found.p[s], found.data[s], found.trusts[s]) for s in sources])
    head = p.argmax(1)
    figures = (
        accuracy(true, rule), accuracy(true, head), accuracy(true, both),
        macro_f1(true, rule), macro_f1(true, head), macro_f1(true, both),
        float(sure.mean()), accuracy(true[sure], head[sure]), float(doubt.mean()),
        calibration_error(p.max(1), head == true), calibration_error(on.max(1), on.argmax(1) == true),
    )  # fmt: skip
    return [name, str(len(true)), *map(str, figures)]


def _mean(name: str, rows: Sequence[Sequence[str]], sources: Sequence[str]) -> list[str]:
    inside = [row for row in rows if row[0] in sources]
    return [name, str(len(inside)), *(str(np.nanmean([float(r[i]) for r in inside])) for i in range(2, 13))]


def main(argv: Sequence[str]) -> int:
    """Print the table; with `--write`, also write the head."""
    parser = argparse.ArgumentParser(description="Train the task head and judge it on sources left out.")
    parser.add_argument("--write", metavar="DAY", help="write the head's file, made on this day (YYYY-MM-DD)")
    args = parser.parse_args(argv)
    data = read(everything())
    found = leave_out(data)
    print(report(found))
    print(f"\ntemperature {found.temperature}, sure and floor {found.trust} of {FEATURE_ONE}")
    if args.write:
        bias, weights = whole(trained(data), found.temperature)
        made = dump(LEARNED, bias, weights, *found.trust, args.write)
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_bytes(made)
        print(f"{FILE.name}: {len(weights)} marks, {len(made):,} bytes, version {parse(made).version}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
