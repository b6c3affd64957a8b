"""A plot as SVG: a file that stands alone, and the same made fit to lie inside a page.

Inside a page its colours are the page's variables, its ids are its own, its text is the page's font and
nothing in it names an address, so that the page is one file and knows light and dark.
"""

import re
from html import escape
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from sim.compare.look import INK, MUTED, NAMES, PAPER, RULE

SETTINGS: Final[Any] = {  # matplotlib types the keys of its settings one by one
    "svg.fonttype": "none",
    "svg.hashsalt": "p402",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "figure.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.solid_capstyle": "round",
}

FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def standing(figure: Figure) -> str:
    """The text of an SVG file; equal figures give equal bytes."""
    out = StringIO()
    with mpl.rc_context(SETTINGS):
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", out.getvalue(), flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans',[^;\"]*?sans-serif", FONT, text)


def lying(text: str, name: str, title: str, description: str) -> str:
    """The same to lie inside HTML, with a title and a description for who cannot see it.

    The page's style must say `svg * {stroke-linejoin: round; stroke-linecap: butt}`, as the file's own does.
    """
    opening, box = re.search(r"<svg[^>]*>", text), re.search(r'viewBox="([^"]*)"', text)
    if opening is None or box is None:
        raise ValueError(f"{name}: expected an SVG with a viewBox, as matplotlib writes it")
    inner = text[opening.end() :]
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", inner, count=1, flags=re.DOTALL)
    inner = re.sub(r"<!--.*?-->\s*", "", inner, flags=re.DOTALL)
    inner = inner.replace("xlink:href", "href")
    for before in ('id="', 'href="#', "url(#"):
        inner = inner.replace(before, f"{before}{name}-")
    for colour, variable in NAMES.items():
        inner = inner.replace(colour, f"var(--{variable})")
    return (
        f'<svg viewBox="{box[1]}" role="img" aria-labelledby="{name}-title {name}-desc">\n'
        f'<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-desc">{escape(description)}</desc>\n{inner.strip()}\n'
    )
