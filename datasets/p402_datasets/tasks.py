"""P402's task of a benchmark, by the benchmark's name as routing data sets spell it.

A name is compared without case and with `-` and blanks as `_`; its longest known beginning decides, so that
`mmlu/anatomy`, `mmlu-anatomy` and `mmlu` are one. What is known of none has no task: nothing is guessed.
"""

from typing import Final

from p402.routing.spec import TASKS

TASK_OF: Final = {
    "abstract2title": "summary",
    "accounting_audit": "knowledge",
    "aime": "math",
    "arc": "knowledge",
    "arenahard": "chat",
    "asdiv": "math",
    "bbh": "reasoning",
    "bbh_movie_recommendation": "knowledge",
    "bbh_multistep_arithmetic_two": "math",
    "bbh_object_counting": "math",
    "bbh_salient_translation_error_detection": "translation",
    "bbh_sports_understanding": "knowledge",
    "bbq": "reasoning",
    "chinese": "knowledge",
    "consensus_summary": "summary",
    "cnn_dailymail": "summary",
    "emorynlp": "extraction",
    "finqa": "math",
    "flores": "translation",
    "gpqa": "knowledge",
    "grade_school_math": "math",
    "gsm8k": "math",
    "hellaswag": "reasoning",
    "hle": "knowledge",
    "humaneval": "code",
    "knights": "reasoning",
    "korbench": "reasoning",
    "livecodebench": "code",
    "livemathbench": "math",
    "logiqa": "reasoning",
    "math": "math",
    "mathqa": "math",
    "mbpp": "code",
    "medmcqa": "knowledge",
    "medqa": "knowledge",
    "meld": "extraction",
    "mmlu": "knowledge",
    "mmlu_abstract_algebra": "math",
    "mmlu_college_mathematics": "math",
    "mmlu_elementary_mathematics": "math",
    "mmlu_formal_logic": "reasoning",
    "mmlu_high_school_mathematics": "math",
    "mmlu_high_school_statistics": "math",
    "mmlu_logical_fallacies": "reasoning",
    "mmlu_pro": "knowledge",
    "mmlu_pro_math": "math",
    "mt_bench": "chat",
    "mtbench": "chat",
    "openbookqa": "knowledge",
    "openhermes": "chat",
    "piqa": "reasoning",
    "ragbench": "extraction",
    "simpleqa": "knowledge",
    "social_iqa": "reasoning",
    "swe_bench": "code",
    "swebench": "code",
    "tau2": "tools",
    "truthful_qa": "knowledge",
    "truthfulqa": "knowledge",
    "winogrande": "reasoning",
    "wmt": "translation",
}
"""Beginnings of names; read off the sources' own lists on 2026-11-26."""

UNKNOWN: Final = "chat"
"""Row of a benchmark of no known task; a table's notes say how many prompts that is."""


def task_of(benchmark: str) -> str | None:
    """P402's task of a benchmark, None where none is known; P402's own names stand for themselves."""
    name = benchmark.strip().lower()
    for mark in "-/ .":
        name = name.replace(mark, "_")
    if name in TASKS:
        return name
    found = [start for start in TASK_OF if name == start or name.startswith(start + "_")]
    return TASK_OF[max(found, key=len)] if found else None
