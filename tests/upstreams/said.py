"""Scenarios as the speakers of the dialects' conformance suite take them, so that a wire has one encoder.

A speaker writes frames in ASCII; a provider sends UTF-8, under the name of the model that it was asked for.
So each frame is read here, and its JSON written anew.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from p402.ports import Usage
from tests.serve.upstream.dialects.conformance.values import Asked, Said
from tests.upstreams.scenario import Answer, Finish

SEAL: Final = "c2VhbGVk"
"""Signature of what is thought aloud, where a wire has signatures."""

KINDS: Final = {
    "rate_limit_exceeded": "rate",
    "insufficient_quota": "quota",
    "context_length_exceeded": "context",
    "invalid_value": "bad_request",
    "invalid_api_key": "key",
    "overloaded": "overloaded",
}
"""A speaker's kinds of refusal by a scenario's code; a code without one is sent as it stands."""

_FINISH: Final = {
    Finish.STOP: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.FILTER: "content_filter",
}


def said_of(answer: Answer) -> Said:
    """What a speaker says for a scenario's answer."""
    used = answer.tokens
    return Said(
        texts=answer.text,
        thoughts=answer.reasoning,
        seal=SEAL if answer.reasoning else None,
        calls=tuple(Asked(call.name, dict(call.arguments), call.id) for call in answer.calls),
        finish=_FINISH[answer.finish],
        usage=None
        if used is None
        else Usage(used.prompt, used.output, cached=used.cached, reasoning=used.reasoning),
    )


def unframed(frames: Iterable[bytes]) -> Iterator[tuple[str | None, dict[str, Any]]]:
    """Name and JSON of each event that a speaker wrote."""
    for frame in frames:
        fields = dict(line.split(b": ", 1) for line in frame.splitlines() if line)
        name = fields.get(b"event")
        yield (None if name is None else name.decode()), orjson.loads(fields[b"data"])
