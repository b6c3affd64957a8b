"""Which parts of a map are done already, on disk.

A result is kept in a file named by the hash of all that it follows from: the partition's digest, the
question, and the code. So a run that was interrupted goes on, another question in the same folder finds
nothing of this one, and nobody needs to clear anything when code or log change. A file holds the hash of its
bytes: one that was damaged is said, and its part is worked out again. Files are arrays, never code: reading a
folder that someone else wrote runs nothing.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

import p402
import sim
from p402.store.atomic import store_error, write_atomic

Arrays = Mapping[str, NDArray[Any]]
R = TypeVar("R")

_MAGIC: Final = b"p402 part 1\n"
_HASH: Final = 32


class Codec(Protocol[R]):
    """A result as arrays and back."""

    def arrays(self, result: R, /) -> Arrays: ...  # noqa: D102 - as the class says
    def result(self, arrays: Arrays, /) -> R: ...  # noqa: D102 - as the class says


@dataclass(frozen=True, slots=True)
class Kept(Generic[R]):
    """A folder of results.

    Attributes
    ----------
    folder
        Made when the first part is kept.
    question
        Everything a result hangs on beside its partition and the code.
    digests
        What names each partition's content.
    codec
        How results are written.
    code
        Digest of the code; another one finds nothing. `code_version()` by default.
    """

    folder: Path
    question: str
    digests: Sequence[str]
    codec: Codec[R]
    code: str = ""

    def path(self, index: int) -> Path:
        """Where the part of a partition is kept."""
        name = blake2b(digest_size=16)
        for text in (self.code or code_version(), self.question, self.digests[index]):
            data = text.encode()
            name.update(len(data).to_bytes(8, "big") + data)
        return self.folder / f"{name.hexdigest()}.part"

    def keep(self, index: int, result: R) -> None:
        """Write a result, whole or not at all.

        Raises
        ------
        StoreError
            The folder does not take it.
        """
        packed = io.BytesIO()
        np.savez_compressed(packed, allow_pickle=False, **self.codec.arrays(result))
        data = packed.getvalue()
        write_atomic(self.path(index), _MAGIC + blake2b(data, digest_size=_HASH).digest() + data)

    def find(self, index: int, report: Callable[[str], None]) -> R | None:
        """A kept result, or None where there is none that is sound.

        Raises
        ------
        StoreError
            There is one that cannot be read.
        """
        path = self.path(index)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as reason:
            raise store_error(path, reason) from reason
        head = len(_MAGIC) + _HASH
        body = data[head:]
        if data[:head] != _MAGIC + blake2b(body, digest_size=_HASH).digest():
            report(f"{path} is damaged: its bytes do not have their hash; the part is worked out again")
            return None
        with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
            return self.codec.result(dict(arrays))


@cache
def code_version() -> str:
    """Digest of every module of `p402` and `sim`, and of numpy's version: what bits of a result hang on."""
    digest = blake2b(np.__version__.encode(), digest_size=16)
    for package in (p402, sim):
        for root in sorted(package.__path__):
            for path in sorted(Path(root).rglob("*.py")):
                digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
