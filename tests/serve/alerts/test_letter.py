"""What a receiver reads, and the signature under it."""

import hashlib
import hmac
import json

from p402.ports import Anomaly, CapReached
from p402.settings import Secret
from serve.alerts.letter import body_of, id_of, signature

NOON = 20_700 * 86_400_000 + 43_200_000
ANOMALY = Anomaly("default", NOON, "req_1", "acme/m", 5_000_000, 4.25, 40)


def test_an_anomaly_says_who_where_how_much_and_how_far():
    assert json.loads(body_of(ANOMALY, 3)) == {
        "v": 1,
        "id": "ANOMALY_DETECTED:req_1",
        "kind": "ANOMALY_DETECTED",
        "tenant": "default",
        "request_id": "req_1",
        "occurred_at_ms": NOON,
        "folded": 3,
        "arm": "acme/m",
        "charged_usd": 0.005,
        "z_score": 4.25,
        "past_calls": 40,
        "text": "P402: a call of tenant default at acme/m was charged $0.005000, 4.2 standard deviations "
        "above its past of 40 calls (3 more like it)",
    }


def test_a_reached_cap_has_one_id_for_a_tenant_and_day_whoever_tells():
    first = CapReached("default", NOON, "req_1", 2_000_000_000)
    second = CapReached("default", NOON + 1, "req_2", 2_000_000_000)
    assert id_of(first) == id_of(second) == "DAILY_SPEND_LIMIT_EXCEEDED:default:20700"
    assert id_of(CapReached("default", NOON + 86_400_000, "req_1", 1)) != id_of(first)
    fields = json.loads(body_of(first, 0))
    assert (fields["cap_usd"], fields["resets_at_ms"]) == (2.0, 20_701 * 86_400_000)


def test_a_signature_is_of_time_and_body():
    body = body_of(ANOMALY, 0)
    expected = hmac.new(b"whsec", b"1790000000." + body, hashlib.sha256).hexdigest()
    assert signature(Secret("whsec"), body, 1_790_000_000) == f"t=1790000000,v1={expected}"
    assert signature(Secret("whsec"), body, 1_790_000_001) != signature(Secret("whsec"), body, 1_790_000_000)
