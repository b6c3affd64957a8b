"""The official `google-genai` package: what a provider of the tests says to Gemini's own client."""

import httpx2
from google import genai
from google.genai import errors, types
from tasks import messages

ERRORS = (errors.APIError, httpx2.HTTPError)


def asked(task):
    (message,) = messages(task)
    return {"model": task["model"], "contents": message["content"]}


def client(task):
    options = types.HttpOptions(base_url=task["url"], timeout=int(1000 * task.get("timeout", 30)))
    return genai.Client(api_key=task["key"], http_options=options)


def seen(responses):
    """What one response says, or all of a stream."""
    found = {"text": "", "reasoning": "", "calls": [], "finish": None}
    for response in responses:
        for candidate in response.candidates or ():
            found["finish"] = candidate.finish_reason or found["finish"]
            for part in candidate.content.parts or ():
                if part.function_call:
                    found["calls"].append([part.function_call.name, part.function_call.args])
                else:
                    found["reasoning" if part.thought else "text"] += part.text or ""
    return found


def complete(task, read):
    own = client(task)
    return seen([own.models.generate_content(**asked(task))])


def stream(task, read):
    own = client(task)
    return seen(own.models.generate_content_stream(**asked(task)))
