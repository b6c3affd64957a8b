"""What routing knows of each prompt of a table, and the probabilities of any strategy on it.

Contexts are made by the flow's own `make_plan` from the real text: task by the head, features,
lengths. Prompts are single questions that share no prefix, so no cache is warm and no previous arm
matters. It knows nothing of rounds or outcomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from p402.events import RowInputs
from p402.flow.plan import make_plan
from p402.flow.state import WorkerState
from p402.ids import request_id
from p402.request import ChatRequest, Options, Transcript
from p402.routing.live import LiveState
from p402.routing.rows import to_batch
from p402.routing.spec import TASKS
from p402.store.task_head import load_head
from p402_datasets.outcomes import Prompt
from sim.drawn.offers import START_MS, Offered
from sim.replay.target import Target, asked, probabilities

Float = NDArray[np.float64]
Int = NDArray[np.int64]

WORKER: Final = "drawn"


@dataclass(frozen=True, slots=True, eq=False)
class Contexts:
    """Row inputs of every prompt as asked for in one mode.

    Attributes
    ----------
    inputs
        What `decide` reads of each prompt.
    task
        (n_prompts,) index into `TASKS`, as inferred.
    """

    mode: str
    inputs: tuple[RowInputs, ...]
    task: Int


def contexts_of(offered: Offered, prompts: Sequence[Prompt], mode: str) -> Contexts:
    """Contexts of prompts asked for in a mode, exploration on."""
    state = WorkerState(WORKER, offered.snapshot, load_head())
    tenant = offered.assembly.tenants["default"]
    plans = [make_plan("", request_of(prompt.text, mode), tenant, state, START_MS) for prompt in prompts]
    task = np.array([TASKS.index(plan.signals.task) for plan in plans], np.int64)
    return Contexts(mode, tuple(plan.inputs for plan in plans), task)


def probabilities_of(offered: Offered, contexts: Contexts, target: Target) -> Float:
    """(n_prompts, n_arms): what a strategy does on each prompt, as replay would find it."""
    n = len(contexts.inputs)
    ids = [request_id(START_MS, i) for i in range(n)]  # chance has no part in probabilities
    lives = (LiveState.at_start(offered.snapshot.n_arms),)
    batch = to_batch(offered.snapshot, ids, asked(target, contexts.inputs), lives, [0] * n)
    return probabilities(target, offered.snapshot, batch)


def request_of(text: str, mode: str, session: str = "drawn") -> ChatRequest:
    """A request of one user message, as the gateway parses it."""
    messages = [{"role": "user", "content": text}]
    return ChatRequest(
        model=None,
        options=Options(mode=mode, session_id=session),
        transcript=Transcript(
            system="",
            first_user=text,
            last_user=text,
            text_bytes=len(orjson.dumps(text)) - 2,
            turns=1,
            images=0,
            has_tools=False,
            has_schema=False,
            binds_family=False,
        ),
        stream=False,
        include_usage=False,
        max_output=None,
        n=1,
        body={"messages": messages},
    )
