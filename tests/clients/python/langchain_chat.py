"""LangChain's `ChatOpenAI`."""

import time

import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from tasks import TOOL, City, messages, options, weather

ERRORS = openai.OpenAIError


def llm(task, **more):
    given = options(task)
    named = {"n": given.pop("n")} if "n" in given else {}
    if "logprobs" in given:
        named["logprobs"] = given.pop("logprobs")
    if "stop" in given:
        named["stop"] = given.pop("stop")
    if "extra_headers" in given:
        named["default_headers"] = given.pop("extra_headers")
    return ChatOpenAI(
        model=task["model"],
        base_url=task["url"],
        api_key=task["key"],
        max_retries=task.get("retries", 0),
        timeout=task.get("timeout", 30),
        include_response_headers=True,
        stream_usage=bool(task.get("usage")),
        **named,
        **given,
        **more,
    )


def seen(message, texts=None):
    meta, usage = message.response_metadata, message.usage_metadata
    logprobs = meta.get("logprobs")
    return {
        "text": message.content,
        "texts": texts or [message.content],
        "finish": meta.get("finish_reason"),
        "calls": [[call["name"], call["args"]] for call in message.tool_calls],
        "usage": usage and [usage["input_tokens"], usage["output_tokens"]],
        "metadata": meta.get("p402_metadata"),
        "headers": meta.get("headers"),
        "logprobs": logprobs and [t["token"] for t in logprobs["content"]],
        "reasoning": message.additional_kwargs.get("reasoning_content"),
    }


def complete(task, read):
    found = llm(task)
    if task.get("tools"):
        return seen(found.bind_tools([TOOL]).invoke(messages(task)))
    whole = found.generate([messages_of(task)])
    generations = whole.generations[0]
    return seen(generations[0].message, [g.message.content for g in generations])


def messages_of(task):
    from langchain_core.messages import convert_to_messages

    return convert_to_messages(messages(task))


def stream(task, read):
    found = llm(task)
    if task.get("tools"):
        found = found.bind_tools([TOOL])
    whole = None
    for chunk in found.stream(messages(task)):
        if chunk.content:
            read.append(chunk.content)
        whole = chunk if whole is None else whole + chunk
    return seen(whole, [])


def tools(task, read):
    ran, said = [], [HumanMessage("What is the weather?")]
    bound = llm(task).bind_tools([TOOL])
    while True:
        message = bound.invoke(said)
        if not message.tool_calls:
            return {"text": message.content, "ran": ran}
        said.append(message)
        for call in message.tool_calls:
            ran.append(call["args"])
            said.append(ToolMessage(weather(**call["args"]), tool_call_id=call["id"]))


def structured(task, read):
    found = llm(task).with_structured_output(City, method="json_schema").invoke(messages(task))
    return {"value": found.model_dump()}


def leave(task, read):
    chunks = llm(task).stream(messages(task))
    for chunk in chunks:
        if chunk.content:
            break
    chunks.close()
    return {"left_s": time.monotonic()}
