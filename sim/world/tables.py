"""The outcome table that a world draws its prompts and answers from, by name."""

from functools import lru_cache

from p402_datasets import paretobandit
from p402_datasets.outcomes import OutcomeTable
from sim.world.spec import WorldSpec


def table_of(spec: WorldSpec) -> OutcomeTable | None:
    """The world's table; None where it has none.

    Raises
    ------
    DatasetError
        The table is not installed, or has no such split.
    """
    return None if spec.table is None else _loaded(spec.split)


@lru_cache(maxsize=4)
def _loaded(split: str | None) -> OutcomeTable:
    table = paretobandit.load()
    return table if split is None else table.split(split)
