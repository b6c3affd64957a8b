"""Logged pairs of OpenAI requests and responses: chat completions and responses.

Nobody publishes one form of such a log, so a row may be an object with the two bodies (`request` and
`response`, or `request_body` and `response_body`, each bare, under `body`, or as text), a line of a
batch's output file, or a response alone, as stored completions list them. Time and latency are the row's,
else the response's own.

Source of the bodies: OpenAI's API reference (chat completion and response objects), read 2026-11-26.
"""

from collections.abc import Mapping
from typing import Any, Final

from p402.store.imported.record import Record, Skipped
from p402.store.imported.values import Unreadable, instant, number, span_ms, table, text, unpacked, whole

CHAT: Final = frozenset({"chat.completion", "response"})
_REQUEST: Final = ("request", "request_body", "req")
_RESPONSE: Final = ("response", "response_body", "resp")
_BEGAN: Final = ("timestamp", "start_time", "startTime", "started_at", "created_at", "time", "ts")
_ENDED: Final = ("end_time", "endTime", "ended_at", "completed_at")


def read(row: Mapping[str, Any]) -> list[Record | Skipped]:
    """The call of a row.

    Raises
    ------
    Unreadable
        It has no response, model or time, or a value that cannot be so.
    """
    outer_response = _found(row, _RESPONSE)
    request, response = _body(_found(row, _REQUEST)), _body(outer_response)
    if not response and row.get("object") in CHAT:
        response = dict(row)
        request = {k: row[k] for k in ("messages", "input", "tools") if k in row}
    what = response.get("object")
    if isinstance(what, str) and what not in CHAT:
        return [Skipped(f"a {what}")]
    path = text(row.get("endpoint") or row.get("url") or row.get("path")) or ""
    if "embeddings" in path or "/images" in path or "/audio" in path or "/moderations" in path:
        return [Skipped(path.rpartition("/v1/")[2] or path)]
    code = _error(row, outer_response, response)
    model = text(response.get("model")) or text(request.get("model"))
    if model is None or not (response or code):
        raise Unreadable(
            "found no response with a model, expected `request` and `response` bodies, or a chat completion "
            "or response object"
        )
    began = _first(row, _BEGAN)
    ts_ms = (
        began
        if began is not None
        else instant(response.get("created") or response.get("created_at"), "created")
    )
    if ts_ms is None:
        raise Unreadable(f"found no time, expected one of {', '.join(_BEGAN)}, or `created` of the response")
    return [_record(row, request, response, model, ts_ms, began, code)]


def _record(
    row: Mapping[str, Any],
    request: Mapping[str, Any],
    response: Mapping[str, Any],
    model: str,
    ts_ms: int,
    began: int | None,
    code: str | None,
) -> Record:
    usage = table(response.get("usage"))
    named = table(request.get("metadata"))
    latency = number(row.get("latency_ms") or row.get("duration_ms"), "latency_ms")
    form = table(request.get("response_format")) or table(table(request.get("text")).get("format"))
    tags = {name: tier for name in ("service_tier",) if (tier := text(response.get(name)))}
    user = text(request.get("user")) or text(row.get("user"))
    return Record(
        source_id=text(response.get("id")) or text(row.get("request_id")) or text(row.get("id")),
        ts_ms=ts_ms,
        model=model,
        provider=text(row.get("provider")),
        status="ok" if code is None else "failed",
        code=code,
        session=text(row.get("session_id"))
        or text(row.get("conversation_id"))
        or text(named.get("session_id")),
        user=user,
        prompt_tokens=_used(usage, "prompt_tokens", "input_tokens"),
        output_tokens=_used(usage, "completion_tokens", "output_tokens"),
        cached_tokens=_detail(usage, ("prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        reasoning_tokens=_detail(
            usage, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens"
        ),
        latency_ms=span_ms(began, _first(row, _ENDED)) if latency is None else float(latency),
        stream=request.get("stream") is True,
        max_output=_used(request, "max_completion_tokens", "max_tokens", "max_output_tokens"),
        n=whole(request.get("n"), "n") or 1,
        messages=_messages(request),
        tools=request.get("tools"),
        schema=form.get("type") == "json_schema",
        tags=tags,
        private={} if user is None else {"user": user},
    )


def _found(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((unpacked(row[name]) for name in names if row.get(name) is not None), None)


def _body(value: Any) -> dict[str, Any]:
    """A body that may lie under `body`, as those of a batch do."""
    outer = table(value)
    inner = table(outer.get("body"))
    return inner or outer


def _error(row: Mapping[str, Any], outer: Any, response: Mapping[str, Any]) -> str | None:
    """HTTP status or code of a call that failed; None of one that did not."""
    status = whole(row.get("status_code") or table(outer).get("status_code"), "status_code")
    if status is not None and status >= 400:
        return str(status)
    error = table(row.get("error")) or table(response.get("error"))
    if error:
        return text(error.get("code")) or text(error.get("type")) or "error"
    return "failed" if response.get("status") == "failed" else None


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((at for name in names if (at := instant(row.get(name), name)) is not None), None)


def _used(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((found for name in names if (found := whole(usage.get(name), name)) is not None), None)


def _detail(usage: Mapping[str, Any], within: tuple[str, ...], name: str) -> int:
    return next((found for part in within if (found := whole(table(usage.get(part)).get(name), name))), 0)


def _messages(request: Mapping[str, Any]) -> Any:
    if request.get("messages") is not None:
        return unpacked(request["messages"])
    given = unpacked(request.get("input"))
    told = text(request.get("instructions"))
    if told is None or given is None:
        return given
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    return [{"role": "system", "content": told}, *items]
