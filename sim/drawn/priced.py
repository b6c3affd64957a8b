"""A full-information table with what its models are offered at. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

from p402_datasets.outcomes import OutcomeTable
from p402_datasets.paretobandit import VAL, ListPrice


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A table and what its models are offered at.

    Attributes
    ----------
    name
        How the table is called in files and figures.
    prices
        USD per million tokens by model.
    billed
        Whether price times tokens is the source's own bill; else costs are the source's, and prices are
        those that give its mean cost back.
    dropped
        Prompts left out because a model's outcome was missing.
    """

    name: str
    table: OutcomeTable
    prices: Mapping[str, ListPrice]
    billed: bool
    dropped: int = 0

    @property
    def traffic(self) -> OutcomeTable:
        """What rounds are drawn from: all that is not `val`."""
        return self.table.where(lambda prompt: prompt.split != VAL)
