"""Labelled prompts to learn and judge the inferred task by, each with the source it is from.

A source is what somebody wrote in one style for one purpose: figures are taken on sources left out whole.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from p402_datasets.paretobandit import load

SEED: Final = Path(__file__).parent / "seed"

BENCHMARK_SOURCES: Final = {
    "arc_challenge": "science",
    "openbookqa": "science",
}
"""Benchmarks that share one frame of words are one source, else leaving one out proves nothing."""

SKIPPED: Final = ("bbh/salient_translation_error_detection",)
"""Finding errors in translations is no translating."""


PROSE: Final = (
    "email",
    "news",
    "contract",
    "reviews",
    "review",
    "tickets",
    "minutes",
    "report",
    "novel",
    "essay",
)
VARIANTS: Final = 3
"""Times that a prompt over a passage is repeated over other passages, so that passages tell nothing."""

LEXICON: Final = "lexicon"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A prompt, its task and its source; a variant is taught and not judged."""

    text: str
    task: str
    source: str
    variant: bool = False


def seed() -> list[Labelled]:
    """Read the prompts written for this project; a file of `seed/` is a source."""
    materials = tomllib.loads((SEED / "materials.toml").read_text("utf-8"))
    return [row for path in sorted(SEED.glob("*.tsv")) for row in _seed_of(path, materials)]


def _seed_of(path: Path, materials: dict[str, str]) -> Iterator[Labelled]:
    source = f"seed/{path.stem}"
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        task, tab, text = line.partition("\t")
        if not tab or not text:
            raise ValueError(f"{path.name}:{number}: found {line[:40]!r}; expected task, tab, prompt")
        text = text.replace("\\n", "\n").replace("\\\\", "\\")
        yield Labelled(_filled(text, materials, 0), task, source)
        if any("{" + name + "}" in text for name in PROSE):
            for turn in range(1, VARIANTS + 1):
                yield Labelled(_filled(text, materials, number + turn), task, source, variant=True)


def _filled(text: str, materials: dict[str, str], turn: int) -> str:
    """Put in the passages that are named, or for a turn above 0 other prose in their place."""
    for name in materials:
        other = PROSE[(PROSE.index(name) + turn) % len(PROSE)] if name in PROSE else name
        text = text.replace("{" + name + "}", materials[other])
    return text


def lexicon() -> list[Labelled]:
    """Read the words and phrases that tell of a task."""
    tables = tomllib.loads((SEED / "lexicon.toml").read_text("utf-8"))
    return [
        Labelled(" ".join(phrase.split()), task, LEXICON)
        for task, phrases in tables.items()
        for phrase in phrases.split(",")
    ]


def benchmarks() -> list[Labelled]:
    """Read the prompts of the `paretobandit` wheel."""
    rows = []
    for prompt in load().prompts:
        if prompt.benchmark in SKIPPED:
            continue
        root = prompt.benchmark.partition("/")[0]
        rows.append(Labelled(prompt.text, prompt.task, BENCHMARK_SOURCES.get(root, root)))
    return rows


def everything() -> list[Labelled]:
    """Return all that the head is trained on."""
    return seed() + lexicon() + benchmarks()
