"""Trials over processes: keyed by table, setting and number, the same whoever runs them.

A process makes each world once; tasks come table by table. Results come in the order of the settings.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from multiprocessing import get_context

import numpy as np

from experiments.bench.ope.grid import Behaviour, Setting
from experiments.bench.ope.promotions import Judged, look
from experiments.bench.ope.trial import Found, Stage, trial
from sim.drawn.tables import open_table
from sim.drawn.world import world_of


@dataclass(frozen=True, slots=True)
class Task:
    """The first so many trials of one setting: intervals, or looks of the gate."""

    setting: Setting
    seed: int
    trials: int
    looks: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What a task found: a list for each trial, of intervals or of looks."""

    task: Task
    found: list[list[Found]]
    judged: list[list[Judged]]


def trials_of(rounds: int, most: int) -> int:
    """How many trials of a size: fewer of the largest logs, which take the time."""
    return max(1, most if rounds <= 4_000 else most // 2)


def run(task: Task) -> Done:
    """Run a task; what a worker does."""
    setting = task.setting
    stage = stage_of(setting.table, setting.behaviour)
    chances = (chance_of(setting, task.seed, i) for i in range(task.trials))
    if task.looks:
        return Done(task, [], [look(stage, setting, chance) for chance in chances])
    return Done(task, [trial(stage, setting, chance) for chance in chances], [])


def spread(tasks: Sequence[Task], processes: int, progress: Callable[[int, int], None]) -> list[Done]:
    """Run tasks, in this process or in several.

    Parameters
    ----------
    processes
        1 or more.
    """
    done: list[Done] = []
    if processes == 1:
        for task in tasks:
            done.append(run(task))
            progress(len(done), len(tasks))
        return done
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for found in pool.map(run, tasks):
            done.append(found)
            progress(len(done), len(tasks))
    return done


@lru_cache(maxsize=8)
def stage_of(table: str, behaviour: Behaviour) -> Stage:
    """The world of a table under a behaviour, made once for each process."""
    world = world_of(open_table(table, complete=True), behaviour.rules, (behaviour.mode,))
    return Stage.of(world, behaviour.mode)


def chance_of(setting: Setting, seed: int, number: int) -> np.random.Generator:
    """The chance of one trial: a Philox stream keyed by everything that names it but the table's folder."""
    table = setting.table.rsplit("/", 1)[-1]
    names = seed, table, setting.behaviour.name, setting.rounds, setting.feedback, setting.longest, number
    text = "\x1f".join(map(str, names))
    key = int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.Philox(key=key))
