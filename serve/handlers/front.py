"""What every handler works with, and the last door an error passes.

A handler is a function of the front and a request. It knows no framework and no socket, keeps
nothing between requests, and may raise: `answer` turns whatever comes into a reply.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from p402.flow.chat import Flow
from p402.ids import request_id
from p402.ports import Clock
from p402.request import Tenant
from serve.cache.meaning import NO_MODEL, Meaning
from serve.errors import exception_reply
from serve.http import HttpReply, HttpRequest
from serve.idempotency.once import Once
from serve.keys import Keyring
from serve.metrics.meter import Meter


@dataclass(frozen=True, slots=True)
class Front:
    """Collaborators of the handlers, made once per worker.

    Attributes
    ----------
    ready
        Whether this worker can serve: started, with a snapshot, and not stopping.
    once
        Runs what comes with an `Idempotency-Key`.
    meter
        Is told of every answer.
    meaning
        Whether the cache compares prompts by meaning.
    """

    flow: Flow
    keys: Keyring
    clock: Clock
    ready: Callable[[], bool]
    once: Once
    meter: Meter = field(default_factory=Meter)
    meaning: Meaning = NO_MODEL

    def new_id(self) -> str:
        """Id for an answer to a request that never became a round."""
        return request_id(self.clock.now_ms(), self.clock.random_bits())

    def tenant(self, request: HttpRequest) -> Tenant:
        """Who calls; InvalidApiKey if nobody known."""
        return self.keys.tenant(request.headers.get(b"authorization"))


Handler = Callable[[Front, HttpRequest], Awaitable[HttpReply]]


async def answer(front: Front, handler: Handler, request: HttpRequest) -> HttpReply:
    """Reply of a handler, or of the error it raised; never raises but for cancellation."""
    try:
        return await handler(front, request)
    except Exception as error:  # noqa: BLE001 - the last door: what nobody foresaw is a 500 and a report
        return exception_reply(error, front.new_id())
