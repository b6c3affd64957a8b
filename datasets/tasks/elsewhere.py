"""Judge the packaged head on prompts of MMLU-Pro, which nothing was trained or chosen on.

    python datasets/tasks/elsewhere.py ../shared/data/mmlupro.parquet

The file is no part of the project: columns `task` (`mmlu_pro/CATEGORY`) and `prompt`. Without it, nothing is
judged, and that is said. Only categories whose task a reader would not argue about count.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from judge import accuracy, calibration_error, table
from sources import Labelled
from train import CHAT, labels, onward, probabilities, read

from p402.store.task_head import load_head

TASK_OF: Final = {
    "math": "math",
    "history": "knowledge",
    "psychology": "knowledge",
    "health": "knowledge",
    "biology": "knowledge",
}


def main(argv: Sequence[str]) -> int:
    """Print one row a category."""
    path = Path(argv[0]) if argv else Path("mmlupro.parquet")
    if not path.exists():
        print(f"skipped: {path} is not there; name the file of MMLU-Pro prompts")
        return 0
    prompts = pl.read_parquet(path, columns=["task", "prompt"]).unique().sort("task", "prompt")
    head, rows = load_head(), []
    for category, task in TASK_OF.items():
        texts = prompts.filter(pl.col("task") == f"mmlu_pro/{category}")["prompt"].to_list()
        data = read([Labelled(text, task, category) for text in texts])
        p, trust = probabilities(head, data), (head.sure, head.floor)
        rule = np.where(data.rule >= 0, data.rule, CHAT)
        on = onward(p, data, trust)
        right = (accuracy(data.task, said) for said in (rule, p.argmax(1), labels(p, data, trust)))
        error = calibration_error(on.max(1), on.argmax(1) == data.task)
        rows.append([category, task, str(len(texts)), *(f"{v:.3f}" for v in (*right, error))])
    print(table(("category", "task", "prompts", "rules", "head", "both", "ECE both"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
