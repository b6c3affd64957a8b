"""Instructor over the official `openai` package: every answer is an object."""

import instructor
import openai
from instructor.core import InstructorRetryException
from openai_sdk import client as bare
from openai_sdk import seen
from tasks import City, messages, options

ERRORS = (openai.OpenAIError, InstructorRetryException)
MODES = {"form": instructor.Mode.TOOLS, "json": instructor.Mode.JSON_SCHEMA}


def patched(task):
    return instructor.from_openai(bare(task), mode=MODES[task["as"]])


def given(task):
    return {"model": task["model"], "messages": messages(task), "max_retries": 0, **options(task)}


def structured(task, read):
    value, completion = patched(task).chat.completions.create_with_completion(
        response_model=City, **given(task)
    )
    return {"value": value.model_dump(), **seen(completion), "request_id": completion._request_id}


complete = structured


def stream(task, read):
    last = None
    for part in patched(task).chat.completions.create_partial(response_model=City, **given(task)):
        read.append(part.model_dump_json())
        last = part
    return {"value": last.model_dump()}
