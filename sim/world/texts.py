"""What is asked in worlds whose callers do not name their task: a few prompts of each, written for this.

The router infers the task from them, and is sometimes wrong, as it is in production. They carry no outcome.
"""

from collections.abc import Mapping
from typing import Final

TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "chat": (
        "Hi! I had a long day and would like to talk about something light. What are you up to?",
        "Do you think cats or dogs make better company for someone who lives alone?",
        "Good morning. Can you suggest a name for a small boat?",
    ),
    "code": (
        "Write a Python function that merges two sorted lists without using sort().",
        (
            "My TypeScript build fails with `TS2322: Type 'string' is not assignable to type 'number'`. "
            "Fix this: const port: number = process.env.PORT;"
        ),
        "Refactor this SQL query so that it uses a window function instead of a self join.",
    ),
    "math": (
        "A train leaves at 14:05 and covers 312 km at 96 km/h. When does it arrive?",
        "Solve for x: 3x^2 - 12x + 9 = 0. Show your work.",
        "What is the probability that two of twenty-three people share a birthday?",
    ),
    "reasoning": (
        "Ana is not next to Ben, and Carl sits to the left of Dora. Who can sit in the middle?",
        "All bloops are razzies and some razzies are lazzies. Are some bloops lazzies then? Why?",
        "Plan the order of these nine tasks so that no dependency is broken and two people finish earliest.",
    ),
    "knowledge": (
        "Who wrote the opera Rusalka, and when was it first performed?",
        "What is the capital of Burkina Faso?",
        "Which enzyme unwinds DNA during replication?",
    ),
    "extraction": (
        "Extract every date and amount as JSON: Invoice 4021, 3 March, $1,250.00.",
        "List the names of all people mentioned in the following text, one per line: Ms Okafor met Mr Lind.",
        "From the e-mail below, pull out sender, order number and the item that was damaged.",
    ),
}
