"""Each case is a process of its own, since what Arrow knows of pandas stays with a process."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.skipif(find_spec("pandas") is None, reason="pandas is not installed")

ALONE = "import sys\nfrom p402.store.pandas_later import arrow_alone\narrow_alone()\nimport pyarrow as pa\n"


def said(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE + code], check=True, capture_output=True, text=True
    )
    return done.stdout.split()


def test_arrays_scalars_and_comparisons_leave_pandas_alone():
    made = (
        "import numpy as np, pyarrow.compute as pc\n"
        "a = pa.array(np.arange(3)); pc.equal(a, 1); a.fill_null(0); pa.scalar('x'); pa.array(['x'])\n"
    )
    assert said(made + "print('pandas' in sys.modules)") == ["False"]


def test_whoever_imports_pandas_later_finds_arrow_knowing_its_series():
    made = "from importlib.util import find_spec\nfind_spec('pandas')\nimport pandas\n"
    assert said(made + "print(pa.array(pandas.Series([1.0, float('nan')])).null_count)") == ["1"]


def test_arrow_still_makes_a_data_frame():
    assert said("print(pa.table({'a': [1, 2]}).to_pandas().a.sum())") == ["3"]


def test_pandas_is_loaded_as_ever():
    found = said("import pandas\nprint(type(pandas.__spec__.loader).__name__, len(sys.meta_path))\n")
    assert found == said(
        "del sys.meta_path[0]\nimport pandas\nprint(type(pandas.__loader__).__name__, len(sys.meta_path))"
    )


def test_a_process_that_has_pandas_is_left_as_it_is():
    before = "import pandas, sys\nfound = len(sys.meta_path)\n"
    code = (
        before
        + "from p402.store.pandas_later import arrow_alone\narrow_alone()\nprint(len(sys.meta_path) - found)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0"]
