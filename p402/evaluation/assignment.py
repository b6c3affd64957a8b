"""Which sessions go to which policy, and which are held out: by hash, the same whoever asks.

Chance here is a hash of the session and a salt, so a session needs no memory of its group, and what splits
for choosing and what splits for judging can be told apart by their salts. It knows nothing of policies.

Source: Kohavi, Tang and Xu, "Trustworthy online controlled experiments", 2020, ch. 4 and 14; the mixer is
that of `logged.mixed`.
"""

from collections.abc import Sequence

import numpy as np

from p402.evaluation.logged import BoolArray, IntArray, mixed


def assign(session: IntArray, shares: Sequence[float], salt: int) -> IntArray:
    """Which group each row's session is in, `(n,)` in `[0, len(shares))`.

    A pure function of the session's hash and the salt: rows of one session are together, whenever they come
    and whatever else is in the batch, and another salt gives groups that know nothing of these.

    Parameters
    ----------
    session
        `(n,)` hashes.
    shares
        Share of each group, 0 or more, sum 1.
    salt
        Of this experiment: take a new one for each, or its groups inherit the last one's luck.

    Raises
    ------
    ValueError
        Shares that are no shares.
    """
    check_shares(shares)
    edges = np.floor(np.add.accumulate(np.array(shares[:-1], np.float64)) * 2.0**53)
    draw = (mixed(session, salt) >> np.uint64(11)).astype(np.float64)
    return np.searchsorted(edges, draw, side="right").astype(np.int64)


def holdout(session: IntArray, share: float, salt: int) -> BoolArray:
    """Whether each row's session is held out, `(n,)`: what chooses must not see it, what judges sees only it.

    Parameters
    ----------
    session, salt
        As in `assign`.
    share
        Of sessions held out, in (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"share is {share}: expected in (0, 1); 0.3 is usual")
    return np.asarray(assign(session, (1.0 - share, share), salt) == 1)


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares that are none.

    Raises
    ------
    ValueError
        Fewer than two, one below 0, or a sum other than 1.
    """
    if len(shares) < 2 or not all(share >= 0.0 for share in shares) or abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"shares are {tuple(shares)}: expected two or more, each 0 or more, with sum 1")
