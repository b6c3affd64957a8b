"""OpenAI's models at Azure: another address, another header, and chunks that say nothing.

What is said is OpenAI's. A model is the operator's own deployment: on the v1 paths by its name in the body,
on the older ones in the path, with an `api_version`. Chunks that carry only filter results have no choices,
or choices without a delta; clients of OpenAI's form expect neither, so they stay behind.

Sources: Microsoft Learn, Azure OpenAI API version lifecycle, and Content filtering (read 2026-11-26).
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from p402.ports import Call, Completion, Failure
from serve.upstream import failures
from serve.upstream.dialects.openai import OpenAi, body_of, ignored_of
from serve.upstream.dialects.openai_stream import StreamReading
from serve.upstream.provider import Provider

_OPENAI: Final = OpenAi()
_WRONG_MODEL: Final = frozenset({"OperationNotSupported", "DeploymentNotFound", "unsupported_api_version"})
"""Codes that speak of the deployment or the version, which the operator chose, whatever their status."""
_PATHS: Final = re.compile(r"/openai(/v1)?/?$")


class Azure:
    """The language of Azure OpenAI."""

    lacks: Final[frozenset[str]] = frozenset()

    def url(self, provider: Provider, model: str, *, stream: bool) -> str:
        """Where chat completions live; `base_url` may or may not end in `/openai` or `/openai/v1`."""
        del stream
        base = _PATHS.sub("", provider.base_url.rstrip("/"))
        if provider.api_version is None:
            return f"{base}/openai/v1/chat/completions"
        deployment = quote(model, safe="")
        return f"{base}/openai/deployments/{deployment}/chat/completions?api-version={provider.api_version}"

    def headers(self, provider: Provider) -> dict[str, str]:
        """The resource's key, if there is one."""
        key = provider.api_key.reveal()
        return {"api-key": key} if key else {}

    def ignored(self, provider: Provider, call: Call) -> tuple[str, ...]:
        """As OpenAI's."""
        return ignored_of(provider, call)

    def body(self, provider: Provider, call: Call) -> bytes:
        """As OpenAI's."""
        return body_of(provider, call)

    def answer(self, provider: Provider, call: Call, body: bytes, now_ms: int) -> Completion | Failure:
        """As OpenAI's."""
        return _OPENAI.answer(provider, call, body, now_ms)

    def reading(self, provider: Provider, call: Call, now_ms: int) -> StreamReading:
        """Begin to read a stream."""
        del now_ms
        return StreamReading(provider, call, only_deltas=True)

    def refusal(
        self, provider: Provider, status: int, headers: Mapping[str, str], body: bytes, now_ms: int
    ) -> Failure:
        """Read a status that is not 200."""
        code, message = failures.error_of(failures.parsed(body))
        return failures.classified(
            provider,
            404 if code in _WRONG_MODEL else status,
            code,
            message,
            failures.retry_after_ms(headers, now_ms),
        )
