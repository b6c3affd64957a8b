"""Promise P20 where it is made: the same decision for a row in any batch, process, numpy and CPU."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import COLUMNS, PATH_2, digest, load, narrowed, table
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import a_batch, a_snapshot, any_world

import p402.routing.decide as deciding
from p402.routing.decide import decide
from p402.routing.eligibility import reasons

SCRIPT = Path(__file__).with_name("golden.py")
LOWEST = Path(sys.prefix) / "numpy-lowest"
LOCK = Path(__file__).parents[3] / "requirements.lock"
MADE = Path(sys.prefix) / ".stamps" / "dev"

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.data())
def test_p20_a_row_is_decided_alike_in_any_batch_and_in_chunks_of_any_size(seed, data):
    snapshot, batch = any_world(seed, 60)
    whole = table(decide(snapshot, batch))
    cells = data.draw(st.integers(1, 61 * snapshot.n_arms))
    order = np.array(data.draw(st.permutations(range(60))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deciding, "CHUNK_CELLS", cells)
        assert np.array_equal(table(decide(snapshot, batch)), whole)
        assert np.array_equal(table(decide(snapshot, batch.rows(order))), whole[order])
    some = order[: data.draw(st.integers(0, 60))]
    assert np.array_equal(table(decide(snapshot, batch.rows(some))), whole[some])


@pytest.mark.parametrize(
    ("n_arms", "n", "rare"), [(24, 2_000, True), (24, 500, False), (300, 700, True), (700, 100, True)]
)
def test_p20_one_request_alone_is_decided_as_in_a_batch(n_arms, n, rare):
    snapshot = a_snapshot(n_arms, seed=n_arms)
    batch = a_batch(snapshot, n, seed=n, rare=rare)
    whole, why = table(decide(snapshot, batch)), reasons(snapshot, batch)
    for i in range(n):
        row = batch.rows(slice(i, i + 1))
        assert np.array_equal(table(decide(snapshot, row))[0], whole[i])
        if i % 10 == 0:
            assert np.array_equal(reasons(snapshot, row)[0], why[i])


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_p20_narrow_columns_are_decided_as_wide_ones(seed):
    snapshot, batch = any_world(seed, 40)
    whole, slim = table(decide(snapshot, batch)), narrowed(batch)
    assert np.array_equal(table(decide(snapshot, slim)), whole)
    for i in range(0, 40, 7):
        cut = {name: None if (c := getattr(slim, name)) is None else c[i : i + 1] for name in COLUMNS}
        assert np.array_equal(table(decide(snapshot, replace(slim, **cut)))[0], whole[i])


def test_p20_single_precision_and_strided_columns_are_decided_as_wide_ones():
    snapshot = a_snapshot(24)
    batch = a_batch(snapshot, 300)
    batch = replace(batch, ceiling_pico=np.full(300, 2.0**34))
    whole = table(decide(snapshot, batch))
    single = {
        name: column.astype(np.float32)
        for name in COLUMNS
        if (column := getattr(batch, name)) is not None and column.dtype == np.float64
    }
    assert np.array_equal(table(decide(snapshot, replace(batch, **single))), whole)
    assert np.array_equal(
        table(decide(snapshot, replace(batch, features=np.asfortranarray(batch.features)))), whole
    )
    turned = {name: column[::-1] for name in COLUMNS if (column := getattr(batch, name)) is not None}
    assert np.array_equal(table(decide(snapshot, replace(batch, **turned))), whole[::-1])


def elsewhere(*path, **environment):
    """What another process makes of the golden rows, by this very tree; `path` comes before it."""
    environment["PYTHONPATH"] = os.pathsep.join((*path, *filter(None, sys.path)))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NPY_", "OPENBLAS_", "PYTHON"))}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT)], env=env | environment, capture_output=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def here():
    return digest(decided for _, _, decided in (*load().values(), *load(PATH_2).values()))


@pytest.fixture(scope="module")
def there():
    """Another process, as it is."""
    return elsewhere(PYTHONHASHSEED="1")


def test_p20_another_process_decides_alike(here, there):
    assert there["digest"] == here
    assert there["numpy"] == np.__version__


def test_p20_a_cpu_without_vector_extensions_decides_alike(here, there):
    if not there["cpu"]:
        pytest.skip("this CPU has none of the extensions that numpy can be told to leave out")
    plain = elsewhere(NPY_DISABLE_CPU_FEATURES=" ".join(there["cpu"]))
    assert plain["cpu"] == []
    assert plain["digest"] == here


@pytest.mark.parametrize("kernel", ["Prescott", "Nehalem", "Sandybridge"])
def test_p20_another_matrix_kernel_decides_alike(here, kernel):
    assert elsewhere(OPENBLAS_CORETYPE=kernel, OPENBLAS_NUM_THREADS="1")["digest"] == here


def test_p20_the_numpy_of_these_tests_is_the_newest_that_the_lock_pins():
    pins = re.findall(r"^numpy==([0-9.]+)", LOCK.read_text(), re.MULTILINE)
    newest = max(pins, key=lambda pin: tuple(map(int, pin.split("."))))
    assert np.__version__ == newest, (
        f"these tests run on numpy {np.__version__}, requirements.lock pins {newest}: P20 is claimed from "
        "numpy 2.0.0 to the pinned one, so run `make setup` again"
    )


@pytest.mark.parametrize("extensions", [True, False])
def test_p20_the_lowest_supported_numpy_decides_alike(here, extensions):
    if not LOWEST.is_dir():
        assert not MADE.exists(), "`make setup` ran, yet numpy-lowest is missing: run it again"
        pytest.skip("no numpy-lowest in this environment: `make setup` installs it")
    found = elsewhere(str(LOWEST))
    if not extensions:
        found = elsewhere(str(LOWEST), NPY_DISABLE_CPU_FEATURES=" ".join(found["cpu"]))
        assert found["cpu"] == []
    assert found["numpy"] == "2.0.0" != np.__version__
    assert found["digest"] == here
