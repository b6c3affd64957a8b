"""Which columns each kind of event has on disk, and how events become columns and back.

One explicit Arrow schema per kind; the log's Parquet files, its DuckDB views and its exports all
have these columns. They only grow: a column that an old file lacks reads as its field's default.
It knows nothing of files.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, Final

import msgspec
import pyarrow as pa

from p402.events import (
    AnyEvent,
    ArmLive,
    Attempt,
    CacheHit,
    Decision,
    Imported,
    Live,
    Outcome,
    Refused,
    Reward,
    RowInputs,
)

HOUR_MS: Final = 3_600_000
_END_OF_TIME_MS: Final = 253_402_300_800_000  # year 10000: no partition is named after it

_text, _whole, _small, _real, _claim = pa.string(), pa.int64(), pa.int32(), pa.float64(), pa.bool_()

_INPUTS = pa.struct(
    [
        ("mode", _text),
        ("features", pa.list_(_small)),
        ("task", _small),
        ("prompt_tokens", _whole),
        ("prompt_bound", _whole),
        ("expected_output", _whole),
        ("max_output", _whole),
        ("n", _small),
        ("needs", _whole),
        ("ceiling_pico", _whole),
        ("weights", pa.list_(_whole)),
        ("budget_price", _whole),
        ("previous_arm", _text),
        ("warm_tokens", _whole),
        ("variant", _small),
        ("explore", _claim),
        ("policy", _text),
        ("exclude_providers", pa.list_(_text)),
        ("prefer_providers", pa.list_(_text)),
        ("model", _text),
        ("family", _text),
        ("tried", pa.list_(_text)),
        ("probed", pa.list_(_text)),
    ]
)

_ATTEMPT_RESULT = pa.struct(
    [
        ("arm", _text),
        ("status", _text),
        ("code", _text),
        ("prompt_tokens", _whole),
        ("output_tokens", _whole),
        ("cached_tokens", _whole),
        ("reasoning_tokens", _whole),
        ("cost_nano", _whole),
        ("price_pico", pa.list_(_whole)),
        ("latency_ms", _real),
        ("ttfb_ms", _real),
        ("cache_write_tokens", _whole),
        ("cache_write_1h_tokens", _whole),
        ("service_tier", _text),
        ("price_source", _text),
    ]
)

_ARM_LIVE = pa.struct(
    [
        ("open_circuit", _claim),
        ("ttft_ms", _whole),
        ("error_rate", _whole),
        ("half_open", _claim),
        ("output_ratio", _whole),
    ]
)
_STAMP = [("v", _small), ("ts_ms", _whole)]

SCHEMAS: Final[dict[str, pa.Schema]] = {
    "decision": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("session", _text),
            ("worker", _text),
            ("snapshot", _text),
            ("live_seq", _whole),
            ("inputs", _INPUTS),
            ("arm", _text),
            ("count", _small),
            ("n_eligible", _small),
            ("n_explored", _small),
            ("task", _text),
            ("baseline", _text),
            ("observe", _claim),
            ("simulated", _claim),
            ("tags", pa.map_(_text, _text)),
        ]
    ),
    "attempt": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("attempt", _small),
            ("worker", _text),
            ("snapshot", _text),
            ("live_seq", _whole),
            ("inputs", _INPUTS),
            ("arm", _text),
        ]
    ),
    "outcome": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("status", _text),
            ("code", _text),
            ("arm", _text),
            ("attempts", pa.list_(_ATTEMPT_RESULT)),
            ("cost_nano", _whole),
            ("direct_nano", _whole),
            ("fee_nano", _whole),
            ("prompt_tokens", _whole),
            ("output_tokens", _whole),
            ("cached_tokens", _whole),
            ("reasoning_tokens", _whole),
            ("usage_estimated", _claim),
            ("latency_ms", _real),
            ("provider_latency_ms", _real),
            ("ttfb_ms", _real),
            ("overhead_ms", _real),
            ("stream", _claim),
            ("anomaly_z", _real),
            ("hold_nano", _whole),
            ("bound_nano", _whole),
            ("cache_write_tokens", _whole),
        ]
    ),
    "reward": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("source", _text),
            ("status", _text),
            ("quality", _real),
            ("outcome_type", _text),
            ("occurred_at_ms", _whole),
            ("metadata", pa.map_(_text, _text)),
        ]
    ),
    "refusal": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("code", _text),
            ("status", _small),
            ("retry_after_ms", _whole),
            ("message", _text),
        ]
    ),
    "live": pa.schema([*_STAMP, ("worker", _text), ("seq", _whole), ("arms", pa.map_(_text, _ARM_LIVE))]),
    "imported": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("session", _text),
            ("source", _text),
            ("source_id", _text),
            ("provider", _text),
            ("model", _text),
            ("status", _text),
            ("code", _text),
            ("inputs", _INPUTS),
            ("task", _text),
            ("prompt_tokens", _whole),
            ("output_tokens", _whole),
            ("cached_tokens", _whole),
            ("cache_write_tokens", _whole),
            ("reasoning_tokens", _whole),
            ("cost_nano", _whole),
            ("price_pico", pa.list_(_whole)),
            ("price_source", _text),
            ("latency_ms", _real),
            ("ttfb_ms", _real),
            ("stream", _claim),
            ("prompt_hash", _text),
            ("prompt", _text),
            ("tags", pa.map_(_text, _text)),
        ]
    ),
    "cache_hit": pa.schema(
        [
            *_STAMP,
            ("id", _text),
            ("tenant", _text),
            ("session", _text),
            ("worker", _text),
            ("snapshot", _text),
            ("entry", _text),
            ("tier", _text),
            ("similarity", _real),
            ("arm", _text),
            ("mode", _text),
            ("task", _text),
            ("baseline", _text),
            ("direct_nano", _whole),
            ("prompt_tokens", _whole),
            ("output_tokens", _whole),
            ("usage_estimated", _claim),
            ("age_ms", _whole),
            ("latency_ms", _real),
            ("stream", _claim),
            ("simulated", _claim),
            ("tags", pa.map_(_text, _text)),
        ]
    ),
}
"""Columns of each kind, in order."""

STRUCTS: Final[dict[str, type[AnyEvent]]] = {
    "decision": Decision,
    "attempt": Attempt,
    "outcome": Outcome,
    "reward": Reward,
    "refusal": Refused,
    "live": Live,
    "imported": Imported,
    "cache_hit": CacheHit,
}
"""The struct of each kind."""

KIND_OF: Final[dict[type[AnyEvent], str]] = {struct: kind for kind, struct in STRUCTS.items()}

DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    kind: {
        field.name: field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(struct)
        if not field.required
    }
    for kind, struct in STRUCTS.items()
}
"""What a column that an old file lacks reads as."""

_MAPS = {
    kind: {field.name for field in schema if pa.types.is_map(field.type)} for kind, schema in SCHEMAS.items()
}
_UNFIT = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeError, TypeError)
_encode = msgspec.json.Encoder().encode


def table_of(kind: str, events: Sequence[AnyEvent]) -> pa.Table:
    """Events of one kind as columns, in their order.

    Raises
    ------
    OverflowError
        A time lies outside 1970 to 9999, or a whole number does not fit its column.
    """
    schema = SCHEMAS[kind]
    if any(not 0 <= event.ts_ms < _END_OF_TIME_MS for event in events):
        raise OverflowError("ts_ms lies outside the years 1970 to 9999")
    arrays = [_array(list(map(attrgetter(field.name), events)), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def tables_of(events: Iterable[AnyEvent]) -> tuple[dict[str, pa.Table], list[bytes]]:
    """Events as one table per kind present, and the lines of those that no column can hold."""
    by_kind: dict[str, list[AnyEvent]] = {}
    for event in events:
        by_kind.setdefault(KIND_OF[type(event)], []).append(event)
    tables: dict[str, pa.Table] = {}
    unfit: list[bytes] = []
    for kind, rows in by_kind.items():
        try:
            tables[kind] = table_of(kind, rows)
        except _UNFIT:
            fitting = [row for row in rows if _fits(kind, row)]
            unfit += [_encode(row) for row in rows if not _fits(kind, row)]
            if fitting:
                tables[kind] = table_of(kind, fitting)
    return tables, unfit


def event_of(kind: str, row: Mapping[str, Any]) -> AnyEvent:
    """The event that a row of `kind` was made from; maps may come as pairs, and null stands for a default.

    Raises
    ------
    msgspec.ValidationError
        The row is no event of that kind.
    """
    defaults = DEFAULTS[kind]
    plain = {
        name: dict(value) if name in _MAPS[kind] else value
        for name, value in row.items()
        if value is not None or name not in defaults
    }
    if (inputs := plain.get("inputs")) is not None:
        plain["inputs"] = inputs_of(inputs)
    if kind == "live":
        plain["arms"] = arms_of(plain["arms"])
    return msgspec.convert(plain, STRUCTS[kind])


def inputs_of(row: Mapping[str, Any]) -> RowInputs:
    """Row inputs as a column holds them: null is a default, or a field that an old file lacks.

    Raises
    ------
    msgspec.ValidationError
        They are none.
    """
    return msgspec.convert({k: v for k, v in row.items() if v is not None}, RowInputs)


def arms_of(rows: Mapping[str, Mapping[str, Any]] | Iterable[tuple[str, Any]]) -> dict[str, ArmLive]:
    """Live arms as a column holds them; raises as `inputs_of` does."""
    found = {arm: {k: v for k, v in live.items() if v is not None} for arm, live in dict(rows).items()}
    return msgspec.convert(found, dict[str, ArmLive])


def events_of(kind: str, table: pa.Table) -> list[AnyEvent]:
    """Events of a table of `kind`, in its order."""
    return [event_of(kind, row) for row in table.to_pylist()]


def _fits(kind: str, event: AnyEvent) -> bool:
    try:
        table_of(kind, [event])
    except _UNFIT:
        return False
    return True


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        children = [_array(list(map(attrgetter(field.name), values)), field.type) for field in kind]
        return pa.StructArray.from_arrays(children, fields=list(kind))
    if pa.types.is_map(kind):
        keys = pa.array([key for value in values for key in value], kind.key_type)
        items = _array([item for value in values for item in value.values()], kind.item_type)
        return pa.MapArray.from_arrays(_offsets(values), keys, items, type=kind)
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        flat = _array([item for value in values for item in value], kind.value_type)
        return pa.ListArray.from_arrays(_offsets(values), flat, type=kind)
    return pa.array(values, kind)


def _offsets(values: list[Any]) -> pa.Array:
    return pa.array(accumulate((len(value) for value in values), initial=0), pa.int32())
