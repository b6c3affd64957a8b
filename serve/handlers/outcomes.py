"""`POST /v1/outcomes`: how a round went, into the log before it is acknowledged."""

import orjson

from serve.handlers.front import Front
from serve.http import HttpReply, HttpRequest, json_reply
from serve.wire import parse_outcome


async def outcomes(front: Front, request: HttpRequest) -> HttpReply:
    """Record one outcome. Sending it again changes nothing: readers keep the last of each source."""
    tenant = front.tenant(request)
    reward = parse_outcome(request.body, tenant=tenant.name, now_ms=front.clock.now_ms())
    front.flow.outcome(tenant, reward)
    said = {
        "object": "p402.outcome",
        "request_id": reward.id,
        "source": reward.source,
        "status": reward.status,
    }
    return json_reply(200, orjson.dumps(said))
