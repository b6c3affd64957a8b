"""Take the golden decisions anew: a visible act, to be explained in the commit that does it.

Run `python tests/p402/routing/make_golden.py` from the project's root.
"""

from dataclasses import replace
from hashlib import sha256

import msgspec
import numpy as np
from golden import PATH, PATH_2, load, pin, save
from worlds import a_batch, a_mode, a_policy, a_spec

from p402.routing.compiled import compile_snapshot
from p402.routing.scale import param
from p402.routing.spec import CUSTOM


def policy(names):
    """Usual modes with a chain in the first; on trial, wide ones that fill the exploration set."""
    usual = a_policy().variants[0]
    wide = tuple(
        a_mode(q, c, s, tolerance=param(2.0), loss_cap=param(cap), floor=param(floor))
        for q, c, s, cap, floor in (
            (0.1, 0.9, 0.0, 0.1, 0.01),
            (0.9, 0.1, 0.0, 0.5, 0.0),
            (0.1, 0.1, 0.8, 0.2, 0.1),
            (0.5, 0.5, 0.0, 0.2, 0.01),
        )
    )
    chained = msgspec.structs.replace(usual[0], chain=(names[7], "gone/model", names[3]))
    return a_policy(variants=((chained, *usual[1:]), wide))


def world(n_arms, n, seed, *, probes):
    """A snapshot and n rows of coarse numbers, which keeps the file small; with or without probes."""
    snapshot = compile_snapshot(a_spec(n_arms, seed, policy(a_spec(n_arms, seed).arms.arm)))
    batch = a_batch(snapshot, n, seed + 1, lives=5)
    coarse = replace(
        batch,
        features=np.floor(batch.features / 256) * 256,
        weights=np.where((batch.mode == CUSTOM)[:, None], np.floor(batch.weights / 4096) * 4096, 0),
        warm_tokens=np.where(batch.previous_arm >= 0, batch.warm_tokens, 0),
        ceiling_pico=np.floor(batch.ceiling_pico / 1e8) * 1e8,
    )
    if probes:
        return snapshot, coarse
    lives = tuple(replace(live, half_open=None) for live in batch.lives)
    return snapshot, replace(coarse, lives=lives, probed=None)


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    save(PATH, {"24": world(24, 5_000, 402, probes=False), "300": world(300, 5_000, 403, probes=False)})
    save(PATH_2, {"24 probed": world(24, 2_000, 404, probes=True)})
    for path in (PATH, PATH_2):
        pin(path).write_text(f"{sha256(path.read_bytes()).hexdigest()}  {path.name}\n", encoding="utf-8")
    for name, (_, batch, decided) in (load() | load(PATH_2)).items():
        arms, by_chance = len(set(decided[:, 0].tolist())), (decided[:, 0] != decided[:, 2]).sum()
        nobody, sets = (decided[:, 0] < 0).sum(), np.bincount(decided[:, 4])
        print(f"{name}: {len(batch)} rows, {arms} arms chosen, {by_chance} by chance, {nobody} unserved")
        print(f"  rows by size of the exploration set: {sets.tolist()}")
    for path in (PATH, PATH_2):
        print(path.stat().st_size, "bytes", pin(path).read_text(encoding="utf-8").split()[0])
