"""Whatever passes the door is written in every language, or is told to be unsupported there: no fault."""

import orjson
import pytest

from p402.errors import RequestError
from p402.ports import Call
from p402.settings import Secret
from serve.upstream.dialect import Unsupported
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from serve.wire import parse_chat
from tests.serve.mutations import GENERATIONS, mutation
from tests.serve.upstream.dialects.conformance.speakers import SPEAKERS, setting

REQUESTS = 12_000
SEED = 403


def passed() -> list[dict]:
    """Bodies of mutated requests that the door lets through."""
    found = []
    for number in range(REQUESTS):
        try:
            found.append(parse_chat(mutation(number, SEED).body).body)
        except RequestError:
            continue
    return found


BODIES = passed()


@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: speaker.dialect)
def test_a_mutated_request_is_written_or_said_to_be_unsupported(speaker) -> None:
    dialect = DIALECTS[speaker.dialect]
    fields = {"name": "p", "dialect": speaker.dialect, "base_url": "http://h/v1", "api_key": Secret("k")}
    provider = Provider(**{**fields, **setting(speaker)})
    written = 0
    for i, body in enumerate(BODIES):
        model = (speaker.model, *GENERATIONS)[i % (1 + len(GENERATIONS))]
        call = Call("req_1", "p", model, body, (None, 100)[i % 2], i % 3 == 0, False, 7)
        try:
            dialect.ignored(provider, call)
            assert isinstance(orjson.loads(dialect.body(provider, call)), dict), body
            written += 1
        except (Unsupported, orjson.JSONEncodeError):
            continue
    assert written > len(BODIES) // 4
