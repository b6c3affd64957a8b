"""Azure OpenAI: OpenAI's words at another address, with filter results around them."""

import json

from tests.serve.upstream.dialects.conformance.openai_speaker import OpenAiSpeaker
from tests.serve.upstream.dialects.conformance.values import Heard, Said

FINE = {"hate": {"filtered": False, "severity": "safe"}}


class AzureSpeaker(OpenAiSpeaker):
    dialect = "azure"
    model = "my-deployment"

    def whole(self, said: Said) -> bytes:
        return json.dumps(
            {**json.loads(super().whole(said)), "prompt_filter_results": [{"prompt_index": 0}]}
        ).encode()

    def pieces(self, said: Said) -> list[bytes]:
        prompt = {"choices": [], "created": 0, "id": "", "model": "", "object": "",
                  "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": FINE}]}  # fmt: skip
        late = {"id": "", "choices": [{"index": 0, "finish_reason": None, "content_filter_results": FINE,
                                       "content_filter_offsets": {"check_offset": 1}}]}  # fmt: skip
        first, *rest = super().pieces(said)
        return [_event(prompt), first, *rest[:-2], _event(late), *rest[-2:]]

    def heard(self, path: str, headers: dict[str, str], body: dict) -> Heard:
        assert path == "/v1/openai/v1/chat/completions"
        assert headers["api-key"]
        assert "authorization" not in headers
        return super().heard(path, {**headers, "authorization": "Bearer x"}, body)


def _event(chunk: dict) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"
