"""What published weights are, as a value and as a file whose bytes can be trusted.

A file says which schema it has and carries the hash of all it says, so that a torn, edited or newer
one is told from a sound one. It knows nothing of where files lie or which of them is in force.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from p402.errors import StoreError
from p402.routing.scale import PARAM_ONE

VERSION: Final = 1
"""Schema of the file."""

MEND: Final = "`p402 rollback --repair --to VERSION --reason ...` publishes a version of the history again"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Weights to publish, and why.

    Attributes
    ----------
    quality, cost, speed
        Whole numbers of 2**-20, 0 or more, summing to 2**20.
    reason
        In words, for who reads the history.
    run_id, model_version
        The MLflow run that proposed them and their version in its registry; None without one.
    forced
        An operator chose them; no evidence did.
    """

    quality: int
    cost: int
    speed: int
    reason: str
    run_id: str | None = None
    model_version: int | None = None
    forced: bool = False

    @property
    def shares(self) -> tuple[float, float, float]:
        """Quality, cost and speed as fractions of 1, exact."""
        return self.quality / PARAM_ONE, self.cost / PARAM_ONE, self.speed / PARAM_ONE


class Published(Candidate, frozen=True, kw_only=True):
    """Weights as they were published.

    Attributes
    ----------
    version
        1 or more; rises with every publication.
    published_ms
        Wall time, ms since 1970 UTC.
    previous
        Version that was in force before; None for the first.
    restores
        Version whose weights a rollback brought back (0 for the start); None otherwise.
    sha256
        Of the canonical JSON of all the rest.
    """

    v: int = VERSION
    version: int
    published_ms: int
    previous: int | None = None
    restores: int | None = None
    sha256: str = ""


class _Schema(msgspec.Struct):
    v: int


def digest_of(published: Published) -> str:
    """SHA-256, hex, of everything but the hash."""
    rest = msgspec.structs.asdict(published)
    del rest["sha256"]
    return sha256(msgspec.json.encode(rest, order="deterministic")).hexdigest()


def sealed(published: Published) -> Published:
    """The same with its hash."""
    return msgspec.structs.replace(published, sha256=digest_of(published))


def text_of(published: Published) -> bytes:
    """Bytes of the file."""
    return msgspec.json.format(msgspec.json.encode(published, order="deterministic"), indent=1) + b"\n"


def decoded(data: bytes, path: Path) -> Published:
    """Weights of a file's bytes.

    Raises
    ------
    StoreError
        They are torn, edited, of a newer schema, or no weights.
    """
    try:
        schema = msgspec.json.decode(data, type=_Schema).v
        if schema > VERSION:
            raise StoreError(f"{path}: found schema {schema}; expected {VERSION} or less: update this p402")
        published = msgspec.json.decode(data, type=Published)
    except msgspec.DecodeError as reason:
        raise StoreError(
            f"{path}: {reason}; expected published weights; the last good ones stay: {MEND}"
        ) from reason
    if (seen := digest_of(published)) != published.sha256:
        raise StoreError(
            f"{path}: its content hashes to {seen}; expected {published.sha256 or 'a sha256'}; it was edited "
            f"or is damaged; the last good ones stay: {MEND}"
        )
    check(published, str(path))
    return published


def check(weights: Candidate, where: str) -> None:
    """Raise `StoreError` unless the three are whole weights that sum to one."""
    parts = weights.quality, weights.cost, weights.speed
    if min(parts) < 0 or sum(parts) != PARAM_ONE:
        raise StoreError(
            f"{where}: quality, cost and speed are {parts} with sum {sum(parts)}; "
            f"expected 0 or more, summing to {PARAM_ONE}"
        )
