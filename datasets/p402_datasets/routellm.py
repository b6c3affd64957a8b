"""RouteLLM's evaluation: right or wrong of GPT-4 and Mixtral-8x7B on GSM8K and the 57 parts of MMLU.

CSV files with `prompt` and, for each model, a column of its name that is True or False; columns that end in
`_response` are passed over. Neither tokens nor costs are in them, nor is the answers' text of MMLU.

Source: lm-sys/RouteLLM on GitHub, Apache-2.0, `routellm/evals`; Ong et al., arXiv:2406.18665; read
2026-11-26.
"""

from pathlib import Path
from typing import Final

import polars as pl

from p402_datasets.errors import CorruptData, MissingData
from p402_datasets.tidy import shaped

SOURCE: Final = "routellm"
REPOSITORY: Final = "https://github.com/lm-sys/RouteLLM"
RAW: Final = "https://raw.githubusercontent.com/lm-sys/RouteLLM/main/routellm/evals"
GSM8K: Final = "gsm8k/gsm8k_responses.csv"
PARTS: Final = (
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "business_ethics",
    "clinical_knowledge",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_medicine",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "econometrics",
    "electrical_engineering",
    "elementary_mathematics",
    "formal_logic",
    "global_facts",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_european_history",
    "high_school_geography",
    "high_school_government_and_politics",
    "high_school_macroeconomics",
    "high_school_mathematics",
    "high_school_microeconomics",
    "high_school_physics",
    "high_school_psychology",
    "high_school_statistics",
    "high_school_us_history",
    "high_school_world_history",
    "human_aging",
    "human_sexuality",
    "international_law",
    "jurisprudence",
    "logical_fallacies",
    "machine_learning",
    "management",
    "marketing",
    "medical_genetics",
    "miscellaneous",
    "moral_disputes",
    "moral_scenarios",
    "nutrition",
    "philosophy",
    "prehistory",
    "professional_accounting",
    "professional_law",
    "professional_medicine",
    "professional_psychology",
    "public_relations",
    "security_studies",
    "sociology",
    "us_foreign_policy",
    "virology",
    "world_religions",
)
"""The 57 subjects of MMLU."""

NAMES: Final = (GSM8K, *(f"mmlu/responses/mmlu_{part}.csv" for part in PARTS))
_TRUTH: Final = {"true": 1.0, "false": 0.0}


def tidy(folder: Path) -> pl.DataFrame:
    """The tidy rows of `gsm8k_responses.csv` and `mmlu_*.csv` in a folder, wherever within it they lie.

    Raises
    ------
    MissingData
        There is no such file.
    CorruptData
        A file is not of the published form.
    """
    found = [*sorted(folder.rglob("gsm8k_responses.csv")), *sorted(folder.rglob("mmlu_*.csv"))]
    if not found:
        raise MissingData(
            f"{folder} holds neither {GSM8K} nor mmlu_*.csv; expected routellm/evals of {REPOSITORY}"
        )
    return pl.concat([_rows(path) for path in found])


def _rows(path: Path) -> pl.DataFrame:
    name = path.stem.removesuffix("_responses")
    task = "gsm8k" if name == "gsm8k" else f"mmlu/{name.removeprefix('mmlu_')}"
    try:
        frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise CorruptData(f"{path}: {str(error).partition(chr(10))[0]}; expected RouteLLM's CSV") from error
    models = [column for column in frame.columns if column != "prompt" and not column.endswith("_response")]
    if "prompt" not in frame.columns or not models:
        raise CorruptData(f"{path}: found columns {', '.join(frame.columns)}; expected prompt and models")
    parts = []
    for model in models:
        truth = (
            frame[model]
            .str.strip_chars()
            .str.to_lowercase()
            .replace_strict(_TRUTH, default=None, return_dtype=pl.Float64)
        )
        if truth.null_count():
            at = int(truth.is_null().arg_max() or 0)
            raise CorruptData(
                f"{path}: {model} is {frame[model][at]!r} in row {at + 1}; expected True or False"
            )
        parts.append(
            pl.DataFrame(
                {
                    "source": SOURCE,
                    "prompt_id": [f"{name}-{k}" for k in range(frame.height)],
                    "task": task,
                    "prompt": frame["prompt"],
                    "model": model,
                    "quality": truth,
                }
            )
        )
    return shaped(pl.concat(parts), str(path))
