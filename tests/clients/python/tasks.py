"""What every Python client is asked with: messages, tools and the schema of an answer."""

from pydantic import BaseModel

IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class City(BaseModel):
    """A city."""

    name: str
    people: int


def messages(task):
    """The task's own; else the usual, with a system message and an image (ours, or at a URL) if asked for."""
    if task.get("messages"):
        return task["messages"]
    text = "What is 2 + 2?"
    content = text
    if task.get("image"):
        url = IMAGE if task["image"] is True else task["image"]
        content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    system = [{"role": "system", "content": task["system"]}] if task.get("system") else []
    return [*system, {"role": "user", "content": content}]


def options(task):
    """Options of OpenAI's API by their own names."""
    found = {name: task[name] for name in ("n", "stop", "logprobs", "response_format") if name in task}
    if task.get("p402"):
        found["extra_body"] = {"p402": task["p402"]}
    if task.get("headers"):
        found["extra_headers"] = task["headers"]
    return found


def weather(city):
    """What the tool answers."""
    return f"{city}: sunny"
