"""What CPU reading a request takes: task, probabilities and features of one transcript, and the head's file.

Beside it, in the same run, what the rules alone cost, which is all that was read before there was a head.
"""

import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from statistics import median
from typing import Final

from experiments.bench.figure import Figure
from p402.request import Options, Transcript
from p402.routing import features
from p402.routing.cues import cues
from p402.routing.head import parse
from p402_datasets.paretobandit import TEST, load

REAL: Final = 800
SHORT: Final = ("What is the capital of Peru?", "Write a Python function that merges two sorted lists.", "hi")
LONG: Final = "lorem ipsum dolor sit amet " * 2_000 + "\nSummarise the text."
SYSTEM: Final = "You are a helpful assistant of the support desk. Answer in the customer's own language."
REPEATS: Final = 300


def run() -> list[Figure]:
    """Measure in about a second."""
    data = (files("p402.routing") / "data" / "tasks.json").read_bytes()
    head = parse(data)

    def read(transcript: Transcript) -> object:
        return features.read(transcript, Options(), None, head)

    real = [_said(p.text) for p in load().split(TEST).prompts[:REAL]]
    short = [_said(text) for text in SHORT * (REPEATS // len(SHORT))]
    system = [_said(p.last_user, SYSTEM) for p in real]
    return [
        Figure("task and features of a real prompt, median", _median_us(read, real), "us", most=60.0),
        Figure("the same with a system prompt of 87 characters", _median_us(read, system), "us"),
        Figure("of a short prompt", _median_us(read, short), "us"),
        Figure("of a prompt of 54,000 characters", _median_us(read, [_said(LONG)] * REPEATS), "us"),
        Figure("rules alone, a real prompt", _median_us(lambda t: cues(t.last_user), real), "us"),
        Figure("rules alone, the long prompt", _median_us(lambda _: cues(LONG), real[:REPEATS]), "us"),
        Figure(
            "reading the head's file", _median_us(lambda _: parse(data), real[:15]) / 1e3, "ms", most=10.0
        ),
    ]


def _said(text: str, system: str = "") -> Transcript:
    size = len(text.encode()) + len(system)
    return Transcript(system, text, text, size, 1, 0, has_tools=False, has_schema=False, binds_family=False)


def _median_us(work: Callable[[Transcript], object], given: Sequence[Transcript]) -> float:
    took = []
    for transcript in given:
        began = time.thread_time_ns()
        work(transcript)
        took.append(time.thread_time_ns() - began)
    return median(took) / 1e3
