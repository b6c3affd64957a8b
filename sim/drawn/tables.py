"""Which full-information tables a log can be drawn from: the bundled one, or a tidy Parquet file.

It knows nothing of arms, contexts or chance. What reads files is imported when a file is named: it needs
the extra `replay`.
"""

from pathlib import Path
from typing import Final

from p402_datasets import paretobandit
from p402_datasets.errors import MissingData
from p402_datasets.paretobandit import LIST_PRICES
from sim.drawn.priced import Priced

BUNDLED: Final = "paretobandit"


def open_table(name: str, *, complete: bool = False) -> Priced:
    """The bundled table by its name, or a tidy Parquet file by its path.

    Parameters
    ----------
    complete
        Whether prompts of a file that lack a model's outcome are left out, instead of refused.

    Raises
    ------
    MissingData
        There is no such table, or the wheel is not installed.
    CorruptData, MissingOutcome
        The file's columns or values are no full-information table.
    """
    if name == BUNDLED:
        return Priced(name, paretobandit.load(), LIST_PRICES, billed=True)
    path = Path(name)
    if not path.is_file():
        raise MissingData(f"no table {name!r}; expected {BUNDLED!r}, or the path of a tidy Parquet file")
    from sim.drawn.filled import filled  # noqa: PLC0415

    return filled(path, complete=complete)
