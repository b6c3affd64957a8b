"""Arrow without pandas, until somebody else imports pandas.

Arrow imports pandas when it makes its first array or scalar, wherever pandas is installed, to know a Series
when it sees one: 0.3 s and 35 MiB in every process that reads a log, none of which has a Series. Here it
asks once while pandas cannot be found, and hears of it again as soon as anyone imports it, so that nothing
else changes. A process that wants this calls `arrow_alone` first. It knows nothing of the log.

Source: pyarrow/pandas-shim.pxi, read 2026-11-26 (pyarrow 25): it asks once, and again for `to_pandas`.
"""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa

_NAME = "pandas"


class _Hidden(MetaPathFinder):
    """Says that there is no pandas."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == _NAME:
            raise ModuleNotFoundError(f"No module named {_NAME!r}", name=_NAME)
        return None


class _Awaited(MetaPathFinder):
    """Finds pandas where it is, and lets Arrow know when it is loaded."""

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _NAME:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(_NAME)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader = _Told(spec.loader, self)
        return spec


class _Told(Loader):
    """Loads as the given loader does."""

    def __init__(self, loader: Loader, awaited: _Awaited) -> None:
        self._loader, self._awaited = loader, awaited

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        if self._awaited in sys.meta_path:
            sys.meta_path.remove(self._awaited)
        pa.table({"told": pa.nulls(0)}).to_pandas()


def arrow_alone() -> None:
    """Keep Arrow from importing pandas; nothing where pandas is loaded, or Arrow has asked for it before."""
    if _NAME in sys.modules or any(isinstance(finder, _Awaited) for finder in sys.meta_path):
        return
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(hidden)
    sys.meta_path.insert(0, _Awaited())
