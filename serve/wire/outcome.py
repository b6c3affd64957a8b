"""`POST /v1/outcomes`: bytes to the reward event that the log keeps.

An outcome says how a round went, never what was said in it: fields that could carry a prompt or
an answer are refused by name. A status without a score stays a status; what it is worth is the
learner's law. It knows nothing of whether the round exists.
"""

import re
from datetime import datetime
from typing import Final

from p402.errors import InvalidInput, MissingField
from p402.events import Reward
from p402.ids import PREFIX
from serve.wire import checks
from serve.wire.checks import Json
from serve.wire.json import parse_object

STATUSES: Final = ("accepted", "rejected", "revised", "escalated", "failed", "pending_review", "unknown")
FIELDS: Final = ("request_id", "status", "quality_score", "outcome_type", "source", "occurred_at", "metadata")
TEXT_FIELDS: Final = frozenset(
    (
        "prompt",
        "messages",
        "input",
        "question",
        "answer",
        "completion",
        "content",
        "output",
        "response",
        "text",
    )
)
MAX_ENTRIES: Final = 16
MAX_VALUE: Final = 200
DEFAULT_SOURCE: Final = "client"

_ID: Final = re.compile(rf"{PREFIX}[0-9a-f]{{32}}")


def parse_outcome(body: bytes, *, tenant: str, now_ms: int) -> Reward:
    """Parse an outcome of `tenant` that came at `now_ms` (wall time, ms since 1970 UTC)."""
    found = parse_object(body)
    _refuse_text(found, "")
    checks.refuse_unknown(found, FIELDS)
    given = {name: value for name, value in found.items() if value is not None}
    metadata = given.get("metadata", {})
    _refuse_text(checks.mapping(metadata, "metadata"), "metadata.")
    source = given.get("source", DEFAULT_SOURCE)
    return Reward(
        ts_ms=now_ms,
        id=_request_id(given),
        tenant=tenant,
        source=checks.text(source, "source", 64, printable=True),
        status=_status(given),
        quality=_quality(given),
        outcome_type=checks.text(given["outcome_type"], "outcome_type", 64, printable=True)
        if "outcome_type" in given
        else None,
        occurred_at_ms=_occurred_at(given.get("occurred_at")),
        metadata=checks.labels(metadata, "metadata", MAX_ENTRIES, MAX_VALUE),
    )


def _refuse_text(found: Json, path: str) -> None:
    for name in found:
        if name.lower() in TEXT_FIELDS:
            raise InvalidInput(
                f"{path}{name}: outcomes carry no prompt or answer text; send scores and labels only",
                param=f"{path}{name}",
            )


def _required(given: Json, name: str, expected: str) -> object:
    if name not in given:
        raise MissingField(f"{name}: missing; expected {expected}", param=name)
    return given[name]


def _request_id(given: Json) -> str:
    expected = "the `request_id` of a `p402_metadata`"
    value = checks.text(_required(given, "request_id", expected), "request_id", 64, printable=True)
    if _ID.fullmatch(value) is None:
        raise checks.wrong("request_id", value, f"{expected}: {PREFIX} and 32 hexadecimal digits")
    return value


def _status(given: Json) -> str:
    expected = f"one of {', '.join(STATUSES)}"
    value = _required(given, "status", expected)
    if value not in STATUSES:
        raise checks.wrong("status", value, expected)
    return value


def _quality(given: Json) -> float | None:
    value = given.get("quality_score")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise checks.wrong("quality_score", value, "a number from 0 to 1")
    return float(value)


def _occurred_at(value: object) -> int | None:
    """Wall time in ms of a date-time with an offset, or of whole ms since 1970 UTC."""
    if value is None:
        return None
    if type(value) is int and 0 <= value < 1 << 48:
        return value
    expected = "a date-time with an offset, like 2026-11-22T10:00:00Z, or ms since 1970 UTC"
    if not isinstance(value, str) or len(value) > 40:
        raise checks.wrong("occurred_at", value, expected)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise checks.wrong("occurred_at", value, expected) from None
    if moment.tzinfo is None:
        raise checks.wrong("occurred_at", value, expected)
    stamp = round(moment.timestamp() * 1000)
    if not 0 <= stamp < 1 << 48:
        raise checks.wrong("occurred_at", value, expected)
    return stamp
