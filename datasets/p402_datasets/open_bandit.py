"""The Open Bandit data that lie in the package `obp`: logged rounds with exact propensities, 10,000 a file.

Two policies (uniform `random`, Bernoulli Thompson sampling `bts`) on three campaigns (`all`, `men`,
`women`: 80, 34 and 46 items). The package is never imported: its CSV files are read where it is installed,
or in an unpacked sdist or wheel. Too small to judge accuracy by; they check arithmetic.

Source: obp 0.5.7 (PyPI, Apache-2.0; the data are ZOZO's Open Bandit Dataset, CC BY 4.0), read 2026-11-26;
Saito et al., arXiv:2008.07146.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from p402.evaluation.logged import SCALE, LoggedBatch
from p402_datasets.errors import CorruptData, MissingData

VERSION: Final = "0.5.7"
WITHIN: Final = Path("obp/dataset/obd")
ITEMS: Final = {"all": 80, "men": 34, "women": 46}
POLICIES: Final = ("random", "bts")
ROWS: Final = 10_000
POSITIONS: Final = 3
BY_HAND: Final = (
    f"get it with `pip download --no-deps --ignore-requires-python obp=={VERSION}`, unpack it "
    f"(`tar xf obp-{VERSION}.tar.gz`), and pass that folder as --path"
)

DIGESTS: Final = {
    ("random", "all"): "7168295b6e0a9eabcf3392320a5dd434e542b68e705d5cd9491499af589812f1",
    ("random", "men"): "ede6d08c6877f99cd3770f7d09e26c738e6aa6de4445ccccfb1356ba5d06b1eb",
    ("random", "women"): "e65f3bd3beb17664fa69cc129bf7bf852a775f8ffa630506e505fc905315bb34",
    ("bts", "all"): "0ad874e4dbf6902f0845dd478ad8dde5ef6903583d3ffaace78411bdad064106",
    ("bts", "men"): "db6d1f7ed2d591ba521533e45286d4c1fba7fe57a8ad2e80342210335f43c527",
    ("bts", "women"): "e5d1b49a39b608585a2f3014a3f54970430cd37a495c1b73fceb85cdf428a5b8",
}
"""SHA-256 of the files in the sdist."""


@dataclass(frozen=True, slots=True, eq=False)
class LoggedRounds:
    """Rounds as one policy logged them; arrays are read-only.

    Attributes
    ----------
    action
        (n,) item, in [0, n_actions).
    reward
        (n,) 1.0 for a click, else 0.0.
    propensity
        (n,) probability that the item was shown at its position, in (0, 1].
    position
        (n,) 0, 1 or 2: the policy's probabilities differ by it.
    ts_us
        (n,) microseconds since 1970 UTC.
    features
        (n, n_actions) affinity of the user to each item.
    """

    policy: str
    campaign: str
    n_actions: int
    action: NDArray[np.int64]
    reward: NDArray[np.float64]
    propensity: NDArray[np.float64]
    position: NDArray[np.int64]
    ts_us: NDArray[np.int64]
    features: NDArray[np.float64]

    def batch(self) -> LoggedBatch:
        """What estimators take: each row a session of its own, the position as its task.

        Propensities become whole counts of 2**24, nearest and at least 1, which is how P402 logs them; they
        are off by 3e-8 at most, at the least propensity here by 3 %. Use `propensity` where it matters.
        """
        n = len(self.action)
        return LoggedBatch(
            action=self.action,
            reward=self.reward,
            count=np.clip(np.rint(self.propensity * SCALE), 1, SCALE).astype(np.int64),
            eligible=np.ones((n, self.n_actions), np.bool_),
            session=np.arange(n),
            observed=np.ones(n),
            task=self.position,
        )


def folder(path: Path | None = None) -> Path:
    """Where the files lie: in `path` (an unpacked package, or its `obd` folder), or the installed package.

    Raises
    ------
    MissingData
        They are in neither place; the message says how to get them.
    """
    if path is None:
        try:
            return Path(str(distribution("obp").locate_file(str(WITHIN))))
        except PackageNotFoundError as error:
            raise MissingData(f"the package obp is not installed; {BY_HAND}") from error
    inner = [p / "random" for p in (path, path / WITHIN, path / f"obp-{VERSION}" / WITHIN)]
    found = next((place.parent for place in inner if place.is_dir()), None)
    if found is None:
        raise MissingData(f"{path} holds no Open Bandit data; expected {WITHIN}/random in it; {BY_HAND}")
    return found


def load(policy: str, campaign: str, path: Path | None = None, *, pinned: bool = True) -> LoggedRounds:
    """One file.

    Parameters
    ----------
    policy, campaign
        One of `POLICIES` and of `ITEMS`.
    pinned
        Whether its bytes must be those of obp 0.5.7; the whole Open Bandit Dataset has the same form.

    Raises
    ------
    MissingData
        There is no such file; the message says how to get it.
    CorruptData
        It is not the pinned one, or not of the published form.
    """
    if policy not in POLICIES or campaign not in ITEMS:
        raise MissingData(
            f"found policy {policy!r} and campaign {campaign!r}; expected one of {', '.join(POLICIES)} and "
            "of "
            f"{', '.join(ITEMS)}"
        )
    file = folder(path) / policy / campaign / f"{campaign}.csv"
    try:
        data = file.read_bytes()
    except OSError as error:
        raise MissingData(f"{file}: {error.strerror}; {BY_HAND}") from error
    digest = sha256(data).hexdigest()
    if pinned and digest != DIGESTS[policy, campaign]:
        raise CorruptData(
            f"{file} has SHA-256 {digest}; expected {DIGESTS[policy, campaign]}, of obp {VERSION}; {BY_HAND}"
        )
    return _rounds(policy, campaign, data, str(file))


def _rounds(policy: str, campaign: str, data: bytes, name: str) -> LoggedRounds:
    items = ITEMS[campaign]
    affinity = [f"user-item_affinity_{k}" for k in range(items)]
    try:
        frame = pl.read_csv(data)
        columns = {
            "action": frame["item_id"].cast(pl.Int64).to_numpy().copy(),
            "reward": frame["click"].cast(pl.Float64).to_numpy().copy(),
            "propensity": frame["propensity_score"].cast(pl.Float64).to_numpy().copy(),
            "position": frame["position"].cast(pl.Int64).to_numpy() - 1,
            "ts_us": _instants(frame["timestamp"]),
            "features": np.ascontiguousarray(frame.select(affinity).cast(pl.Float64).to_numpy()),
        }
    except pl.exceptions.PolarsError as error:
        said = str(error).partition("\n")[0]
        raise CorruptData(f"{name}: {said}; expected the columns of Open Bandit data") from error
    action, reward, propensity = columns["action"], columns["reward"], columns["propensity"]
    position = columns["position"]
    for what, sound in (
        (f"an item outside 0 to {items - 1}", (action >= 0) & (action < items)),
        ("a click that is neither 0 nor 1", (reward == 0.0) | (reward == 1.0)),
        ("a propensity outside (0, 1]", (propensity > 0.0) & (propensity <= 1.0)),
        (f"a position outside 1 to {POSITIONS}", (position >= 0) & (position < POSITIONS)),
    ):
        if not bool(np.all(sound)):
            raise CorruptData(f"{name}: found {what} in row {int(np.flatnonzero(~sound)[0]) + 1}")
    for array in columns.values():
        array.setflags(write=False)
    return LoggedRounds(policy, campaign, items, **columns)


def _instants(texts: pl.Series) -> NDArray[np.int64]:
    """Microseconds since 1970 UTC."""
    return texts.str.to_datetime(time_unit="us", time_zone="UTC").dt.epoch("us").to_numpy().copy()
