"""The official `openai` package, synchronous."""

import functools
import json
import time

import openai
from tasks import TOOL, City, messages, options, weather

ERRORS = openai.OpenAIError


@functools.cache
def client_of(url, key, retries, timeout):
    return openai.OpenAI(base_url=url, api_key=key, max_retries=retries, timeout=timeout)


def client(task):
    """One for many tasks, as applications keep it: its connections are used again."""
    return client_of(task["url"], task["key"], task.get("retries", 0), task.get("timeout", 30))


def seen(found, headers=None):
    """A whole completion."""
    choice, usage = found.choices[0], found.usage
    return {
        "text": choice.message.content,
        "texts": [c.message.content for c in found.choices],
        "finish": choice.finish_reason,
        "calls": [
            [c.function.name, json.loads(c.function.arguments)] for c in choice.message.tool_calls or ()
        ],
        "usage": usage and [usage.prompt_tokens, usage.completion_tokens],
        "metadata": (found.model_extra or {}).get("p402_metadata"),
        "logprobs": choice.logprobs and [t.token for t in choice.logprobs.content],
        "reasoning": (choice.message.model_extra or {}).get("reasoning_content"),
        "headers": headers,
    }


class Fold:
    """A stream so far."""

    def __init__(self, read):
        self.read, self.reasoning, self.finish, self.usage, self.metadata = read, [], None, None, None
        self.texts, self.calls, self.logprobs = {}, {}, []

    def take(self, chunk):
        for choice in chunk.choices:
            if choice.delta.content:
                self.texts[choice.index] = self.texts.get(choice.index, "") + choice.delta.content
                self.read.append(choice.delta.content)
            self.reasoning += [(choice.delta.model_extra or {}).get("reasoning_content") or ""]
            self.finish = choice.finish_reason or self.finish
            if choice.logprobs:
                self.logprobs += [t.token for t in choice.logprobs.content]
            for call in choice.delta.tool_calls or ():
                made = self.calls.setdefault(call.index, ["", ""])
                made[0] += call.function.name or ""
                made[1] += call.function.arguments or ""
        if chunk.usage:
            assert self.usage is None, "usage came twice"
            self.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
        self.metadata = (chunk.model_extra or {}).get("p402_metadata") or self.metadata

    def seen(self):
        return {
            "text": self.texts.get(0),
            "texts": [self.texts[i] for i in sorted(self.texts)],
            "finish": self.finish,
            "calls": [[name, json.loads(text)] for name, text in self.calls.values()],
            "usage": self.usage,
            "metadata": self.metadata,
            "logprobs": self.logprobs or None,
            "reasoning": "".join(self.reasoning) or None,
        }


def asked(task):
    given = {"model": task["model"], "messages": messages(task), **options(task)}
    if task.get("tools"):
        given["tools"] = [TOOL]
    if task.get("stream") and task.get("usage"):
        given["stream_options"] = {"include_usage": True}
    return given


def complete(task, read):
    raw = client(task).chat.completions.with_raw_response.create(**asked(task))
    found = raw.parse()
    return {**seen(found, dict(raw.headers)), "request_id": found._request_id}


def stream(task, read):
    fold = Fold(read)
    for chunk in client(task).chat.completions.create(**asked({**task, "stream": True}), stream=True):
        fold.take(chunk)
    return fold.seen()


def tools(task, read):
    """OpenAI's loop: call, run, call again."""
    ran, said = [], messages(task)
    while True:
        found = client(task).chat.completions.create(model=task["model"], messages=said, tools=[TOOL])
        message = found.choices[0].message
        if not message.tool_calls:
            return {"text": message.content, "ran": ran}
        said.append(message)
        for call in message.tool_calls:
            arguments = json.loads(call.function.arguments)
            ran.append(arguments)
            said.append({"role": "tool", "tool_call_id": call.id, "content": weather(**arguments)})


def structured(task, read):
    found = client(task).chat.completions.parse(
        model=task["model"], messages=messages(task), response_format=City
    )
    return {"value": found.choices[0].message.parsed.model_dump()}


def leave(task, read):
    with client(task).chat.completions.create(**asked(task), stream=True) as chunks:
        for chunk in chunks:
            if chunk.choices[0].delta.content:
                break
    return {"left_s": time.monotonic()}


def models(task, read):
    own = client(task).models
    names = (task["model"], f"{task['provider']}/{task['model']}")
    return {"ids": [model.id for model in own.list()], "read": [own.retrieve(name).id for name in names]}
