"""Which runs a comparison is made of, and what a run is known by.

A run depends on the world's spec, the strategy, the seed and the code that plays them (with its data, and
numpy), so its key is a hash of these four: a file with another key is another run and is never reused. Of a
user's own strategy (`module:Class`) the module's file is in the hash, but not what that imports in turn.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

FORMAT: Final = 1
"""Of the files of runs; raise it when what is kept of a run changes its meaning."""

PACKAGES: Final = ("p402", "p402_datasets", "sim")
"""Whose code plays a run."""

PLAYING: Final = frozenset({".py", ".json", ".toml"})
"""Files that play: code, and data that it reads, such as the head that infers tasks."""

INSTALLED: Final = ("numpy", "paretobandit")
"""Packages whose version is in the hash: one does the sums, the other has the rows of preset `table`."""

NOT_PLAYING: Final = ("sim/compare/", "sim/replay/", "sim/observe/", "sim/providers/")
"""Folders that look at runs and play none."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run: what to play and what it is known by.

    Attributes
    ----------
    spec
        Canonical bytes of the world's spec.
    strategy, seed
        Who plays, and on which chance.
    key
        Content hash, 64 hex digits.
    """

    spec: bytes
    strategy: str
    seed: int
    key: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.strategy}, seed {self.seed}"


def jobs_of(
    spec: bytes, strategies: Sequence[str], seeds: Sequence[int], code: str | None = None
) -> list[Job]:
    """Every strategy on every seed, seed by seed, so that what is finished early can be compared.

    `code` stands for the code that plays; by default it is read from its files.
    """
    code = code_hash() if code is None else code
    made = []
    for seed in seeds:
        for strategy in strategies:
            parts = (str(FORMAT), code, _module_hash(strategy), sha256(spec).hexdigest(), strategy, str(seed))
            made.append(Job(spec, strategy, seed, sha256("\n".join(parts).encode()).hexdigest()))
    return made


@cache
def code_hash() -> str:
    """A hash of the files that play a run, wherever they lie, and of the versions of what they rest on."""
    total = sha256("\n".join(f"{name} {_version(name)}" for name in INSTALLED).encode())
    for name, path in _sources():
        total.update(f"{name}\0{sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _sources() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for folder in sorted(import_module(package).__path__):
            root = Path(folder)
            for path in sorted(path for path in root.rglob("*") if path.suffix in PLAYING):
                name = f"{package}/{path.relative_to(root).as_posix()}"
                if not name.startswith(NOT_PLAYING):
                    yield name, path


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _module_hash(strategy: str) -> str:
    """The hash of the file of `module:Class`, if that is imported; a strategy of ours is in `code_hash`."""
    module, colon, _ = strategy.partition(":")
    found = sys.modules.get(module) if colon else None
    file = getattr(found, "__file__", None)
    return sha256(Path(file).read_bytes()).hexdigest() if file else ""
