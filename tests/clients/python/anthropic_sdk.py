"""The official `anthropic` package: what a provider of the tests says to Anthropic's own client."""

import json

import anthropic
import httpx2
from tasks import messages

ERRORS = (anthropic.AnthropicError, httpx2.HTTPError)


def begun(task, **more):
    client = anthropic.Anthropic(
        base_url=task["url"], api_key=task["key"], max_retries=0, timeout=task.get("timeout", 30)
    )
    return client.messages.create(model=task["model"], max_tokens=9, messages=messages(task), **more)


def complete(task, read):
    found = begun(task)
    return {
        "text": "".join(block.text for block in found.content if block.type == "text"),
        "reasoning": "".join(block.thinking for block in found.content if block.type == "thinking"),
        "calls": [[block.name, block.input] for block in found.content if block.type == "tool_use"],
        "finish": found.stop_reason,
    }


def stream(task, read):
    calls, thoughts, finish, ended = {}, [], None, False
    for event in begun(task, stream=True):
        match event.type:
            case "content_block_start" if event.content_block.type == "tool_use":
                calls[event.index] = [event.content_block.name, ""]
            case "content_block_delta" if event.delta.type == "text_delta":
                read.append(event.delta.text)
            case "content_block_delta" if event.delta.type == "thinking_delta":
                thoughts.append(event.delta.thinking)
            case "content_block_delta" if event.delta.type == "input_json_delta":
                calls[event.index][1] += event.delta.partial_json
            case "message_delta":
                finish = event.delta.stop_reason
            case "message_stop":
                ended = True
    return {
        "text": "".join(read),
        "reasoning": "".join(thoughts),
        "calls": [[name, json.loads(arguments)] for name, arguments in calls.values()],
        "finish": finish if ended else None,
    }
