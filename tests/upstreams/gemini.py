"""Gemini's generateContent, as a provider of the tests speaks it.

The words are the conformance suite's speaker's; several candidates and log probabilities are added here.
Models of the second generation name no calls, as Google's do not; all others do.
"""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

import orjson

from tests.serve.upstream.dialects.conformance.gemini_speaker import GeminiSpeaker
from tests.upstreams.said import KINDS, said_of, unframed
from tests.upstreams.scenario import Answer, ErrorEvent, Refuse
from tests.upstreams.wire import Asked, Event

_VERBS: Final = {"generateContent": False, "streamGenerateContent": True}
_RETRY_INFO: Final = "type.googleapis.com/google.rpc.RetryInfo"


def speaker_of(model: str) -> GeminiSpeaker:
    """The speaker for a model: whether it names calls depends on its generation."""
    return GeminiSpeaker("gemini", "gemini-2.5-flash" if "gemini-2" in model else "gemini-3-flash", "/models")


class GeminiContent:
    """`POST .../models/NAME:generateContent`, or `:streamGenerateContent?alt=sse`."""

    def asked(self, path: str, body: Any) -> Asked | None:
        place, _, verb = path.partition("?")[0].rpartition(":")
        before, _, model = place.rpartition("/")
        if verb not in _VERBS or not before.endswith("/models") or not isinstance(body, dict):
            return None
        config = body.get("generationConfig") or {}
        return Asked(
            model=unquote(model),
            stream=_VERBS[verb],
            n=config.get("candidateCount") or 1,
            usage=True,
            logprobs=config.get("responseLogprobs") is True,
        )

    def whole(self, answer: Answer, asked: Asked) -> bytes:
        said = said_of(answer)
        one = replace(said, texts=_joined(said.texts), thoughts=_joined(said.thoughts))
        told = orjson.loads(speaker_of(asked.model).whole(one))
        return orjson.dumps(_finished(told, asked, answer.text))

    def events(self, answer: Answer, asked: Asked) -> list[Event]:
        found, pieces = [], unframed(speaker_of(asked.model).pieces(said_of(answer)))
        for name, told in pieces:
            parts = told["candidates"][0]["content"]["parts"]
            says = any(part.get("text") or "functionCall" in part for part in parts)
            spoken = [part["text"] for part in parts if part.get("text") and not part.get("thought")]
            found.append(Event(orjson.dumps(_finished(told, asked, spoken)), name, content=says))
        return found

    def refusal(self, refuse: Refuse) -> Refuse:
        status, word, message, details = refuse.status, refuse.code, refuse.message, []
        if refuse.code in KINDS:
            status, _, body = speaker_of("").refusal(KINDS[refuse.code])
            error = orjson.loads(body)["error"]
            word, message = error["status"], error["message"]
            details = [detail for detail in error["details"] if detail["@type"] != _RETRY_INFO]
        headers = dict(refuse.headers)
        wait = headers.pop("retry-after", None)  # Google says it in the body
        if wait is not None:
            details.append({"@type": _RETRY_INFO, "retryDelay": f"{wait}s"})
        error = {"code": status, "message": message, "status": word, "details": details}
        return replace(
            refuse, status=status, headers=tuple(headers.items()), body=orjson.dumps({"error": error})
        )

    def error_event(self, error: ErrorEvent) -> Event:
        ((name, told),) = unframed([speaker_of("").broken()])
        if error.code == ErrorEvent().code:
            told["error"]["message"] = error.message
            return Event(orjson.dumps(told), name)
        return Event(self.refusal(Refuse(500, error.code, error.message)).body or b"", name)


def _joined(pieces: tuple[str, ...]) -> tuple[str, ...]:
    return ("".join(pieces),) if pieces else ()


def _finished(told: dict[str, Any], asked: Asked, spoken: Any) -> dict[str, Any]:
    """A response with the model's name, and with what was asked for beside the text."""
    (only,) = told["candidates"]
    if asked.logprobs and spoken:
        chosen = [{"token": text, "tokenId": i, "logProbability": -0.25} for i, text in enumerate(spoken)]
        tops = [{"candidates": [token]} for token in chosen]
        only["logprobsResult"] = {"chosenCandidates": chosen, "topCandidates": tops}
    return told | {
        "modelVersion": asked.model,
        "candidates": [only | {"index": i} for i in range(asked.n)],
    }
