"""Anthropic's Messages, as a provider of the tests speaks them.

The words are the conformance suite's speaker's; this module tells the server what they are.
"""

from dataclasses import replace
from typing import Any, Final

import orjson

from tests.serve.upstream.dialects.conformance.anthropic_speaker import AnthropicSpeaker
from tests.upstreams.said import KINDS, said_of, unframed
from tests.upstreams.scenario import Answer, ErrorEvent, Refuse
from tests.upstreams.wire import Asked, Event

_SPEAKER: Final = AnthropicSpeaker()
_SAYING: Final = ("text", "thinking", "partial_json")


class AnthropicMessages:
    """`POST .../messages`."""

    def asked(self, path: str, body: Any) -> Asked | None:
        if not path.endswith("/messages") or not isinstance(body, dict):
            return None
        return Asked(model=body["model"], stream=body.get("stream") is True, usage=True)

    def whole(self, answer: Answer, asked: Asked) -> bytes:
        return orjson.dumps(orjson.loads(_SPEAKER.whole(said_of(answer))) | {"model": asked.model})

    def events(self, answer: Answer, asked: Asked) -> list[Event]:
        found = []
        for name, told in unframed(_SPEAKER.pieces(said_of(answer))):
            if told["type"] == "message_start":
                told["message"]["model"] = asked.model
                if answer.tokens is None:
                    del told["message"]["usage"]
            found.append(Event(orjson.dumps(told), name, content=_says(told)))
        return found

    def refusal(self, refuse: Refuse) -> Refuse:
        if refuse.code in KINDS:
            status, _, body = _SPEAKER.refusal(KINDS[refuse.code])
            return replace(refuse, status=status, body=body)
        error = {"type": refuse.code, "message": refuse.message}
        return replace(refuse, body=orjson.dumps({"type": "error", "error": error}))

    def error_event(self, error: ErrorEvent) -> Event:
        ((name, told),) = unframed([_SPEAKER.broken()])
        if error.code == ErrorEvent().code:
            told["error"]["message"] = error.message
            return Event(orjson.dumps(told), name)
        return Event(self.refusal(Refuse(500, error.code, error.message)).body or b"", name)


def _says(told: dict[str, Any]) -> bool:
    match told:
        case {"type": "content_block_delta", "delta": delta}:
            return any(delta.get(name) for name in _SAYING)
        case {"type": "content_block_start", "content_block": {"type": "tool_use"}}:
            return True
    return False
