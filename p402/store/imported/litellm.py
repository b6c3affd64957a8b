"""Rows of LiteLLM's spend log, the table `LiteLLM_SpendLogs`, as JSON lines, JSON or CSV.

The payload that its logging callbacks write (`StandardLoggingPayload`) is read as well: `id` is its
`request_id`, `response_cost` its `spend`, `model_parameters` has the cap.

Two of its habits matter. A model that LiteLLM has no price of is logged with spend 0: that is no price,
and is read as none. A row with `cache_hit` called nobody. Keys and users are kept by their hash only.

Source: BerriAI/litellm, `schema.prisma` at commit 029f645f, read 2026-11-26.
"""

from collections.abc import Mapping
from typing import Any

from p402.store.imported.record import Record, Skipped
from p402.store.imported.values import (
    Unreadable,
    instant,
    nano,
    number,
    span_ms,
    table,
    text,
    unpacked,
    whole,
)

_CHAT = ("completion", "responses", "messages", "generate_content")


def read(row: Mapping[str, Any]) -> list[Record | Skipped]:
    """The call of a row.

    Raises
    ------
    Unreadable
        It has no model or time, or a value that cannot be so.
    """
    kind = text(row.get("call_type")) or ""
    if kind and not any(part in kind for part in _CHAT):
        return [Skipped(f"a call of type {kind}")]
    model, ts_ms = text(row.get("model")), instant(row.get("startTime"), "startTime")
    if ts_ms is None:
        raise Unreadable("startTime: found none, expected when the call began")
    failed = text(row.get("status")) == "failure"
    if model is None:
        if failed:
            return [Skipped("a failure before any model was chosen")]
        raise Unreadable("model: found none, expected the model that was called")
    return [_record(row, model, ts_ms, failed=failed)]


def _record(row: Mapping[str, Any], model: str, ts_ms: int, *, failed: bool) -> Record:
    told, sent = table(row.get("metadata")), table(row.get("proxy_server_request"))
    usage = table(told.get("usage_object"))
    extra = table(told.get("additional_usage_values"))
    provider = text(row.get("custom_llm_provider"))
    if provider is None and "/" in model:
        provider = model.partition("/")[0]
    prompt, output = whole(row.get("prompt_tokens"), "prompt_tokens"), _output(row)
    spend = nano(row["spend"] if "spend" in row else row.get("response_cost"), "spend")
    cached = str(row.get("cache_hit")).strip().lower() == "true"
    sent = table(row.get("model_parameters")) | sent
    error = table(told.get("error_information"))
    ended = instant(row.get("endTime"), "endTime")
    length = number(row.get("request_duration_ms"), "request_duration_ms")
    latency = span_ms(ts_ms, ended) if length is None else float(length)
    first = span_ms(ts_ms, instant(row.get("completionStartTime"), "completionStartTime"))
    streamed = first is not None and latency is not None and first < latency
    return Record(
        source_id=text(row.get("request_id")) or text(row.get("id")),
        ts_ms=ts_ms,
        model=model if provider is None else model.removeprefix(f"{provider}/"),
        provider=provider,
        status="failed" if failed else "cached" if cached else "ok",
        code=text(error.get("error_code")) or ("error" if failed else None),
        session=text(row.get("session_id")),
        user=text(row.get("end_user")) or text(row.get("user")) or text(row.get("api_key")),
        prompt_tokens=prompt,
        output_tokens=output,
        cached_tokens=_part(usage, "prompt_tokens_details", "cached_tokens")
        or whole(extra.get("cache_read_input_tokens"), "cache_read_input_tokens")
        or 0,
        cache_write_tokens=whole(
            usage.get("cache_creation_input_tokens") or extra.get("cache_creation_input_tokens"),
            "cache_creation_input_tokens",
        )
        or 0,
        reasoning_tokens=_part(usage, "completion_tokens_details", "reasoning_tokens"),
        cost_nano=None if spend == 0 and (prompt or output) and not cached else spend,
        latency_ms=latency,
        ttfb_ms=first if streamed else None,
        stream=streamed,
        max_output=whole(sent.get("max_completion_tokens") or sent.get("max_tokens"), "max_tokens"),
        n=whole(sent.get("n"), "n") or 1,
        messages=unpacked(row.get("messages")) or sent.get("messages"),
        tools=sent.get("tools"),
        schema=table(sent.get("response_format")).get("type") == "json_schema",
        tags={name: found for name in ("model_group", "call_type") if (found := text(row.get(name)))},
        private={
            name: found
            for name in ("api_key", "user", "team_id", "end_user")
            if (found := text(row.get(name)))
        },
    )


def _output(row: Mapping[str, Any]) -> int | None:
    return whole(row.get("completion_tokens"), "completion_tokens")


def _part(usage: Mapping[str, Any], within: str, name: str) -> int:
    return whole(table(usage.get(within)).get(name), name) or 0
