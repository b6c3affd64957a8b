"""The official `openai` package, asynchronous."""

import asyncio
import functools
import json
import time

import openai
from openai_sdk import Fold, asked, seen
from tasks import TOOL, City, messages, weather

ERRORS = openai.OpenAIError


LOOP = asyncio.Runner()


@functools.cache
def client_of(url, key, retries, timeout):
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=retries, timeout=timeout)


def client(task):
    """One for many tasks, as applications keep it: its connections are used again."""
    return client_of(task["url"], task["key"], task.get("retries", 0), task.get("timeout", 30))


def task_of(function):
    """A coroutine function as a task."""
    return lambda task, read: LOOP.run(function(task, read))


@task_of
async def complete(task, read):
    raw = await client(task).chat.completions.with_raw_response.create(**asked(task))
    found = raw.parse()
    return {**seen(found, dict(raw.headers)), "request_id": found._request_id}


@task_of
async def stream(task, read):
    fold = Fold(read)
    given = asked({**task, "stream": True})
    async for chunk in await client(task).chat.completions.create(**given, stream=True):
        fold.take(chunk)
    return fold.seen()


@task_of
async def tools(task, read):
    ran, said = [], messages(task)
    while True:
        found = await client(task).chat.completions.create(model=task["model"], messages=said, tools=[TOOL])
        message = found.choices[0].message
        if not message.tool_calls:
            return {"text": message.content, "ran": ran}
        said.append(message)
        for call in message.tool_calls:
            arguments = json.loads(call.function.arguments)
            ran.append(arguments)
            said.append({"role": "tool", "tool_call_id": call.id, "content": weather(**arguments)})


@task_of
async def structured(task, read):
    """By its streaming helper, which accumulates chunks and parses at the end."""
    given = {"model": task["model"], "messages": messages(task), "response_format": City}
    async with client(task).chat.completions.stream(**given) as events:
        async for _ in events:
            pass
        found = await events.get_final_completion()
    return {"value": found.choices[0].message.parsed.model_dump()}


@task_of
async def leave(task, read):
    """By cancelling the task that reads, as a server does whose own client has left."""
    begun = asyncio.Event()

    async def reading():
        async with await client(task).chat.completions.create(**asked(task), stream=True) as chunks:
            async for chunk in chunks:
                if chunk.choices[0].delta.content:
                    begun.set()

    reader = asyncio.create_task(reading())
    await begun.wait()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    return {"left_s": time.monotonic()}


@task_of
async def models(task, read):
    own = client(task).models
    names = (task["model"], f"{task['provider']}/{task['model']}")
    return {
        "ids": [model.id async for model in own.list()],
        "read": [(await own.retrieve(name)).id for name in names],
    }
