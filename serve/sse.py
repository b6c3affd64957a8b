"""The events this gateway adds to a stream: the metadata chunk, the end, and an error that breaks it.

The provider's own events pass as they came. What is added: one chunk with empty `choices` that
carries the metadata, and the usage if the client asked for it and has not had it, then `[DONE]`.
A stream that broke ends in an error event, without `finish_reason` and without `[DONE]`.

Source: WHATWG HTML, server-sent events; OpenAI API reference, streaming.
"""

import re
from typing import Any, Final

import orjson

from p402.answer import Metadata, StreamEnd
from p402.cache.answers import told_usage
from p402.errors import Refusal
from serve.errors import error_object
from serve.metadata import metadata_fields

DONE: Final = b"data: [DONE]\n\n"
_USAGE: Final = re.compile(rb'"usage"\s*:\s*\{')


def last_events(end: StreamEnd, created_s: int, last: bytes, *, include_usage: bool) -> bytes:
    """What follows the provider's last event, `last`; `created_s` is in s since 1970 UTC."""
    if end.failure is not None:
        return error_event(end.failure, end.metadata)
    usage = include_usage and _USAGE.search(last) is None
    return final_chunk(end.metadata, created_s, usage=usage) + DONE


def final_chunk(metadata: Metadata, created_s: int, *, usage: bool) -> bytes:
    """One chunk of OpenAI's form that carries no choice but the metadata."""
    chunk: dict[str, Any] = {
        "id": metadata.request_id,
        "object": "chat.completion.chunk",
        "created": created_s,
        "model": metadata.model,
        "choices": [],
    }
    if usage:
        chunk["usage"] = usage_fields(metadata)
    chunk["p402_metadata"] = metadata_fields(metadata)
    return b"data: %b\n\n" % orjson.dumps(chunk)


def error_event(failure: Refusal, metadata: Metadata) -> bytes:
    """Say that the stream broke, and what it cost so far."""
    error = error_object(failure, metadata.request_id)
    return b"data: %b\n\n" % orjson.dumps({"error": error, "p402_metadata": metadata_fields(metadata)})


def usage_fields(metadata: Metadata) -> dict[str, Any]:
    """Tokens in OpenAI's form."""
    prompt, output = metadata.input_tokens or 0, metadata.output_tokens or 0
    return told_usage(prompt, output, metadata.cached_tokens, metadata.reasoning_tokens)
