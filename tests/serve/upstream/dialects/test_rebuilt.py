"""In every language, what a provider says of an error is rebuilt: no key, no URL, no control character."""

from typing import Any

import orjson
import pytest

from p402.ports import Call, Failure
from p402.settings import Secret
from serve.upstream.dialects.table import DIALECTS
from serve.upstream.provider import Provider
from tests.serve.upstream.dialects.conformance.speakers import SPEAKERS, setting

KEY = "sk-of-the-operator-0123456789"
SAID = f"Traceback\r\n\x1b[31m key {KEY} at https://user:{KEY}@internal.example/v1?key={KEY} \u202e"
KINDS = ("rate", "overloaded", "key", "context", "bad_request", "quota")


def saying(value: Any) -> Any:
    """The same error with other words in it."""
    if isinstance(value, dict):
        return {k: SAID if k.lower() == "message" else saying(v) for k, v in value.items()}
    return [saying(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("speaker", SPEAKERS, ids=lambda speaker: f"{speaker.dialect}-{speaker.model}")
def test_no_word_of_an_error_carries_a_secret_out(speaker, kind) -> None:
    dialect = DIALECTS[speaker.dialect]
    fields = {"name": "p", "dialect": speaker.dialect, "base_url": "http://h/v1", "api_key": Secret(KEY)}
    provider = Provider(**{**fields, **setting(speaker)})
    call = Call("req_1", "p", speaker.model, {"messages": []}, None, False, False, 7)
    status, headers, body = speaker.refusal(kind)
    said = orjson.dumps(saying(orjson.loads(body)))
    assert KEY.encode() in said
    answer = dialect.answer(provider, call, said, 0)
    assert isinstance(answer, Failure)
    for failure in (
        dialect.refusal(provider, status, headers, said, 0),
        *(
            dialect.refusal(provider, other, headers, said, 0)
            for other in (307, 400, 401, 403, 422, 500, 529)
        ),
        answer,
    ):
        assert KEY not in failure.message
        assert "internal.example" not in failure.message
        assert failure.message.isprintable()
        assert len(failure.message) < 600
        assert KEY not in repr(failure)
    for refused in (401, 403):
        failure = dialect.refusal(provider, refused, {}, b"{}", 0)
        assert (failure.code, failure.status) == ("PROVIDER_AUTH", 502)
