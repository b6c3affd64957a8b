"""LlamaIndex's `OpenAILike`."""

import gc
import time

import openai
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from tasks import IMAGE, City, messages, options, weather

ERRORS = openai.OpenAIError


def llm(task):
    given = options(task)
    headers = given.pop("extra_headers", None)
    if task.get("logprobs"):
        given["logprobs"] = True
    if task.get("usage"):
        given["stream_options"] = {"include_usage": True}
    return OpenAILike(
        model=task["model"],
        api_base=task["url"],
        api_key=task["key"],
        is_chat_model=True,
        is_function_calling_model=True,
        context_window=100_000,
        max_retries=task.get("retries", 0),
        timeout=task.get("timeout", 30),
        default_headers=headers,
        additional_kwargs=given,
    )


def said(task):
    found = []
    for message in messages(task):
        content = message["content"]
        blocks = (
            [TextBlock(text=content)]
            if isinstance(content, str)
            else [TextBlock(text=content[0]["text"]), ImageBlock(url=IMAGE)]
        )
        found.append(ChatMessage(role=MessageRole(message["role"]), blocks=blocks))
    return found


def seen(answer, model):
    raw = answer.raw
    usage = raw.usage
    calls = model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    return {
        "text": answer.message.content,
        "texts": [answer.message.content],
        "finish": raw.choices[0].finish_reason if raw.choices else None,
        "calls": [[call.tool_name, call.tool_kwargs] for call in calls],
        "usage": usage and [usage.prompt_tokens, usage.completion_tokens],
        "metadata": (raw.model_extra or {}).get("p402_metadata"),
        "logprobs": answer.logprobs and [best[0].token for best in answer.logprobs],
    }


def tool():
    return FunctionTool.from_defaults(weather, name="weather", description="The weather in a city")


def complete(task, read):
    model = llm(task)
    if task.get("tools"):
        return seen(
            model.chat_with_tools([tool()], chat_history=said(task), allow_parallel_tool_calls=True), model
        )
    return seen(model.chat(said(task)), model)


def stream(task, read):
    model, last, finish, usage, metadata = llm(task), None, None, None, None
    if task.get("tools"):
        chunks = model.stream_chat_with_tools(
            [tool()], chat_history=said(task), allow_parallel_tool_calls=True
        )
    else:
        chunks = model.stream_chat(said(task))
    for chunk in chunks:
        last = chunk
        if chunk.delta:
            read.append(chunk.delta)
        if chunk.raw.choices:
            finish = chunk.raw.choices[0].finish_reason or finish
        if chunk.raw.usage:
            usage = [chunk.raw.usage.prompt_tokens, chunk.raw.usage.completion_tokens]
        metadata = (chunk.raw.model_extra or {}).get("p402_metadata") or metadata
    return {**seen(last, model), "finish": finish, "usage": usage, "metadata": metadata}


def tools(task, read):
    ran, history, model = [], said(task), llm(task)
    while True:
        answer = model.chat_with_tools([tool()], chat_history=history, allow_parallel_tool_calls=True)
        calls = model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        if not calls:
            return {"text": answer.message.content, "ran": ran}
        history.append(answer.message)
        for call in calls:
            ran.append(call.tool_kwargs)
            history.append(
                ChatMessage(
                    role=MessageRole.TOOL,
                    content=weather(**call.tool_kwargs),
                    additional_kwargs={"tool_call_id": call.tool_id},
                )
            )


def structured(task, read):
    found = llm(task).as_structured_llm(City).chat(said(task))
    return {"value": found.raw.model_dump()}


def leave(task, read):
    """Its generator is closed, and then collected: until then LlamaIndex keeps the connection."""
    chunks = llm(task).stream_chat(said(task))
    for chunk in chunks:
        if chunk.delta:
            break
    chunks.close()
    del chunks, chunk
    gc.collect()
    return {"left_s": time.monotonic()}
