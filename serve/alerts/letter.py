"""An alert as its receiver reads it: an id, a JSON body, and the signature under it.

The id follows from what happened, so that a receiver knows a repeat, whichever worker or try it comes
from. It knows nothing of receivers, queues or HTTP.

Source: RFC 2104; signing the time with the body, as several payment services do, lets a receiver refuse
what is replayed to it later.
"""

import hmac
from typing import Final, assert_never

import orjson

from p402.guard.anomaly import CODE as ANOMALY
from p402.guard.daily import DAY_MS, OVER_CAP, day_of
from p402.ports import Alert, Anomaly, CapReached
from p402.settings import Secret
from p402.units import nano_to_usd

VERSION: Final = 1


def kind_of(alert: Alert) -> str:
    """The code of the rule that raised it."""
    match alert:
        case Anomaly():
            return ANOMALY
        case CapReached():
            return OVER_CAP
        case _:
            assert_never(alert)


def id_of(alert: Alert) -> str:
    """The same for every telling of one event: an anomaly's request, a cap's tenant and day."""
    match alert:
        case Anomaly():
            return f"{ANOMALY}:{alert.request_id}"
        case CapReached():
            return f"{OVER_CAP}:{alert.tenant}:{day_of(alert.ts_ms)}"
        case _:
            assert_never(alert)


def body_of(alert: Alert, folded: int) -> bytes:
    """The JSON that is posted; `folded` others of its kind and tenant have no letter of their own."""
    fields: dict[str, object] = {
        "v": VERSION,
        "id": id_of(alert),
        "kind": kind_of(alert),
        "tenant": alert.tenant,
        "request_id": alert.request_id,
        "occurred_at_ms": alert.ts_ms,
        "folded": folded,
    }
    more = f" ({folded} more like it)" if folded else ""
    match alert:
        case Anomaly():
            charged = nano_to_usd(alert.charged_nano)
            fields |= {
                "arm": alert.arm,
                "charged_usd": charged,
                "z_score": alert.z,
                "past_calls": alert.past_calls,
                "text": f"P402: a call of tenant {alert.tenant} at {alert.arm} was charged ${charged:.6f}, "
                f"{alert.z:.1f} standard deviations above its past of {alert.past_calls} calls{more}",
            }
        case CapReached():
            cap = nano_to_usd(alert.cap_nano)
            fields |= {
                "cap_usd": cap,
                "resets_at_ms": (day_of(alert.ts_ms) + 1) * DAY_MS,
                "text": f"P402: the daily cap of tenant {alert.tenant}, ${cap:.2f}, refuses calls that "
                "what is left would not cover; it resets at 00:00 UTC",
            }
        case _:
            assert_never(alert)
    return orjson.dumps(fields)


def signature(secret: Secret, body: bytes, now_s: int) -> str:
    """What `X-P402-Signature` says of a body that is posted at a time."""
    signed = b"%d.%b" % (now_s, body)
    return f"t={now_s},v1={hmac.digest(secret.reveal().encode('ascii'), signed, 'sha256').hex()}"
