"""Colours, dashes and marks: one for each strategy, the same in every plot and on the page.

Colours keep apart for the colour-blind (after Okabe and Ito, jfly.uni-koeln.de/color, 2008, darkened on white
for contrast and lightened on black), and none is needed to read a plot: lines differ in dash and
mark too. A plot is drawn in the light colours; on the page each becomes a variable with a dark twin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final

PAPER: Final = "#fefefd"
INK: Final = "#1b1f24"
MUTED: Final = "#5b6470"
RULE: Final = "#d9dde2"
REST: Final = "#b9bfc7"
"""All arms that are not shown by themselves."""

COLOURS: Final = ("#0068a8", "#c4500a", "#00805c", "#a4508b", "#8a6500", "#3a7f9b", "#6b5bb5", "#59636e")
"""The first is the reference's."""

ARMS: Final = ("#77aadd", "#ee8866", "#e3d06f", "#ffaabb", "#99ddee", "#44bb99")
"""Areas of arms (after Tol's light scheme, personal.sron.nl/~pault, 2021): none is a strategy's colour."""

DARK: Final = {
    PAPER: "#14171b",
    INK: "#e9ecef",
    MUTED: "#a3acb8",
    RULE: "#343b44",
    REST: "#4d5661",
    "#0068a8": "#5cb8ff",
    "#c4500a": "#ff9354",
    "#00805c": "#38cfa0",
    "#a4508b": "#e99ad2",
    "#8a6500": "#e2b93b",
    "#3a7f9b": "#8fd0e6",
    "#6b5bb5": "#b3a6ff",
    "#59636e": "#aab3bf",
    "#77aadd": "#4b83bb",
    "#ee8866": "#c3623f",
    "#e3d06f": "#a8963c",
    "#ffaabb": "#c47386",
    "#99ddee": "#62a9bd",
    "#44bb99": "#2c8f73",
}
"""Of each light colour the dark one."""

NAMES: Final = {
    PAPER: "paper",
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    REST: "rest",
    **{colour: f"series-{i}" for i, colour in enumerate(COLOURS)},
    **{colour: f"arm-{i}" for i, colour in enumerate(ARMS)},
}
"""Of each light colour the CSS variable's name."""

Dash = str | tuple[int, tuple[float, ...]]

_DASHES: Final[tuple[Dash, ...]] = ("solid", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.4, 1.5)))
_MARKS: Final = ("o", "s", "^", "D", "v", "P", "X", "h")


@dataclass(frozen=True, slots=True)
class Look:
    """How one strategy is drawn."""

    colour: str
    dash: Dash
    mark: str
    width: float


def looks(strategies: Sequence[str], reference: str) -> dict[str, Look]:
    """A look for each strategy; the reference's line is solid, bold and of the first colour."""
    others = [name for name in strategies if name != reference]
    colours = islice(cycle(COLOURS[1:]), len(others))
    dashes = islice(cycle((*_DASHES[1:], _DASHES[0])), len(others))
    marks = islice(cycle(_MARKS[1:]), len(others))
    made = {
        name: Look(colour, dash, mark, 1.5)
        for name, colour, dash, mark in zip(others, colours, dashes, marks, strict=True)
    }
    made[reference] = Look(COLOURS[0], "solid", _MARKS[0], 2.4)
    return {name: made[name] for name in strategies}
