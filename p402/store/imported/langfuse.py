"""Langfuse exports: generations, and scores of them or of their traces.

From its API (camelCase), from the interface's export, or from blob storage (snake_case), as JSON, JSON
lines or CSV; a trace with its observations in it is taken apart. Names are compared without case, blanks
and underscores.

Langfuse splits usage into keys that add up: what holds `input` makes the prompt, and of that what holds
`cache` was read from, or written to, a prompt cache; what holds `output` makes the answer. A cost of 0 for
tokens is no price, and is read as none.

Source: Langfuse's field reference of blob storage exports and its API reference (ObservationsView, Score),
read 2026-11-26.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from p402.store.imported.record import Record, Score, Skipped
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

_GENERATION: Final = "GENERATION"
_CAPS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxTokens")

Fields = Mapping[str, Any]


def read(row: Mapping[str, Any]) -> Iterator[Record | Score | Skipped]:
    """The calls and scores of a row, one after the other.

    Raises
    ------
    Unreadable
        A generation has no model or time, or a value that cannot be so. Of a trace in full, the others come
        first.
    """
    yield from _all(_plain(row))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("_", "").replace(" ", "").lower(): value for name, value in row.items()}


def _all(row: Fields) -> Iterator[Record | Score | Skipped]:
    parts = unpacked(row.get("observations"))
    if isinstance(parts, list) and parts and isinstance(parts[0], dict):  # a trace in full
        context = {"sessionid": row.get("sessionid"), "userid": row.get("userid"), "traceid": row.get("id")}
        damaged = []
        for number, part in enumerate(parts, 1):
            inner = _plain(table(part))
            try:
                yield from _all({**context, **{k: v for k, v in inner.items() if v is not None}})
            except Unreadable as error:
                damaged.append(f"observation {number}: {error}")
        yield from _scores(row, None, text(row.get("id")))
        if damaged:
            more = f"; and {len(damaged) - 1} more observations" if len(damaged) > 1 else ""
            raise Unreadable(f"{damaged[0]}{more}")
        return
    if "starttime" not in row and "name" in row and ("value" in row or "stringvalue" in row):
        yield _score(row, text(row.get("observationid")), text(row.get("traceid")))
        return
    kind = text(row.get("type"))
    if kind is not None and kind.upper() != _GENERATION:
        yield Skipped(f"an observation of type {kind.upper()}")
        return
    if "starttime" not in row and kind is None:
        yield Skipped("a row that is neither observation nor score")
        return
    yield _record(row)
    yield from _scores(row, text(row.get("id")), text(row.get("traceid")))


def _record(row: Fields) -> Record:
    ts_ms = instant(row.get("starttime"), "startTime")
    if ts_ms is None:
        raise Unreadable("startTime: found none, expected when the call began")
    model = text(row.get("providedmodelname")) or text(row.get("model")) or text(row.get("modelname"))
    if model is None:
        raise Unreadable("model: found none, expected the model that was called")
    prompt, output, cached, written, reasoning = _usage(row)
    cost = _cost(row)
    asked, given = table(row.get("modelparameters")), unpacked(row.get("input"))
    request = given if isinstance(given, dict) else {}
    cap = next((asked[name] for name in _CAPS if asked.get(name) not in (None, "", "inf")), None)
    first = span_ms(ts_ms, instant(row.get("completionstarttime"), "completionStartTime"))
    trace = text(row.get("traceid"))
    user = text(row.get("userid"))
    failed = text(row.get("level")) == "ERROR"
    return Record(
        source_id=text(row.get("id")),
        ts_ms=ts_ms,
        model=model,
        provider=None,
        status="failed" if failed else "ok",
        code="error" if failed else None,
        session=text(row.get("sessionid")) or trace,
        user=user,
        trace=trace,
        prompt_tokens=prompt,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        cost_nano=None if cost == 0 and (prompt or output) else cost,
        latency_ms=span_ms(ts_ms, instant(row.get("endtime"), "endTime")),
        ttfb_ms=first,
        stream=first is not None,
        max_output=whole(cap, "max_tokens"),
        messages=request.get("messages") if request else given,
        tools=request.get("tools"),
        tags={"environment": found} if (found := text(row.get("environment"))) else {},
        private={} if user is None else {"user": user},
    )


def _usage(row: Fields) -> tuple[int | None, int | None, int, int, int]:
    """Prompt, output, cache reads, cache writes and reasoning, in tokens."""
    details = {k: whole(v, f"usageDetails.{k}") or 0 for k, v in table(row.get("usagedetails")).items()}
    if not details:
        older = table(row.get("usage"))
        prompt = _first(
            older.get("input"), older.get("promptTokens"), row.get("prompttokens"), row.get("inputtokens")
        )
        output = _first(
            older.get("output"),
            older.get("completionTokens"),
            row.get("completiontokens"),
            row.get("outputtokens"),
        )
        return prompt, output, 0, 0, 0
    into = {k: v for k, v in details.items() if "input" in k}
    out = {k: v for k, v in details.items() if "output" in k}
    written = sum(v for k, v in into.items() if "cache" in k and ("creation" in k or "write" in k))
    cached = sum(v for k, v in into.items() if "cache" in k) - written
    reasoning = sum(v for k, v in out.items() if "reasoning" in k)
    prompt = sum(into.values()) if into else None
    return prompt, sum(out.values()) if out else None, cached, written, reasoning


def _first(*values: Any) -> int | None:
    return next((found for value in values if (found := whole(value, "usage")) is not None), None)


def _cost(row: Fields) -> int | None:
    for name in ("totalcost", "calculatedtotalcost"):
        whole_cost = nano(row.get(name), name)
        if whole_cost is not None:
            return whole_cost
    details = table(row.get("costdetails"))
    if "total" in details:
        return nano(details["total"], "costDetails.total")
    parts = [found for k, v in details.items() if (found := number(v, f"costDetails.{k}")) is not None]
    return nano(sum(parts, Decimal(0)), "costDetails") if parts else None


def _scores(row: Fields, observation: str | None, trace: str | None) -> Iterator[Score | Skipped]:
    found = unpacked(row.get("scores"))
    for value in found if isinstance(found, list) else ():
        if isinstance(value, dict):
            inner = _plain(value)
            yield _score(inner, text(inner.get("observationid")) or observation, trace)
        else:
            yield Skipped("a score's id without the score")


def _score(row: Fields, observation: str | None, trace: str | None) -> Score:
    name = text(row.get("name"))
    at = instant(row.get("timestamp") or row.get("createdat") or row.get("updatedat"), "timestamp")
    if name is None or at is None or (observation is None and trace is None):
        raise Unreadable("found a score without name, time or what it is of; expected all three")
    said = row.get("value")
    value = _number_or_none(said)
    shown = text(row.get("stringvalue")) or ("" if said is None else str(said))
    category = text(row.get("datatype")) == "CATEGORICAL"
    quality = None if value is None or category or not 0 <= value <= 1 else float(value)
    return Score(name=name, ts_ms=at, observation=observation, trace=trace, value=shown, quality=quality)


def _number_or_none(value: Any) -> Decimal | None:
    if isinstance(value, bool):
        return Decimal(value)
    try:
        return number(value, "value")
    except Unreadable:
        return None
