"""A search of many prompts finds those of every block, and keeps to its own thread."""

import os
import subprocess
import sys

import numpy as np
import pytest

from p402.cache.index import BLOCK, Index

SEARCH = """
import os
from pathlib import Path
import numpy as np
from p402.cache.index import Index

def ticks_of_others():
    tasks = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != os.getpid()]
    told = [(task / "stat").read_text().rpartition(")")[2].split() for task in tasks]
    return sum(int(fields[11]) + int(fields[12]) for fields in told)

index, drawn = Index(), np.random.default_rng(7).standard_normal((10_000, 384)).astype(np.float32)
for row, vector in enumerate(drawn):
    index.put(b"%d" % row, vector)
before = ticks_of_others()
for _ in range(300):
    index.above(drawn[0], 1e9, 4)
print(ticks_of_others() - before)
"""


@pytest.mark.parametrize("count", [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_prompts_of_every_block_are_found_nearest_first(count):
    angles = np.linspace(0, 3, count)
    index = Index()
    for row, angle in enumerate(angles):
        index.put(b"%d" % row, np.array([np.cos(angle), np.sin(angle)], np.float32))
    for at in (0, count // 2, count - 1):
        asked = np.array([np.cos(angles[at]), np.sin(angles[at])], np.float32)
        found = index.above(asked, -2.0, count)
        assert len(found) == count
        assert found[0][1] == pytest.approx(1)
        for key, cosine in found:
            assert cosine == pytest.approx(np.cos(angles[int(key)] - angles[at]), abs=1e-5)
        assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)


def test_a_search_of_ten_thousand_prompts_gives_no_other_thread_work():
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    told = subprocess.run(
        [sys.executable, "-c", SEARCH], env=environ, capture_output=True, text=True, check=True
    )
    assert int(told.stdout) <= 2, "ticks of the other threads; they took some hundred where they were woken"
